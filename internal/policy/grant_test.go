// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func inForce(lifetime time.Duration) GrantDecision {
	return GrantDecision{
		InForce:       true,
		Asked:         true,
		Verdict:       Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the grant is in force"},
		Basis:         v1alpha1.BasisAutomatic,
		ExpiresAt:     now.Add(10 * day),
		Term:          termOf(now.Add(-day), now.Add(10*day)),
		Resource:      "https://mcp.example.com/invoices",
		Audience:      "https://mcp.example.com/invoices",
		TokenLifetime: lifetime,
	}
}

func asking(reason string, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	return grant(giving("reader", scopes...), func(g *v1alpha1.ScopeGrant) { g.Spec.Reason = reason })
}

func approving(tiers ...v1alpha1.Tier) func(*GrantFacts) {
	return func(f *GrantFacts) { f.Server.Object.Spec.Grants = &v1alpha1.GrantPolicy{AutoApprovedTiers: &tiers} }
}

func TestGrantInForce(t *testing.T) {
	cases := []struct {
		name  string
		facts GrantFacts
		want  GrantDecision
	}{
		{"one scope of tier Read", grantFacts(grant()), inForce(defaultTokenLifetime)},
		{"every scope of tier Read", grantFacts(asking("", "invoices:export", "invoices:read")), inForce(defaultTokenLifetime)},
		{"a tier that is approved, with a reason", grantFacts(asking("monthly close", "invoices:pay"), approving(v1alpha1.TierRead, v1alpha1.TierWrite)),
			inForce(defaultTokenLifetime)},
		{"a server that bounds its tokens", grantFacts(grant(), func(f *GrantFacts) {
			f.Server.Object.Spec.AccessTokenLifetimeSeconds = new(int32(60))
		}), inForce(time.Minute)},
		{"a server policy that does not speak of tiers", grantFacts(grant(), func(f *GrantFacts) {
			f.Server.Object.Spec.Grants = &v1alpha1.GrantPolicy{}
		}), inForce(defaultTokenLifetime)},
		{"an owner that the pattern matches", grantFacts(grant(), func(f *GrantFacts) {
			f.AuthorizationServer.Object.Spec.Policy.OwnerPattern = `.*@example\.com`
		}), inForce(defaultTokenLifetime)},
		{"the own namespace of a server that says nothing, whatever is known of it", grantFacts(grant(), func(f *GrantFacts) {
			f.Namespace = NamespaceFact{}
		}), inForce(defaultTokenLifetime)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { equal(t, "decision", c.want, Grant(c.facts, now)) })
	}
}

