// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// chart is what helm renders, apart: there is no node to run a pod, so that the
// Deployment is followed by hand.
type chart struct {
	// manifests is a file with the namespace and all but the Deployment.
	manifests string
	// mutating says that the chart has a mutating admission policy for this
	// version of Kubernetes.
	mutating bool
	// deployment says how the manager is run.
	deployment appsv1.Deployment
}

// renderChart renders the chart with its defaults, but for values as helm's
// --set takes them.
func renderChart(t *testing.T, values ...string) *chart {
	t.Helper()
	stream := helm(t, append([]string{
		"template", release, "charts/mcp-registrar", "--namespace=" + operatorNamespace, "--kube-version=" + kubeVersion(t),
		"--set=image.repository=registry.example.com/mcp-registrar/manager",
	}, settings(values)...)...)
	c := &chart{manifests: filepath.Join(t.TempDir(), "chart.yaml")}
	documents := []string{"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + operatorNamespace + "\n"}
	for document := range strings.SplitSeq("\n"+stream, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		c.mutating = c.mutating || object.GetKind() == "MutatingAdmissionPolicy"
		if object.GetKind() != "Deployment" {
			documents = append(documents, document)
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &c.deployment); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.deployment.Spec.Template.Spec.Containers) != 1 {
		t.Fatal("the chart has no Deployment with one container")
	}
	if err := os.WriteFile(c.manifests, []byte(strings.Join(documents, "\n---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// settings are helm's arguments for some values.
func settings(values []string) []string {
	var arguments []string
	for _, value := range values {
		arguments = append(arguments, "--set="+value)
	}
	return arguments
}

// helm runs the helm that the tools module pins, in the top folder of the
// repository, and returns its standard output.
func helm(t *testing.T, arguments ...string) string {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-modfile=hack/tools/go.mod", "helm"}, arguments...)...)
	command.Dir, command.Stderr = root, os.Stderr
	stream, err := command.Output()
	if err != nil {
		t.Fatalf("running helm %s: %v", arguments[0], err)
	}
	return string(stream)
}

// kubeVersion is the version of the control plane that will be started.
func kubeVersion(t *testing.T) string {
	t.Helper()
	kubectl, err := env.Kubectl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "version", "--client", "--output=json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var version struct {
		ClientVersion struct{ GitVersion string }
	}
	if err := json.Unmarshal(out, &version); err != nil {
		t.Fatal(err)
	}
	return version.ClientVersion.GitVersion
}
