// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// scopesOf are scopes of some length, each of its own.
func scopesOf(family string, from, count, length int) []v1alpha1.ScopeName {
	var names []v1alpha1.ScopeName
	for i := range count {
		name := fmt.Sprintf("%s:%03d:", family, from+i)
		names = append(names, v1alpha1.ScopeName(name+strings.Repeat("s", max(length-len(name), 0))))
	}
	return names
}

// asks is a grant of some scopes whose server lists them, made so many minutes
// after the others.
func asks(name string, minutes int, scopes ...v1alpha1.ScopeName) GrantFacts {
	f := grantFacts(grant(giving(name, scopes...)))
	f.Grant.CreationTimestamp = metav1.NewTime(now.Add(-day).Add(time.Duration(minutes) * time.Minute))
	f.Server.Object.Spec.Scopes = nil
	for _, scope := range scopes {
		f.Server.Object.Spec.Scopes = append(f.Server.Object.Spec.Scopes, v1alpha1.Scope{Name: scope, Tier: v1alpha1.TierRead})
	}
	return f
}

func having(grants ...GrantFacts) RegistrationFacts {
	return facts(func(f *RegistrationFacts) {
		f.Grants = grants
		f.use(f.AuthorizationServer)
	})
}

func inForceOf(d RegistrationDecision) []string {
	var names []string
	for _, grant := range d.Grants {
		names = append(names, grant.Grant.Name)
	}
	return names
}

// carrying is what grants see once the registration carries what was decided.
func carrying(f RegistrationFacts, d RegistrationDecision) RegistrationFacts {
	f.Registration = f.Registration.DeepCopy()
	f.Registration.Status.Scopes = d.Scopes
	return f
}

// byThemselves are the decisions about the grants of a registration as the
// reconciler of grants comes to them, by name.
func byThemselves(f RegistrationFacts) map[string]GrantDecision {
	all := map[string]GrantDecision{}
	for _, one := range f.Grants {
		one.Carried = f.Registration.Status.Scopes
		all[one.Grant.Name] = Grant(one, now)
	}
	return all
}

// Two catalogues of the longest names together are more than an authorization
// server could repeat: the older grant stands, the other one says so.
func TestScopesTogetherAreBounded(t *testing.T) {
	f := having(asks("b-younger", 2, scopesOf("b", 0, 64, 128)...), asks("c-older", 1, scopesOf("a", 0, 64, 128)...))
	d := Registration(f, now)
	equal(t, "in force", []string{"c-older"}, inForceOf(d))
	equal(t, "scopes", 64, len(d.Wish.Scopes))
	equal(t, "text", 64*129-1, len(strings.Join(d.Wish.Scopes, " ")))
	own := byThemselves(carrying(f, d))
	equal(t, "older", v1alpha1.ReasonAccepted, own["c-older"].Verdict.Reason)
	equal(t, "younger", verdict{Standing: Refused, Reason: v1alpha1.ReasonTooManyScopes}, brief(own["b-younger"].Verdict))
	mentions(t, own["b-younger"].Verdict.Message, "128 scopes", "16384 characters", "8192 characters", "ask for fewer", "delete")

	for name, c := range map[string]struct {
		second []v1alpha1.ScopeName
		want   []string
	}{
		"as many scopes as may be":      {scopesOf("b", 0, 64, 1), []string{"first", "second"}},
		"one more":                      {scopesOf("b", 0, 65, 1), []string{"first"}},
		"scopes that are there already": {scopesOf("a", 0, 64, 7), []string{"first", "second"}},
		"as much text as may be":        {scopesOf("b", 0, 60, 128)[:60], []string{"first", "second"}},
		"a character more":              {append(scopesOf("b", 0, 60, 128), scopesOf("c", 0, 1, 65)...), []string{"first"}},
	} {
		first := scopesOf("a", 0, 64, 7)
		if strings.Contains(name, "text") || strings.Contains(name, "character") {
			first = append(scopesOf("a", 0, 3, 128), scopesOf("d", 0, 1, 128)...)
		}
		d := Registration(having(asks("first", 1, first...), asks("second", 2, c.second...)), now)
		equal(t, name, c.want, inForceOf(d))
	}
}

