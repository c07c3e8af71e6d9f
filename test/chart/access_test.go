// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// question is one thing that somebody may or may not do. The resource is
// written group/resource/subresource, the group as in "mcp" and "core" below.
type question struct {
	namespace, verb, resource string
}

var groups = map[string]string{
	"core": "", "mcp": "mcp-registrar.dev", "coordination": "coordination.k8s.io", "events": "events.k8s.io",
	"authn": "authentication.k8s.io", "authz": "authorization.k8s.io", "admission": "admissionregistration.k8s.io",
	"rbac": "rbac.authorization.k8s.io",
}

// subject is who asks.
type subject struct {
	user   string
	groups []string
}

// watchedAccess is what the manager may do in a namespace that it works on.
// Nothing of it holds elsewhere.
var watchedAccess = map[question]bool{
	{verb: "get", resource: "core/secrets"}:                          true,
	{verb: "create", resource: "core/secrets"}:                       true,
	{verb: "update", resource: "core/secrets"}:                       true,
	{verb: "delete", resource: "core/secrets"}:                       true,
	{verb: "list", resource: "core/secrets"}:                         false,
	{verb: "watch", resource: "core/secrets"}:                        false,
	{verb: "create", resource: "events/events"}:                      true,
	{verb: "update", resource: "coordination/leases"}:                false,
	{verb: "list", resource: "mcp/mcpclientregistrations"}:           true,
	{verb: "operate", resource: "mcp/mcpclientregistrations"}:        true,
	{verb: "release", resource: "mcp/mcpclientregistrations"}:        false,
	{verb: "delete", resource: "mcp/mcpclientregistrations"}:         false,
	{verb: "operate", resource: "mcp/scopegrants"}:                   true,
	{verb: "update", resource: "mcp/scopegrants"}:                    false,
	{verb: "update", resource: "mcp/scopegrants/status"}:             true,
	{verb: "watch", resource: "mcp/mcpservers"}:                      true,
	{verb: "operate", resource: "mcp/scopegrantapprovals"}:           true,
	{verb: "create", resource: "mcp/scopegrantapprovals"}:            false,
	{verb: "update", resource: "mcp/scopegrantapprovals/status"}:     true,
	{verb: "create", resource: "rbac/rolebindings"}:                  false,
	{verb: "list", resource: "core/pods"}:                            false,
	{verb: "get", resource: "core/configmaps"}:                       false,
	{verb: "update", resource: "mcp/mcpclientregistrations/status"}:  true,
	{verb: "update", resource: "mcp/mcpclientregistrations"}:         true,
	{verb: "patch", resource: "mcp/mcpservers"}:                      false,
	{verb: "update", resource: "mcp/mcpservers/status"}:              true,
	{verb: "deletecollection", resource: "core/secrets"}:             false,
	{verb: "impersonate", resource: "core/serviceaccounts"}:          false,
	{verb: "create", resource: "core/serviceaccounts/token"}:         false,
	{verb: "update", resource: "mcp/mcpclientregistrations/scale"}:   false,
	{verb: "delete", resource: "mcp/scopegrants"}:                    false,
	{verb: "watch", resource: "mcp/scopegrants"}:                     true,
	{verb: "create", resource: "mcp/mcpclientregistrations"}:         false,
	{verb: "get", resource: "mcp/mcpclientregistrations/finalizers"}: false,
}

// ownAccess is what it may do in its own namespace beside that.
var ownAccess = []question{
	{verb: "get", resource: "core/secrets"},
	{verb: "list", resource: "core/secrets"},
	{verb: "watch", resource: "core/secrets"},
	{verb: "create", resource: "core/secrets"},
	{verb: "update", resource: "core/secrets"},
	{verb: "delete", resource: "core/secrets"},
	{verb: "update", resource: "coordination/leases"},
	{verb: "create", resource: "core/configmaps"},
	{verb: "operate", resource: "mcp/mcpclientregistrations"},
}

// clusterAccess is what it may do with what belongs to no namespace.
var clusterAccess = map[question]bool{
	{verb: "watch", resource: "mcp/authorizationservers"}:                   true,
	{verb: "update", resource: "mcp/authorizationservers"}:                  false,
	{verb: "operate", resource: "mcp/authorizationservers"}:                 true,
	{verb: "update", resource: "mcp/authorizationservers/status"}:           true,
	{verb: "create", resource: "authn/tokenreviews"}:                        true,
	{verb: "create", resource: "authz/subjectaccessreviews"}:                true,
	{verb: "watch", resource: "core/namespaces"}:                            true,
	{verb: "update", resource: "core/namespaces"}:                           false,
	{verb: "watch", resource: "admission/validatingadmissionpolicies"}:      true,
	{verb: "update", resource: "admission/validatingadmissionpolicies"}:     false,
	{verb: "get", resource: "admission/validatingadmissionpolicybindings"}:  true,
	{verb: "create", resource: "rbac/clusterrolebindings"}:                  false,
	{verb: "list", resource: "core/secrets"}:                                false,
	{namespace: "default", verb: "create", resource: "events/events"}:       true,
	{namespace: "default", verb: "list", resource: "core/secrets"}:          false,
	{namespace: "kube-system", verb: "list", resource: "core/secrets"}:      false,
	{namespace: "kube-system", verb: "update", resource: "core/configmaps"}: false,
}

// wantedAccess answers every question for a manager that watches these of the
// namespaces of the test.
func wantedAccess(watched []string) map[question]bool {
	wanted := maps.Clone(clusterAccess)
	for _, place := range []string{"invoices", "payments", "others", namespace} {
		for q, allowed := range watchedAccess {
			q.namespace = place
			wanted[q] = allowed && slices.Contains(watched, place)
		}
	}
	for _, q := range ownAccess {
		q.namespace = namespace
		wanted[q] = true
	}
	// In the whole cluster at once: only who watches it all.
	all := len(watched) == 4
	wanted[question{verb: "get", resource: "core/secrets"}] = all
	wanted[question{verb: "list", resource: "mcp/mcpclientregistrations"}] = all
	wanted[question{namespace: "kube-system", verb: "get", resource: "core/secrets"}] = all
	return wanted
}

func compareAccess(t *testing.T, plane *env.ControlPlane, who subject, wanted map[question]bool) {
	t.Helper()
	clients, err := kubernetes.NewForConfig(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	granted := map[question]bool{}
	for q := range wanted {
		parts := append(strings.Split(q.resource, "/"), "")
		group, known := groups[parts[0]]
		if !known {
			t.Fatalf("there is no group %s", parts[0])
		}
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: who.user, Groups: who.groups,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: q.namespace, Verb: q.verb, Group: group, Resource: parts[1], Subresource: parts[2],
			},
		}}
		answer, err := clients.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		granted[q] = answer.Status.Allowed
	}
	if diff := cmp.Diff(wanted, granted); diff != "" {
		t.Errorf("what %s %v may do differs (-wanted +granted)\n%s", who.user, who.groups, diff)
	}
}
