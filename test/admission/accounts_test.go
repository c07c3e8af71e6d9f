// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// may is a right of a role in the namespace of the clients.
func may(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// A ServiceAccount is also whoever makes a Secret with a token of it and reads that, and
// whoever has a pod run as it, by whatever makes the pod.
func TestWhoCouldBeTheAccountThatAsked(t *testing.T) {
	w := use(t)
	const account = "system:serviceaccount:" + clientsNamespace + ":ci"
	cases := []struct {
		name    string
		rights  []rbacv1.PolicyRule
		refused bool
	}{
		{"secrets", []rbacv1.PolicyRule{may("", "secrets", "create", "get")}, true},
		{"secrets-listed", []rbacv1.PolicyRule{may("", "secrets", "create", "list")}, true},
		{"pods", []rbacv1.PolicyRule{may("", "pods", "create")}, true},
		{"exec", []rbacv1.PolicyRule{may("", "pods/exec", "create")}, true},
		{"controllers", []rbacv1.PolicyRule{may("", "replicationcontrollers", "create")}, true},
		{"deployments", []rbacv1.PolicyRule{may("apps", "deployments", "create")}, true},
		{"replicasets", []rbacv1.PolicyRule{may("apps", "replicasets", "create")}, true},
		{"statefulsets", []rbacv1.PolicyRule{may("apps", "statefulsets", "create")}, true},
		{"daemonsets", []rbacv1.PolicyRule{may("apps", "daemonsets", "create")}, true},
		{"jobs", []rbacv1.PolicyRule{may("batch", "jobs", "create")}, true},
		{"cronjobs", []rbacv1.PolicyRule{may("batch", "cronjobs", "create")}, true},
		{"secrets-watched", []rbacv1.PolicyRule{may("", "secrets", "create", "watch")}, true},
		{"secrets-read", []rbacv1.PolicyRule{may("", "secrets", "get", "update")}, false},
		{"secrets-made", []rbacv1.PolicyRule{may("", "secrets", "create")}, false},
		{"looks", []rbacv1.PolicyRule{may("", "pods", "get", "list"), may("apps", "deployments", "get"), may("", "pods/log", "get")}, false},
	}
	for i, c := range cases {
		who := "w-" + c.name
		for namespace, rules := range map[string][]rbacv1.PolicyRule{
			serversNamespace: {rule(everyVerb, "scopegrantapprovals")}, clientsNamespace: c.rights,
		} {
			if err := grantRole(t.Context(), w.clients[admin], fmt.Sprintf("account-%d", i), role{who, namespace, rules}); err != nil {
				t.Fatal(err)
			}
		}
		config, err := w.UserConfig(who)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.enter(who, config); err != nil {
			t.Fatal(err)
		}
		awaitMay(t, who, serversNamespace, rule([]string{"create"}, "scopegrantapprovals"))
		awaitMay(t, who, clientsNamespace, c.rights[0])
	}
	var attempts []attempt
	for _, c := range cases {
		a := attempt{c.name, "w-" + c.name, one(looked(grant("g"), account)), "", nil}
		if c.refused {
			a.policy, a.words = approval, []string{fmt.Sprintf("user %q could act as %q", a.who, account)}
		}
		// The rights are those in the namespace of the account.
		elsewhere := attempt{c.name + ", another namespace", a.who, one(looked(grant("g"), "system:serviceaccount:elsewhere:ci")), "", nil}
		person := attempt{c.name + ", a person", a.who, one(looked(grant("g"), alice)), "", nil}
		attempts = append(attempts, a, elsewhere, person)
	}
	try(t, attempts)
}

// awaitMay waits until the API server knows of a right.
func awaitMay(t *testing.T, who, namespace string, right rbacv1.PolicyRule) {
	t.Helper()
	w := use(t)
	w.until(t, func() bool {
		for _, verb := range right.Verbs {
			if !w.allows(t.Context(), who, namespace, verb, right) {
				return false
			}
		}
		return true
	})
}

func (w *world) allows(ctx context.Context, who, namespace, verb string, right rbacv1.PolicyRule) bool {
	resource, subresource, _ := strings.Cut(right.Resources[0], "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: who, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: right.APIGroups[0], Resource: resource, Subresource: subresource,
		},
	}}
	return w.clients[admin].Create(ctx, review) == nil && review.Status.Allowed
}