// So many grants of one scope: those count that are the oldest, and a client has
// each scope from no more of them than status has room for.
func TestGrantsAreBounded(t *testing.T) {
	for _, count := range []int{64, 65, 257, 300, 1000, 2000} {
		var grants []GrantFacts
		for i := range count {
			grants = append(grants, asks(fmt.Sprintf("g-%04d", i), count-i, "invoices:read"))
		}
		f := having(grants...)
		d := Registration(f, now)
		equal(t, "action", Register, d.Action)
		equal(t, "in force", min(count, MaxGrants), len(d.Grants))
		equal(t, "sources", min(count, MaxGrants), len(d.Scopes[0].Grants))
		equal(t, "the youngest is in force", count <= MaxGrants, slices.Contains(inForceOf(d), "g-0000"))
		equal(t, "the oldest is in force", true, slices.Contains(inForceOf(d), grants[count-1].Grant.Name))
		own := byThemselves(carrying(f, d))
		if count > MaxGrants {
			equal(t, "youngest", verdict{Standing: Refused, Reason: v1alpha1.ReasonTooManyGrants}, brief(own["g-0000"].Verdict))
			mentions(t, own["g-0000"].Verdict.Message, "64 other grants", "delete one", "one grant")
		}
	}
}

// A status from before the bounds, or one that is out of date, takes nothing from
// the grants that it names: the registration decides which of them go.
func TestCarriedGrantsKeepTheirWord(t *testing.T) {
	f := having()
	for i := range 5 {
		f.Grants = append(f.Grants, asks(fmt.Sprintf("g-%d", i), i, scopesOf(fmt.Sprintf("s%d", i), 0, 40, 20)...))
		for _, name := range f.Grants[i].Grant.Spec.Scopes {
			f.Registration.Status.Scopes = append(f.Registration.Status.Scopes, v1alpha1.EffectiveScope{Name: string(name), Grants: []string{f.Grants[i].Grant.Name}})
		}
	}
	f.use(f.AuthorizationServer)
	own := byThemselves(f)
	for i := range 5 {
		equal(t, "carried", true, own[fmt.Sprintf("g-%d", i)].InForce)
	}
	d := Registration(f, now)
	equal(t, "in force", []string{"g-0", "g-1", "g-2"}, inForceOf(d))
	own = byThemselves(carrying(f, d))
	equal(t, "over the bound", v1alpha1.ReasonTooManyScopes, own["g-3"].Verdict.Reason)
}

// What is not in force takes no room.
func TestOnlyGrantsInForceCount(t *testing.T) {
	var grants []GrantFacts
	for i := range 100 {
		over := asks(fmt.Sprintf("over-%d", i), 0, "invoices:read")
		setEnd(over.Grant, now.Add(-time.Second))
		grants = append(grants, over)
	}
	grants = append(grants, asks("new", 9, "invoices:read"))
	equal(t, "in force", []string{"new"}, inForceOf(Registration(having(grants...), now)))
}

// A grant that comes into force late does not take the scopes of those that the
// client lives on, however old it is; nor does one that asks for more than before.
func TestRoomIsKept(t *testing.T) {
	f := having(asks("b", 2, scopesOf("b", 0, 64, 100)...))
	f = carrying(f, Registration(f, now))
	f.Grants = append(f.Grants, asks("a-older", 1, scopesOf("a", 0, 64, 100)...))
	equal(t, "an older one", []string{"b"}, inForceOf(Registration(f, now)))

	f.Grants = []GrantFacts{asks("old", 1, scopesOf("o", 0, 10, 100)...), asks("young", 2, scopesOf("y", 0, 60, 100)...)}
	f = carrying(f, Registration(f, now))
	equal(t, "both", []string{"old", "young"}, inForceOf(Registration(f, now)))
	f.Grants[0] = asks("old", 1, scopesOf("o", 0, 40, 100)...)
	equal(t, "the old one grows", []string{"young"}, inForceOf(Registration(f, now)))
	equal(t, "it says so", v1alpha1.ReasonTooManyScopes, byThemselves(f)["old"].Verdict.Reason)
	f.Grants[0] = asks("old", 1, scopesOf("o", 0, 5, 100)...)
	equal(t, "it shrinks", []string{"old", "young"}, inForceOf(Registration(f, now)))
}

