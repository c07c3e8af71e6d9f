// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const (
	team    = "team-a"
	billing = "billing"
)

// The scopes of the server of an office.
const (
	readScope    = "invoices:read"
	writeScope   = "invoices:write"
	releaseScope = "payments:release"
)

// office is a client team and a service team with a namespace each, and the
// people in them. Registrations and grants are the client team's.
type office struct {
	*scene
	as *devas.Server
	// alice makes registrations and grants in the client team's namespace.
	alice *person
	// olga owns the server: she has the verb grant on servers in her namespace,
	// and may write decisions about grants of the client team.
	olga *person
	// bob may write decisions about grants as far as RBAC goes, and owns nothing.
	bob *person
}

// newOffice makes the namespaces, the people, and the service team's server. The
// world must have an AuthorizationServer of the name devas.
func newOffice(t *testing.T, w *world, as *devas.Server) *office {
	t.Helper()
	for _, name := range []string{team, billing} {
		w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	o := &office{
		scene: &scene{world: w, as: "devas", namespace: team, server: newInvoices("devas")}, as: as,
		alice: w.newPerson(t, "alice", map[string]string{clientDeveloper: team}),
		olga:  w.newPerson(t, "olga", map[string]string{serverOwner: billing, grantApprover: billing}),
		bob:   w.newPerson(t, "bob", map[string]string{grantApprover: team}),
	}
	w.create(t, o.server)
	return o
}

// newInvoices is the service team's server, which admits all namespaces.
func newInvoices(as string) *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MCPServer"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: billing, Name: "invoices",
			Annotations: map[string]string{v1alpha1.AnnotationOwner: "team-billing@example.com"},
		},
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/invoices",
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: as},
			Scopes: []v1alpha1.Scope{
				{Name: readScope, Tier: v1alpha1.TierRead}, {Name: writeScope, Tier: v1alpha1.TierWrite},
				{Name: releaseScope, Tier: v1alpha1.TierElevated},
			},
			AllowedClients: &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll},
		},
	}
}

// grantOf is a grant of scopes of the service team's server.
func (s *scene) grantOf(name, registration string, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	grant := s.newGrant(name, registration, scopes...)
	grant.Spec.ServerRef = v1alpha1.ServerReference{Name: "invoices", Namespace: billing}
	grant.Spec.Reason = "monthly close, ticket FIN-1234"
	return grant
}

// asks makes objects as alice.
func (o *office) asks(t *testing.T, objects ...conditioned) {
	t.Helper()
	for _, object := range objects {
		if err := o.alice.Create(t.Context(), object); err != nil {
			t.Fatalf("alice creates %T %s: %v", object, object.GetName(), err)
		}
	}
}

// robot makes a registration that is Ready with the scope of tier Read.
func (o *office) robot(t *testing.T, name string) (*v1alpha1.MCPClientRegistration, party) {
	t.Helper()
	reg := o.newRegistration(name, v1alpha1.AuthMethodClientSecretBasic)
	o.asks(t, reg, o.grantOf(name+"-reads", name, readScope))
	return reg, o.waitReady(t, reg)
}

// scopesAt are the scopes that a client has at the authorization server.
func (o *office) scopesAt(id string) func() []string {
	return func() []string {
		for _, client := range o.as.Clients() {
			if client.ID == id {
				return slices.Sorted(slices.Values(strings.Fields(client.Scope)))
			}
		}
		return nil
	}
}

// requireScopes waits until the client has these scopes at the authorization
// server, no more and no fewer, and checks that it gets tokens accordingly.
func (o *office) requireScopes(t *testing.T, p party, scopes ...string) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(o.scopesAt(p.id), patience, often).Should(ConsistOf(scopes))
	for _, scope := range []string{readScope, writeScope, releaseScope} {
		answer := p.ask(t, scope, o.server.Spec.Resource)
		o.seen.keep(answer.AccessToken, "access token")
		if has := slices.Contains(scopes, scope); has != (answer.AccessToken != "") || !has && answer.Error != "invalid_scope" {
			t.Errorf("a token with scope %s: error %q, token %t; granted is %v", scope, answer.Error, answer.AccessToken != "", scopes)
		}
	}
}
