// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// An API server takes everything that is rendered, and gives the manager's
// account what the security model says and no more.
func TestRenderedIsApplied(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		account string
		render  func(*testing.T) string
	}{
		{name: "chart", account: release, render: func(t *testing.T) string { return mustTemplate(t, "1.37.0") }},
		{name: "kustomize", account: "mcp-registrar-manager", render: func(t *testing.T) string { return kustomizeBuild(t, "default") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			manifests := filepath.Join(t.TempDir(), "rendered.yaml")
			if err := os.WriteFile(manifests, []byte(c.render(t)), 0o600); err != nil {
				t.Fatal(err)
			}
			plane := env.StartForTest(t, env.Options{})
			clients, err := kubernetes.NewForConfig(plane.Config)
			if err != nil {
				t.Fatal(err)
			}
			createNamespace(t, clients, "team")
			if c.name == "chart" {
				createNamespace(t, clients, namespace)
			}
			if err := plane.Apply(t.Context(), manifests); err != nil {
				t.Fatal(err)
			}
			user := "system:serviceaccount:" + namespace + ":" + c.account
			if diff := cmp.Diff(wantedAccess, access(t, clients, user)); diff != "" {
				t.Errorf("what the manager may do differs (-wanted +granted)\n%s", diff)
			}
		})
	}
}

// question is one thing that an account may or may not do.
type question struct {
	namespace, group, resource, subresource, verb string
}

var wantedAccess = map[question]bool{
	{namespace: "team", resource: "secrets", verb: "get"}:                                                           true,
	{namespace: "team", resource: "secrets", verb: "create"}:                                                        true,
	{namespace: "team", resource: "secrets", verb: "update"}:                                                        true,
	{namespace: "team", resource: "secrets", verb: "delete"}:                                                        true,
	{namespace: "team", resource: "secrets", verb: "list"}:                                                          false,
	{namespace: "team", resource: "secrets", verb: "watch"}:                                                         false,
	{resource: "secrets", verb: "list"}:                                                                             false,
	{namespace: namespace, resource: "secrets", verb: "list"}:                                                       true,
	{namespace: namespace, resource: "secrets", verb: "watch"}:                                                      true,
	{namespace: namespace, group: "coordination.k8s.io", resource: "leases", verb: "update"}:                        true,
	{namespace: "team", group: "coordination.k8s.io", resource: "leases", verb: "update"}:                           false,
	{namespace: "team", group: "mcp-registrar.dev", resource: "mcpclientregistrations", verb: "list"}:               true,
	{namespace: "team", group: "mcp-registrar.dev", resource: "mcpclientregistrations", verb: "delete"}:             false,
	{namespace: "team", group: "mcp-registrar.dev", resource: "scopegrants", verb: "update"}:                        false,
	{namespace: "team", group: "mcp-registrar.dev", resource: "scopegrants", subresource: "status", verb: "update"}: true,
	{group: "mcp-registrar.dev", resource: "authorizationservers", verb: "watch"}:                                   true,
	{group: "authentication.k8s.io", resource: "tokenreviews", verb: "create"}:                                      true,
	{group: "authorization.k8s.io", resource: "subjectaccessreviews", verb: "create"}:                               true,
	{resource: "namespaces", verb: "watch"}:                                                                         true,
	{resource: "namespaces", verb: "update"}:                                                                        false,
	{resource: "pods", namespace: namespace, verb: "list"}:                                                          false,
}

func access(t *testing.T, clients kubernetes.Interface, user string) map[question]bool {
	t.Helper()
	granted := map[question]bool{}
	for q := range wantedAccess {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: q.namespace, Verb: q.verb, Group: q.group, Resource: q.resource, Subresource: q.subresource,
			},
		}}
		answer, err := clients.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		granted[q] = answer.Status.Allowed
	}
	return granted
}

func createNamespace(t *testing.T, clients kubernetes.Interface, name string) {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := clients.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
