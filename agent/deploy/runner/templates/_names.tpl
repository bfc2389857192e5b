{{/* Names and namespace are fixed: `scenario-runner` looks for them there, and names them when a permission is missing. */}}
{{- define "scenario-runner.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: runner
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- /* Not the usual label managed-by: runs find their own objects by it. */}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "scenario-runner.image" -}}
{{- with .Values.image -}}
{{- $repository := required "Say where you pushed the image built from agent/deploy/images/runner.Dockerfile: --set image.repository=..." .repository -}}
{{- if .digest -}}
{{ $repository }}@{{ .digest }}
{{- else -}}
{{ $repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Who gets the permissions. */}}
{{- define "scenario-runner.subjects" -}}
- {kind: ServiceAccount, name: scenario-runner, namespace: {{ .Release.Namespace }}}
{{- include "scenario-runner.outside" . }}
{{- end }}

{{- define "scenario-runner.outside" -}}
{{- range .Values.outside }}
- kind: {{ .kind }}
  name: {{ .name | quote }}
  {{- if eq .kind "ServiceAccount" }}
  namespace: {{ .namespace }}
  {{- else }}
  apiGroup: rbac.authorization.k8s.io
  {{- end }}
{{- end }}
{{- end }}