func TestGrantNotInForce(t *testing.T) {
	as := func(f *GrantFacts) *v1alpha1.AuthorizationServer { return f.AuthorizationServer.Object }
	cases := []struct {
		name   string
		change func(f *GrantFacts)
		want   verdict
		says   []string
	}{
		{"it is being deleted", func(f *GrantFacts) { deleting(f.Grant) }, waitingFor(Refused, v1alpha1.ReasonDeleting, ""), []string{"deleted"}},
		{"it has no owner", func(f *GrantFacts) { remove(f.Grant, v1alpha1.AnnotationOwner) },
			refusedFor(v1alpha1.ReasonOwnerMissing, v1alpha1.CauseOwnerMissing), []string{"mcp-registrar.dev/owner", ownerExample}},
		{"it has no end", func(f *GrantFacts) { remove(f.Grant, v1alpha1.AnnotationExpiresAt) },
			refusedFor(v1alpha1.ReasonExpiryMissing, v1alpha1.CauseExpiryMissing), []string{"mcp-registrar.dev/expires-at", expiryExample}},
		{"its end cannot be read", func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationExpiresAt, "31.3.2027") },
			refusedFor(v1alpha1.ReasonExpiryInvalid, v1alpha1.CauseExpiryMissing), []string{"mcp-registrar.dev/expires-at", expiryExample}},
		{"its end has come", func(f *GrantFacts) { setEnd(f.Grant, now) },
			refusedFor(v1alpha1.ReasonExpired, v1alpha1.CauseExpired), []string{"mcp-registrar.dev/expires-at", expiryExample}},
		{"it names no scope", func(f *GrantFacts) { f.Grant.Spec.Scopes = nil },
			refusedFor(v1alpha1.ReasonScopeNotAllowed, ""), []string{"spec.scopes", "for example invoices:read"}},
		{"it asks for a wildcard that the server lists", func(f *GrantFacts) {
			f.Grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:read", "invoices:*"}
			f.Server.Object.Spec.Scopes = append(f.Server.Object.Spec.Scopes, v1alpha1.Scope{Name: "invoices:*", Tier: v1alpha1.TierRead})
		}, refusedFor(v1alpha1.ReasonScopeNotAllowed, ""), []string{"spec.scopes", `"invoices:*"`, "for example invoices:read"}},
		{"it asks for a catch-all name", func(f *GrantFacts) { f.Grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:Admin"} },
			refusedFor(v1alpha1.ReasonScopeNotAllowed, ""), []string{"spec.scopes", `"invoices:Admin"`, "for example invoices:read"}},
		{"its registration is not there", func(f *GrantFacts) { f.RegistrationIs = Absent },
			waitingFor(Refused, v1alpha1.ReasonRegistrationNotFound, ""), []string{"spec.clientRef", `"agent"`}},
		{"its registration could not be read", func(f *GrantFacts) { f.RegistrationIs = Unknown },
			waitingFor(Undecided, v1alpha1.ReasonFactUnknown, ""), []string{"MCPClientRegistration"}},
		{"its server could not be read", func(f *GrantFacts) { f.Server = ServerFact{} },
			waitingFor(Undecided, v1alpha1.ReasonFactUnknown, ""), []string{"MCPServer"}},
		{"its server is not there", func(f *GrantFacts) { f.Server = ServerFact{Is: Absent} },
			waitingFor(Refused, v1alpha1.ReasonServerNotAvailable, ""), []string{"spec.serverRef", `"invoices"`, `"payments"`}},
		{"its server is being deleted", func(f *GrantFacts) { deleting(f.Server.Object) },
			waitingFor(Refused, v1alpha1.ReasonServerNotAvailable, ""), []string{"spec.serverRef"}},
		{"its server has no owner", func(f *GrantFacts) { remove(f.Server.Object, v1alpha1.AnnotationOwner) },
			waitingFor(Refused, v1alpha1.ReasonServerNotAccepted, ""), []string{"spec.serverRef", "conditions"}},
		{"the catalogue holds a wildcard", func(f *GrantFacts) { f.Server.Object.Spec.Scopes[3].Name = "*" },
			waitingFor(Refused, v1alpha1.ReasonServerNotAccepted, ""), []string{"spec.serverRef"}},
		{"the AuthorizationServer could not be read", func(f *GrantFacts) { f.AuthorizationServer = AuthorizationServerFact{} },
			waitingFor(Undecided, v1alpha1.ReasonFactUnknown, ""), []string{"AuthorizationServer"}},
		{"the AuthorizationServer is not there", func(f *GrantFacts) { f.AuthorizationServer = AuthorizationServerFact{Is: Absent} },
			waitingFor(Refused, v1alpha1.ReasonServerNotAccepted, ""), []string{"spec.serverRef"}},
		{"the server uses another AuthorizationServer", func(f *GrantFacts) { as(f).Name = "other" },
			refusedFor(v1alpha1.ReasonAuthorizationServerMismatch, ""), []string{"spec.serverRef"}},
		{"its owner does not match the pattern", func(f *GrantFacts) {
			as(f).Spec.Policy.OwnerPattern = `team-payments@example\.com`
			annotate(f.Grant, v1alpha1.AnnotationOwner, "team-payments@example.community")
		}, refusedFor(v1alpha1.ReasonOwnerNotAllowed, v1alpha1.CauseNotAllowed), []string{"mcp-registrar.dev/owner", ownerExample}},
		{"a scope is not in the catalogue", func(f *GrantFacts) {
			f.Grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:read", "invoices:write"}
		}, refusedFor(v1alpha1.ReasonScopeUnknown, ""), []string{"spec.scopes", `"invoices:write"`, "for example invoices:read"}},
		{"a scope of tier Write has no reason", func(f *GrantFacts) {
			*f = grantFacts(asking(" \t", "invoices:read", "invoices:pay"), approving(v1alpha1.TierRead, v1alpha1.TierWrite))
		}, refusedFor(v1alpha1.ReasonReasonMissing, ""), []string{"spec.reason", `"invoices:pay"`, "Write", "for example reason:"}},
		{"a tier is not approved by itself", func(f *GrantFacts) { *f = grantFacts(asking("ticket 1", "invoices:pay")) },
			awaitingApproval, []string{`"invoices:pay"`, "Write", "an owner of the MCPServer"}},
		{"one tier of two is not approved", func(f *GrantFacts) {
			*f = grantFacts(asking("ticket 1", "invoices:read", "invoices:void"), approving(v1alpha1.TierRead, v1alpha1.TierWrite))
		}, awaitingApproval, []string{`"invoices:void"`, "Elevated"}},
		{"an empty list approves nothing", func(f *GrantFacts) { *f = grantFacts(grant(), approving()) },
			awaitingApproval, []string{`"invoices:read"`, "Read"}},
		{"a tier that nobody knows is not approved", func(f *GrantFacts) {
			*f = grantFacts(asking("ticket 1", "invoices:read"))
			f.Server.Object.Spec.Scopes[0].Tier = "Harmless"
		}, awaitingApproval, []string{"Harmless"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Grant(grantFacts(grant(), c.change), now)
			equal(t, "verdict", c.want, brief(d.Verdict))
			equal(t, "undecided", c.want.Standing == Undecided, d.Undecided)
			mentions(t, d.Verdict.Message, c.says...)
			want := GrantDecision{Asked: d.Verdict.Reason == v1alpha1.ReasonApprovalRequired}
			if c.want.Reason == v1alpha1.ReasonExpired {
				want.EndedAt = now
			}
			d.Verdict, d.ExpiresAt, d.Undecided = Verdict{}, time.Time{}, false
			equal(t, "what it gives", want, d)
		})
	}
}

