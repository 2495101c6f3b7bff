{{/* Why `eventrunner verify` cannot be run against this release; empty if it can. */}}
{{- define "eventrunner.unverifiable" -}}
{{- $services := .Values.services -}}
{{- if not (and $services.ingestHttp.enabled $services.normalizer.enabled $services.engine.enabled $services.api.enabled) -}}
not every service is there
{{- else if and (not .Values.nats.enabled) .Values.nats.clientCertificateSecret -}}
the broker wants a certificate
{{- end -}}
{{- end -}}
