{{/* The seconds of a duration as the bridge writes it, 1h30m or 250ms, with a fraction. */}}
{{- define "bridge.seconds" -}}
{{- $factors := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 }}
{{- $seconds := 0.0 }}
{{- range regexFindAll "[0-9.]+(ms|s|m|h)" . -1 }}
{{- $seconds = addf $seconds (mulf (regexFind "^[0-9.]+" . | float64) (get $factors (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- $seconds }}
{{- end }}

{{/* The bytes of a size as the bridge writes it (10GiB, or a number) or Kubernetes does (10Gi, 10G). */}}
{{- define "bridge.bytes" -}}
{{- if kindIs "string" . }}
{{- $base := ternary 1024.0 1000.0 (contains "i" .) }}
{{- $bytes := regexFind "^[0-9.]+" . | float64 }}
{{- $power := get (dict "" 0 "K" 1 "M" 2 "G" 3 "T" 4) (regexFind "[KMGT]" .) | int }}
{{- range until $power }}{{ $bytes = mulf $bytes $base }}{{ end }}
{{- $bytes | int64 }}
{{- else }}
{{- . | int64 }}
{{- end }}
{{- end }}

{{/* The CPUs of a quantity, rounded up: 500m is 1. */}}
{{- define "bridge.cores" -}}
{{- $text := toString . }}
{{- if hasSuffix "m" $text }}
{{- divf (trimSuffix "m" $text | float64) 1000 | ceil | int }}
{{- else }}
{{- $text | float64 | ceil | int }}
{{- end }}
{{- end }}
