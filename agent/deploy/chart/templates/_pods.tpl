{{/* The token and the certificate, for every pod. */}}
{{- define "fault-agent.secretMounts" -}}
- name: token
  mountPath: /etc/fault-agent/token
  readOnly: true
- name: tls
  mountPath: /etc/fault-agent/tls
  readOnly: true
{{- end }}

{{- define "fault-agent.secretVolumes" -}}
- name: token
  secret:
    secretName: {{ include "fault-agent.tokenSecret" . }}
    defaultMode: 288 # = 0440: root and the group of pods that are not root
- name: tls
  secret:
    secretName: {{ include "fault-agent.tlsSecret" . }}
    defaultMode: 288 # = 0440: root and the group of pods that are not root
{{- end }}

{{/* Answers as long as the process lives. Whether a node can be written to is asked at the gateway's /readyz: an agent
     that can not inject must still be reached, to take back what it injected before. */}}
{{- define "fault-agent.probes" -}}
startupProbe:
  httpGet: {path: /health, port: https, scheme: HTTPS}
  initialDelaySeconds: 2
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /health, port: https, scheme: HTTPS}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: /health, port: https, scheme: HTTPS}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{/* Pods that need no privileges get none: this is PodSecurity "restricted". */}}
{{- define "fault-agent.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fault-agent.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Away from the nodes that drills break, if possible from all that have agents: one that is no victim yet may become
     one. And away from each other. Takes (list . component mode). */}}
{{- define "fault-agent.awayFromVictims" -}}
{{- $root := index . 0 -}}
{{- $away := $root.Values.gateway.awayFrom -}}
{{- $mode := index . 2 -}}
{{- if ne $mode "off" }}
nodeAffinity:
  {{- if eq $mode "required" }}
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - matchExpressions: [{key: {{ $away.label }}, operator: NotIn, values: [{{ $away.value | quote }}]}]
  {{- end }}
  preferredDuringSchedulingIgnoredDuringExecution:
    {{- if eq $mode "preferred" }}
    - weight: 100
      preference:
        matchExpressions: [{key: {{ $away.label }}, operator: NotIn, values: [{{ $away.value | quote }}]}]
    {{- end }}
    - weight: 50
      preference:
        matchExpressions:
          {{- range $key, $value := $root.Values.node.selector }}
          - {key: {{ $key }}, operator: NotIn, values: [{{ $value | quote }}]}
          {{- end }}
{{- end }}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "fault-agent.selector" . | nindent 12 }}
{{- end }}
