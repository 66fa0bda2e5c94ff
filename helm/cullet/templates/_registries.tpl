{{/* What workers know of registries: the configuration file of the program. A text in JSON is one in TOML. */}}
{{- define "cullet.registries" -}}
{{- range $name, $settings := .Values.worker.registries.settings }}
[registries.{{ $name | toJson }}]
{{- with $settings.mirrors }}
mirrors = {{ . | toJson }}
{{- end }}
{{- if hasKey $settings "plainHttp" }}
plain-http = {{ $settings.plainHttp }}
{{- end }}
{{ end -}}
{{- end }}
