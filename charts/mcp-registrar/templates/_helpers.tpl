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
{{- end -}}

{{- define "mcp-registrar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-registrar.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mcp-registrar.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* "true" where the mutating policy is to be installed, empty otherwise. Its API is on by default from 1.36. */ -}}
{{- define "mcp-registrar.mutatingPolicy" -}}
{{- $available := semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version -}}
{{- if and .Values.admission.enabled (or (eq .Values.admission.mutating "always") (and (eq .Values.admission.mutating "auto") $available)) -}}
true
{{- end -}}
{{- end -}}
