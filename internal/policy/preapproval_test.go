// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestPreApproval(t *testing.T) {
	ok, late := now.Add(day), now.Add(-time.Second)
	both := func(entries ...*v1alpha1.ScopeGrantApproval) GrantFacts {
		return checked(asking("ticket 1", "invoices:pay", "invoices:void"), preApproving(entries...))
	}
	one := func(change func(*v1alpha1.ScopeGrantApproval)) GrantFacts {
		e := entry(ok, "invoices:pay")
		change(e)
		return checked(paying(), preApproving(e))
	}
	pre, open := by(v1alpha1.BasisPreApproved), without(awaitingApproval)
	runConsents(t, []consentCase{
		{"the client and the scope are listed", one(func(*v1alpha1.ScopeGrantApproval) {}), pre, nil},
		{"nothing is known of who checks approvals", grantFacts(paying(), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"nobody is named who asked", checked(paying(func(g *v1alpha1.ScopeGrant) { remove(g, v1alpha1.AnnotationRequestedBy) }), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"the spec was changed since", checked(paying(func(g *v1alpha1.ScopeGrant) { g.Generation = 9 }), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"a void approval does not stand in the way", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Digest = "" }), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"an approval of which it is not known does not stand in the way", approvedFacts(func(f *GrantFacts) { f.AdmissionIs = Unknown }, preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"another namespace is listed", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.ClientRef.Namespace = "payments-2" }), open, []string{`"invoices:pay"`}},
		{"the server's own namespace is listed, the client is of another", checked(paying(func(g *v1alpha1.ScopeGrant) { g.Spec.ServerRef.Namespace = "billing" }), func(f *GrantFacts) {
			f.Server.Object = server(abroad(&v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}))
			e := ofClient("billing", "agent", "invoices:pay")
			e.Namespace = "billing"
			preApproving(e)(f)
		}), open, nil},
		{"another client is listed", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.ClientRef.Name = "agent-2" }), open, nil},
		{"the name of the grant is listed", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.ClientRef.Name = "reader" }), open, nil},
		{"another scope is listed", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.Scopes = []string{"invoices:void"} }), open, nil},
		{"a wildcard is listed", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.Scopes = []string{"*", "invoices:*", "invoices:"} }), open, nil},
		{"no end is listed", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.ExpirationTime = nil }), open, nil},
		{"only a scope of tier Read is asked for", checked(grant(), preApproving(entry(ok, "invoices:read"))), by(v1alpha1.BasisAutomatic), nil},
		{"a scope of tier Read beside it needs no entry", checked(asking("ticket 1", "invoices:read", "invoices:pay"), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"a scope of tier Read is listed where nothing is approved by itself", checked(grant(), approving(), func(f *GrantFacts) {
			preApproving(entry(ok, "invoices:read"))(f)
		}), pre, nil},
		{"two scopes in one entry", both(entry(ok, "invoices:pay", "invoices:void")), pre, nil},
		{"two scopes in two entries", both(entry(ok, "invoices:pay"), entry(ok, "invoices:void")), pre, nil},
		{"one scope of two is listed", both(entry(ok, "invoices:pay")), open, nil},
		{"two scopes in two entries, one has lapsed", both(entry(ok, "invoices:pay"), entry(late, "invoices:void")), open, nil},
		{"two scopes in two entries, one of another client", both(entry(ok, "invoices:pay"), ofClient("payments", "other", "invoices:void")), open, nil},
		{"an entry that has lapsed beside one that has not", one(func(*v1alpha1.ScopeGrantApproval) {}), pre, nil},
		{"an approval covers what is listed only in part", checked(asking("ticket 1", "invoices:pay", "invoices:void"), preApproving(entry(ok, "invoices:pay")),
			deciding(v1alpha1.DecisionApproved)), by(v1alpha1.BasisApproved), nil},
		{"a ServiceAccount applies what was reviewed, and asked too", one(func(e *v1alpha1.ScopeGrantApproval) { annotate(e, v1alpha1.AnnotationApprovedBy, requester) }), pre, nil},
		{"a person approves beforehand and asks", checked(paying(func(g *v1alpha1.ScopeGrant) {
			annotate(g, v1alpha1.AnnotationRequestedBy, approver)
		}), preApproving(entry(ok, "invoices:pay"))), open, []string{"given by the one who asked"}},
		{"a person approves beforehand and changes the grant", checked(paying(func(g *v1alpha1.ScopeGrant) {
			annotate(g, v1alpha1.AnnotationChangedBy, approver)
		}), preApproving(entry(ok, "invoices:pay"))), open, []string{"or changed it"}},
		{"it is for the server that is there", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.ServerRef.UID = "uid-of-invoices" }), pre, nil},
		{"it is for a server that was there before", one(func(e *v1alpha1.ScopeGrantApproval) { e.Spec.ServerRef.UID = "another" }), open, []string{"another UID"}},
		{"it is for the client's method", one(func(e *v1alpha1.ScopeGrantApproval) {
			e.Spec.AuthMethods = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodClientSecretBasic}
		}), pre, nil},
		{"it is for another method", one(func(e *v1alpha1.ScopeGrantApproval) {
			e.Spec.AuthMethods = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodPrivateKeyJWT}
		}), open, []string{"tokenEndpointAuthMethod ClientSecretBasic"}},
		{"it is for the host of the client", checked(paying(), redirecting, preApproving(entry(ok, "invoices:pay")), hosts("app.example.com", "com.example.app:")), pre, nil},
		{"it is for another host", checked(paying(), redirecting, preApproving(entry(ok, "invoices:pay")), hosts("app.example.com")), open, []string{`redirect URI at "com.example.app:"`}},
		{"it is for hosts, and the client has no redirect URI", checked(paying(), preApproving(entry(ok, "invoices:pay")), hosts("app.example.com")), open, []string{"this one has no redirect URI"}},
		{"another that is not for the client does not stand in the way", checked(paying(), redirecting, preApproving(entry(ok, "invoices:pay"), entry(ok, "invoices:pay")), hosts("other.example.com")), pre, nil},
		{"nothing is listed", checked(paying(), preApproving()), open, nil},
	})
}

