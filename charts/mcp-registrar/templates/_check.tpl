{{- /*
What the schema cannot say: values that are right each by itself and wrong
together. Each message says what to do.
*/ -}}
{{- define "mcp-registrar.check" -}}
{{- if not .Values.image.repository }}
{{- fail "image.repository is not set: no image is published yet; build one (make image), push it, and name it, for example --set image.repository=registry.example.com/mcp-registrar/manager --set image.tag=dev" }}
{{- end }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- if hasKey $.Values.commonLabels $label }}
{{- fail (printf "commonLabels: %s is set by the chart: leave it out" $label) }}
{{- end }}
{{- end }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" }}
{{- if hasKey $.Values.podLabels $label }}
{{- fail (printf "podLabels: %s is set by the chart: leave it out" $label) }}
{{- end }}
{{- end }}
{{- range $flag := list "leader-elect" "metrics-bind-address" "metrics-secure" "health-probe-bind-address" "log-level" "log-format" "concurrent-reconciles" "allow-private-networks" "watch-namespaces" "audit-log" "documents-bind-address" "probe-interval" "probe-private-networks" }}
{{- range $.Values.manager.extraArgs }}
{{- if eq (splitList "=" . | first) (printf "--%s" $flag) }}
{{- fail (printf "manager.extraArgs: --%s is set by the chart from a value of its own" $flag) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.trustedCA.configMap }}
{{- if .Values.trustedCA.secret }}
{{- fail "trustedCA: set configMap or secret, not both" }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) }}
{{- fail "metrics.serviceMonitor.enabled needs metrics.service.enabled: a ServiceMonitor finds pods by their Service" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled .Values.hostNetwork }}
{{- fail "networkPolicy.enabled: a NetworkPolicy does not hold for pods with hostNetwork: set one of the two to false" }}
{{- end }}
{{- include "mcp-registrar.checkAudit" . }}
{{- end -}}

{{- define "mcp-registrar.checkAudit" -}}
{{- if .Values.audit.persistentVolume.enabled }}
{{- if not (include "mcp-registrar.auditFile" .) }}
{{- fail "audit.persistentVolume.enabled needs a file: set audit.log to its absolute path, for example /var/log/mcp-registrar/audit.log" }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) (ne .Values.audit.persistentVolume.accessMode "ReadWriteMany") }}
{{- fail "audit.persistentVolume.accessMode must be ReadWriteMany with more than one replica: each of them mounts the volume" }}
{{- end }}
{{- end }}
{{- end -}}
