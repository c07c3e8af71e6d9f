// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"strings"
	"testing"
)

// Each case is given to helm as --set-json.
func TestWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  string
		want string
	}{
		{name: "a value that does not exist", set: `replicaCount=2`, want: "additional properties 'replicaCount' not allowed"},
		{name: "a nested value that does not exist", set: `crds.install=true`, want: "at '/crds': additional properties 'install' not allowed"},
		{name: "a misspelt value three levels deep", set: `metrics.serviceMonitor.enable=true`, want: "at '/metrics/serviceMonitor': additional properties 'enable' not allowed"},
		{name: "a number that is none", set: `replicas="two"`, want: "at '/replicas': got string, want integer"},
		{name: "too many replicas", set: `replicas=11`, want: "at '/replicas': maximum: got 11, want 10"},
		{name: "namespaces as one text", set: `watchNamespaces="a,b"`, want: "at '/watchNamespaces': got string, want array"},
		{name: "a pattern of namespaces", set: `watchNamespaces=["team-*"]`, want: "at '/watchNamespaces/0': 'team-*' does not match pattern"},
		{name: "a namespace twice", set: `watchNamespaces=["a","a"]`, want: "at '/watchNamespaces': items at 0 and 1 are equal"},
		{name: "a label that is no text", set: `commonLabels={"team": 7}`, want: "at '/commonLabels/team': got number, want string"},
		{name: "a label with a space", set: `podLabels={"team": "a b"}`, want: "at '/podLabels/team': 'a b' does not match pattern"},
		{name: "a reader of metrics without a namespace", set: `rbac.metricsReaders=[{"name": "prometheus"}]`, want: "at '/rbac/metricsReaders/0': missing property 'namespace'"},
		{name: "a privileged port", set: `metrics.port=443`, want: "at '/metrics/port': minimum: got 443, want 1,024"},
		{name: "an interval without a unit", set: `metrics.serviceMonitor.interval="30"`, want: "at '/metrics/serviceMonitor/interval': '30' does not match pattern"},
		{name: "a choice that does not exist", set: `admission.mutating="sometimes"`, want: "at '/admission/mutating': value must be one of 'auto', 'always', 'never'"},
		{name: "a log level that does not exist", set: `manager.logLevel="verbose"`, want: "at '/manager/logLevel': value must be one of 'debug', 'info', 'error'"},
		{name: "an argument that is not a flag", set: `manager.extraArgs=["debug"]`, want: "at '/manager/extraArgs/0': 'debug' does not match pattern"},
		{name: "an audit record at a relative path", set: `audit.log="audit.log"`, want: "at '/audit/log': 'audit.log' does not match pattern"},
		{name: "an audit record in the root folder", set: `audit.log="/audit.log"`, want: "at '/audit/log': '/audit.log' does not match pattern"},
		{name: "a volume of no size", set: `audit.size="big"`, want: "at '/audit/size': 'big' does not match pattern"},
		{name: "an access mode that cannot write", set: `audit.persistentVolume.accessMode="ReadOnlyMany"`, want: "at '/audit/persistentVolume/accessMode': value must be one of 'ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany'"},
		{name: "a memory limit in a unit that does not exist", set: `resources.limits.memory="1GB"`, want: "at '/resources/limits/memory': '1GB' does not match pattern"},
		{name: "resources of an unknown kind", set: `resources.limit={"memory": "1Gi"}`, want: "at '/resources': additional properties 'limit' not allowed"},
		{name: "a budget that blocks every drain", set: `podDisruptionBudget.maxUnavailable=0`, want: "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"},
		{name: "a peer that is none", set: `networkPolicy.metricsFrom=[{"namespace": "monitoring"}]`, want: "at '/networkPolicy/metricsFrom/0': additional properties 'namespace' not allowed"},
		{name: "a peer that is everybody by mistake", set: `networkPolicy.apiServer.to=[{}]`, want: "at '/networkPolicy/apiServer/to/0': minProperties: got 0, want 1"},
		{name: "no port for authorization servers", set: `networkPolicy.authorizationServers.ports=[]`, want: "at '/networkPolicy/authorizationServers/ports': minItems: got 0, want 1"},
		{name: "a digest that is none", set: `image.digest="latest"`, want: "at '/image/digest': 'latest' does not match pattern"},
		{name: "a tag that holds a digest", set: `image.tag="v1@sha256:0"`, want: "at '/image/tag': 'v1@sha256:0' does not match pattern"},
		{name: "a spread that says nothing", set: `topologySpreadConstraints=[{"maxSkew": 1}]`, want: "at '/topologySpreadConstraints/0': missing properties 'topologyKey', 'whenUnsatisfiable'"},
		{name: "a mount at a relative path", set: `extraVolumeMounts=[{"name": "a", "mountPath": "a"}]`, want: "at '/extraVolumeMounts/0/mountPath': 'a' does not match pattern"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			refused(t, c.want, c.set)
		})
	}
}

// Values that are right each by itself and wrong together.
func TestValuesThatExcludeEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  []string
		want string
	}{
		{
			name: "no image",
			set:  []string{`image.repository=""`},
			want: "image.repository is not set: no image is published yet; build one (make image), push it, and name it, for example --set image.repository=registry.example.com/mcp-registrar/manager",
		},
		{
			name: "no name for an account that exists already",
			set:  []string{`serviceAccount.create=false`},
			want: "serviceAccount.name is required when serviceAccount.create is false",
		},
		{
			name: "a common label that selects pods",
			set:  []string{`commonLabels={"app.kubernetes.io/name": "x"}`},
			want: "commonLabels: app.kubernetes.io/name is set by the chart: leave it out",
		},
		{
			name: "a pod label that selects pods",
			set:  []string{`podLabels={"app.kubernetes.io/instance": "x"}`},
			want: "podLabels: app.kubernetes.io/instance is set by the chart: leave it out",
		},
		{
			name: "a flag that roles depend on, without them",
			set:  []string{`manager.extraArgs=["--watch-namespaces=a"]`},
			want: "manager.extraArgs: --watch-namespaces is set by the chart from a value of its own",
		},
		{
			name: "certificates from two places",
			set:  []string{`trustedCA={"configMap": "a", "secret": "b"}`},
			want: "trustedCA: set configMap or secret, not both",
		},
		{
			name: "a ServiceMonitor without a Service",
			set:  []string{`metrics.serviceMonitor.enabled=true`, `metrics.service.enabled=false`},
			want: "metrics.serviceMonitor.enabled needs metrics.service.enabled",
		},
		{
			name: "a network policy that would not hold",
			set:  []string{`networkPolicy.enabled=true`, `hostNetwork=true`},
			want: "a NetworkPolicy does not hold for pods with hostNetwork",
		},
		{
			name: "a volume for no file",
			set:  []string{`audit.persistentVolume.enabled=true`},
			want: "audit.persistentVolume.enabled needs a file: set audit.log",
		},
		{
			name: "a volume that only one of two managers can mount",
			set:  []string{`audit.persistentVolume.enabled=true`, `audit.log="/audit/log"`, `replicas=2`},
			want: "audit.persistentVolume.accessMode must be ReadWriteMany with more than one replica",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			refused(t, c.want, c.set...)
		})
	}
}

func refused(t *testing.T, want string, sets ...string) {
	t.Helper()
	var args []string
	for _, set := range sets {
		args = append(args, "--set-json="+set)
	}
	output, ok := helmTemplate(t, "1.37.0", args...)
	if ok {
		t.Fatalf("%s was taken", sets)
	}
	if !strings.Contains(output, want) {
		t.Errorf("%s was refused with %q, want %q", sets, output, want)
	}
}
