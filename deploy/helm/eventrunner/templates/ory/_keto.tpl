{{/* Keto's image with its configuration. Takes a dict: root, args. */}}
{{- define "eventrunner.ketoContainer" -}}
image: {{ include "eventrunner.image" (list .root .root.Values.keto.image) }}
imagePullPolicy: {{ .root.Values.keto.image.pullPolicy }}
args: {{ toJson .args }}
{{- with .root.Values.keto.existingSecret }}
env:
  {{- include "eventrunner.secretEnv" (list "DSN" . "dsn") | nindent 2 }}
{{- end }}
resources: {{- toYaml .root.Values.keto.resources | nindent 2 }}
{{- with .root.Values.defaults.containerSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/keto, readOnly: true}
{{- end -}}
