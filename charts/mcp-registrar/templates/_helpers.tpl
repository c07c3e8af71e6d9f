{{- define "mcp-registrar.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* At most 53 characters, so that a suffix still fits into a name. */ -}}
{{- define "mcp-registrar.fullname" -}}
{{- $name := include "mcp-registrar.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mcp-registrar.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mcp-registrar.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* The instance label tells two releases apart; managed-by names Helm. */ -}}
{{- define "mcp-registrar.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "mcp-registrar.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mcp-registrar.podLabels" -}}
{{- merge (include "mcp-registrar.selectorLabels" . | fromYaml) .Values.podLabels .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "mcp-registrar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-registrar.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The only subject of the operator's own bindings. */ -}}
{{- define "mcp-registrar.subjects" -}}
- kind: ServiceAccount
  name: {{ include "mcp-registrar.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "mcp-registrar.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* "true" where the mutating policies are to be installed, empty otherwise. Their API is on by default from 1.36. */ -}}
{{- define "mcp-registrar.mutatingPolicy" -}}
{{- $available := semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version -}}
{{- if and .Values.admission.enabled (or (eq .Values.admission.mutating "always") (and (eq .Values.admission.mutating "auto") $available)) -}}
true
{{- end -}}
{{- end -}}

{{- /* The path of the audit record if it is a file, empty otherwise. */ -}}
{{- define "mcp-registrar.auditFile" -}}
{{- if not (has .Values.audit.log (list "-" "disabled")) -}}
{{- .Values.audit.log -}}
{{- end -}}
{{- end -}}

{{- define "mcp-registrar.auditClaim" -}}
{{- default (printf "%s-audit" (include "mcp-registrar.fullname" .)) .Values.audit.persistentVolume.existingClaim -}}
{{- end -}}

{{- /*
The constraints that spread the pods, none for a single one unless they are given.
One without a selector would count no pod at all.
*/ -}}
{{- define "mcp-registrar.spread" -}}
{{- $constraints := .Values.topologySpreadConstraints }}
{{- if and (not $constraints) (gt (int .Values.replicas) 1) }}
{{- $soft := dict "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" }}
{{- $constraints = list (merge (dict "topologyKey" "kubernetes.io/hostname") $soft) (merge (dict "topologyKey" "topology.kubernetes.io/zone") $soft) }}
{{- end }}
{{- $spread := list }}
{{- range $constraints }}
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "mcp-registrar.selectorLabels" $ | fromYaml)) }}
{{- $spread = append $spread (merge (deepCopy .) $selector) }}
{{- end }}
{{- with $spread }}{{ toYaml . }}{{ end }}
{{- end -}}
