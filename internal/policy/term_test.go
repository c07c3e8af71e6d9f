// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func termOf(start, end time.Time) *v1alpha1.Term {
	return &v1alpha1.Term{StartedAt: metav1.NewTime(start), ExpiresAt: metav1.NewTime(end)}
}

// outcome is what a boundary decides.
type outcome struct {
	Action Action
	Reason string
	DueAt  time.Time
	Next   time.Time
}

func outcomeOf(d RegistrationDecision) outcome {
	o := outcome{Action: d.Action, Reason: d.Verdict.Reason, Next: d.Next}
	if d.Verdict.Standing == Refused {
		o.DueAt = d.Verdict.DueAt
	}
	return o
}

// Each instant at which an answer changes, one second before, at, and after.
func TestBoundaries(t *testing.T) {
	at := now.Add(time.Hour)
	later := now.Add(10 * day)
	cases := []struct {
		name                 string
		facts                RegistrationFacts
		before, when, behind outcome
	}{
		{
			name:   "the registration ends by its own word",
			facts:  liveFacts(func(f *RegistrationFacts) { setEnd(f.Registration, at) }),
			before: outcome{Keep, v1alpha1.ReasonAccepted, time.Time{}, at},
			when:   outcome{Revoke, v1alpha1.ReasonExpired, at, later},
			behind: outcome{Revoke, v1alpha1.ReasonExpired, at, later},
		},
		{
			name: "the term reaches the maximum that was tightened later",
			facts: liveFacts(func(f *RegistrationFacts) {
				f.Registration.Status.Term = termOf(now.Add(-day), now.Add(30*day))
				f.change(maximum(day + time.Hour))
			}),
			before: outcome{Keep, v1alpha1.ReasonAccepted, time.Time{}, at},
			when:   outcome{Revoke, v1alpha1.ReasonExpired, at, later},
			behind: outcome{Revoke, v1alpha1.ReasonExpired, at, later},
		},
		{
			name: "the last grant ends",
			facts: liveFacts(func(f *RegistrationFacts) {
				setEnd(f.Grants[0].Grant, at)
				f.Registration.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "invoices:read", Grants: []string{"reader"}}}
			}),
			before: outcome{Keep, v1alpha1.ReasonAccepted, time.Time{}, at},
			when:   outcome{Revoke, v1alpha1.ReasonNoGrantInForce, at, now.Add(30 * day)},
			behind: outcome{Revoke, v1alpha1.ReasonNoGrantInForce, at, now.Add(30 * day)},
		},
		{
			name:  "one grant of two ends",
			facts: facts(withGrants(grant(), grant(giving("exporter", "invoices:export"), endingAt(at))), live),

			before: outcome{Keep, v1alpha1.ReasonAccepted, time.Time{}, at},
			when:   outcome{Replace, v1alpha1.ReasonAccepted, time.Time{}, later},
			behind: outcome{Replace, v1alpha1.ReasonAccepted, time.Time{}, later},
		},
		{
			name:   "the client secret expires",
			facts:  liveFacts(func(f *RegistrationFacts) { f.Record.Client.SecretExpiresAt = at }),
			before: outcome{Keep, v1alpha1.ReasonAccepted, time.Time{}, at},
			when:   outcome{Revoke, v1alpha1.ReasonSecretExpired, at, later},
			behind: outcome{Revoke, v1alpha1.ReasonSecretExpired, at, later},
		},
		{
			name:   "a refused wish may be asked for again",
			facts:  refusedFacts(at.Add(-time.Hour)),
			before: outcome{Nothing, v1alpha1.ReasonRejected, time.Time{}, at},
			when:   outcome{Register, v1alpha1.ReasonAccepted, time.Time{}, later},
			behind: outcome{Register, v1alpha1.ReasonAccepted, time.Time{}, later},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			equal(t, "one second before", c.before, outcomeOf(Registration(c.facts, at.Add(-time.Second))))
			equal(t, "one nanosecond before", c.before, outcomeOf(Registration(c.facts, at.Add(-1))))
			equal(t, "at the instant", c.when, outcomeOf(Registration(c.facts, at)))
			equal(t, "one second after", c.behind, outcomeOf(Registration(c.facts, at.Add(time.Second))))
		})
	}
}

// refusedFacts are those of a wish that the authorization server refused.
func refusedFacts(at time.Time) RegistrationFacts {
	return facts(func(f *RegistrationFacts) {
		f.RecordIs = Present
		f.Record = Record{
			State: RecordRefused, RefusedAt: at, RefusedReason: v1alpha1.ReasonRejected, RefusedCode: "invalid_client_metadata",
			WishDigest: Digest(Registration(*f, now).Wish), RefusedDigest: Digest(Registration(*f, now).Wish),
		}
	})
}

func TestGrantEndsAtItsInstant(t *testing.T) {
	for offset, want := range map[time.Duration]bool{-time.Second: true, -1: true, 0: false, time.Second: false} {
		at := now.Add(time.Hour)
		got := Grant(grantFacts(grant(endingAt(at))), at.Add(offset))
		equal(t, "in force at "+offset.String(), want, got.InForce)
		equal(t, "end at "+offset.String(), at, got.ExpiresAt)
	}
}

