{{/* Where traffic from outside for a component goes: `api` is behind Oathkeeper where there is one. Takes a list: root, component, service. */}}
{{- define "eventrunner.backend" -}}
{{- $root := index . 0 -}}
{{- $fullname := include "eventrunner.fullname" $root -}}
{{- if and (eq (index . 1) "api") $root.Values.oathkeeper.enabled -}}
{{- dict "name" (printf "%s-oathkeeper" $fullname) "port" 4455 | toJson -}}
{{- else -}}
{{- dict "name" (printf "%s-%s" $fullname (index . 1)) "port" (int (index . 2).service.port) | toJson -}}
{{- end -}}
{{- end -}}
