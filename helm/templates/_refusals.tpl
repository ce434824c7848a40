{{/* What would not run, or not do what it seems to say, is refused here with what to change. Each has a test. */}}
{{- define "bridge.refuse" -}}
{{- $config := include "bridge.config" . | fromYaml }}
{{- include "bridge.refusePods" (dict "Values" .Values "log" (include "bridge.logKind" $config)) }}
{{- include "bridge.refuseLog" (dict "Values" .Values "config" $config) }}
{{- include "bridge.refuseListeners" (dict "Values" .Values "config" $config) }}
{{- range $side := list "http" "grpc" }}
{{- include "bridge.refuseTls" (dict "side" $side "tls" (index $.Values.tls $side) "section" (index $config $side)) }}
{{- end }}
{{- include "bridge.refuseReach" . }}
{{- if and .Values.auth.keys (((.Values.config | default dict).auth | default dict).jwt | default dict).keys }}
{{- fail "config.auth.jwt.keys: would take the place of those of auth.keys: list all in one of the two" }}
{{- end }}
{{- if and .Values.auth.keys ($config.auth | default dict).allow_anonymous }}
{{- fail "config.auth.allow_anonymous: lets everybody do everything, and auth.keys has keys: leave out one of the two" }}
{{- end }}
{{- end }}