// ofClient is what is approved beforehand for another client.
func ofClient(namespace, name, scope string) *v1alpha1.ScopeGrantApproval {
	e := entry(now.Add(day), scope)
	e.Spec.ClientRef = &v1alpha1.ApprovedClient{Namespace: namespace, Name: name}
	return e
}

// hosts bounds the first of what was approved beforehand.
func hosts(names ...string) func(*GrantFacts) {
	return approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.RedirectHosts = names })
}

// redirecting gives the client two redirect URIs.
func redirecting(f *GrantFacts) {
	f.Registration.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com:8443/callback", "com.example.app:/callback"}
}

// A grant that rests on what was approved beforehand ends when that does.
func TestPreApprovalEnds(t *testing.T) {
	early, later := now.Add(time.Hour), now.Add(2*time.Hour)
	grantEnd := now.Add(10 * day)
	cases := []struct {
		name   string
		scopes []v1alpha1.ScopeName
		listed []*v1alpha1.ScopeGrantApproval
		end    time.Time
	}{
		{"one entry", []v1alpha1.ScopeName{"invoices:pay"}, []*v1alpha1.ScopeGrantApproval{entry(early, "invoices:pay")}, early},
		{"the later of two entries of one scope", []v1alpha1.ScopeName{"invoices:pay"},
			[]*v1alpha1.ScopeGrantApproval{entry(later, "invoices:pay"), entry(early, "invoices:pay")}, later},
		{"the later of two entries of one scope, in another order", []v1alpha1.ScopeName{"invoices:pay"},
			[]*v1alpha1.ScopeGrantApproval{entry(early, "invoices:pay"), entry(later, "invoices:pay")}, later},
		{"the earlier of two scopes", []v1alpha1.ScopeName{"invoices:pay", "invoices:void"},
			[]*v1alpha1.ScopeGrantApproval{entry(later, "invoices:pay"), entry(early, "invoices:void")}, early},
		{"the earlier of two scopes, in another order", []v1alpha1.ScopeName{"invoices:void", "invoices:pay"},
			[]*v1alpha1.ScopeGrantApproval{entry(early, "invoices:pay"), entry(later, "invoices:void")}, early},
		{"two scopes, one listed twice", []v1alpha1.ScopeName{"invoices:pay", "invoices:void"},
			[]*v1alpha1.ScopeGrantApproval{entry(early, "invoices:pay", "invoices:void"), entry(now.Add(99*day), "invoices:pay"), entry(later, "invoices:void")}, later},
		{"an entry of a scope that is approved by itself", []v1alpha1.ScopeName{"invoices:pay", "invoices:read"},
			[]*v1alpha1.ScopeGrantApproval{entry(early, "invoices:read"), entry(later, "invoices:pay")}, later},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := checked(asking("ticket 1", c.scopes...), preApproving(c.listed...))
			for offset, in := range map[time.Duration]bool{-time.Second: true, -1: true, 0: false, 1: false, time.Second: false} {
				d := Grant(f, c.end.Add(offset))
				if in {
					equal(t, "standing "+offset.String(), by(v1alpha1.BasisPreApproved), standingOf(d))
					equal(t, "end "+offset.String(), c.end, d.ExpiresAt)
					equal(t, "ended "+offset.String(), time.Time{}, d.EndedAt)
					continue
				}
				equal(t, "standing "+offset.String(), without(awaitingApproval), standingOf(d))
				equal(t, "ended "+offset.String(), c.end, d.EndedAt)
			}
			f.Grant.Status.ObservedGeneration = 1
			deciding(v1alpha1.DecisionApproved)(&f)
			d := Grant(f, c.end)
			equal(t, "lapsed, but approved", by(v1alpha1.BasisApproved), standingOf(d))
			equal(t, "end when lapsed, but approved", grantEnd, d.ExpiresAt)
			equal(t, "ended when lapsed, but approved", time.Time{}, d.EndedAt)
		})
	}
}

