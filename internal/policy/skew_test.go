// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// skew is by how much clocks may differ that are meant to be the same.
const skew = 5 * time.Minute

// skews are how far the operator's clock is ahead of the API server's.
var skews = []time.Duration{-skew, -time.Minute - time.Second, 0, time.Minute + time.Second, skew}

// alongTheTerm are instants of the operator's clock from the first pass to the
// last moment of a term.
func alongTheTerm(first, end time.Time) []time.Time {
	instants := []time.Time{first}
	for _, after := range []time.Duration{time.Second, time.Minute, 2 * time.Minute, skew - time.Second, skew, skew + time.Second, 2 * skew, time.Hour} {
		if at := first.Add(after); at.Before(end) {
			instants = append(instants, at)
		}
	}
	return append(instants, end.Add(-time.Second), end.Add(-1))
}

// The instant of creation is the API server's, the present is the operator's. A
// registration and its grant that were admitted for the longest time that is
// allowed live to their end by the operator's clock, and not a moment longer.
func TestSkewOfTheAPIServerNeverEndsATerm(t *testing.T) {
	const longest = 30 * day
	for _, ahead := range skews {
		for _, within := range []time.Duration{0, time.Second, 2 * skew} {
			t.Run(fmt.Sprintf("operator %s ahead, %s within the maximum", ahead, within), func(t *testing.T) {
				created, end := now, now.Add(longest-within)
				f := facts(func(f *RegistrationFacts) {
					f.change(maximum(longest))
					f.Grants[0].Server.Object.Spec.Grants = &v1alpha1.GrantPolicy{
						MaxLifetimes: []v1alpha1.TierLifetime{{Tier: v1alpha1.TierRead, Seconds: int32(longest / time.Second)}},
					}
				})
				for _, object := range []metav1.Object{f.Registration, f.Grants[0].Grant} {
					object.SetCreationTimestamp(metav1.NewTime(created))
					setEnd(object, end)
				}
				lived(t, &f, created.Add(ahead), end)
			})
		}
	}
}

// lived runs a pass at each instant of a term, as the operator does: each with
// the status that the one before stored.
func lived(t *testing.T, f *RegistrationFacts, first, end time.Time) {
	t.Helper()
	for i, at := range alongTheTerm(first, end) {
		d, g := Registration(*f, at), Grant(f.Grants[0], at)
		want := Keep
		if i == 0 {
			want = Register
		}
		if d.Action != want || !g.InForce {
			t.Fatalf("%s before the end: %s, %+v; grant in force %t, %+v", end.Sub(at), d.Action, d.Verdict, g.InForce, g.Verdict)
		}
		if i == 0 {
			live(f)
		}
		f.Registration.Status.Term, f.Registration.Status.ObservedGeneration = d.Term, 1
		f.Grants[0].Grant.Status.Term, f.Grants[0].Grant.Status.ObservedGeneration = g.Term, 1
	}
	if d := Registration(*f, end); d.Action != Revoke || d.Verdict.Reason != v1alpha1.ReasonExpired {
		t.Errorf("at the end: %s, %+v", d.Action, d.Verdict)
	}
}

// Of two managers, the one that takes over may have another clock than the one
// that accepted a term.
func TestSkewOfTwoManagersNeverEndsATerm(t *testing.T) {
	const longest = 30 * day
	for _, before := range skews {
		for _, after := range skews {
			t.Run(fmt.Sprintf("%s, then %s", before, after), func(t *testing.T) {
				renewed, end := now.Add(before), now.Add(before).Add(longest)
				f := liveFacts(func(f *RegistrationFacts) { f.change(maximum(longest)) })
				f.Registration.Status.ObservedGeneration = 1
				setEnd(f.Registration, end)
				setEnd(f.Grants[0].Grant, end)
				accepted := Registration(f, renewed)
				if accepted.Term == nil || accepted.Action == Revoke {
					t.Fatalf("the renewal was not accepted: %+v", accepted.Verdict)
				}
				f.Registration.Status.Term, f.Registration.Status.ObservedGeneration = accepted.Term, 1
				for _, at := range alongTheTerm(now.Add(after), end) {
					if d := Registration(f, at); d.Action == Revoke || !d.ExpiresAt.Equal(end) {
						t.Fatalf("%s before the end: %s until %s, want until %s: %+v", end.Sub(at), d.Action, d.ExpiresAt, end, d.Verdict)
					}
				}
			})
		}
	}
}

// A term that begins further ahead than clocks differ was not written by the
// operator, and prolongs nothing.
func TestSkewIsNotAnExcuseForAForgedTerm(t *testing.T) {
	f := liveFacts(func(f *RegistrationFacts) { f.change(maximum(day)) })
	setEnd(f.Registration, now.Add(20*day))
	f.Registration.Status.Term, f.Registration.Status.ObservedGeneration = termOf(now.Add(19*day+time.Hour), now.Add(20*day)), 1
	if d := Registration(f, now); d.Verdict.Reason != v1alpha1.ReasonLifetimeTooLong || d.Action != Revoke {
		t.Errorf("%s, %+v", d.Action, d.Verdict)
	}
}

// The end of a client secret is the authorization server's word, by its clock:
// one that the operator reads as past while the server says it is not would end
// a client early.
func TestSkewOfTheAuthorizationServerNeverEndsASecret(t *testing.T) {
	for _, ahead := range skews {
		t.Run(fmt.Sprintf("authorization server %s ahead", ahead), func(t *testing.T) {
			const life = time.Hour
			f := liveFacts(func(f *RegistrationFacts) {
				f.change(func(as *v1alpha1.AuthorizationServer) { as.Status.ClockSkewSeconds = new(int32(ahead / time.Second)) })
			})
			f.Record.Client.SecretExpiresAt = now.Add(ahead).Add(life)
			if d := Registration(f, now.Add(life-time.Second)); d.Action != Keep {
				t.Errorf("a second before its end: %s, %+v", d.Action, d.Verdict)
			}
			if d := Registration(f, now.Add(life+time.Second)); d.Action != Revoke || d.Verdict.Cause != v1alpha1.CauseSecretExpired {
				t.Errorf("a second after its end: %s, %+v", d.Action, d.Verdict)
			}
			if d := Registration(f, now); !d.Next.Equal(now.Add(life)) || !nextTakesAway(d) {
				t.Errorf("looks again at %s, want %s", d.Next, now.Add(life))
			}
		})
	}
}