{{- define "bridge.refusePods" -}}
{{- $autoscaling := .Values.autoscaling }}
{{- if ne .log "jetstream" }}
{{- if $autoscaling.enabled }}
{{- fail (printf "autoscaling.enabled: the log is in the pod (%s), so a second pod would have other events: set log.jetstream.url" .log) }}
{{- end }}
{{- if gt (int .Values.replicas) 1 }}
{{- fail (printf "replicas: %d pods with the log in the pod (%s) would each have other events: set log.jetstream.url, or replicas: 1" (int .Values.replicas) .log) }}
{{- end }}
{{- end }}
{{- if $autoscaling.enabled }}
{{- if gt (int $autoscaling.minReplicas) (int $autoscaling.maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas: %d is more than maxReplicas, which is %d" (int $autoscaling.minReplicas) (int $autoscaling.maxReplicas)) }}
{{- end }}
{{- if not (or $autoscaling.eventStreams $autoscaling.cpu) }}
{{- fail "autoscaling: eventStreams and cpu are both 0, so there is nothing to scale by: set one of them" }}
{{- end }}
{{- if and $autoscaling.cpu (not (.Values.resources.requests | default dict).cpu) }}
{{- fail "autoscaling.cpu: is a share of resources.requests.cpu, which is not set: set it, or autoscaling.cpu: 0" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "bridge.refuseLog" -}}
{{- $log := .config.log | default dict }}
{{- $url := ($log.jetstream | default dict).url }}
{{- $disk := $log.disk | default dict }}
{{- if and (or $disk.path .Values.log.disk.enabled) $url }}
{{- fail "log.disk.enabled: log.jetstream.url is set too, and there is one log: leave out one of the two" }}
{{- end }}
{{- if and $url (regexMatch `://([^/@,]*:)?[^$@/,:][^/@,:]*@` $url) }}
{{- fail "log.jetstream.url: has a password or a token in it, which would stand in a ConfigMap: write ${NAME} and set that variable from a Secret with extraEnv" }}
{{- end }}
{{- if and $disk.path $disk.max_bytes }}
{{- $volume := include "bridge.bytes" .Values.log.disk.size | int64 }}
{{- $events := mul (include "bridge.bytes" $disk.max_bytes | int64) 3 }}
{{- $calls := include "bridge.callsDiskBytes" .config | int64 }}
{{- if gt (add $events $calls) $volume }}
{{- fail (printf "log.disk.size: %s is too small: the log's file takes up to three times config.log.disk.max_bytes, which is %v, and that of calls six times config.calls.log.max_bytes, together %d bytes" .Values.log.disk.size $disk.max_bytes (add $events $calls)) }}
{{- end }}
{{- $given := ((.Values.config | default dict).log | default dict).disk | default dict }}
{{- if and (not $given.max_bytes) (lt (mul $events 10) $volume) }}
{{- fail (printf "log.disk.size: %s is too small: the file of calls takes up to %d bytes of it, six times config.calls.log.max_bytes, and leaves nearly nothing to events: write more, or lower that key" .Values.log.disk.size $calls) }}
{{- end }}
{{- end }}
{{- range list "delay" "window" }}
{{- if contains "$" (get $.config.drain .) }}
{{- fail (printf "config.drain.%s: the pod's grace period is computed from it, so no variable can stand there: write a duration, as in 20s" .) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "bridge.refuseListeners" -}}
{{- $ports := list }}
{{- range $side := list "http" "grpc" "admin" }}
{{- $address := (index $.config $side).address }}
{{- if regexMatch "^(127[.]|localhost:|\\[::1\\]:)" $address }}
{{- fail (printf "config.%s.address: nobody outside the pod reaches %s, not even the kubelet: write 0.0.0.0 or [::] before the port" $side $address) }}
{{- end }}
{{- $port := include "bridge.port" (index $.config $side) }}
{{- if or (eq $port "") (eq $port "0") }}
{{- fail (printf "config.%s.address: %s has no port that Services and probes could name: write a number, as in 0.0.0.0:8080" $side $address) }}
{{- end }}
{{- if has $port $ports }}
{{- fail (printf "config.%s.address: port %s is another listener's too: each needs its own" $side $port) }}
{{- end }}
{{- $ports = append $ports $port }}
{{- end }}
{{- if and .Values.probes.grpc (include "bridge.hasTls" .config.grpc) }}
{{- fail "probes.grpc: the gRPC side has TLS, which the kubelet's probes do not speak: leave it out, the admin port is asked then" }}
{{- end }}
{{- if and .Values.service.grpc.headless (ne .Values.service.grpc.type "ClusterIP") }}
{{- fail (printf "service.grpc.headless: a Service of the type %s has an address: leave out one of the two" .Values.service.grpc.type) }}
{{- end }}
{{- end }}

{{- define "bridge.refuseTls" -}}
{{- if and .tls.certManager.enabled .tls.existingSecret }}
{{- fail (printf "tls.%s: existingSecret and certManager.enabled are both set, and there is one certificate: leave out one of the two" .side) }}
{{- end }}
{{- if and .tls.certManager.enabled (not .tls.certManager.issuer.name) }}
{{- fail (printf "tls.%s.certManager.issuer.name: is missing: name the issuer that signs the certificate" .side) }}
{{- end }}
{{- if and .tls.certManager.enabled (not .tls.certManager.dnsNames) (not .tls.certManager.serviceNames) }}
{{- fail (printf "tls.%s.certManager: a certificate without a name: list dnsNames, or set serviceNames: true" .side) }}
{{- end }}
{{- if and .tls.clientCa.existingSecret (not (include "bridge.hasTls" .section)) }}
{{- fail (printf "tls.%s.clientCa: clients show certificates only over TLS: set tls.%s.existingSecret or certManager" .side .side) }}
{{- end }}
{{- end }}

{{/* Who is to reach what the network policy, or a missing Gateway, keeps from it. */}}
{{- define "bridge.refuseReach" -}}
{{- range $side := list "http" "grpc" }}
{{- $route := index $.Values.gateway $side }}
{{- if and $route.enabled (not ($route.parentRefs | default $.Values.gateway.parentRefs)) }}
{{- fail (printf "gateway.%s.enabled: a route belongs to a Gateway: name it in gateway.parentRefs" $side) }}
{{- end }}
{{- end }}
{{- $isGrpcClosed := and .Values.networkPolicy.enabled (eq (toJson .Values.networkPolicy.grpc.from) `[{"podSelector":{}}]`) }}
{{- range list "ingress" "gateway" }}
{{- if and (index $.Values .).grpc.enabled $isGrpcClosed }}
{{- fail (printf "%s.grpc.enabled: the network policy lets pods of the release's namespace alone reach the gRPC port: name where publishers come from in networkPolicy.grpc.from" .) }}
{{- end }}
{{- end }}
{{- $isAdminClosed := and .Values.networkPolicy.enabled (not .Values.networkPolicy.admin.from) }}
{{- if and .Values.metrics.serviceMonitor.enabled $isAdminClosed }}
{{- fail "metrics.serviceMonitor.enabled: the network policy keeps Prometheus from the admin port: name it in networkPolicy.admin.from" }}
{{- end }}
{{- if and .Values.metrics.rules.enabled (not .Values.metrics.serviceMonitor.enabled) }}
{{- fail "metrics.rules.enabled: the alerts ask for the ServiceMonitor's job, and without it all would be silent: set metrics.serviceMonitor.enabled" }}
{{- end }}
{{- if and (eq .Values.ingress.preset "alb") .Values.ingress.http.enabled $isAdminClosed }}
{{- fail "ingress.preset: the load balancer asks the admin port whether a pod is ready, and the network policy keeps it from there: name its networks in networkPolicy.admin.from" }}
{{- end }}
{{- end }}
