// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// randomApproval decides about a grant, soundly more often than not.
func randomApproval(r *rand.Rand, g *v1alpha1.ScopeGrant) {
	people := []string{requester, approver, "third@example.com", ""}
	g.Generation = pick[int64](r, 1, 2, 3)
	annotate(g, v1alpha1.AnnotationRequestedBy, pick(r, requester, requester, requester, pick(r, people...)))
	annotate(g, v1alpha1.AnnotationChangedBy, pick(r, "", "", pick(r, people...)))
	if r.IntN(3) == 0 {
		return
	}
	end := readEnd(g).at
	g.Status.Approval = &v1alpha1.Approval{
		Decision:   pick(r, v1alpha1.DecisionApproved, v1alpha1.DecisionApproved, v1alpha1.DecisionApproved, pick(r, v1alpha1.DecisionDenied, v1alpha1.DecisionDenied, "Maybe")),
		Generation: pick(r, g.Generation, g.Generation, g.Generation, g.Generation-1),
		ApprovedBy: pick(r, approver, approver, approver, pick(r, people...)),
		ExpiresAt:  timePtr(end.Add(pick(r, 0, 0, time.Second, -time.Second, day, -day)).Truncate(time.Second)),
		Seal:       pick(r, "", testSeal, UnverifiedSeal),
	}
	if !often(r) {
		g.Status.Approval.ExpiresAt = nil
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
	for range r.IntN(4) {
		e := entry(instant(r).Truncate(time.Second), pick[v1alpha1.PreApprovedScope](r, "invoices:pay", "invoices:void", "invoices:read", "*"))
		if r.IntN(2) == 0 {
			e.Scopes = append(e.Scopes, "invoices:pay", "invoices:void")
		}
		e.Namespace, e.Client = pick(r, e.Namespace, e.Namespace, e.Namespace, "billing"), pick(r, e.Client, e.Client, e.Client, "reader")
		policy.PreApproved = append(policy.PreApproved, e)
	}
	return policy
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
	randomApproval(r, f.Grant)
	f.AdmissionIs, f.SealIs = pick(r, Unknown, Absent, Present, Present, Present, Present), pick(r, Unknown, Absent, Present, Present, Present, Present)
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

// checked says that somebody checked who decided about a grant.
func checked(f GrantFacts) Knowledge {
	if f.Grant.Status.Approval == nil || f.Grant.Status.Approval.Seal == "" {
		return f.AdmissionIs
	}
	if f.Grant.Status.Approval.Seal == UnverifiedSeal {
		return Absent
	}
	if f.AdmissionIs == Present {
		return f.SealIs
	}
	return f.AdmissionIs
}

// consented says in other words than the rules whether the owners of a server
// consent to all that a grant asks for.
func consented(f GrantFacts, at time.Time) bool {
	g := f.Grant
	word := cmp.Or(g.Status.Approval, &v1alpha1.Approval{})
	asked, changed := g.Annotations[v1alpha1.AnnotationRequestedBy], g.Annotations[v1alpha1.AnnotationChangedBy]
	current := checked(f) == Present && word.Generation == g.Generation
	if current && word.Decision == v1alpha1.DecisionDenied {
		return false
	}
	approved := current && word.Decision == v1alpha1.DecisionApproved && asked != "" &&
		!slices.Contains([]string{"", asked, changed}, word.ApprovedBy) &&
		word.ExpiresAt != nil && readEnd(g).at.Unix() <= word.ExpiresAt.Unix()
	for _, name := range g.Spec.Scopes {
		if !approved && !approvedByItself(f, name) && !approvedBeforehand(f, name, at) {
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
	if f.Server.Object.Spec.Grants == nil {
		return false
	}
	return slices.ContainsFunc(f.Server.Object.Spec.Grants.PreApproved, func(e v1alpha1.PreApproval) bool {
		return e.Namespace+"/"+e.Client == f.Grant.Namespace+"/"+f.Grant.Spec.ClientRef.Name &&
			slices.Contains(e.Scopes, v1alpha1.PreApprovedScope(name)) && at.Before(e.Until.Time)
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
	word := f.Grant.Status.Approval
	deny(d.InForce && !consented(f, at), "in force without consent")
	deny(d.InForce && !reasoned(f), "in force without a reason")
	deny(d.InForce && !withinBounds(f, at), "in force beyond a bound")
	deny(d.InForce && (d.Basis == "" || !d.EndedAt.IsZero() || !d.ExpiresAt.After(at)), "in force without a word, or with an end that has come")
	deny(d.InForce && d.Basis == v1alpha1.BasisApproved && (word == nil || checked(f) != Present), "rests on an approval that nobody checked")
	deny(d.InForce && d.Verdict.Standing != Allowed && d.Verdict.Standing != Frozen, "in force and refused")
	deny(!d.InForce && (d.Basis != "" || d.Resource != "" || d.TokenLifetime != 0), "gives something while it is not in force")
	deny(d.InForce && d.Undecided, "in force and undecided")
	deny(d.EndedAt.After(at), "ended in the future")
	deny((d.Seal == SetSeal) != (word != nil && word.Seal == "" && f.AdmissionIs == Present), "seals what was not checked, or does not seal")
	deny((d.Seal == MarkUnverified) != (word != nil && (word.Seal == "" && f.AdmissionIs == Absent ||
		word.Seal == testSeal && f.AdmissionIs == Present && f.SealIs == Absent)), "marks what may have been checked, or does not mark")
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
		if d.Undecided && (checked(f) != Unknown || f.Grant.Status.Approval == nil) {
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
	renewed := !d.AcceptableAt.IsZero() && !d.AcceptableAt.After(d.ExpiresAt)
	if over.InForce && over.Basis == d.Basis && !renewed {
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
			if one := &bare.Grants[j]; one.Grant.Status.Approval != nil && checked(*one) == Absent {
				one.Grant = one.Grant.DeepCopy()
				one.Grant.Status.Approval, stripped = nil, true
			}
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
