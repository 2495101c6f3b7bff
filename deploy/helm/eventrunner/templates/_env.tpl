{{/* What a process is told by its environment, which wins over the configuration file, and what is mounted for it. */}}

{{/* Whether the broker is this release's own: empty if not. */}}
{{- define "eventrunner.ownBroker" -}}
{{- if or .Values.nats.enabled (eq .Values.mode "single") -}}true{{- end -}}
{{- end -}}

{{/* The broker's address. */}}
{{- define "eventrunner.natsUrl" -}}
{{- if .Values.nats.enabled -}}
{{- printf "%s://%s-nats:4222" (ternary "tls" "nats" (ne .Values.nats.tlsSecret "")) (include "eventrunner.fullname" .) -}}
{{- else -}}
{{- .Values.nats.url -}}
{{- end -}}
{{- end -}}

{{- define "eventrunner.natsMonitorUrl" -}}
{{- if .Values.nats.enabled -}}
{{- printf "http://%s-nats-nodes.%s.svc:8222" (include "eventrunner.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- .Values.nats.monitorUrl -}}
{{- end -}}
{{- end -}}

{{/* Which secret the fleet logs in with, and how: none, password, token, nkey, credentials. */}}
{{- define "eventrunner.login" -}}
{{- if and (include "eventrunner.ownBroker" .) .Values.nats.accountsSecret -}}
{{- dict "kind" "credentials" "secret" .Values.nats.accountsSecret | toJson -}}
{{- else if .Values.nats.login.existingSecret -}}
{{- dict "kind" .Values.nats.login.kind "secret" .Values.nats.login.existingSecret | toJson -}}
{{- else -}}
{{- dict "kind" "none" "secret" "" | toJson -}}
{{- end -}}
{{- end -}}

{{- define "eventrunner.natsCaSecret" -}}
{{- ternary .Values.nats.tlsSecret .Values.nats.caSecret (ne (include "eventrunner.ownBroker" .) "") -}}
{{- end -}}

{{- define "eventrunner.cqlNodes" -}}
{{- if eq .Values.scylla.mode "operator" -}}
{{- printf "%s-scylla-client:9042" (include "eventrunner.fullname" .) | list | toJson -}}
{{- else -}}
{{- toJson .Values.scylla.nodes -}}
{{- end -}}
{{- end -}}

{{- define "eventrunner.clickhouseUrl" -}}
{{- if eq .Values.clickhouse.mode "operator" -}}
{{- printf "http://clickhouse-%s:8123" (include "eventrunner.fullname" .) -}}
{{- else -}}
{{- .Values.clickhouse.url -}}
{{- end -}}
{{- end -}}

{{/* A variable whose value is a secret's. Takes a list: name, secret, entry. */}}
{{- define "eventrunner.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}
{{- end -}}

{{/* Where traces, metrics and logs are sent. Takes the root. */}}
{{- define "eventrunner.env.telemetry" -}}
{{- if .Values.telemetry.otlpEndpoint -}}
- {name: EVENTRUNNER_TELEMETRY__OTLP_ENDPOINT, value: {{ .Values.telemetry.otlpEndpoint | quote }}}
- {name: EVENTRUNNER_TELEMETRY__OTLP_PROTOCOL, value: {{ .Values.telemetry.protocol | quote }}}
- {name: EVENTRUNNER_TELEMETRY__SAMPLE_RATIO, value: {{ .Values.telemetry.sampleRatio | quote }}}
{{- with .Values.telemetry.existingSecret }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_TELEMETRY__OTLP_HEADERS" . "headers") }}
{{- end }}
{{- if .Values.telemetry.caSecret }}
- {name: EVENTRUNNER_TELEMETRY__OTLP_CA_FILE, value: /etc/otlp-ca/ca.crt}
{{- end }}
{{- end }}
{{- with .Values.telemetry.traceUrl }}
- {name: EVENTRUNNER_TELEMETRY__TRACE_URL, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* What everything that speaks to the broker needs. Takes the root. */}}
{{- define "eventrunner.env.fleet" -}}
- {name: EVENTRUNNER_LOG__FORMAT, value: json}
{{- with include "eventrunner.env.telemetry" . | trim }}
{{ . }}
{{- end }}
{{- if .Values.config }}
- {name: EVENTRUNNER_CONFIG, value: /etc/eventrunner/eventrunner.toml}
{{- end }}
{{- if .Values.backup.enabled }}
- {name: EVENTRUNNER_BACKUP__AGE_HOURS_MAX, value: {{ .Values.backup.ageHoursMax | quote }}}
{{- end }}
- {name: EVENTRUNNER_TOPOLOGY__DURABILITY, value: {{ .Values.durability }}}
- {name: EVENTRUNNER_TOPOLOGY__PARTITIONS, value: {{ .Values.partitions | quote }}}
- {name: EVENTRUNNER_TOPOLOGY__REPLICAS, value: {{ .Values.streamReplicas | quote }}}
- {name: EVENTRUNNER_NATS__URL, value: {{ include "eventrunner.natsUrl" . | quote }}}
{{- with include "eventrunner.natsMonitorUrl" . }}
- {name: EVENTRUNNER_BROKER__MONITOR_URL, value: {{ . | quote }}}
{{- end }}
{{- $login := include "eventrunner.login" . | fromJson }}
{{- if eq $login.kind "password" }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_NATS__USER" $login.secret "user") }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_NATS__PASSWORD" $login.secret "password") }}
{{- else if eq $login.kind "token" }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_NATS__TOKEN" $login.secret "token") }}
{{- else if eq $login.kind "nkey" }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_NATS__NKEY_SEED" $login.secret "nkey.seed") }}
{{- else if eq $login.kind "credentials" }}
- {name: EVENTRUNNER_NATS__CREDENTIALS_FILE, value: /etc/fleet/fleet.creds}
{{- end }}
{{- if include "eventrunner.natsCaSecret" . }}
- {name: EVENTRUNNER_NATS__TLS_CA_FILE, value: /etc/nats-ca/ca.crt}
{{- end }}
{{- if and (not (include "eventrunner.ownBroker" .)) .Values.nats.clientCertificateSecret }}
- {name: EVENTRUNNER_NATS__TLS_CERTIFICATE_FILE, value: /etc/nats-client/tls.crt}
- {name: EVENTRUNNER_NATS__TLS_KEY_FILE, value: /etc/nats-client/tls.key}
{{- end }}
{{- end -}}

{{/* Where a command finds the broker, and how it logs in: a password, a token or credentials. Takes the root. */}}
{{- define "eventrunner.env.broker" -}}
{{- $login := include "eventrunner.login" . | fromJson }}
{{- if eq .Values.mode "single" }}
- {name: EVENTRUNNER_NATS_URL, value: "{{ ternary "nats" "tls" (eq .Values.nats.tlsSecret "") }}://{{ include "eventrunner.fullname" . }}-nats:4222"}
{{- else }}
{{- $url := include "eventrunner.natsUrl" . }}
{{- if eq $login.kind "password" }}
{{ include "eventrunner.secretEnv" (list "NATS_USER" $login.secret "user") }}
{{ include "eventrunner.secretEnv" (list "NATS_PASSWORD" $login.secret "password") }}
{{- $url = $url | replace "://" "://$(NATS_USER):$(NATS_PASSWORD)@" }}
{{- else if eq $login.kind "token" }}
{{ include "eventrunner.secretEnv" (list "NATS_TOKEN" $login.secret "token") }}
{{- $url = $url | replace "://" "://$(NATS_TOKEN)@" }}
{{- end }}
- {name: EVENTRUNNER_NATS_URL, value: {{ $url | quote }}}
{{- end }}
{{- if eq $login.kind "credentials" }}
- {name: EVENTRUNNER_NATS_CREDENTIALS, value: /etc/fleet/fleet.creds}
{{- end }}
{{- if include "eventrunner.natsCaSecret" . }}
- {name: EVENTRUNNER_NATS_CA, value: /etc/nats-ca/ca.crt}
{{- end }}
{{- end -}}

{{- define "eventrunner.env.stores" -}}
- {name: EVENTRUNNER_STORE__KIND, value: external}
- {name: EVENTRUNNER_STORE__CQL__NODES, value: {{ include "eventrunner.cqlNodes" . | quote }}}
- {name: EVENTRUNNER_STORE__CQL__KEYSPACE, value: {{ .Values.scylla.keyspace }}}
- {name: EVENTRUNNER_STORE__CQL__REPLICATION, value: {{ .Values.scylla.replication | quote }}}
{{- if eq .Values.scylla.mode "operator" }}
- {name: EVENTRUNNER_STORE__CQL__DATACENTER, value: dc1}
{{- else if .Values.scylla.datacenter }}
- {name: EVENTRUNNER_STORE__CQL__DATACENTER, value: {{ .Values.scylla.datacenter | quote }}}
{{- end }}
{{- with .Values.scylla.user }}
- {name: EVENTRUNNER_STORE__CQL__USER, value: {{ . | quote }}}
{{- end }}
{{- with .Values.scylla.existingSecret }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_STORE__CQL_PASSWORD" . $.Values.scylla.existingSecretKey) }}
{{- end }}
{{- if .Values.scylla.tls.enabled }}
- {name: EVENTRUNNER_STORE__CQL__TLS, value: "true"}
{{- if .Values.scylla.tls.caSecret }}
- {name: EVENTRUNNER_STORE__CQL__TLS_CA_FILE, value: /etc/scylla-ca/ca.crt}
{{- end }}
{{- end }}
- {name: EVENTRUNNER_STORE__CLICKHOUSE__URL, value: {{ include "eventrunner.clickhouseUrl" . | quote }}}
- {name: EVENTRUNNER_STORE__CLICKHOUSE__DATABASE, value: {{ .Values.clickhouse.database }}}
- {name: EVENTRUNNER_STORE__CLICKHOUSE__USER, value: {{ .Values.clickhouse.user | quote }}}
{{- with .Values.clickhouse.existingSecret }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_STORE__CLICKHOUSE_PASSWORD" . $.Values.clickhouse.existingSecretKey) }}
{{- end }}
{{- end -}}

{{/* What callers are known and allowed by: the doors and `api`. */}}
{{- define "eventrunner.env.callers" -}}
{{- with .Values.sealing.existingSecret }}
{{ include "eventrunner.secretEnv" (list "EVENTRUNNER_SEALING__KEY" . $.Values.sealing.key) }}
{{- end }}
{{- if .Values.oathkeeper.enabled }}
- name: EVENTRUNNER_TOKENS__ISSUERS
  value: {{ printf "[{issuer = %q, keys_url = \"http://%s-oathkeeper-api:4456/.well-known/jwks.json\", audiences = [\"eventrunner\"], algorithms = [\"RS256\"], allow_http = true, claims = {tenant = \"tenant_id\", roles = \"roles\"}}]" .Values.oathkeeper.issuer (include "eventrunner.fullname" .) | quote }}
{{- end }}
{{- if .Values.keto.enabled }}
- {name: EVENTRUNNER_AUTHORIZER__KIND, value: keto}
- {name: EVENTRUNNER_AUTHORIZER__READ_URL, value: "http://{{ include "eventrunner.fullname" . }}-keto:4466"}
- {name: EVENTRUNNER_AUTHORIZER__WRITE_URL, value: "http://{{ include "eventrunner.fullname" . }}-keto:4467"}
{{- end }}
{{- end -}}

{{/* What a service listens on, and who it is. Takes a list: root, component. */}}
{{- define "eventrunner.env.service" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
- {name: EVENTRUNNER_ADMIN__HTTP__LISTEN, value: "0.0.0.0:9600"}
{{- if eq $component "ingest-http" }}
- {name: EVENTRUNNER_INGEST_HTTP__SERVER__LISTEN, value: "0.0.0.0:8080"}
{{- else if eq $component "ingest-grpc" }}
- {name: EVENTRUNNER_INGEST_GRPC__SERVER__LISTEN, value: "0.0.0.0:9090"}
{{- else if eq $component "api" }}
- {name: EVENTRUNNER_API__HTTP__LISTEN, value: "0.0.0.0:8081"}
{{- if and $root.Values.nats.enabled $root.Values.nats.accountsSecret }}
- {name: EVENTRUNNER_ACCOUNTS__OPERATOR_SEED, value: "file:/etc/operator/operator.seed"}
{{- end }}
{{- else if has $component (list "normalizer" "engine") }}
- name: EVENTRUNNER_{{ upper $component }}__MEMBERS__REPLICA
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- end -}}

{{/* Mounts and volumes of what `env.fleet` and `env.stores` name. Takes a dict: root, stores, operator (whether it signs accounts), client
(whether it only asks a fleet, and traces nothing). */}}
{{- define "eventrunner.mounts" -}}
{{- $login := include "eventrunner.login" .root | fromJson }}
{{- if .root.Values.config }}
- {name: config, mountPath: /etc/eventrunner, readOnly: true}
{{- end }}
{{- if eq $login.kind "credentials" }}
- {name: fleet, mountPath: /etc/fleet, readOnly: true}
{{- end }}
{{- if and .operator .root.Values.nats.enabled .root.Values.nats.accountsSecret }}
- {name: operator, mountPath: /etc/operator, readOnly: true}
{{- end }}
{{- if include "eventrunner.natsCaSecret" .root }}
- {name: nats-ca, mountPath: /etc/nats-ca, readOnly: true}
{{- end }}
{{- if and (not (include "eventrunner.ownBroker" .root)) .root.Values.nats.clientCertificateSecret }}
- {name: nats-client, mountPath: /etc/nats-client, readOnly: true}
{{- end }}
{{- if and .stores .root.Values.scylla.tls.caSecret }}
- {name: scylla-ca, mountPath: /etc/scylla-ca, readOnly: true}
{{- end }}
{{- if and (not .client) .root.Values.telemetry.otlpEndpoint .root.Values.telemetry.caSecret }}
- {name: otlp-ca, mountPath: /etc/otlp-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "eventrunner.volumes" -}}
{{- $login := include "eventrunner.login" .root | fromJson }}
{{- if .root.Values.config }}
- name: config
  {{- if .inline }}
  downwardAPI:
    items: [{path: eventrunner.toml, fieldRef: {fieldPath: "metadata.annotations['eventrunner.dev/config']"}}]
  {{- else }}
  configMap: {name: {{ include "eventrunner.fullname" .root }}}
  {{- end }}
{{- end }}
{{- if eq $login.kind "credentials" }}
- name: fleet
  secret: {secretName: {{ $login.secret }}, items: [{key: fleet.creds, path: fleet.creds}]}
{{- end }}
{{- if and .operator .root.Values.nats.enabled .root.Values.nats.accountsSecret }}
- name: operator
  secret: {secretName: {{ .root.Values.nats.accountsSecret }}, items: [{key: operator.seed, path: operator.seed}]}
{{- end }}
{{- with include "eventrunner.natsCaSecret" .root }}
- name: nats-ca
  secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if and (not (include "eventrunner.ownBroker" .root)) .root.Values.nats.clientCertificateSecret }}
- name: nats-client
  secret: {secretName: {{ .root.Values.nats.clientCertificateSecret }}}
{{- end }}
{{- if and .stores .root.Values.scylla.tls.caSecret }}
- name: scylla-ca
  secret: {secretName: {{ .root.Values.scylla.tls.caSecret }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if and (not .client) .root.Values.telemetry.otlpEndpoint .root.Values.telemetry.caSecret }}
- name: otlp-ca
  secret: {secretName: {{ .root.Values.telemetry.caSecret }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end -}}
