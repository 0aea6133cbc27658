{{/*
Takes keys without a value out of a map, in place: nulls, as Helm does with those that stand over a default, and empty
maps, of which server-side apply makes nulls when they had keys before. Within the spec of a deploymentSpecification or
a serviceSpecification they stay: there a null removes a field.
*/}}
{{- define "release.compact" -}}
{{- if kindIs "map" . }}
{{- range $key, $value := . }}
{{- $inner := ne $key "spec" | ternary $value dict }}
{{- include "release.compact" $inner }}
{{- if or (kindIs "invalid" $value) (and (kindIs "map" $value) (empty $value)) }}
{{- $_ := unset $ $key }}
{{- end }}
{{- end }}
{{- else if kindIs "slice" . }}
{{- range . }}
{{- include "release.compact" . }}
{{- end }}
{{- end }}
{{- end }}
