// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const seconds = int32(24 * 60 * 60) // of a day

// lifetimes bounds the tiers of a server.
func lifetimes(bounds map[v1alpha1.Tier]int32) func(*GrantFacts) {
	return func(f *GrantFacts) {
		if f.Server.Object == nil {
			return
		}
		var policy v1alpha1.GrantPolicy
		if f.Server.Object.Spec.Grants != nil {
			policy = *f.Server.Object.Spec.Grants
		}
		policy.MaxLifetimes = nil
		for _, tier := range []v1alpha1.Tier{v1alpha1.TierElevated, v1alpha1.TierRead, v1alpha1.TierWrite} {
			if bound, listed := bounds[tier]; listed {
				policy.MaxLifetimes = append(policy.MaxLifetimes, v1alpha1.TierLifetime{Tier: tier, Seconds: bound})
			}
		}
		f.Server.Object.Spec.Grants = &policy
	}
}

// seen makes a grant one that was seen before, with a term that was accepted.
func seen(term *v1alpha1.Term) func(*v1alpha1.ScopeGrant) {
	return func(g *v1alpha1.ScopeGrant) { g.Status.Term, g.Status.ObservedGeneration = term, g.Generation }
}

// tooLong is the verdict on an end date that is not accepted.
func tooLong(standing Standing, cause v1alpha1.RevocationCause) verdict {
	return verdict{Standing: standing, Reason: v1alpha1.ReasonLifetimeTooLong, Cause: cause}
}

// The grants end in 10 days and were created a day ago.
func TestGrantLifetime(t *testing.T) {
	every := approving(v1alpha1.TierRead, v1alpha1.TierWrite, v1alpha1.TierElevated)
	automatic, refused := by(v1alpha1.BasisAutomatic), without(tooLong(Refused, v1alpha1.CauseNotAllowed))
	bounds := func(read, write int32) map[v1alpha1.Tier]int32 {
		return map[v1alpha1.Tier]int32{v1alpha1.TierRead: read, v1alpha1.TierWrite: write}
	}
	mixed := asking("ticket 1", "invoices:read", "invoices:pay")
	runConsents(t, []consentCase{
		{"no bound", checked(grant(), lifetimes(nil)), automatic, nil},
		{"a bound of another tier", checked(grant(), lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierElevated: 60, v1alpha1.TierWrite: 60})), automatic, nil},
		{"a first term counts from the creation", checked(grant(), lifetimes(bounds(11*seconds, 60))), automatic, nil},
		{"a first term one second beyond the bound", checked(grant(), lifetimes(bounds(11*seconds-1, 60))), refused,
			[]string{"mcp-registrar.dev/expires-at", "950399 seconds", "for example"}},
		{"a grant that was seen before counts from now", checked(grant(seen(nil)), lifetimes(bounds(10*seconds, 60))), automatic, nil},
		{"a grant that was seen before, one second beyond the bound", checked(grant(seen(nil)), lifetimes(bounds(10*seconds-1, 60))), refused, nil},
		{"two tiers, both bounds are kept", checked(mixed, every, lifetimes(bounds(11*seconds, 11*seconds))), automatic, nil},
		{"two tiers, the first bound is the shorter", checked(mixed, every, lifetimes(bounds(11*seconds-1, 99*seconds))), refused, []string{"950399 seconds"}},
		{"two tiers, the second bound is the shorter", checked(mixed, every, lifetimes(bounds(99*seconds, 11*seconds-1))), refused, []string{"950399 seconds"}},
		{"two tiers, one has no bound", checked(mixed, every, lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierWrite: 11*seconds - 1})), refused, nil},
		{"approved beyond the bound", approvedFacts(lifetimes(bounds(99*seconds, 60))), refused, nil},
		{"approved beforehand beyond the bound", checked(paying(), preApproving(entry(now.Add(time.Hour), "invoices:pay")), lifetimes(bounds(99*seconds, 60))), refused, nil},
		{"not approved and beyond the bound", checked(paying(), lifetimes(bounds(99*seconds, 60))), without(awaitingApproval), nil},
	})
}

