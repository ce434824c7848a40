{{/* The volumes with secrets, each mounted at /etc/sse-bridge/NAME: a list of {name, secret, items}. */}}
{{- define "bridge.secretVolumes" -}}
{{- $name := include "bridge.fullname" . }}
{{- if or (include "bridge.makesKey" .) (include "bridge.makesTickets" .) }}
- {name: secrets, secret: {{ $name }}-secrets}
{{- end }}
{{- range $index, $key := .Values.auth.keys }}
- {name: key-{{ $index }}, secret: {{ .existingSecret | quote }}, items: [{key: {{ .key | default "key" | quote }}, path: key}]}
{{- end }}
{{- if and (include "bridge.hasTickets" .) .Values.auth.tickets.existingSecret }}
- {name: tickets, secret: {{ .Values.auth.tickets.existingSecret | quote }}, items: [{key: {{ .Values.auth.tickets.key | quote }}, path: tickets}]}
{{- end }}
{{- range $side := list "http" "grpc" }}
{{- with include "bridge.tlsSecret" (dict "root" $ "side" $side) }}
- {name: {{ $side }}-tls, secret: {{ . | quote }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end }}
{{- with (index $.Values.tls $side).clientCa }}
{{- if .existingSecret }}
- {name: {{ $side }}-client-ca, secret: {{ .existingSecret | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end }}
{{- include "bridge.natsVolumes" .Values.log.jetstream }}
{{- end }}

{{- define "bridge.natsVolumes" -}}
{{- if and .url .credentials.existingSecret }}
- {name: nats-credentials, secret: {{ .credentials.existingSecret | quote }}, items: [{key: {{ .credentials.key | quote }}, path: nats.creds}]}
{{- end }}
{{- if and .url .tls.existingSecret (or .tls.ca .tls.clientCertificate) }}
- name: nats-tls
  secret: {{ .tls.existingSecret | quote }}
  items:
    {{- with .tls.ca }}
    - {key: {{ . | quote }}, path: ca.crt}
    {{- end }}
    {{- if .tls.clientCertificate }}
    - {key: tls.crt, path: tls.crt}
    - {key: tls.key, path: tls.key}
    {{- end }}
{{- end }}
{{- end }}

{{/* The pod of the Deployment or StatefulSet. */}}
{{- define "bridge.pod" -}}
{{- $config := include "bridge.config" . | fromYaml }}
metadata:
  labels: {{- mustMergeOverwrite (deepCopy .Values.commonLabels) (deepCopy .Values.podLabels) (include "bridge.selector" . | fromYaml) | toYaml | nindent 4 }}
  annotations:
    # The bridge reads its configuration at its start; Secrets it reads again by itself.
    checksum/config: {{ include "bridge.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "bridge.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  # drain.delay, drain.window, and ten seconds for what comes after.
  terminationGracePeriodSeconds: {{ add (include "bridge.drainSeconds" $config) 10 }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: sse-bridge
      image: {{ include "bridge.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: {{- concat (list "--config" "/etc/sse-bridge/config/sse-bridge.yaml") .Values.extraArgs | toYaml | nindent 8 }}
      {{- with .Values.extraEnv }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- range $side := list "http" "grpc" "admin" }}
        - {name: {{ $side }}, containerPort: {{ include "bridge.port" (index $config $side) }}, protocol: TCP}
        {{- end }}
      {{- include "bridge.probes" (dict "Values" .Values "config" $config) | nindent 6 }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/sse-bridge/config, readOnly: true}
        {{- range include "bridge.secretVolumes" . | fromYamlArray }}
        - {name: {{ .name }}, mountPath: /etc/sse-bridge/{{ .name }}, readOnly: true}
        {{- end }}
        {{- if eq (include "bridge.logKind" $config) "disk" }}
        - {name: log, mountPath: {{ dir $config.log.disk.path }}}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "bridge.fullname" . }}}
    {{- range include "bridge.secretVolumes" . | fromYamlArray }}
    - name: {{ .name }}
      secret:
        secretName: {{ .secret | quote }}
        defaultMode: 0440
        {{- with .items }}
        items: {{- toYaml . | nindent 10 }}
        {{- end }}
    {{- end }}
    {{- if and (eq (include "bridge.logKind" $config) "disk") .Values.log.disk.existingClaim }}
    - name: log
      persistentVolumeClaim: {claimName: {{ .Values.log.disk.existingClaim }}}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "bridge.placement" . | trim | nindent 2 }}
{{- end }}

{{- define "bridge.probes" -}}
startupProbe:
  {{- include "bridge.liveness" . | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ divf .Values.probes.startupSeconds 2 | ceil | int }}
livenessProbe:
  {{- include "bridge.liveness" . | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{- define "bridge.liveness" -}}
{{- if .Values.probes.grpc -}}
grpc: {port: {{ include "bridge.port" .config.grpc }}, service: ""}
{{- else -}}
httpGet: {path: /livez, port: admin}
{{- end }}
{{- end }}

{{- define "bridge.placement" -}}
{{- if .Values.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
{{- else }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "bridge.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
