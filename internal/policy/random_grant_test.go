// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// randomApproval decides about a grant, soundly more often than not.
func randomApproval(r *rand.Rand, f *GrantFacts) {
	people := []string{requester, approver, "third@example.com", ""}
	annotate(f.Grant, v1alpha1.AnnotationRequestedBy, requester)
	for range r.IntN(3) {
		deciding(pick(r, v1alpha1.DecisionApproved, v1alpha1.DecisionApproved, v1alpha1.DecisionApproved, pick(r, v1alpha1.DecisionDenied, "Maybe")))(f)
		a := f.Approvals[len(f.Approvals)-1]
		annotate(a, v1alpha1.AnnotationApprovedBy, pick(r, approver, approver, approver, pick(r, people...)))
		a.Spec.ExpirationTime = pick(r, nil, nil, timePtr(instant(r).Truncate(time.Second)))
		a.CreationTimestamp.Time = now.Add(pick(r, -day, -day, -3*day))
		if r.IntN(4) == 0 {
			a.Status.LookedAt = nil
		}
	}
	annotate(f.Grant, v1alpha1.AnnotationRequestedBy, pick(r, requester, requester, requester, pick(r, people...)))
	annotate(f.Grant, v1alpha1.AnnotationChangedBy, pick(r, "", "", pick(r, people...)))
	if r.IntN(4) == 0 {
		setEnd(f.Grant, readEnd(f.Grant).at.Add(pick(r, time.Second, -time.Second, day, -day)))
	}
}

// randomGrantPolicy is what the owners of a server say beforehand.
func randomGrantPolicy(r *rand.Rand) *v1alpha1.GrantPolicy {
	if r.IntN(2) == 0 {
		return nil
	}
	read, write := v1alpha1.TierRead, v1alpha1.TierWrite
	policy := &v1alpha1.GrantPolicy{
		AutoApprovedTiers: pick(r, nil, nil, &[]v1alpha1.Tier{}, &[]v1alpha1.Tier{read}, &[]v1alpha1.Tier{read, write}, &[]v1alpha1.Tier{write}),
	}
	for _, tier := range []v1alpha1.Tier{read, write, v1alpha1.TierElevated} {
		if r.IntN(3) == 0 {
			policy.MaxLifetimes = append(policy.MaxLifetimes, v1alpha1.TierLifetime{Tier: tier, Seconds: pick(r, 60, seconds, 40*seconds, 400*seconds)})
		}
	}
	return policy
}

// randomBeforehand is what owners of the server approved before it was asked for.
func randomBeforehand(r *rand.Rand) []*v1alpha1.ScopeGrantApproval {
	var made []*v1alpha1.ScopeGrantApproval
	for range r.IntN(4) {
		e := entry(instant(r).Truncate(time.Second), pick(r, "invoices:pay", "invoices:void", "invoices:read", "*"))
		if r.IntN(2) == 0 {
			e.Spec.Scopes = append(e.Spec.Scopes, "invoices:pay", "invoices:void")
		}
		e.Spec.ClientRef.Namespace, e.Spec.ClientRef.Name = pick(r, "payments", "payments", "payments", "billing"), pick(r, "agent", "agent", "agent", "reader")
		annotate(e, v1alpha1.AnnotationApprovedBy, pick(r, approver, requester, "third@example.com", ""))
		made = append(made, e)
	}
	return made
}

// randomAsk adds scopes above tier Read, and what goes with them.
func randomAsk(r *rand.Rand, f *GrantFacts) {
	if r.IntN(2) == 0 {
		f.Grant.Spec.Scopes = append(f.Grant.Spec.Scopes, pick[v1alpha1.ScopeName](r, "invoices:pay", "invoices:void"))
		f.Grant.Spec.Reason = pick(r, "ticket 1", "ticket 1", "ticket 1", " ")
	}
	if r.IntN(2) == 0 {
		start := ceil(begun(r))
		seen(pick(r, nil, termOf(start, ceil(readEnd(f.Grant).at)), termOf(start, ceil(instant(r).Add(day)))))(f.Grant)
	}
	if f.Server.Object != nil {
		randomApproval(r, f)
		f.Approvals = append(f.Approvals, randomBeforehand(r)...)
	}
	f.AdmissionIs, f.AdmissionSince = pick(r, Unknown, Absent, Present, Present, Present, Present), now.Add(-2*day)
}