// What needs only the grant and the time holds when all else is unknown.
func TestGrantRulesOfTheObjectComeFirst(t *testing.T) {
	for _, change := range []func(*v1alpha1.ScopeGrant){
		func(g *v1alpha1.ScopeGrant) { deleting(g) },
		func(g *v1alpha1.ScopeGrant) { remove(g, v1alpha1.AnnotationOwner) },
		func(g *v1alpha1.ScopeGrant) { remove(g, v1alpha1.AnnotationExpiresAt) },
		endingAt(now),
		giving("reader", "*"),
	} {
		d := Grant(GrantFacts{Grant: grant(change)}, now)
		if d.InForce || d.Undecided || d.Verdict.Standing != Refused {
			t.Errorf("%+v", d)
		}
	}
	if d := Grant(GrantFacts{Grant: grant()}, now); d.InForce || !d.Undecided {
		t.Errorf("a grant of which nothing is known: %+v", d)
	}
}

func TestGrantAcrossNamespaces(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"mcp": "yes"}}
	matching := NamespaceFact{Is: Present, Name: "payments", Labels: map[string]string{"mcp": "yes"}}
	other := NamespaceFact{Is: Present, Name: "payments"}
	unknown := NamespaceFact{Is: Unknown, Name: "payments"}
	cases := []struct {
		name    string
		allowed *v1alpha1.AllowedClients
		from    NamespaceFact
		want    string
	}{
		{"a server that says nothing admits its own namespace only", nil, matching, v1alpha1.ReasonServerNotAvailable},
		{"Same", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSame}, matching, v1alpha1.ReasonServerNotAvailable},
		{"All", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}, other, v1alpha1.ReasonAccepted},
		{"All needs no fact", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}, NamespaceFact{}, v1alpha1.ReasonAccepted},
		{"a selector that matches", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: selector}, matching, v1alpha1.ReasonAccepted},
		{"a selector that does not match", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: selector}, other, v1alpha1.ReasonServerNotAvailable},
		{"a selector over labels that could not be read", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: selector}, unknown, v1alpha1.ReasonFactUnknown},
		{"a selector over a namespace that is gone", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: selector}, NamespaceFact{Is: Absent}, v1alpha1.ReasonServerNotAvailable},
		{"a selector that is missing", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector}, matching, v1alpha1.ReasonServerNotAvailable},
		{"a selector that is not one", &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "mcp", Operator: "Likes"}},
		}}, matching, v1alpha1.ReasonServerNotAvailable},
		{"a word that nobody knows", &v1alpha1.AllowedClients{Namespaces: "Friends"}, matching, v1alpha1.ReasonServerNotAvailable},
	}
	abroadRef := func(g *v1alpha1.ScopeGrant) { g.Spec.ServerRef.Namespace = "billing" }
	missing := Grant(grantFacts(grant(abroadRef), func(f *GrantFacts) { f.Server = ServerFact{Is: Absent} }), now)
	mentions(t, missing.Verdict.Message, "spec.serverRef", `"invoices"`, `"billing"`, "spec.allowedClients")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Grant(grantFacts(grant(abroadRef), func(f *GrantFacts) {
				f.Server.Object, f.Namespace = server(abroad(c.allowed)), c.from
			}), now)
			equal(t, "reason", c.want, d.Verdict.Reason)
			if c.want == v1alpha1.ReasonServerNotAvailable {
				equal(t, "decision, compared with that for a server that is not there", missing, d)
			}
		})
	}
}

