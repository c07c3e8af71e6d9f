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
	both := func(entries ...v1alpha1.PreApproval) GrantFacts {
		return sealed(asking("ticket 1", "invoices:pay", "invoices:void"), preApproving(entries...))
	}
	one := func(change func(*v1alpha1.PreApproval)) GrantFacts {
		e := entry(ok, "invoices:pay")
		change(&e)
		return sealed(paying(), preApproving(e))
	}
	pre, open := by(v1alpha1.BasisPreApproved), without(awaitingApproval)
	runConsents(t, []consentCase{
		{"the client and the scope are listed", one(func(*v1alpha1.PreApproval) {}), pre, nil},
		{"nothing is known of who checks approvals", grantFacts(paying(), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"nobody is named who asked", sealed(paying(func(g *v1alpha1.ScopeGrant) { remove(g, v1alpha1.AnnotationRequestedBy) }), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"the spec was changed since", sealed(paying(func(g *v1alpha1.ScopeGrant) { g.Generation = 9 }), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"a void approval does not stand in the way", approvedFacts(approval(func(a *v1alpha1.Approval) { a.Generation = 9 }), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"an approval of which it is not known does not stand in the way", approvedFacts(func(f *GrantFacts) { f.SealIs = Unknown }, preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"another namespace is listed", one(func(e *v1alpha1.PreApproval) { e.Namespace = "payments-2" }), open, []string{`"invoices:pay"`}},
		{"the server's own namespace is listed, the client is of another", sealed(paying(func(g *v1alpha1.ScopeGrant) { g.Spec.ServerRef.Namespace = "billing" }), func(f *GrantFacts) {
			f.Server.Object = server(abroad(&v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}))
		}, preApproving(v1alpha1.PreApproval{Namespace: "billing", Client: "agent", Scopes: []v1alpha1.PreApprovedScope{"invoices:pay"}, Until: *timePtr(ok)})), open, nil},
		{"another client is listed", one(func(e *v1alpha1.PreApproval) { e.Client = "agent-2" }), open, nil},
		{"the name of the grant is listed", one(func(e *v1alpha1.PreApproval) { e.Client = "reader" }), open, nil},
		{"another scope is listed", one(func(e *v1alpha1.PreApproval) { e.Scopes = []v1alpha1.PreApprovedScope{"invoices:void"} }), open, nil},
		{"a wildcard is listed", one(func(e *v1alpha1.PreApproval) { e.Scopes = []v1alpha1.PreApprovedScope{"*", "invoices:*", "invoices:"} }), open, nil},
		{"no end is listed", one(func(e *v1alpha1.PreApproval) { e.Until.Time = time.Time{} }), open, nil},
		{"only a scope of tier Read is asked for", sealed(grant(), preApproving(entry(ok, "invoices:read"))), by(v1alpha1.BasisAutomatic), nil},
		{"a scope of tier Read beside it needs no entry", sealed(asking("ticket 1", "invoices:read", "invoices:pay"), preApproving(entry(ok, "invoices:pay"))), pre, nil},
		{"a scope of tier Read is listed where nothing is approved by itself", sealed(grant(), approving(), func(f *GrantFacts) {
			f.Server.Object.Spec.Grants.PreApproved = []v1alpha1.PreApproval{entry(ok, "invoices:read")}
		}), pre, nil},
		{"two scopes in one entry", both(entry(ok, "invoices:pay", "invoices:void")), pre, nil},
		{"two scopes in two entries", both(entry(ok, "invoices:pay"), entry(ok, "invoices:void")), pre, nil},
		{"one scope of two is listed", both(entry(ok, "invoices:pay")), open, nil},
		{"two scopes in two entries, one has lapsed", both(entry(ok, "invoices:pay"), entry(late, "invoices:void")), open, nil},
		{"two scopes in two entries, one of another client", both(entry(ok, "invoices:pay"), v1alpha1.PreApproval{
			Namespace: "payments", Client: "other", Scopes: []v1alpha1.PreApprovedScope{"invoices:void"}, Until: *timePtr(ok),
		}), open, nil},
		{"an entry that has lapsed beside one that has not", one(func(*v1alpha1.PreApproval) {}), pre, nil},
		{"an approval covers what is listed only in part", sealed(asking("ticket 1", "invoices:pay", "invoices:void"), preApproving(entry(ok, "invoices:pay")), func(f *GrantFacts) {
			decided(v1alpha1.DecisionApproved)(f.Grant)
		}), by(v1alpha1.BasisApproved), nil},
		{"nothing is listed", sealed(paying(), preApproving()), open, nil},
	})
}

// A grant that rests on what was approved beforehand ends when that does.
func TestPreApprovalEnds(t *testing.T) {
	early, later := now.Add(time.Hour), now.Add(2*time.Hour)
	grantEnd := now.Add(10 * day)
	cases := []struct {
		name   string
		scopes []v1alpha1.ScopeName
		listed []v1alpha1.PreApproval
		end    time.Time
	}{
		{"one entry", []v1alpha1.ScopeName{"invoices:pay"}, []v1alpha1.PreApproval{entry(early, "invoices:pay")}, early},
		{"the later of two entries of one scope", []v1alpha1.ScopeName{"invoices:pay"},
			[]v1alpha1.PreApproval{entry(later, "invoices:pay"), entry(early, "invoices:pay")}, later},
		{"the later of two entries of one scope, in another order", []v1alpha1.ScopeName{"invoices:pay"},
			[]v1alpha1.PreApproval{entry(early, "invoices:pay"), entry(later, "invoices:pay")}, later},
		{"the earlier of two scopes", []v1alpha1.ScopeName{"invoices:pay", "invoices:void"},
			[]v1alpha1.PreApproval{entry(later, "invoices:pay"), entry(early, "invoices:void")}, early},
		{"the earlier of two scopes, in another order", []v1alpha1.ScopeName{"invoices:void", "invoices:pay"},
			[]v1alpha1.PreApproval{entry(early, "invoices:pay"), entry(later, "invoices:void")}, early},
		{"two scopes, one listed twice", []v1alpha1.ScopeName{"invoices:pay", "invoices:void"},
			[]v1alpha1.PreApproval{entry(early, "invoices:pay", "invoices:void"), entry(now.Add(99*day), "invoices:pay"), entry(later, "invoices:void")}, later},
		{"an entry of a scope that is approved by itself", []v1alpha1.ScopeName{"invoices:pay", "invoices:read"},
			[]v1alpha1.PreApproval{entry(early, "invoices:read"), entry(later, "invoices:pay")}, later},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := sealed(asking("ticket 1", c.scopes...), preApproving(c.listed...))
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
			decided(v1alpha1.DecisionApproved)(f.Grant)
			d := Grant(f, c.end)
			equal(t, "lapsed, but approved", by(v1alpha1.BasisApproved), standingOf(d))
			equal(t, "end when lapsed, but approved", grantEnd, d.ExpiresAt)
			equal(t, "ended when lapsed, but approved", time.Time{}, d.EndedAt)
		})
	}
}

// An end of its own that is earlier stays the end.
func TestPreApprovalDoesNotProlong(t *testing.T) {
	d := Grant(sealed(paying(), preApproving(entry(now.Add(99*day), "invoices:pay"))), now)
	equal(t, "end", now.Add(10*day), d.ExpiresAt)
}

// A grant that never rested on the entry does not end when the entry does.
func TestLapsedPreApprovalOfAnAutomaticGrant(t *testing.T) {
	d := Grant(sealed(grant(), preApproving(entry(now.Add(-day), "invoices:read"))), now)
	equal(t, "standing", by(v1alpha1.BasisAutomatic), standingOf(d))
	equal(t, "end", now.Add(10*day), d.ExpiresAt)
}

// A grant that rested on another word did not end when an entry lapsed.
func TestLapsedPreApprovalIsNotTheEndOfAnotherWord(t *testing.T) {
	lapsed := now.Add(-day)
	for basis, want := range map[v1alpha1.GrantBasis]time.Time{
		"": lapsed, v1alpha1.BasisPreApproved: lapsed, v1alpha1.BasisApproved: {}, v1alpha1.BasisAutomatic: {},
	} {
		f := sealed(paying(func(g *v1alpha1.ScopeGrant) { g.Status.Basis = basis }), preApproving(entry(lapsed, "invoices:pay")))
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
	equal(t, "grants", []GrantInForce{{Grant: f.Grants[0].Grant, Basis: v1alpha1.BasisPreApproved}}, before.Grants)
	d := Registration(f, until)
	equal(t, "action", Revoke, d.Action)
	equal(t, "verdict", waitingFor(Refused, v1alpha1.ReasonNoGrantInForce, v1alpha1.CauseNoGrantInForce), brief(d.Verdict))
	equal(t, "due", until, d.Verdict.DueAt)
	f.Grants[0].Server.Object.Spec.Grants = nil
	equal(t, "due when the entry was removed", now, Registration(f, now).Verdict.DueAt)
}

// Approval, spec change, denial and withdrawal act on the client at once.
func TestRegistrationFollowsTheApproval(t *testing.T) {
	f := facts(withGrants(grant(), paying(decided(v1alpha1.DecisionApproved), func(g *v1alpha1.ScopeGrant) { g.Name = "payer" })), func(f *RegistrationFacts) {
		f.Grants[1].AdmissionIs, f.Grants[1].SealIs = Present, Present
	})
	fresh := Registration(f, now)
	equal(t, "asked for", []string{"invoices:pay", "invoices:read"}, fresh.Wish.Scopes)
	live(&f)
	for name, change := range map[string]func(*v1alpha1.ScopeGrant){
		"its spec was changed":             func(g *v1alpha1.ScopeGrant) { g.Generation++ },
		"its approval was withdrawn":       func(g *v1alpha1.ScopeGrant) { g.Status.Approval = nil },
		"it was denied":                    func(g *v1alpha1.ScopeGrant) { g.Status.Approval.Decision = v1alpha1.DecisionDenied },
		"its end was moved":                func(g *v1alpha1.ScopeGrant) { setEnd(g, now.Add(11*day)) },
		"it was changed by who approved":   func(g *v1alpha1.ScopeGrant) { annotate(g, v1alpha1.AnnotationChangedBy, approver) },
		"the requester was taken off":      func(g *v1alpha1.ScopeGrant) { remove(g, v1alpha1.AnnotationRequestedBy) },
		"its reason was taken out of spec": func(g *v1alpha1.ScopeGrant) { g.Spec.Reason = "" },
	} {
		for what, hold := range map[string]func(*RegistrationFacts){"": allow, ", frozen": freeze} {
			changed := f
			changed.Grants = []GrantFacts{f.Grants[0], f.Grants[1]}
			changed.Grants[1].Grant = f.Grants[1].Grant.DeepCopy()
			changed.use(found(authorizationServer()))
			change(changed.Grants[1].Grant)
			hold(&changed)
			d := Registration(changed, now)
			equal(t, name+what, Replace, d.Action)
			equal(t, name+what+": scopes", []string{"invoices:read"}, d.Wish.Scopes)
		}
	}
	f.Grants[1].SealIs = Unknown
	equal(t, "of which it is not known", Keep, Registration(f, now).Action)
	f.Grants[1].SealIs = Absent
	equal(t, "that nobody checked", []string{"invoices:read"}, Registration(f, now).Wish.Scopes)
}

// The grants that a client rests on are told by name, in whatever order they
// were found.
func TestGrantsInForceAreByName(t *testing.T) {
	f := facts(withGrants(grant(giving("b", "invoices:read")), grant(giving("c", "invoices:void")), grant(giving("a", "invoices:export"))))
	automatic := v1alpha1.BasisAutomatic
	want := []GrantInForce{{Grant: f.Grants[2].Grant, Basis: automatic}, {Grant: f.Grants[0].Grant, Basis: automatic}}
	equal(t, "grants", want, Registration(f, now).Grants)
}
