{{/* What everything of this release is called, after the release unless that says it already. */}}
{{- define "fault-agent.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* The labels by which pods are found. They never change: selectors can not, and new labels would restart pods for nothing. Takes (list . component). */}}
{{- define "fault-agent.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The labels of every object but pods. Takes (list . component). */}}
{{- define "fault-agent.labels" -}}
{{- $root := index . 0 -}}
{{ include "fault-agent.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The agents' pods, as the gateway looks for them. */}}
{{- define "fault-agent.nodePods" -}}
app.kubernetes.io/name={{ .Chart.Name }},app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component=node
{{- end }}

{{- define "fault-agent.image" -}}
{{- with .Values.image -}}
{{- $repository := required "Say where you pushed the image built from agent/deploy/images/agent.Dockerfile: --set image.repository=..." .repository -}}
{{- if .digest -}}
{{ $repository }}@{{ .digest }}
{{- else -}}
{{ $repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "fault-agent.tokenSecret" -}}
{{ .Values.token.existingSecret | default (printf "%s-token" (include "fault-agent.name" .)) }}
{{- end }}

{{- define "fault-agent.tlsSecret" -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "fault-agent.name" .)) }}
{{- end }}

{{/* The name that every certificate has to be valid for: agents are reached by addresses that nobody knows before. */}}
{{- define "fault-agent.host" -}}
{{ include "fault-agent.name" . }}.{{ .Release.Namespace }}.svc
{{- end }}