// tierOf is the tier of a scope; empty when the catalogue has none.
func tierOf(f GrantFacts, name v1alpha1.ScopeName) v1alpha1.Tier {
	tier := v1alpha1.Tier("")
	for _, scope := range f.Server.Object.Spec.Scopes {
		if scope.Name == name {
			tier = scope.Tier
		}
	}
	return tier
}

// soundly says in other words than the rules whether an approval of the grant holds.
func soundly(f GrantFacts, a *v1alpha1.ScopeGrantApproval, at time.Time) bool {
	g, by := f.Grant, a.Annotations[v1alpha1.AnnotationApprovedBy]
	asked, changed := g.Annotations[v1alpha1.AnnotationRequestedBy], g.Annotations[v1alpha1.AnnotationChangedBy]
	if asked != requester || slices.Contains([]string{"", asked, changed}, by) || a.CreationTimestamp.Time.Before(f.AdmissionSince) || !runs(a, at) {
		return false
	}
	looked := Look(g, f.Registration, f.Server.Object)
	if looked.Digest() == a.Spec.Digest {
		return true
	}
	then := Looked(a.Status.LookedAt)
	return then != nil && f.Registration.Spec.ClientName != "Bank" && looked.member(lookedEnd)[0] < then.member(lookedEnd)[0]
}

func runs(a *v1alpha1.ScopeGrantApproval, at time.Time) bool {
	return a.Spec.ExpirationTime == nil || at.Before(a.Spec.ExpirationTime.Time)
}

// consented says in other words than the rules whether the owners of a server
// consent to all that a grant asks for.
func consented(f GrantFacts, at time.Time) bool {
	approved := false
	for _, a := range f.Approvals {
		if a.Spec.GrantRef == nil {
			continue
		}
		if a.Spec.Decision == v1alpha1.DecisionDenied && runs(a, at) {
			return false
		}
		approved = approved || a.Spec.Decision == v1alpha1.DecisionApproved && f.AdmissionIs == Present && soundly(f, a, at)
	}
	if approved {
		return true
	}
	for _, name := range f.Grant.Spec.Scopes {
		if !approvedByItself(f, name) && !approvedBeforehand(f, name, at) {
			return false
		}
	}
	return true
}

func approvedByItself(f GrantFacts, name v1alpha1.ScopeName) bool {
	if policy := f.Server.Object.Spec.Grants; policy != nil && policy.AutoApprovedTiers != nil {
		return slices.Contains(*policy.AutoApprovedTiers, tierOf(f, name))
	}
	return tierOf(f, name) == v1alpha1.TierRead
}

func approvedBeforehand(f GrantFacts, name v1alpha1.ScopeName, at time.Time) bool {
	asked, changed := f.Grant.Annotations[v1alpha1.AnnotationRequestedBy], f.Grant.Annotations[v1alpha1.AnnotationChangedBy]
	return slices.ContainsFunc(f.Approvals, func(a *v1alpha1.ScopeGrantApproval) bool {
		ref, by := a.Spec.ClientRef, a.Annotations[v1alpha1.AnnotationApprovedBy]
		himself := strings.Contains(by, "@") && (by == asked || by == changed)
		return ref != nil && ref.Namespace+"/"+ref.Name == f.Grant.Namespace+"/"+f.Grant.Spec.ClientRef.Name && !himself &&
			slices.Contains(a.Spec.Scopes, string(name)) && runs(a, at)
	})
}

// reasoned says that a grant states a reason where it must.
func reasoned(f GrantFacts) bool {
	above := func(name v1alpha1.ScopeName) bool { return tierOf(f, name) != v1alpha1.TierRead }
	return strings.TrimSpace(f.Grant.Spec.Reason) != "" || !slices.ContainsFunc(f.Grant.Spec.Scopes, above)
}