// An object without a namespace has none of its own to admit.
func TestSameNamespaceOfNothing(t *testing.T) {
	equal(t, "a namespace without a name", Absent, admits(v1alpha1.NamespacesSame, nil, "", NamespaceFact{}))
	equal(t, "a namespace", Absent, admits(v1alpha1.NamespacesSame, nil, "", NamespaceFact{Is: Present, Name: "payments"}))
	equal(t, "nothing said", Absent, admits("", nil, "payments", NamespaceFact{Is: Present, Name: "payments"}))
}

// A server that does not admit the namespace is not told apart from none,
// whatever else is the matter with it.
func TestGrantDoesNotTellOfForeignServers(t *testing.T) {
	abroadRef := func(g *v1alpha1.ScopeGrant) { g.Spec.ServerRef.Namespace = "billing" }
	missing := Grant(grantFacts(grant(abroadRef), func(f *GrantFacts) { f.Server = ServerFact{Is: Absent} }), now)
	for name, change := range map[string]func(*v1alpha1.MCPServer){
		"no owner":          func(s *v1alpha1.MCPServer) { remove(s, v1alpha1.AnnotationOwner) },
		"being deleted":     func(s *v1alpha1.MCPServer) { deleting(s) },
		"another catalogue": func(s *v1alpha1.MCPServer) { s.Spec.Scopes = nil },
		"another AS":        func(s *v1alpha1.MCPServer) { s.Spec.AuthorizationServerRef.Name = "other" },
		"no approved tiers": func(s *v1alpha1.MCPServer) {
			s.Spec.Grants = &v1alpha1.GrantPolicy{AutoApprovedTiers: &[]v1alpha1.Tier{}}
		},
		"nothing the matter": func(*v1alpha1.MCPServer) {},
	} {
		got := Grant(grantFacts(grant(abroadRef), func(f *GrantFacts) { f.Server.Object = server(abroad(nil), change) }), now)
		equal(t, name, missing, got)
	}
}

func TestApplied(t *testing.T) {
	g := grant(giving("reader", "invoices:read", "invoices:export"))
	carrying := func(scopes ...v1alpha1.EffectiveScope) *v1alpha1.MCPClientRegistration {
		return registration(func(r *v1alpha1.MCPClientRegistration) { r.Status.Scopes = scopes })
	}
	both := carrying(v1alpha1.EffectiveScope{Name: "invoices:export", Grants: []string{"other", "reader"}},
		v1alpha1.EffectiveScope{Name: "invoices:read", Grants: []string{"reader"}})
	one := carrying(v1alpha1.EffectiveScope{Name: "invoices:read", Grants: []string{"reader"}},
		v1alpha1.EffectiveScope{Name: "invoices:export", Grants: []string{"other"}})
	equal(t, "carried", verdict{Standing: Allowed, Reason: v1alpha1.ReasonApplied}, brief(Applied(g, GrantDecision{InForce: true}, both)))
	pending := Applied(g, GrantDecision{InForce: true}, one)
	equal(t, "carried by another grant only", waitingFor(Undecided, v1alpha1.ReasonRegistrationPending, ""), brief(pending))
	mentions(t, pending.Message, `"invoices:export"`)
	equal(t, "not in force", v1alpha1.ReasonNotApplied, Applied(g, GrantDecision{}, both).Reason)
	equal(t, "no registration", v1alpha1.ReasonNotApplied, Applied(g, GrantDecision{InForce: true}, nil).Reason)
}
