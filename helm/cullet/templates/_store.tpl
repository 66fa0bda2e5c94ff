{{/* How pods reach the shared store. */}}

{{- define "cullet.store.location" -}}
{{- if eq .Values.store.type "s3" -}}
{{- trimSuffix "/" (printf "s3://%s/%s" .Values.store.s3.bucket .Values.store.s3.prefix) -}}
{{- else -}}
/store
{{- end -}}
{{- end }}

{{- define "cullet.store.claim" -}}
{{- .Values.store.directory.existingClaim | default (printf "%s-store" (include "cullet.name" .)) -}}
{{- end }}

{{- define "cullet.store.env" -}}
{{- with .Values.store -}}
{{- if eq .type "s3" -}}
{{- with .s3.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .s3.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- if .s3.existingSecret }}
{{- range $key := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ $key }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.store.s3.existingSecret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end }}
