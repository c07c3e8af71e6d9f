// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// An API server takes what each set of values renders to, and would store it.
func TestEverySetIsTaken(t *testing.T) {
	t.Parallel()
	plane := env.StartForTest(t, env.Options{CRDs: true, CRDPaths: []string{
		filepath.Join(testdata(t), "servicemonitor.crd.yaml"), filepath.Join(testdata(t), "prometheusrule.crd.yaml"),
	}})
	createNamespaces(t, plane, namespace, "invoices", "payments")
	for _, set := range valueSets {
		t.Run(set.name, func(t *testing.T) {
			manifests := written(t, set.render(t))
			output, err := plane.RunKubectl(t.Context(), "apply", "--server-side", "--force-conflicts", "--dry-run=server",
				"--validate=strict", "--output=name", "-f", manifests)
			if err != nil {
				t.Fatal(err)
			}
			if output == "" {
				t.Error("nothing was applied")
			}
		})
	}
	t.Run("the examples of Chart.yaml", func(t *testing.T) {
		_, err := plane.RunKubectl(t.Context(), "apply", "--server-side", "--dry-run=server", "--validate=strict",
			"-f", written(t, listOf(t, annotation(t, "artifacthub.io/crdsExamples"))))
		if err != nil {
			t.Error(err)
		}
	})
}

// A field that the API server does not know would be refused.
func TestAMistakeInATemplateIsNotTaken(t *testing.T) {
	t.Parallel()
	plane := env.StartForTest(t, env.Options{})
	const mistaken = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: a\n  namespace: default\nautomount: true\n"
	_, err := plane.RunKubectl(t.Context(), "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", written(t, mistaken))
	if err == nil {
		t.Error("an unknown field was taken")
	}
}

// An API server gives the manager's account what the security model says and
// no more, in each way of watching namespaces.
func TestRenderedIsApplied(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		account string
		render  func(*testing.T) string
		// watched are the namespaces of the test that are worked on.
		watched []string
	}{
		{
			name: "the whole cluster", account: release, watched: []string{"invoices", "payments", "others", namespace},
			render: func(t *testing.T) string { return valueSet{"watch-cluster", "1.37.0"}.render(t) },
		},
		{
			name: "a list of namespaces", account: release, watched: []string{"invoices", "payments"},
			render: func(t *testing.T) string { return valueSet{"watch-list", "1.37.0"}.render(t) },
		},
		{
			name: "a single namespace", account: release, watched: []string{namespace},
			render: func(t *testing.T) string { return valueSet{"watch-single", "1.37.0"}.render(t) },
		},
		{
			name: "kustomize", account: "mcp-registrar-manager", watched: []string{"invoices", "payments", "others", namespace},
			render: func(t *testing.T) string { return kustomizeBuild(t, "default") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plane := env.StartForTest(t, env.Options{})
			createNamespaces(t, plane, "invoices", "payments", "others")
			if c.name != "kustomize" {
				createNamespaces(t, plane, namespace)
			}
			if err := plane.Apply(t.Context(), written(t, c.render(t))); err != nil {
				t.Fatal(err)
			}
			user := subject{user: "system:serviceaccount:" + namespace + ":" + c.account}
			compareAccess(t, plane, user, wantedAccess(c.watched))
		})
	}
}

func written(t *testing.T, manifests string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rendered.yaml")
	if err := os.WriteFile(path, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func createNamespaces(t *testing.T, plane *env.ControlPlane, names ...string) {
	t.Helper()
	clients, err := kubernetes.NewForConfig(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := clients.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
