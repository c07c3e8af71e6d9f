// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestServer(t *testing.T) {
	gone := v1alpha1.CauseAuthorizationServerGone
	accepted := verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}
	cases := []struct {
		name   string
		change func(f *ServerFacts)
		want   verdict
		says   []string
	}{
		{"nothing is the matter", func(*ServerFacts) {}, accepted, []string{"accepted"}},
		{"its owner matches the pattern", func(f *ServerFacts) {
			f.AuthorizationServer.Object.Spec.Policy.OwnerPattern = `team-[a-z]+@example\.com`
		}, accepted, nil},
		{"it has no owner", func(f *ServerFacts) { remove(f.Server, v1alpha1.AnnotationOwner) },
			refusedFor(v1alpha1.ReasonOwnerMissing, v1alpha1.CauseOwnerMissing), []string{"mcp-registrar.dev/owner", ownerExample}},
		{"a scope is a wildcard", func(f *ServerFacts) { f.Server.Spec.Scopes[1].Name = "invoices:*" },
			refusedFor(v1alpha1.ReasonScopeNotAllowed, ""), []string{"spec.scopes", `"invoices:*"`, "for example invoices:read"}},
		{"a scope is a catch-all name", func(f *ServerFacts) { f.Server.Spec.Scopes[1].Name = "Full-Access" },
			refusedFor(v1alpha1.ReasonScopeNotAllowed, ""), []string{"spec.scopes", `"Full-Access"`, "for example invoices:read"}},
		{"a scope has no name", func(f *ServerFacts) { f.Server.Spec.Scopes[1].Name = "" },
			refusedFor(v1alpha1.ReasonScopeNotAllowed, ""), []string{"spec.scopes", "empty", "for example invoices:read"}},
		{"a scope is listed twice", func(f *ServerFacts) { f.Server.Spec.Scopes[3].Name = "invoices:read" },
			refusedFor(v1alpha1.ReasonScopeNotAllowed, ""), []string{"spec.scopes", `"invoices:read" is listed twice`}},
		{"its AuthorizationServer could not be read", func(f *ServerFacts) { f.AuthorizationServer = AuthorizationServerFact{} },
			waitingFor(Undecided, v1alpha1.ReasonFactUnknown, ""), []string{"AuthorizationServer"}},
		{"its AuthorizationServer is not there", func(f *ServerFacts) { f.AuthorizationServer = AuthorizationServerFact{Is: Absent} },
			waitingFor(Refused, v1alpha1.ReasonAuthorizationServerNotFound, gone), []string{"spec.authorizationServerRef", `"main"`}},
		{"its AuthorizationServer is being deleted", func(f *ServerFacts) { deleting(f.AuthorizationServer.Object) },
			waitingFor(Refused, v1alpha1.ReasonAuthorizationServerNotFound, gone), []string{"spec.authorizationServerRef"}},
		{"its owner does not match the pattern", func(f *ServerFacts) {
			f.AuthorizationServer.Object.Spec.Policy.OwnerPattern = "team-billing.*"
		}, refusedFor(v1alpha1.ReasonOwnerNotAllowed, v1alpha1.CauseNotAllowed), []string{"mcp-registrar.dev/owner", "team-billing.*", ownerExample}},
		{"its owner is missing and all else is unknown", func(f *ServerFacts) {
			remove(f.Server, v1alpha1.AnnotationOwner)
			f.AuthorizationServer = AuthorizationServerFact{}
		}, refusedFor(v1alpha1.ReasonOwnerMissing, v1alpha1.CauseOwnerMissing), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := ServerFacts{Server: server(), AuthorizationServer: found(authorizationServer()), Claims: alone, Room: NewRoom(nil)}
			c.change(&f)
			got := Server(f)
			equal(t, "verdict", c.want, brief(got))
			mentions(t, got.Message, c.says...)
		})
	}
}

// An AuthorizationServer that says whose servers it admits admits no others,
// and their grants give nothing.
func TestServerNamespaceAllowed(t *testing.T) {
	selector := &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"mcp-servers": "trusted"}}}
	trusted := NamespaceFact{Is: Present, Name: "payments", Labels: map[string]string{"mcp-servers": "trusted"}}
	refused := verdict{Reason: v1alpha1.ReasonNamespaceNotAllowed}
	for _, c := range []struct {
		name      string
		allowed   *v1alpha1.AllowedNamespaces
		namespace NamespaceFact
		want      verdict
	}{
		{"it says nothing", nil, trusted, refused},
		{"it says nothing, and the namespace is not known", nil, NamespaceFact{}, refused},
		{"it admits all", &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, NamespaceFact{}, verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}},
		{"the labels match", selector, trusted, verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}},
		{"the labels do not match", selector, NamespaceFact{Is: Present, Name: "payments"}, refused},
		{"the namespace is gone", selector, NamespaceFact{Is: Absent, Name: "payments"}, refused},
		{"an unknown value", &v1alpha1.AllowedNamespaces{From: "Some"}, trusted, refused},
		{"the namespace is not known", selector, NamespaceFact{}, verdict{Standing: Undecided, Reason: v1alpha1.ReasonFactUnknown, Waiting: true}},
	} {
		as := found(authorizationServer(func(as *v1alpha1.AuthorizationServer) { as.Spec.AllowedServers = c.allowed }))
		equal(t, c.name, c.want, brief(Server(ServerFacts{Server: server(), AuthorizationServer: as, Namespace: c.namespace, Claims: alone, Room: NewRoom(nil)})))
		f := grantFacts(grant())
		f.AuthorizationServer, f.ServerNamespace = as, c.namespace
		equal(t, c.name+": grant", c.want.Standing == Allowed, Grant(f, now).InForce)
	}
}
