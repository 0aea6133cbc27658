{{- define "iter8.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "iter8.selector" . }}
{{- end }}

{{- define "iter8.selector" -}}
app.kubernetes.io/name: iter8
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "iter8.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default .Release.Name }}
{{- else }}
{{- required "serviceAccount.name is required without serviceAccount.create: name the ServiceAccount that is there" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* As the operator reads it: configmaps:ConfigMap,services.serving.knative.dev:Service. */}}
{{- define "iter8.weightTargets" -}}
{{- $targets := list }}
{{- range .Values.experiments.weightTargets }}
{{- $targets = append $targets (printf "%s:%s" (list .resource .group | compact | join ".") .kind) }}
{{- end }}
{{- join "," $targets }}
{{- end }}
