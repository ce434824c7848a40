{{- define "bridge.testLabels" -}}
app.kubernetes.io/name: {{ include "bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: self-test
{{- end }}

{{/*
What the pod of `helm test` has beside addresses and configuration: {args, volumes: [{name, secret, items}]}, for a token and for the certificates to
trust. Empty where it could not get in.
*/}}
{{- define "bridge.selfTest" -}}
{{- $config := include "bridge.config" . | fromYaml }}
{{- $credentials := include "bridge.testCredentials" (dict "root" . "auth" ($config.auth | default dict)) }}
{{- $asksForCertificates := or ($config.http.tls | default dict).client_ca_file ($config.grpc.tls | default dict).client_ca_file }}
{{- if and .Values.test.enabled $credentials (not $asksForCertificates) (include "bridge.testTrusts" .) }}
{{- $parts := $credentials | fromYaml }}
{{- with include "bridge.testCa" (dict "root" . "config" $config) | fromYaml }}
{{- $_ := set $parts "args" (concat $parts.args .args) }}
{{- $_ := set $parts "volumes" (concat $parts.volumes .volumes) }}
{{- end }}
{{- toYaml $parts }}
{{- end }}
{{- end }}

{{/* A secret lies where the bridge has it, so that the configuration says which algorithm, issuer and so on belong to it. */}}
{{- define "bridge.testCredentials" -}}
{{- $token := .root.Values.test.token }}
{{- $volume := dict }}
{{- range reverse (include "bridge.secretVolumes" .root | fromYamlArray) }}
{{- if and (eq .name "secrets") (include "bridge.makesKey" $.root) }}
{{- $volume = set . "items" (list (dict "key" "hs256" "path" "hs256")) }}
{{- else if hasPrefix "key-" .name }}
{{- $key := trimPrefix "key-" .name | int | index $.root.Values.auth.keys }}
{{- if hasPrefix "HS" $key.algorithm }}{{ $volume = . }}{{ end }}
{{- end }}
{{- end }}
{{- if .auth.allow_anonymous }}
args: []
volumes: []
{{- else if $token.existingSecret }}
args: [--token-file, /etc/sse-bridge/token/token]
volumes: [{name: token, secret: {{ $token.existingSecret | quote }}, items: [{key: {{ $token.key | quote }}, path: token}]}]
{{- else if $volume }}
args: [--key-file, /etc/sse-bridge/{{ $volume.name }}/{{ (first $volume.items).path }}]
volumes: [{{ toJson $volume }}]
{{- end }}
{{- end }}

{{/*
"true" where the pod can trust the certificates of cert-manager: each has the Service's name, by which the pod asks, and one authority has signed both.
*/}}
{{- define "bridge.testTrusts" -}}
{{- $distrusted := list }}
{{- $issuers := list }}
{{- range $side := list "http" "grpc" }}
{{- with (index $.Values.tls $side).certManager }}
{{- if .enabled }}
{{- $name := printf "%s-%s.%s.svc" (include "bridge.fullname" $) $side $.Release.Namespace }}
{{- if not (or .serviceNames (has $name .dnsNames)) }}{{ $distrusted = append $distrusted $side }}{{ end }}
{{- $issuers = append $issuers (printf "%s/%s" .issuer.kind .issuer.name) | uniq }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (or $distrusted (and (gt (len $issuers) 1) (not .Values.test.ca.existingSecret))) }}true{{ end }}
{{- end }}

{{- define "bridge.testCa" -}}
{{- $hasTls := or (include "bridge.hasTls" .config.http) (include "bridge.hasTls" .config.grpc) }}
{{- $secret := .root.Values.test.ca.existingSecret }}
{{- /* Some issuers of cert-manager tell no authority: then the pod starts and says which file is missing. */}}
{{- $isOptional := not $secret }}
{{- range list "grpc" "http" }}
{{- if and (index $.root.Values.tls .).certManager.enabled (not $.root.Values.test.ca.existingSecret) }}
{{- $secret = include "bridge.tlsSecret" (dict "root" $.root "side" .) }}
{{- end }}
{{- end }}
{{- if and $hasTls $secret }}
args: [--ca-file, /etc/sse-bridge/ca/ca.crt]
volumes: [{name: ca, secret: {{ $secret | quote }}, optional: {{ $isOptional }}, items: [{key: {{ .root.Values.test.ca.key | quote }}, path: ca.crt}]}]
{{- end }}
{{- end }}
