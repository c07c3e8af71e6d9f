{{- /*
The names of resources that belong to no namespace and that files/role.yaml may
name: namespaces, and the kinds whose CRD says so. Separated by spaces.
*/ -}}
{{- define "mcp-registrar.clusterResources" -}}
namespaces
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
{{- $crd := $.Files.Get $path | fromYaml }}
{{- if eq $crd.spec.scope "Cluster" }} {{ $crd.spec.names.plural }}{{ end }}
{{- end }}
{{- end -}}

{{- /*
A part of the rules of files/role.yaml, the one source of what the manager may
do. Takes a dict: root, and part, one of
  cluster     what belongs to no namespace
  namespaced  the others
  events      of the others, only events
*/ -}}
{{- define "mcp-registrar.rules" -}}
{{- $clusterGroups := list "admissionregistration.k8s.io" "apiextensions.k8s.io" "authentication.k8s.io" "authorization.k8s.io" }}
{{- $clusterResources := splitList " " (include "mcp-registrar.clusterResources" .root) }}
{{- $part := .part }}
{{- $rules := list }}
{{- range $rule := (.root.Files.Get "files/role.yaml" | fromYaml).rules }}
{{- range $group := $rule.apiGroups }}
{{- $kept := list }}
{{- range $resource := $rule.resources }}
{{- $cluster := or (has $group $clusterGroups) (has (splitList "/" $resource | first) $clusterResources) }}
{{- $in := dict "cluster" $cluster "namespaced" (not $cluster) "events" (eq $group "events.k8s.io") }}
{{- if get $in $part }}{{ $kept = append $kept $resource }}{{ end }}
{{- end }}
{{- if $kept }}
{{- $rules = append $rules (merge (dict "apiGroups" (list $group) "resources" $kept) $rule) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $rules }}
{{- end -}}
