// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// accountable is a server whose owners approve what is elevated, and its people.
type accountable struct {
	target      string
	upstream    upstream
	server      *v1alpha1.MCPServer
	team        *scene
	alice, olga *person
}

const (
	auditor     = "ledger"
	ledgersTeam = "team-ledger"
)

// newAccountable makes a server whose clients are of another namespace, in which
// alice asks and olga approves.
func newAccountable(t *testing.T, b *boundary, u upstream) accountable {
	t.Helper()
	a := accountable{upstream: u, target: b.behind(auditor, u.url)}
	b.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ledgersTeam}})
	a.server = newGuardedServer(b.namespace, auditor, b.as, b.guard.resource(auditor), u.tools())
	a.server.Spec.Grants = nil
	a.server.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}
	b.create(t, a.server)
	a.team = &scene{world: b.world, as: b.as, namespace: ledgersTeam, server: a.server}
	a.alice = b.newPerson(t, "alice", map[string]string{clientDeveloper: ledgersTeam})
	a.olga = b.newPerson(t, "olga", map[string]string{serverOwner: b.namespace, grantApprover: b.namespace})
	return a
}

// testAccountable makes three calls, one allowed, one that needs a further scope,
// one after the revocation, and reads what is on record of them.
func testAccountable(t *testing.T, b *boundary, a accountable) {
	g := NewWithT(t)
	b.awaitPolicies(t)
	reg := a.team.newRegistration("robot", v1alpha1.AuthMethodClientSecretBasic)
	looks, acts := a.team.grantAt(auditor, "robot-looks", "robot", scopeLooks), a.team.grantAt(auditor, "robot-acts", "robot", scopeActs)
	for _, grant := range []*v1alpha1.ScopeGrant{looks, acts} {
		grant.Spec.ServerRef.Namespace = b.namespace
	}
	for _, object := range []conditioned{reg, looks, acts} {
		if err := a.alice.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	a.olga.approve(t, b.world, acts)
	g.Eventually(a.team.effective(t, reg), patience, often).Should(ConsistOf(scopeLooks, scopeActs))
	p := a.team.waitReady(t, reg)
	few := b.accessToken(t, p, a.server.Spec.Resource, scopeLooks)
	all := b.accessToken(t, p, a.server.Spec.Resource, scopeLooks+" "+scopeActs)
	for _, token := range []string{few, all} {
		b.seen.keep(token[strings.LastIndex(token, ".")+1:], "signature of an access token")
	}
	canary := "INV-" + randomToken()
	b.seen.keep(canary, "argument")
	arguments := map[string]any{"number": canary}

	c := &caller{guard: b.guard, path: "/" + auditor}
	var allowed plainAnswer
	g.Eventually(func() int {
		allowed = c.call(t, a.upstream.acts, arguments, all)
		return allowed.status
	}, patience, often).Should(Equal(http.StatusOK))
	g.Expect(allowed.body).To(ContainSubstring(canary), "the server did not get the arguments")
	stepUp := c.call(t, a.upstream.acts, arguments, few)
	g.Expect(stepUp.status).To(Equal(http.StatusForbidden))
	// The authorization server takes its time, so that the client is on the
	// register when it is refused.
	if err := b.provider.Order(devas.Fault{Operation: devas.Delete, ClientID: p.id, Kind: devas.FaultLatency, DelayMillis: slowly, Count: 1}); err != nil {
		t.Fatal(err)
	}
	a.team.deletes(t, reg.Name)
	g.Eventually(func() int { return c.call(t, a.upstream.acts, arguments, all).status }, patience, tick).Should(Equal(http.StatusUnauthorized))
	revoked := c.call(t, a.upstream.acts, arguments, all)

	requireTold(t, b, a, reg, allowed, all, callData{
		Verdict: "Allowed", Reason: "Allowed", Grant: "robot-acts", Basis: "Approved", ApprovedBy: "olga", Scope: scopeActs,
	})
	requireTold(t, b, a, reg, stepUp, few, callData{Verdict: "Refused", Reason: "ScopeMissing", StepUp: []string{scopeActs}})
	requireTold(t, b, a, reg, revoked, all, callData{Verdict: "Refused", Reason: "Revoked"})
}

// requireTold checks all that a line says: what is the same for each call of the
// client, and what is particular.
func requireTold(t *testing.T, b *boundary, a accountable, reg *v1alpha1.MCPClientRegistration, call plainAnswer, token string, want callData) {
	t.Helper()
	g := NewWithT(t)
	said := claimsOf(t, token)
	want.Server, want.Resource = b.namespace+"/"+auditor, a.server.Spec.Resource
	want.Method, want.Tool, want.TraceParent = "tools/call", a.upstream.acts, call.trace
	want.AuthorizationServer, want.Issuer = b.as, b.provider.Issuer()
	want.ClientID, want.TokenSubject, want.TokenID = said.ClientID, said.Subject, said.ID
	want.TokenExpiresAt = said.Expiry.Time().UTC()
	want.Client, want.RegistrationUID, want.Owner = reg.Namespace+"/"+reg.Name, string(reg.UID), reg.Annotations[v1alpha1.AnnotationOwner]
	told := b.guard.told(t, call.trace)
	g.Expect(told.Data).To(Equal(want))
	g.Expect(told.Subject).To(Equal("MCPServer/" + want.Server))
	g.Expect(told.Type).To(Equal(auditPrefix + "call." + strings.ToLower(want.Verdict)))
	g.Expect(told.Time).To(And(BeTemporally(">=", call.began.Add(-tick)), BeTemporally("<=", call.over.Add(tick))))
	for what, value := range map[string]string{
		"client id": told.Data.ClientID, "sub": told.Data.TokenSubject, "jti": told.Data.TokenID, "registration": told.Data.RegistrationUID, "owner": told.Data.Owner,
	} {
		g.Expect(value).NotTo(BeEmpty(), what)
	}
}

// claimsOf reads a token without a look at its signature.
func claimsOf(t *testing.T, token string) claims {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var said claims
	if err := parsed.UnsafeClaimsWithoutVerification(&said); err != nil {
		t.Fatal(err)
	}
	return said
}
