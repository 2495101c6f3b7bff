{{/* What all pods of the fleet have in common. Takes a dict: root, component, values (defaults with the service's own). */}}
{{- define "eventrunner.podMetadata" -}}
labels:
  {{- include "eventrunner.labels" (list .root .component) | nindent 2 }}
  eventrunner.dev/admin: "true"
  {{- with .values.podLabels }}{{ toYaml . | nindent 2 }}{{- end }}
annotations:
  checksum/config: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
  {{- with .values.podAnnotations }}{{ toYaml . | nindent 2 }}{{- end }}
{{- end -}}

{{- define "eventrunner.podPlace" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Takes a dict: root, component, keys, revisions (whether the pods are a Deployment's). */}}
{{- define "eventrunner.spread" -}}
{{- with .keys }}
topologySpreadConstraints:
  {{- range . }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "eventrunner.selectorLabels" (list $.root $.component) | nindent 8 }}
    {{- if $.revisions }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The three probes. Takes the component. */}}
{{- define "eventrunner.probes" -}}
# Until broker, streams and stores are there, which may take as long as they need.
startupProbe:
  httpGet: {path: /healthz/startup, port: admin}
  periodSeconds: 2
  failureThreshold: 300
readinessProbe:
  {{- if eq . "ingest-grpc" }}
  grpc: {port: 9090}
  {{- else }}
  httpGet: {path: /healthz/ready, port: admin}
  {{- end }}
  periodSeconds: 5
# Live means that no accepted event has waited for long, not that the process is up: be slow to judge.
livenessProbe:
  httpGet: {path: /healthz/live, port: admin}
  periodSeconds: 20
  failureThreshold: 6
{{- end -}}
