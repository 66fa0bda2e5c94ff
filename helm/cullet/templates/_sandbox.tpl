{{/* What a worker's pod must be allowed, so that the sandbox of its steps is as strong as its tier says. */}}

{{/* Of the pod: user namespaces of Kubernetes are what allows an unmasked /proc. */}}
{{- define "cullet.sandbox.pod" -}}
{{- if eq .Values.worker.sandbox.tier "full" -}}
hostUsers: false
{{ end -}}
securityContext:
  {{- if eq .Values.worker.sandbox.tier "privileged" }}
  runAsUser: 0
  runAsGroup: 0
  {{- else }}
  {{- include "cullet.nobody" . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Of the container. */}}
{{- define "cullet.sandbox.container" -}}
{{- if eq .Values.worker.sandbox.tier "privileged" -}}
privileged: true
{{- else -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- if eq .Values.worker.sandbox.tier "plain" }}
seccompProfile:
  type: RuntimeDefault
{{- else }}
# The default profiles forbid user namespaces and mounts, of which the sandbox is made.
seccompProfile:
  type: Unconfined
appArmorProfile:
  type: Unconfined
{{- end }}
{{- if eq .Values.worker.sandbox.tier "full" }}
procMount: Unmasked
{{- end }}
{{- end }}
{{- end }}

{{/* An ordinary user, for every pod that need not be root. */}}
{{- define "cullet.nobody" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
{{- end }}
