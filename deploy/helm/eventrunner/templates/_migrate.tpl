{{/* `eventrunner migrate`, without its name. Takes a dict: root, values, mounts. */}}
{{- define "eventrunner.migrateContainer" -}}
image: {{ include "eventrunner.image" (list .root .values.image) }}
imagePullPolicy: {{ .values.image.pullPolicy }}
args: [migrate, --timeout, {{ .root.Values.migrations.timeoutSeconds | int | quote }}]
env:
  {{- include "eventrunner.env.fleet" .root | nindent 2 }}
  {{- include "eventrunner.env.stores" .root | nindent 2 }}
  {{- with .root.Values.migrations.extraEnv }}{{ toYaml . | nindent 2 }}{{- end }}
resources: {{- toYaml .root.Values.migrations.resources | nindent 2 }}
{{- with .values.containerSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "eventrunner.mounts" .mounts | trim }}
volumeMounts: {{- . | nindent 2 }}
{{- end }}
{{- end -}}