// An end of its own that is earlier stays the end.
func TestPreApprovalDoesNotProlong(t *testing.T) {
	d := Grant(checked(paying(), preApproving(entry(now.Add(99*day), "invoices:pay"))), now)
	equal(t, "end", now.Add(10*day), d.ExpiresAt)
}

// A grant that never rested on the entry does not end when the entry does.
func TestLapsedPreApprovalOfAnAutomaticGrant(t *testing.T) {
	d := Grant(checked(grant(), preApproving(entry(now.Add(-day), "invoices:read"))), now)
	equal(t, "standing", by(v1alpha1.BasisAutomatic), standingOf(d))
	equal(t, "end", now.Add(10*day), d.ExpiresAt)
}

// A grant that rested on another word did not end when an entry lapsed.
func TestLapsedPreApprovalIsNotTheEndOfAnotherWord(t *testing.T) {
	lapsed := now.Add(-day)
	for basis, want := range map[v1alpha1.GrantBasis]time.Time{
		"": lapsed, v1alpha1.BasisPreApproved: lapsed, v1alpha1.BasisApproved: {}, v1alpha1.BasisAutomatic: {},
	} {
		f := checked(paying(func(g *v1alpha1.ScopeGrant) { g.Status.Basis = basis }), preApproving(entry(lapsed, "invoices:pay")))
		equal(t, "ended, resting on "+string(basis), want, Grant(f, now).EndedAt)
	}
}

// The client goes at the instant at which the last word that it rests on ends,
// and that instant is its deadline.
func TestRegistrationEndsWithAPreApproval(t *testing.T) {
	until := now.Add(time.Hour)
	f := facts(withGrants(paying()), func(f *RegistrationFacts) {
		preApproving(entry(until, "invoices:pay"))(&f.Grants[0])
	}, live, func(f *RegistrationFacts) {
		f.Registration.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "invoices:pay", Grants: []string{"reader"}}}
	})
	before := Registration(f, until.Add(-1))
	equal(t, "before", outcome{Action: Keep, Reason: v1alpha1.ReasonAccepted, Next: until}, outcomeOf(before))
	equal(t, "takes away", true, nextTakesAway(before))
	equal(t, "grants", []GrantInForce{{Grant: f.Grants[0].Grant, Basis: v1alpha1.BasisPreApproved, Approval: f.Grants[0].Approvals[0]}}, before.Grants)
	d := Registration(f, until)
	equal(t, "action", Revoke, d.Action)
	equal(t, "verdict", waitingFor(Refused, v1alpha1.ReasonNoGrantInForce, v1alpha1.CauseNoGrantInForce), brief(d.Verdict))
	equal(t, "due", until, d.Verdict.DueAt)
	f.Grants[0].Approvals = nil
	equal(t, "due when the entry was removed", now, Registration(f, now).Verdict.DueAt)
}