// A grant of which nothing is known keeps its room, so that nobody has to give it
// back when it is known again.
func TestUndecidedGrantsKeepTheirRoom(t *testing.T) {
	f := having(asks("known", 1, scopesOf("a", 0, 40, 100)...), asks("blind", 2, scopesOf("b", 0, 40, 100)...))
	f = carrying(f, Registration(f, now))
	equal(t, "both", []string{"blind", "known"}, inForceOf(Registration(f, now)))
	f.Grants[1].Server = ServerFact{}
	f.Grants = append(f.Grants, asks("new", 3, scopesOf("c", 0, 40, 100)...))
	equal(t, "with a new one", []string{"known"}, inForceOf(Registration(f, now)))
}

// More grants than count take nothing away that may not stay: what is over the
// bound is reduced like any other scope, also while nothing is given.
func TestBoundsReduce(t *testing.T) {
	f := having(asks("a", 1, scopesOf("a", 0, 64, 128)...), asks("b", 2, scopesOf("b", 0, 64, 128)...))
	live(&f)
	f.Record.Client.Registered.Scopes = nil
	for _, grant := range f.Grants {
		for _, name := range grant.Grant.Spec.Scopes {
			f.Record.Client.Registered.Scopes = append(f.Record.Client.Registered.Scopes, string(name))
		}
	}
	freeze(&f)
	d := Registration(f, now)
	equal(t, "action", Replace, d.Action)
	equal(t, "scopes", 64, len(d.Wish.Scopes))
	remove(f.Registration, v1alpha1.AnnotationOwner)
	equal(t, "revoked all the same", Revoke, Registration(f, now).Action)
}

// Registration and grants come to the same answer as soon as the status says what
// is carried, and it is the answer from then on, in whatever order they are read.
func TestRandomBoundsAgree(t *testing.T) {
	seed, r := seeded(t)
	crowdedOut := 0
	for i := range 300 {
		f := having(randomCrowd(r)...)
		if r.IntN(2) == 0 {
			f = carrying(f, Registration(having(randomCrowd(r)...), now))
		}
		d := Registration(f, now)
		f = carrying(f, d)
		r.Shuffle(len(f.Grants), func(a, b int) { f.Grants[a], f.Grants[b] = f.Grants[b], f.Grants[a] })
		again := Registration(f, now)
		equal(t, fmt.Sprintf("seed %d, round %d: again", seed, i), inForceOf(d), inForceOf(again))
		text := len(strings.Join(d.Wish.Scopes, ""))
		if len(d.Grants) > MaxGrants || len(d.Wish.Scopes) > MaxScopes || text > MaxScopeText {
			t.Fatalf("seed %d, round %d: %d grants, %d scopes, %d characters", seed, i, len(d.Grants), len(d.Wish.Scopes), text)
		}
		for name, own := range byThemselves(f) {
			if own.InForce != slices.Contains(inForceOf(d), name) {
				t.Fatalf("seed %d, round %d: %s in force: %t by itself: %s", seed, i, name, own.InForce, own.Verdict.Reason)
			}
			if !own.InForce {
				crowdedOut++
			}
		}
	}
	if crowdedOut < 100 {
		t.Errorf("seed %d: only %d grants found no room", seed, crowdedOut)
	}
}

// randomCrowd is many grants, or few large ones, which overlap.
func randomCrowd(r *rand.Rand) []GrantFacts {
	var grants []GrantFacts
	largest := pick(r, 2, 20, 64)
	for i := range 1 + r.IntN(100) {
		count := 1 + r.IntN(largest)
		grants = append(grants, asks(fmt.Sprintf("g-%03d", i), r.IntN(5), scopesOf("s", r.IntN(200), count, pick(r, 7, 64, 128))...))
	}
	return grants
}