func TestTerm(t *testing.T) {
	created := now.Add(-day)
	old := termOf(now.Add(-10*day), now.Add(day))
	cases := []struct {
		name      string
		previous  *v1alpha1.Term
		seen      bool
		requested time.Time
		maximum   time.Duration

		accepted *v1alpha1.Term
		end      time.Time
		standing Standing // of the refusal, with accepted unchanged
		refused  bool
	}{
		{name: "a first term counts from the creation", requested: now.Add(29 * day), maximum: 30 * day,
			accepted: termOf(created, now.Add(29*day)), end: now.Add(29 * day)},
		{name: "a first term one second beyond the maximum is refused", requested: now.Add(29*day + time.Second), maximum: 30 * day,
			refused: true, standing: Refused},
		{name: "a first term that was refused counts from now when it is mended", seen: true, requested: now.Add(30 * day), maximum: 30 * day,
			accepted: termOf(now, now.Add(30*day)), end: now.Add(30 * day)},
		{name: "a first term without a maximum may be any length", requested: now.Add(9999 * day),
			accepted: termOf(created, now.Add(9999*day)), end: now.Add(9999 * day)},
		{name: "an end that was accepted before keeps its start", previous: old, seen: true, requested: now.Add(day), maximum: 30 * day,
			accepted: old, end: now.Add(day)},
		{name: "a renewal counts from now", previous: old, seen: true, requested: now.Add(30 * day), maximum: 30 * day,
			accepted: termOf(now, now.Add(30*day)), end: now.Add(30 * day)},
		{name: "a renewal one second beyond the maximum leaves the old term", previous: old, seen: true,
			requested: now.Add(30*day + time.Second), maximum: 30 * day,
			accepted: old, end: now.Add(day), refused: true, standing: Frozen},
		{name: "a maximum that was tightened bounds the old term", previous: old, seen: true, requested: now.Add(day),
			maximum: 10*day + time.Hour, accepted: old, end: now.Add(time.Hour)},
		{name: "a maximum that was tightened bounds the old term under a refused renewal", previous: old, seen: true,
			requested: now.Add(99 * day), maximum: 10*day + time.Hour,
			accepted: old, end: now.Add(time.Hour), refused: true, standing: Frozen},
		{name: "a part of a second is rounded up in what is stored, not in the end", requested: now.Add(time.Hour + time.Millisecond),
			accepted: termOf(created, now.Add(time.Hour+time.Second)), end: now.Add(time.Hour + time.Millisecond)},
		{name: "a stored end that was rounded up is the same end", previous: termOf(created, now.Add(time.Hour+time.Second)), seen: true,
			requested: now.Add(time.Hour + time.Millisecond), maximum: 30 * day,
			accepted: termOf(created, now.Add(time.Hour+time.Second)), end: now.Add(time.Hour + time.Millisecond)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			reg := registration(func(r *v1alpha1.MCPClientRegistration) {
				r.Status.Term = c.previous
				if c.seen {
					r.Status.ObservedGeneration = 1
				}
			})
			got := decideTerm(subjectOf(reg), c.requested, c.maximum, now)
			equal(t, "accepted", c.accepted, got.accepted)
			equal(t, "end", c.end, got.end)
			if (got.refusal != nil) != c.refused {
				t.Fatalf("refusal: %+v, want one: %v", got.refusal, c.refused)
			}
			if c.refused {
				equal(t, "refusal", verdict{Standing: c.standing, Reason: v1alpha1.ReasonLifetimeTooLong, Cause: v1alpha1.CauseNotAllowed}, brief(*got.refusal))
				mentions(t, got.refusal.Message, "mcp-registrar.dev/expires-at", "for example")
			}
		})
	}
}

// A start between two seconds must not end a term early when its stored form
// is read back.
func TestTermNeverEndsEarly(t *testing.T) {
	for _, fraction := range []time.Duration{0, 1, time.Millisecond, 500 * time.Millisecond, time.Second - 1} {
		start := now.Add(fraction)
		reg := registration(func(r *v1alpha1.MCPClientRegistration) { r.Status.ObservedGeneration = 1 })
		requested := start.Add(time.Hour)
		first := decideTerm(subjectOf(reg), requested, time.Hour, start)
		if first.accepted == nil {
			t.Fatalf("start + %s: the exact maximum was refused: %+v", fraction, first.refusal)
		}
		reg.Status.Term = first.accepted
		again := decideTerm(subjectOf(reg), requested, time.Hour, start.Add(time.Minute))
		if again.refusal != nil || again.end.Before(requested) || again.end.After(requested) {
			t.Errorf("start + %s: end %s, refusal %+v; want end %s", fraction, again.end, again.refusal, requested)
		}
	}
}