// Approval, change, denial, end and deletion act on the client at once.
func TestRegistrationFollowsTheApproval(t *testing.T) {
	f := facts(withGrants(grant(), paying(func(g *v1alpha1.ScopeGrant) { g.Name = "payer" })), func(f *RegistrationFacts) {
		f.Grants[1].AdmissionIs, f.Grants[1].Registration = Present, f.Registration
		deciding(v1alpha1.DecisionApproved)(&f.Grants[1])
	})
	fresh := Registration(f, now)
	equal(t, "asked for", []string{"invoices:pay", "invoices:read"}, fresh.Wish.Scopes)
	live(&f)
	for name, change := range map[string]func(*RegistrationFacts, *GrantFacts){
		"the reason was changed": func(_ *RegistrationFacts, g *GrantFacts) { g.Grant.Spec.Reason = "ticket 2" },
		"the client's owner was changed": func(f *RegistrationFacts, _ *GrantFacts) {
			annotate(f.Registration, v1alpha1.AnnotationOwner, "team-b@example.com")
		},
		"a tool was added to the scope":    func(_ *RegistrationFacts, g *GrantFacts) { g.Server.Object.Spec.Scopes[2].Tier = v1alpha1.TierElevated },
		"its approval was deleted":         func(_ *RegistrationFacts, g *GrantFacts) { g.Approvals = nil },
		"its approval ended":               func(_ *RegistrationFacts, g *GrantFacts) { g.Approvals[0].Spec.ExpirationTime = timePtr(now) },
		"it was denied":                    func(_ *RegistrationFacts, g *GrantFacts) { deciding(v1alpha1.DecisionDenied)(g) },
		"its end was moved":                func(_ *RegistrationFacts, g *GrantFacts) { setEnd(g.Grant, now.Add(11*day)) },
		"it was changed by who approved":   func(_ *RegistrationFacts, g *GrantFacts) { annotate(g.Grant, v1alpha1.AnnotationChangedBy, approver) },
		"the requester was taken off":      func(_ *RegistrationFacts, g *GrantFacts) { remove(g.Grant, v1alpha1.AnnotationRequestedBy) },
		"its reason was taken out of spec": func(_ *RegistrationFacts, g *GrantFacts) { g.Grant.Spec.Reason = "" },
		"nobody checked who approved":      func(_ *RegistrationFacts, g *GrantFacts) { g.AdmissionIs = Absent },
	} {
		for what, hold := range map[string]func(*RegistrationFacts){"": allow, ", frozen": freeze} {
			changed, second := f, f.Grants[1]
			changed.Registration = f.Registration.DeepCopy()
			second.Grant, second.Server.Object = second.Grant.DeepCopy(), second.Server.Object.DeepCopy()
			second.Approvals = []*v1alpha1.ScopeGrantApproval{second.Approvals[0].DeepCopy()}
			changed.Grants = []GrantFacts{f.Grants[0], second}
			changed.use(found(authorizationServer()))
			change(&changed, &changed.Grants[1])
			hold(&changed)
			d := Registration(changed, now)
			equal(t, name+what, Replace, d.Action)
			equal(t, name+what+": scopes", []string{"invoices:read"}, d.Wish.Scopes)
		}
	}
	f.Grants[1].AdmissionIs = Unknown
	equal(t, "of which it is not known", Keep, Registration(f, now).Action)
}

// The grants that a client rests on are told by name, in whatever order they
// were found.
func TestGrantsInForceAreByName(t *testing.T) {
	f := facts(withGrants(grant(giving("b", "invoices:read")), grant(giving("c", "invoices:void")), grant(giving("a", "invoices:export"))))
	automatic := v1alpha1.BasisAutomatic
	want := []GrantInForce{{Grant: f.Grants[2].Grant, Basis: automatic}, {Grant: f.Grants[0].Grant, Basis: automatic}}
	equal(t, "grants", want, Registration(f, now).Grants)
}
