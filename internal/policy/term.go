// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// expiryExample stands in every message about expires-at.
const expiryExample = `for example mcp-registrar.dev/expires-at: "2027-03-31T00:00:00Z"`

// ownerExample stands in every message about the owner.
const ownerExample = `for example mcp-registrar.dev/owner: "team-payments@example.com"`

// end is what the annotation expires-at says.
type end struct {
	at      time.Time
	verdict *Verdict
}

// expired says whether an end has come: from the very instant on.
func expired(now, at time.Time) bool { return !now.Before(at) }

// readEnd reads the annotation expires-at. An object without a readable end
// has no access.
func readEnd(object metav1.Object) end {
	text, found := object.GetAnnotations()[v1alpha1.AnnotationExpiresAt]
	if !found || text == "" {
		return end{verdict: &Verdict{
			Reason: v1alpha1.ReasonExpiryMissing, Cause: v1alpha1.CauseExpiryMissing,
			Message: "annotation mcp-registrar.dev/expires-at is missing: set it, " + expiryExample,
		}}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return end{verdict: &Verdict{
			Reason: v1alpha1.ReasonExpiryInvalid, Cause: v1alpha1.CauseExpiryMissing,
			Message: "annotation mcp-registrar.dev/expires-at is not an RFC 3339 instant: correct it, " + expiryExample,
		}}
	}
	if year := at.UTC().Year(); year < 1 || year > 9998 {
		return end{verdict: &Verdict{
			Reason: v1alpha1.ReasonExpiryInvalid, Cause: v1alpha1.CauseExpiryMissing,
			Message: "annotation mcp-registrar.dev/expires-at is not an instant of the years 1 to 9998: correct it, " + expiryExample,
		}}
	}
	return end{at: at}
}

// expiredVerdict is the verdict on an object whose end has come.
func expiredVerdict(at time.Time) *Verdict {
	return &Verdict{
		Reason: v1alpha1.ReasonExpired, Cause: v1alpha1.CauseExpired, DueAt: at,
		Message: fmt.Sprintf("expired at %s: move the annotation mcp-registrar.dev/expires-at forward to renew, %s", at.UTC().Format(time.RFC3339), expiryExample),
	}
}

// term is a period of validity as decided.
type term struct {
	accepted *v1alpha1.Term
	end      time.Time
	refusal  *Verdict
	// acceptableAt is when time alone ends the refusal.
	acceptableAt time.Time
}

// undecidedTerm is the term while the policy is unknown: a new end date is not
// accepted yet, and the end that was accepted stands.
func undecidedTerm(previous *v1alpha1.Term, requested time.Time) term {
	if previous != nil && previous.ExpiresAt.Time.Before(requested) {
		return term{accepted: previous, end: previous.ExpiresAt.Time}
	}
	return term{accepted: previous, end: requested}
}

// termSubject is whose term it is.
type termSubject struct {
	previous *v1alpha1.Term
	// created is when an object that was not seen before was created; zero
	// for others.
	created time.Time
}

func subjectOf(object metav1.Object) termSubject {
	var subject termSubject
	var seen int64
	switch o := object.(type) {
	case *v1alpha1.MCPClientRegistration:
		subject.previous, seen = o.Status.Term, o.Status.ObservedGeneration
	case *v1alpha1.ScopeGrant:
		subject.previous, seen = o.Status.Term, o.Status.ObservedGeneration
	}
	if seen < 0 {
		subject.created = object.GetCreationTimestamp().Time
	}
	return subject
}

// ClockTolerance is by how much the clocks of two managers, or of a manager and
// the API server, may differ: each may be five minutes off.
const ClockTolerance = 10*time.Minute + time.Second

// decideTerm accepts a new end date if it is within the maximum, counted from
// now (from the creation for an object not seen before); otherwise the term
// accepted before stands. A maximum of 0 means none.
func decideTerm(subject termSubject, requested time.Time, maximum time.Duration, now time.Time) term {
	previous := subject.previous
	if previous != nil && previous.StartedAt.After(now.Add(ClockTolerance)) {
		// No clock of ours wrote that.
		previous = nil
	}
	if previous != nil && previous.ExpiresAt.Time.Equal(ceil(requested)) {
		return term{accepted: previous, end: bounded(previous, requested, maximum)}
	}
	start := now
	if previous == nil && !subject.created.IsZero() {
		start = subject.created
	}
	if maximum > 0 && requested.Sub(start) > maximum {
		refused := refuseTerm(previous, maximum)
		refused.acceptableAt = requested.Add(-maximum)
		if !refused.acceptableAt.After(now) {
			// Counted from a creation long ago. The next look counts from now.
			refused.acceptableAt = now.Add(time.Second)
		}
		return refused
	}
	accepted := &v1alpha1.Term{
		StartedAt: metav1.NewTime(ceil(start)),
		ExpiresAt: metav1.NewTime(ceil(requested)),
	}
	return term{accepted: accepted, end: requested}
}

// refuseTerm keeps the previous term, if there is one.
func refuseTerm(previous *v1alpha1.Term, maximum time.Duration) term {
	refusal := &Verdict{
		Reason: v1alpha1.ReasonLifetimeTooLong, Cause: v1alpha1.CauseNotAllowed,
		Message: fmt.Sprintf("annotation mcp-registrar.dev/expires-at is beyond the maximum lifetime of %d seconds, counted from when it is set: choose an earlier instant, %s", int64(maximum/time.Second), expiryExample),
	}
	if previous == nil {
		return term{refusal: refusal}
	}
	refusal.Standing = Frozen
	return term{accepted: previous, end: bounded(previous, previous.ExpiresAt.Time, maximum), refusal: refusal}
}

// bounded is the end of a term under the present maximum.
func bounded(t *v1alpha1.Term, end time.Time, maximum time.Duration) time.Time {
	if limit := t.StartedAt.Add(maximum); maximum > 0 && limit.Before(end) {
		return limit
	}
	return end
}

// ceil rounds up to the second, which is what the API stores: rounding down
// would end a term early.
func ceil(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}

// earliest returns the earlier of two instants; zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