// A first term that is too long comes within the bound as time goes by, if it
// counts from now.
func TestFirstTermBecomesAcceptable(t *testing.T) {
	bound := map[v1alpha1.Tier]int32{v1alpha1.TierRead: 5 * seconds}
	at := now.Add(5 * day)
	f := checked(grant(seen(nil)), lifetimes(bound))
	for offset, want := range map[time.Duration]bool{-time.Second: false, -1: false, 0: true, time.Second: true} {
		d := Grant(f, at.Add(offset))
		equal(t, "in force "+offset.String(), want, d.InForce)
		if want {
			equal(t, "acceptable "+offset.String(), time.Time{}, d.AcceptableAt)
			equal(t, "term "+offset.String(), termOf(ceil(at.Add(offset)), now.Add(10*day)), d.Term)
			continue
		}
		equal(t, "acceptable "+offset.String(), at, d.AcceptableAt)
		equal(t, "term "+offset.String(), (*v1alpha1.Term)(nil), d.Term)
		equal(t, "ended "+offset.String(), time.Time{}, d.EndedAt)
	}
}

// A renewal beyond the bound: the old term stands to its end, with the refusal
// as the verdict, and then runs out.
func TestRenewalBeyondTheLifetime(t *testing.T) {
	old := now.Add(time.Hour)
	f := checked(grant(seen(termOf(now.Add(-day), old))), lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierRead: 5 * seconds}))
	for _, offset := range []time.Duration{-time.Hour, -time.Second, -1} {
		d := Grant(f, old.Add(offset))
		want := by(v1alpha1.BasisAutomatic)
		want.Verdict = tooLong(Frozen, v1alpha1.CauseNotAllowed)
		equal(t, "standing "+offset.String(), want, standingOf(d))
		equal(t, "end "+offset.String(), old, d.ExpiresAt)
		equal(t, "term "+offset.String(), f.Grant.Status.Term, d.Term)
		equal(t, "acceptable "+offset.String(), now.Add(5*day), d.AcceptableAt)
		equal(t, "resource "+offset.String(), "https://mcp.example.com/invoices", d.Resource)
	}
	for _, offset := range []time.Duration{0, 1, time.Second} {
		d := Grant(f, old.Add(offset))
		equal(t, "standing "+offset.String(), without(tooLong(Refused, v1alpha1.CauseExpired)), standingOf(d))
		equal(t, "ended "+offset.String(), old, d.EndedAt)
		equal(t, "due "+offset.String(), old, d.Verdict.DueAt)
		equal(t, "acceptable "+offset.String(), now.Add(5*day), d.AcceptableAt)
	}
	d := Grant(f, now.Add(5*day))
	equal(t, "when the end has come within the bound", by(v1alpha1.BasisAutomatic), standingOf(d))
	equal(t, "term", termOf(now.Add(5*day), now.Add(10*day)), d.Term)
}

// A renewal within the bound starts a new term, and one term is not renewed by
// being looked at.
func TestRenewalWithinTheLifetime(t *testing.T) {
	f := checked(grant(seen(termOf(now.Add(-day), now.Add(time.Hour)))), lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierRead: 10 * seconds}))
	d := Grant(f, now)
	equal(t, "standing", by(v1alpha1.BasisAutomatic), standingOf(d))
	equal(t, "term", termOf(now, now.Add(10*day)), d.Term)
	f.Grant.Status.Term = d.Term
	equal(t, "term a day later", d.Term, Grant(f, now.Add(day)).Term)
}

// A bound that was tightened ends a term early, at its start plus the bound.
func TestTightenedLifetime(t *testing.T) {
	f := checked(grant(seen(termOf(now.Add(-day), now.Add(10*day)))), lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierRead: seconds + 60}))
	at := now.Add(time.Minute)
	for offset, want := range map[time.Duration]bool{-time.Second: true, -1: true, 0: false, time.Second: false} {
		d := Grant(f, at.Add(offset))
		equal(t, "in force "+offset.String(), want, d.InForce)
		equal(t, "end "+offset.String(), at, d.ExpiresAt)
		if !want {
			equal(t, "verdict "+offset.String(), verdict{Reason: v1alpha1.ReasonExpired, Cause: v1alpha1.CauseExpired}, brief(d.Verdict))
			equal(t, "ended "+offset.String(), at, d.EndedAt)
			equal(t, "due "+offset.String(), at, d.Verdict.DueAt)
		}
	}
}

// The end is the earliest of the term and of what was approved beforehand.
func TestEndOfAPreApprovedTerm(t *testing.T) {
	for name, c := range map[string]struct {
		until, want time.Time
	}{
		"the entry ends first": {now.Add(time.Hour), now.Add(time.Hour)},
		"the term ends first":  {now.Add(99 * day), now.Add(day)},
	} {
		f := checked(paying(seen(termOf(now.Add(-day), now.Add(10*day)))), preApproving(entry(c.until, "invoices:pay")),
			lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierWrite: 2 * seconds}))
		equal(t, name, c.want, Grant(f, now).ExpiresAt)
	}
}

