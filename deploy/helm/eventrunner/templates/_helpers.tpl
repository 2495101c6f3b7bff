{{/* Names, labels, images. A component's name is kept whole: what is cut is the release's. */}}
{{- define "eventrunner.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "eventrunner.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "eventrunner.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of a component. Takes a list: root, component. */}}
{{- define "eventrunner.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "eventrunner.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "eventrunner.labels" -}}
{{- $root := index . 0 -}}
{{ include "eventrunner.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: eventrunner
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image reference: the digest wins over the tag. Takes a list: root, image. */}}
{{- define "eventrunner.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $repository := $image.repository -}}
{{- with $root.Values.global.imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "eventrunner.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "eventrunner.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The services of `mode: services` that are wanted: a list of their keys. */}}
{{- define "eventrunner.wanted" -}}
{{- $wanted := list -}}
{{- range $key := list "ingestHttp" "ingestGrpc" "normalizer" "engine" "api" "billing" -}}
{{- if (index $.Values.services $key).enabled -}}
{{- $wanted = append $wanted $key -}}
{{- end -}}
{{- end -}}
{{- toJson $wanted -}}
{{- end -}}

{{/* A volume's class. Takes a list: root, what the volume names. */}}
{{- define "eventrunner.storageClass" -}}
{{- with default (index . 0).Values.global.storageClass (index . 1) }}
storageClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* How migrations are run: hook, init or none. */}}
{{- define "eventrunner.migrations" -}}
{{- $inside := or .Values.nats.enabled (eq .Values.scylla.mode "operator") (eq .Values.clickhouse.mode "operator") -}}
{{- if or (not .Values.migrations.enabled) (eq .Values.mode "single") -}}
none
{{- else if eq .Values.migrations.kind "auto" -}}
{{- ternary "init" "hook" $inside -}}
{{- else -}}
{{- .Values.migrations.kind -}}
{{- end -}}
{{- end -}}

{{/* Refuses a kind of object that the cluster does not know. Takes a list: root, API version, what wants it, whose it is. */}}
{{- define "eventrunner.needs" -}}
{{- $root := index . 0 -}}
{{- if not ($root.Capabilities.APIVersions.Has (index . 1)) -}}
{{- fail (printf "%s needs %s, which this cluster does not have (%s)" (index . 2) (index . 3) (index . 1)) -}}
{{- end -}}
{{- end -}}