// withinBounds says that a grant is within each bound that the server sets for
// a tier of it, by the term that was accepted before or by a new one.
func withinBounds(f GrantFacts, at time.Time) bool {
	end, old := readEnd(f.Grant).at, f.Grant.Status.Term
	if f.Server.Object.Spec.Grants == nil {
		return true
	}
	start := at
	if old == nil && f.Grant.Status.ObservedGeneration < 0 {
		start = f.Grant.CreationTimestamp.Time
	}
	renewed, stands, bounded := true, old != nil, false
	for _, bound := range f.Server.Object.Spec.Grants.MaxLifetimes {
		if !slices.ContainsFunc(f.Grant.Spec.Scopes, func(n v1alpha1.ScopeName) bool { return tierOf(f, n) == bound.Tier }) {
			continue
		}
		bounded = true
		limit := time.Duration(bound.Seconds) * time.Second
		renewed = renewed && !end.After(start.Add(limit))
		stands = stands && at.Before(old.StartedAt.Add(limit))
	}
	switch {
	case !bounded:
		return true
	case old != nil && old.ExpiresAt.Time.Equal(ceil(end)):
		return stands
	}
	return renewed || (stands && at.Before(old.ExpiresAt.Time))
}

// randomGrantFacts are those of a grant with nothing the matter but what its
// server's owners may object to.
func randomGrantFacts(r *rand.Rand) GrantFacts {
	f := grantFacts(grant(giving("reader", pick[v1alpha1.ScopeName](r, "invoices:read", "invoices:export", "invoices:pay"))))
	f.Grant.Spec.Reason = "ticket 1"
	setEnd(f.Grant, instant(r).Add(pick(r, 0, day, 30*day)))
	f.Server.Object.Spec.Grants = randomGrantPolicy(r)
	randomAsk(r, &f)
	if r.IntN(8) == 0 {
		f.Registration = f.Registration.DeepCopy()
		f.Registration.Spec.ClientName = "Bank"
	}
	return f
}

// grantViolations lists what a decision about a grant breaks.
func grantViolations(f GrantFacts, at time.Time, d GrantDecision) []string {
	var broken []string
	deny := func(is bool, what string) {
		if is {
			broken = append(broken, what)
		}
	}
	deny(d.InForce && !consented(f, at), "in force without consent")
	deny(d.InForce && !reasoned(f), "in force without a reason")
	deny(d.InForce && !withinBounds(f, at), "in force beyond a bound")
	deny(d.InForce && (d.Basis == "" || !d.EndedAt.IsZero() || !d.ExpiresAt.After(at)), "in force without a word, or with an end that has come")
	deny(d.InForce && d.Basis == v1alpha1.BasisApproved && (d.Approval == nil || f.AdmissionIs != Present), "rests on an approval that nobody checked")
	deny(d.InForce && d.Verdict.Standing != Allowed && d.Verdict.Standing != Frozen, "in force and refused")
	deny(!d.InForce && (d.Basis != "" || d.Resource != "" || d.TokenLifetime != 0), "gives something while it is not in force")
	deny(d.InForce && d.Undecided, "in force and undecided")
	deny(d.EndedAt.After(at), "ended in the future")
	return broken
}

// Thousands of random grants: in force if and only if a second formulation of
// the rules says so, from now to the end that the decision names.
func TestRandomGrants(t *testing.T) {
	seed, r := seeded(t)
	reached := map[string]int{}
	for i := range 20_000 {
		f := randomGrantFacts(r)
		d := Grant(f, now)
		reached[string(d.Basis)+" "+d.Verdict.Reason]++
		for _, violation := range slices.Concat(grantViolations(f, now, d), grantChanges(f, d)) {
			t.Fatalf("seed %d, round %d: %s: %+v\n%+v\n%+v", seed, i, violation, d, f.Grant, f.Server.Object.Spec.Grants)
		}
		wanted := consented(f, now) && reasoned(f) && withinBounds(f, now) && now.Before(readEnd(f.Grant).at)
		if !d.Undecided && d.InForce != wanted {
			t.Fatalf("seed %d, round %d: in force %v, want %v: %+v", seed, i, d.InForce, wanted, d.Verdict)
		}
		if d.Undecided && (f.AdmissionIs != Unknown || len(f.Approvals) == 0) {
			t.Fatalf("seed %d, round %d: undecided, and everything is known", seed, i)
		}
	}
	t.Log(reached)
	for _, want := range []string{
		"Automatic Accepted", "PreApproved Accepted", "Approved Accepted", "Automatic LifetimeTooLong",
		" LifetimeTooLong", " ApprovalRequired", " ApprovalDenied", " ApprovalUnverified", " FactUnknown", " ReasonMissing", " Expired",
	} {
		if reached[want] == 0 {
			t.Errorf("seed %d: %q was not reached", seed, want)
		}
	}
}

