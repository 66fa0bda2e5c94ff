{{/* Names and labels. */}}

{{- define "cullet.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "cullet.labels" -}}
{{ include "cullet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "cullet.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cullet.serviceAccount" -}}
{{- .Values.serviceAccount.existingName | default (include "cullet.name" .) -}}
{{- end }}

{{- define "cullet.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end }}

{{/* What a worker's image has is what steps see. */}}
{{- define "cullet.worker.image" -}}
{{- with .Values.worker.image -}}
{{- printf "%s:%s" (.repository | default $.Values.image.repository) (.tag | default $.Values.image.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* Where every coordinator is, now or when it is back. */}}
{{- define "cullet.coordinators" -}}
{{- $service := printf "%s-coordinators.%s.svc" (include "cullet.name" .) .Release.Namespace -}}
{{- $urls := list -}}
{{- range $ordinal := until (int .Values.coordinator.replicas) -}}
{{- $urls = append $urls (printf "http://%s-coordinator-%d.%s:7400" (include "cullet.name" $) $ordinal $service) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end }}
