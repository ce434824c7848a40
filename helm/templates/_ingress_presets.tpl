{{/* The annotations with which a controller passes event streams and Publish streams on: {Values, config, side}. */}}
{{- define "bridge.ingressPreset" -}}
{{- if eq .Values.ingress.preset "nginx" }}
{{- include "bridge.nginxPreset" . }}
{{- else if eq .Values.ingress.preset "traefik" }}
{{- /* It buffers nothing. How to speak to the pods stands on the Services. */}}
{{- if (index .Values.ingress .side).tlsSecret }}
traefik.ingress.kubernetes.io/router.tls: "true"
{{- end }}
{{- else if eq .Values.ingress.preset "alb" }}
{{- include "bridge.albPreset" . }}
{{- end }}
{{- end }}

{{- define "bridge.nginxPreset" -}}
{{- $hasTls := include "bridge.hasTls" (index .config .side) }}
{{- $timeout := ternary (include "bridge.quietSeconds" .config.http) "3600" (eq .side "http") }}
# Event streams say something at each heartbeat, so that a pod which hangs is given up; publishers may be silent.
nginx.ingress.kubernetes.io/proxy-read-timeout: {{ $timeout | quote }}
nginx.ingress.kubernetes.io/proxy-send-timeout: {{ $timeout | quote }}
# A pod that is gone is found out soon, and another one asked: an EventSource takes a 502 or 504 as final.
nginx.ingress.kubernetes.io/proxy-connect-timeout: "2"
nginx.ingress.kubernetes.io/proxy-next-upstream: error timeout
nginx.ingress.kubernetes.io/proxy-next-upstream-tries: "3"
{{- if eq .side "http" }}
nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
nginx.ingress.kubernetes.io/proxy-buffering: "off"
{{- if $hasTls }}
nginx.ingress.kubernetes.io/backend-protocol: HTTPS
{{- end }}
{{- else }}
nginx.ingress.kubernetes.io/backend-protocol: {{ ternary "GRPCS" "GRPC" (ne $hasTls "") }}
# All that a stream ever sends is one body.
nginx.ingress.kubernetes.io/proxy-body-size: "0"
{{- end }}
{{- end }}

{{- define "bridge.albPreset" -}}
{{- $hasTls := include "bridge.hasTls" (index .config .side) }}
alb.ingress.kubernetes.io/target-type: ip
alb.ingress.kubernetes.io/listen-ports: {{ ternary `[{"HTTPS": 443}]` `[{"HTTP": 80}]` (ne (index .Values.ingress .side).tlsSecret "") | squote }}
{{- $timeout := ternary (include "bridge.quietSeconds" .config.http) "3600" (eq .side "http") }}
# Event streams say something at each heartbeat; publishers may be silent.
alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds={{ $timeout }}
alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds={{ include "bridge.drainSeconds" .config }}
{{- if $hasTls }}
alb.ingress.kubernetes.io/backend-protocol: HTTPS
{{- end }}
{{- if eq .side "http" }}
alb.ingress.kubernetes.io/healthcheck-protocol: HTTP
alb.ingress.kubernetes.io/healthcheck-port: {{ include "bridge.port" .config.admin | quote }}
alb.ingress.kubernetes.io/healthcheck-path: /readyz
{{- else }}
alb.ingress.kubernetes.io/backend-protocol-version: GRPC
alb.ingress.kubernetes.io/healthcheck-path: /grpc.health.v1.Health/Check
alb.ingress.kubernetes.io/success-codes: "0"
{{- end }}
{{- end }}

{{/* For how many seconds a front need not see a byte of an event stream: four heartbeats of the section http, at least 60. */}}
{{- define "bridge.quietSeconds" -}}
{{- min 3600 (max 60 (mulf (include "bridge.seconds" (.heartbeat | default "15s") | float64) 4 | ceil | int)) }}
{{- end }}

{{/*
How long the bridge keeps a connection that waits for its next request: longer than the preset's front does, which would else send a request on one
that is being closed, and answer it with 502. Empty without a preset.
*/}}
{{- define "bridge.idleTimeout" -}}
{{- if and .Values.ingress.preset .Values.ingress.http.enabled }}
{{- $quiet := (.Values.config | default dict).http | default dict | include "bridge.quietSeconds" | int }}
{{- /* Of ingress-nginx and Traefik: what they do by themselves (upstream-keepalive-timeout, idleConnTimeout). */}}
{{- $front := get (dict "alb" $quiet "nginx" 60 "traefik" 90) .Values.ingress.preset }}
{{- printf "%ds" (min 3600 (add $front 15)) }}
{{- end }}
{{- end }}