// grantChanges lists how a decision that is in force fails to hold to its end.
func grantChanges(f GrantFacts, d GrantDecision) []string {
	if !d.InForce {
		return nil
	}
	var broken []string
	if last := Grant(f, d.ExpiresAt.Add(-1)); !last.InForce {
		broken = append(broken, "it ends before its end")
	}
	over := Grant(f, d.ExpiresAt)
	renewed := f.Grant.Status.Term != nil && !d.AcceptableAt.IsZero() && !d.AcceptableAt.After(d.ExpiresAt)
	if over.InForce && over.Basis == d.Basis && over.Approval == d.Approval && !renewed {
		broken = append(broken, "it does not end at its end")
	}
	f.Grant = f.Grant.DeepCopy()
	f.Grant.Status.Term, f.Grant.Status.ObservedGeneration = d.Term, f.Grant.Generation
	if again := Grant(f, now); !again.InForce || !again.ExpiresAt.Equal(d.ExpiresAt) {
		broken = append(broken, "another answer once its term is stored")
	}
	return broken
}

// A word that nobody checked neither gives nor takes: without it the answer is
// the same.
func TestRandomUnverifiedApprovals(t *testing.T) {
	seed, r := seeded(t)
	compared := 0
	for i := range 10_000 {
		f := randomFacts(r)
		bare := f
		bare.Grants = slices.Clone(f.Grants)
		stripped := false
		for j := range bare.Grants {
			one := &bare.Grants[j]
			kept := slices.DeleteFunc(slices.Clone(one.Approvals), func(a *v1alpha1.ScopeGrantApproval) bool {
				return a.Spec.GrantRef != nil && a.Spec.Decision != v1alpha1.DecisionDenied && one.AdmissionIs == Absent
			})
			stripped = stripped || len(kept) < len(one.Approvals)
			one.Approvals = kept
		}
		if !stripped {
			continue
		}
		compared++
		got, want := Registration(f, now), Registration(bare, now)
		if got.Action != want.Action || brief(got.Verdict) != brief(want.Verdict) || !slices.Equal(got.Wish.Scopes, want.Wish.Scopes) {
			t.Fatalf("seed %d, round %d: %s %v %+v, without the word %s %v %+v", seed, i, got.Action, got.Wish.Scopes, got.Verdict, want.Action, want.Wish.Scopes, want.Verdict)
		}
	}
	if compared < 1000 {
		t.Errorf("seed %d: only %d words were taken away", seed, compared)
	}
}

// A pause stops what gives and nothing that takes away.
func TestRandomPause(t *testing.T) {
	seed, r := seeded(t)
	pairs := map[[2]Action]int{}
	for i := range 10_000 {
		f := randomFacts(r)
		if f.AuthorizationServer.Object == nil {
			continue
		}
		f.use(AuthorizationServerFact{Is: Present, Object: f.AuthorizationServer.Object.DeepCopy()})
		f.AuthorizationServer.Object.Annotations = nil
		free := Registration(f, now)
		f.AuthorizationServer.Object.Annotations = map[string]string{v1alpha1.AnnotationPaused: pick(r, "true", "ann: backup")}
		held := Registration(f, now)
		pairs[[2]Action{free.Action, held.Action}]++
		taken := free.Verdict.Standing != Allowed && (free.Action != held.Action || !slices.Equal(free.Wish.Scopes, held.Wish.Scopes))
		if taken || held.Action == Register || (free.Verdict.Standing == Refused && held.Verdict != free.Verdict) {
			t.Fatalf("seed %d, round %d: %s %+v, paused %s %+v", seed, i, free.Action, free.Verdict, held.Action, held.Verdict)
		}
		for _, violation := range violations(f, now, held) {
			t.Fatalf("seed %d, round %d: %s", seed, i, violation)
		}
	}
	t.Log(pairs)
	for _, want := range [][2]Action{
		{Register, Nothing}, {Replace, Keep}, {Replace, Replace}, {Keep, Keep},
		{Revoke, Revoke},
	} {
		if pairs[want] == 0 {
			t.Errorf("seed %d: %s and paused %s was not reached", seed, want[0], want[1])
		}
	}
}

