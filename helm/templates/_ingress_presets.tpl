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
# Longer than the heartbeat of event streams, and than publishers are silent.
nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
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
# Longer than the heartbeat of event streams, and than publishers are silent.
alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=3600
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
