{{/*
The configuration that the bridge gets: what the chart sets, and over it the value `config`. All that depends on it (ports, probes, grace
period, which log) asks this result and not the values, so that it does not matter where something was set.
*/}}
{{- define "bridge.config" -}}
{{- $config := mustMergeOverwrite (include "bridge.ownConfig" . | fromYaml) (deepCopy (.Values.config | default dict)) }}
{{- /* YAML 1.1 reads on and off as booleans; the bridge wants the words. */}}
{{- range list (list "console" "enabled") (list "grpc" "reflection") (list "auth" "tickets" "enabled") }}
{{- $section := $config }}
{{- range initial . }}{{ $section = get $section . | default dict }}{{ end }}
{{- $value := get $section (last .) }}
{{- if kindIs "bool" $value }}{{ $_ := set $section (last .) (ternary "on" "off" $value) }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "bridge.ownConfig" -}}
http:
  address: 0.0.0.0:8080
  event_loops: {{ include "bridge.eventLoops" . }}
  {{- with .Values.trustedProxies }}
  trusted_proxies: {{ toJson . }}
  {{- end }}
  {{- with include "bridge.idleTimeout" . }}
  idle_timeout: {{ . }}
  {{- end }}
  {{- include "bridge.ownTls" (dict "root" . "side" "http") | nindent 2 }}
grpc:
  address: 0.0.0.0:9090
  {{- include "bridge.ownTls" (dict "root" . "side" "grpc") | nindent 2 }}
admin:
  address: 0.0.0.0:8081
drain: {{ toJson .Values.drain }}
logging:
  format: json
{{ include "bridge.ownLog" . }}
{{ include "bridge.ownAuth" . }}
{{- end }}

{{- define "bridge.eventLoops" -}}
{{- $limits := .Values.resources.limits | default dict }}
{{- $requests := .Values.resources.requests | default dict }}
{{- max 2 (include "bridge.cores" ($limits.cpu | default $requests.cpu | default 2) | int) }}
{{- end }}

{{/* The section tls of a side. */}}
{{- define "bridge.ownTls" -}}
{{- if include "bridge.tlsSecret" . }}
tls:
  certificate_file: /etc/sse-bridge/{{ .side }}-tls/tls.crt
  key_file: /etc/sse-bridge/{{ .side }}-tls/tls.key
  {{- if (index .root.Values.tls .side).clientCa.existingSecret }}
  client_ca_file: /etc/sse-bridge/{{ .side }}-client-ca/ca.crt
  {{- end }}
{{- end }}
{{- end }}

{{/* The Secret with the certificate of a side ("http" or "grpc"); empty where the values name none. */}}
{{- define "bridge.tlsSecret" -}}
{{- $tls := index .root.Values.tls .side }}
{{- if $tls.certManager.enabled }}
{{- printf "%s-%s-tls" (include "bridge.fullname" .root) .side }}
{{- else }}
{{- $tls.existingSecret }}
{{- end }}
{{- end }}

{{- define "bridge.ownLog" -}}
{{- with .Values.log }}
{{- if .jetstream.url }}
log:
  jetstream:
    url: {{ .jetstream.url | quote }}
    {{- if .jetstream.credentials.existingSecret }}
    credentials_file: /etc/sse-bridge/nats-credentials/nats.creds
    {{- end }}
    {{- if .jetstream.tls.existingSecret }}
    tls:
      {{- if .jetstream.tls.ca }}
      ca_file: /etc/sse-bridge/nats-tls/ca.crt
      {{- end }}
      {{- if .jetstream.tls.clientCertificate }}
      certificate_file: /etc/sse-bridge/nats-tls/tls.crt
      key_file: /etc/sse-bridge/nats-tls/tls.key
      {{- end }}
    {{- end }}
{{- else if .disk.enabled }}
log:
  disk:
    path: /var/lib/sse-bridge/log
    {{- $volume := include "bridge.bytes" .disk.size | float64 }}
    {{- $calls := include "bridge.callsDiskBytes" ($.Values.config | default dict) | float64 }}
    max_bytes: {{ max 1048576 (divf (subf (mulf $volume 0.9) $calls) 3 | int64) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the file of the calls may take, which is up to three times what it keeps: twice calls.log.max_bytes. Asked of a configuration. */}}
{{- define "bridge.callsDiskBytes" -}}
{{- mul (include "bridge.bytes" (((.calls | default dict).log | default dict).max_bytes | default "512MiB") | int64) 6 }}
{{- end }}

{{- define "bridge.ownAuth" -}}
{{- if or .Values.auth.keys (include "bridge.makesKey" .) (include "bridge.hasTickets" .) }}
auth:
  {{- if .Values.auth.keys }}
  jwt:
    keys:
      {{- range $index, $key := .Values.auth.keys }}
      - algorithm: {{ .algorithm }}
        {{ ternary "secret_file" "public_key_file" (hasPrefix "HS" .algorithm) }}: /etc/sse-bridge/key-{{ $index }}/key
        {{- with .kid }}
        kid: {{ . | quote }}
        {{- end }}
      {{- end }}
  {{- else if include "bridge.makesKey" . }}
  jwt:
    keys:
      - algorithm: HS256
        secret_file: /etc/sse-bridge/secrets/hs256
  {{- end }}
  {{- if include "bridge.hasTickets" . }}
  tickets:
    secret_file: /etc/sse-bridge/{{ ternary "tickets/tickets" "secrets/tickets" (ne .Values.auth.tickets.existingSecret "") }}
  {{- end }}
{{- end }}
{{- end }}

{{/* "true" where nobody has said who may come in: then the chart makes a secret for tokens. */}}
{{- define "bridge.makesKey" -}}
{{- $auth := (.Values.config | default dict).auth | default dict }}
{{- $jwt := $auth.jwt | default dict }}
{{- if not (or .Values.auth.keys $jwt.keys $jwt.jwks_file $jwt.jwks_url $auth.allow_anonymous) }}true{{ end }}
{{- end }}

{{/* "true" where there are tickets, whose secret the configuration does not name itself. */}}
{{- define "bridge.hasTickets" -}}
{{- $auth := (.Values.config | default dict).auth | default dict }}
{{- $tickets := $auth.tickets | default dict }}
{{- if not (or $auth.allow_anonymous $tickets.secret_file (has (get $tickets "enabled") (list "off" false))) }}true{{ end }}
{{- end }}

{{- define "bridge.makesTickets" -}}
{{- if and (include "bridge.hasTickets" .) (not .Values.auth.tickets.existingSecret) }}true{{ end }}
{{- end }}

{{/* Asked of the result of bridge.config. */}}
{{- define "bridge.logKind" -}}
{{- $log := .log | default dict }}
{{- if ($log.jetstream | default dict).url }}jetstream{{ else if ($log.disk | default dict).path }}disk{{ else }}memory{{ end }}
{{- end }}

{{- define "bridge.port" -}}
{{- regexFind "[0-9]+$" .address }}
{{- end }}

{{- define "bridge.drainSeconds" -}}
{{- addf (include "bridge.seconds" .drain.delay | float64) (include "bridge.seconds" .drain.window | float64) | ceil | int }}
{{- end }}

{{/* "true" where this side (a section of bridge.config) speaks TLS. */}}
{{- define "bridge.hasTls" -}}
{{- if (.tls | default dict).certificate_file }}true{{ end }}
{{- end }}