// tenancyViolations lists what a decision breaks of pause, quota and consent.
func tenancyViolations(f RegistrationFacts, at time.Time, d RegistrationDecision) []string {
	var broken []string
	deny := func(is bool, what string) {
		if is {
			broken = append(broken, what+" ("+d.Action.String()+")")
		}
	}
	if as := f.AuthorizationServer.Object; as != nil {
		value := as.Annotations[v1alpha1.AnnotationPaused]
		held := value != "" && value != "false"
		deny(held && d.Action == Register, "registers while paused")
		deny(held && d.Action == Replace && !subset(d.Wish.Scopes, f.Record.Client.Registered.Scopes), "adds a scope while paused")
		deny(held && d.Action == Replace && d.Verdict.Standing == Allowed && !f.Record.KeysSettle(at), "replaces while paused")
		hasPlace := slices.Contains([]RecordState{RecordPending, RecordRegistered, RecordDeleted}, f.Record.State)
		if as.Spec.Policy != nil && as.Spec.Policy.MaxRegistrationsPerNamespace != nil && !hasPlace {
			full := f.PlacesTaken >= int(*as.Spec.Policy.MaxRegistrationsPerNamespace)
			deny(d.Action == Register && (full || f.PlacesAre != Present), "registers beyond the quota")
		}
	}
	if d.Action == Register || d.Action == Replace {
		for _, name := range WithoutOIDCScopes(d.Wish.Scopes) {
			deny(!mayAsk(f, at, d, v1alpha1.ScopeName(name)), "asks for "+name+" without consent")
		}
	}
	return broken
}

// mayAsk says that a scope rests on consent, or is held and nobody knows.
func mayAsk(f RegistrationFacts, at time.Time, d RegistrationDecision, name v1alpha1.ScopeName) bool {
	for _, facts := range f.Grants {
		carried := facts.Server.Object == nil && slices.ContainsFunc(f.Registration.Status.Scopes, func(s v1alpha1.EffectiveScope) bool {
			return s.Name == string(name) && slices.Contains(s.Grants, facts.Grant.Name)
		})
		if !slices.Contains(facts.Grant.Spec.Scopes, name) && facts.Server.entryScope() != name && !carried {
			continue
		}
		unknown := facts.Server.Object == nil || Grant(facts, at).Undecided
		if unknown && d.Verdict.Standing != Allowed && slices.Contains(f.Record.Client.Registered.Scopes, string(name)) {
			return true
		}
		if facts.Server.Object != nil && consented(facts, at) && reasoned(facts) && withinBounds(facts, at) {
			return true
		}
	}
	return false
}

// randomTenancy pauses an AuthorizationServer and bounds its namespaces.
func randomTenancy(r *rand.Rand, as *v1alpha1.AuthorizationServer) {
	if r.IntN(5) == 0 {
		as.ObjectMeta = metav1.ObjectMeta{Name: as.Name, Generation: as.Generation, Annotations: map[string]string{
			v1alpha1.AnnotationPaused: pick(r, "true", "", "false", "ann: backup"),
		}}
	}
	if as.Spec.Policy != nil && r.IntN(4) == 0 {
		as.Spec.Policy.MaxRegistrationsPerNamespace = new(int32(r.IntN(3)))
	}
}