// What a grant rested on may end while its end date is refused: the verdict
// changes then, and the registration must look again.
func TestPreApprovalEndsUnderARefusedEnd(t *testing.T) {
	until := now.Add(time.Hour)
	f := facts(withGrants(paying(seen(nil))), func(f *RegistrationFacts) {
		preApproving(entry(until, "invoices:pay"))(&f.Grants[0])
		lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierWrite: 60})(&f.Grants[0])
	})
	equal(t, "reason before", v1alpha1.ReasonLifetimeTooLong, Grant(f.Grants[0], until.Add(-1)).Verdict.Reason)
	equal(t, "end before", until, Grant(f.Grants[0], until.Add(-1)).ExpiresAt)
	equal(t, "reason then", v1alpha1.ReasonApprovalRequired, Grant(f.Grants[0], until).Verdict.Reason)
	equal(t, "next", until, Registration(f, now).Next)
}

// An end that has come is told before what else is the matter: it stays the
// end when the word that the grant rested on ends later.
func TestTermIsOverBeforeItsConsent(t *testing.T) {
	over, until := now.Add(-day+time.Minute), now.Add(time.Hour)
	f := approvedFacts(preApproving(entry(until, "invoices:pay")), lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierWrite: 60}), func(f *GrantFacts) {
		seen(termOf(now.Add(-day), now.Add(10*day)))(f.Grant)
	})
	for name, change := range map[string]func(*GrantFacts){
		"approved beforehand":                  func(*GrantFacts) {},
		"denied":                               approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Decision = v1alpha1.DecisionDenied }),
		"an approval of which it is not known": func(f *GrantFacts) { f.AdmissionIs = Unknown },
		"not approved":                         func(f *GrantFacts) { f.Approvals = nil },
	} {
		change(&f)
		for _, at := range []time.Time{now, until, until.Add(time.Second)} {
			d := Grant(f, at)
			equal(t, name+": standing", without(verdict{Reason: v1alpha1.ReasonExpired, Cause: v1alpha1.CauseExpired}), standingOf(d))
			equal(t, name+": ended", over, d.EndedAt)
		}
		f.Approvals, f.AdmissionIs = approvedFacts(preApproving(entry(until, "invoices:pay"))).Approvals, Present
	}
}

// A term that was accepted is not forgotten while the grant is refused for
// another reason: or looking away would renew it.
func TestRefusedGrantKeepsItsTerm(t *testing.T) {
	term := termOf(now.Add(-day), now.Add(10*day))
	for name, change := range map[string]func(*GrantFacts){
		"no owner":       func(f *GrantFacts) { remove(f.Grant, v1alpha1.AnnotationOwner) },
		"server unknown": func(f *GrantFacts) { f.Server = ServerFact{} },
		"not approved":   func(*GrantFacts) {},
	} {
		d := Grant(checked(paying(seen(term)), change), now)
		equal(t, name+", in force", false, d.InForce)
		equal(t, name, term, d.Term)
	}
}

// A registration waits for the instant at which a grant becomes acceptable.
func TestRegistrationWaitsForAnAcceptableGrant(t *testing.T) {
	at := now.Add(5 * day)
	f := facts(withGrants(grant(seen(nil))), func(f *RegistrationFacts) {
		lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierRead: 5 * seconds})(&f.Grants[0])
	})
	equal(t, "before", outcome{Action: Nothing, Reason: v1alpha1.ReasonNoGrantInForce, DueAt: now, Next: at}, outcomeOf(Registration(f, now)))
	equal(t, "takes away", false, nextTakesAway(Registration(f, now)))
	equal(t, "then", Register, Registration(f, at).Action)
}

// A client rests on the old term of a grant while its renewal is refused, and
// goes with it.
func TestRegistrationEndsWithTheOldTermOfAGrant(t *testing.T) {
	old := now.Add(time.Hour)
	f := facts(withGrants(grant(seen(termOf(now.Add(-day), old)))), func(f *RegistrationFacts) {
		lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierRead: 5 * seconds})(&f.Grants[0])
	}, live, func(f *RegistrationFacts) {
		f.Registration.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "invoices:read", Grants: []string{"reader"}}}
	})
	equal(t, "before", outcome{Action: Keep, Reason: v1alpha1.ReasonAccepted, Next: old}, outcomeOf(Registration(f, old.Add(-1))))
	equal(t, "then", outcome{Action: Revoke, Reason: v1alpha1.ReasonNoGrantInForce, DueAt: old, Next: now.Add(5 * day)}, outcomeOf(Registration(f, old)))
}
