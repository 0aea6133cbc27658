{{- /* Made from src/cluster/permissions.rs and config/rbac by `make generate`. */}}
{{- define "iter8.rules" -}}
# what users want released
- apiGroups: [iter8.tools]
  resources: [releases]
  verbs: [list, watch]
# what users want tried out, and how numbers are asked for
- apiGroups: [iter8.tools]
  resources: [experiments, metrics]
  verbs: [list, watch]
# what became of it
- apiGroups: [iter8.tools]
  resources: [releases/status, routepolicies/status, experiments/status]
  verbs: [patch]
# what users want routed, and the routing of each Release
- apiGroups: [iter8.tools]
  resources: [routepolicies]
  verbs: [list, watch, create, patch, delete]
# the versions of a Release, and whether they are available
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
# the Services of a Release and its versions, and the live weights (of ConfigMaps only metadata is read)
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [list, watch, create, patch, delete]
# routes of Istio
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: [list, watch, create, patch, delete]
# routes of the Gateway API
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch, create, patch, delete]
# readiness of versions that a RoutePolicy says are made of these; other kinds need a rule of their own
- apiGroups: [apps]
  resources: [statefulsets, daemonsets, replicasets]
  verbs: [list, watch]
# readiness of versions that a RoutePolicy says are made of these, and of targets of Experiments
- apiGroups: [serving.knative.dev]
  resources: [services]
  verbs: [get, list, watch]
# Events on Releases, RoutePolicies and Experiments
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "iter8.clusterRules" -}}
# which of these kinds are installed (only metadata is read)
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
{{- end }}

{{- define "iter8.ownRules" -}}
# which replica leads
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, watch, create, update]
{{- end }}

{{- define "iter8.releasesEdit" -}}
- apiGroups: [iter8.tools]
  resources: [releases]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [iter8.tools]
  resources: [releases/status]
  verbs: [get]
{{- end }}

{{- define "iter8.routepoliciesEdit" -}}
- apiGroups: [iter8.tools]
  resources: [routepolicies]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [iter8.tools]
  resources: [routepolicies/status]
  verbs: [get]
{{- end }}

{{- define "iter8.experimentsEdit" -}}
- apiGroups: [iter8.tools]
  resources: [experiments, metrics]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [iter8.tools]
  resources: [experiments/status]
  verbs: [get]
{{- end }}
