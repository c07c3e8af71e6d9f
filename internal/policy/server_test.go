// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

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
			f := ServerFacts{Server: server(), AuthorizationServer: found(authorizationServer())}
			c.change(&f)
			got := Server(f)
			equal(t, "verdict", c.want, brief(got))
			mentions(t, got.Message, c.says...)
		})
	}
}