// A renewal beyond the maximum: the old term stands, then ends at its own end,
// with the refusal as the reason.
func TestRefusedRenewalRunsOut(t *testing.T) {
	end := now.Add(time.Hour)
	f := liveFacts(func(f *RegistrationFacts) {
		f.change(maximum(30 * day))
		f.Registration.Status.Term = termOf(now.Add(-day), end)
		f.Registration.Status.ObservedGeneration = 1
		setEnd(f.Registration, now.Add(300*day))
	})
	stands := Registration(f, end.Add(-time.Second))
	equal(t, "before the old end", outcome{Action: Keep, Reason: v1alpha1.ReasonLifetimeTooLong, Next: end}, outcomeOf(stands))
	equal(t, "standing", Frozen, stands.Verdict.Standing)
	equal(t, "effective end", end, stands.ExpiresAt)
	equal(t, "term", f.Registration.Status.Term, stands.Term)
	for _, after := range []time.Duration{0, time.Second} {
		gone := Registration(f, end.Add(after))
		equal(t, "action at the old end", Revoke, gone.Action)
		equal(t, "verdict at the old end", verdict{Reason: v1alpha1.ReasonLifetimeTooLong, Cause: v1alpha1.CauseExpired}, brief(gone.Verdict))
		equal(t, "due at the old end", end, gone.Verdict.DueAt)
	}
	setEnd(f.Registration, end.Add(30*day))
	equal(t, "mended after the old end", Allowed, Registration(f, end).Verdict.Standing)
}

func TestCeil(t *testing.T) {
	cases := map[time.Duration]time.Duration{0: 0, 1: time.Second, time.Second - 1: time.Second, time.Second: time.Second}
	for in, want := range cases {
		equal(t, in.String(), now.Add(want), ceil(now.Add(in)))
	}
}

func TestEarliest(t *testing.T) {
	var never time.Time
	later := now.Add(1)
	equal(t, "never and never", never, earliest(never, never))
	equal(t, "never and now", now, earliest(never, now))
	equal(t, "now and never", now, earliest(now, never))
	equal(t, "now and later", now, earliest(now, later))
	equal(t, "later and now", now, earliest(later, now))
}

func TestReadEnd(t *testing.T) {
	for text, want := range map[string]string{
		"":                              v1alpha1.ReasonExpiryMissing,
		"tomorrow":                      v1alpha1.ReasonExpiryInvalid,
		"2027-03-31":                    v1alpha1.ReasonExpiryInvalid,
		"2027-03-31 00:00:00Z":          v1alpha1.ReasonExpiryInvalid,
		"2027-03-31T00:00:00":           v1alpha1.ReasonExpiryInvalid,
		"2027-02-30T00:00:00Z":          v1alpha1.ReasonExpiryInvalid,
		" 2027-03-31T00:00:00Z":         v1alpha1.ReasonExpiryInvalid,
		"2027-03-31T00:00:00Z":          "",
		"2027-03-31T02:00:00+02:00":     "",
		"2027-03-31T00:00:00.000Z":      "",
		"2027-03-31T00:00:00.00+00:00":  "",
		"2027-03-30T19:00:00.000-05:00": "",
	} {
		e := readEnd(registration(func(r *v1alpha1.MCPClientRegistration) { annotate(r, v1alpha1.AnnotationExpiresAt, text) }))
		if want == "" {
			if e.verdict != nil || !e.at.Equal(time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("%q: read %s, %+v", text, e.at, e.verdict)
			}
			continue
		}
		if e.verdict == nil {
			t.Errorf("%q: accepted as %s", text, e.at)
			continue
		}
		equal(t, text, verdict{Reason: want, Cause: v1alpha1.CauseExpiryMissing}, brief(*e.verdict))
		mentions(t, e.verdict.Message, "mcp-registrar.dev/expires-at", `for example mcp-registrar.dev/expires-at: "2027-03-31T00:00:00Z"`)
	}
}

// A term that was judged without the policy is judged again.
func TestTermIsNotAcceptedWithoutAPolicy(t *testing.T) {
	for _, is := range []Knowledge{Unknown, Absent} {
		f := facts(func(f *RegistrationFacts) { f.use(AuthorizationServerFact{Is: is}) })
		d := Registration(f, now)
		f.Registration.Status.Term, f.Registration.Status.ObservedGeneration = d.Term, 1
		f.use(found(authorizationServer(maximum(day))))
		equal(t, "reason", v1alpha1.ReasonLifetimeTooLong, Registration(f, now).Verdict.Reason)
	}
}

// A term that begins in the future was written by nobody's clock: it is no term.
func TestForgedTermIsNoTerm(t *testing.T) {
	end := now.Add(300 * day)
	for offset, stands := range map[time.Duration]bool{0: true, ClockTolerance: true, ClockTolerance + 1: false, 72 * 365 * day: false} {
		subject := termSubject{previous: termOf(now.Add(offset), end)}
		got := decideTerm(subject, end, 30*day, now)
		equal(t, "stands "+offset.String(), stands, got.accepted != nil)
		equal(t, "refused "+offset.String(), !stands, got.refusal != nil)
	}
}
