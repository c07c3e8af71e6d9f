// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// report writes the status of a registration once, and says when to look
// again.
func (r *RegistrationReconciler) report(ctx context.Context, reg *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, done outcome, now time.Time) (ctrl.Result, error) {
	m := classify(done.err)
	r.Access.Heed(done.server, done.err)
	switch {
	case m.happened && m.silent:
		return m.result(done.err)
	case done.gone && !owesStatus(reg):
		return r.reportGone(ctx, reg, done)
	case done.again > 0 && done.again < lifecycle.DisbeliefDelay && !m.happened:
		return r.urgent(d, done.record, ctrl.Result{RequeueAfter: done.again}), nil
	}
	after := reg.DeepCopy()
	after.Status = registrationStatus(reg, d, done, m, now)
	if settling(reg, after.Status.Conditions, now) {
		return ctrl.Result{RequeueAfter: settleTime}, nil
	}
	err := r.writeStatus(ctx, reg, after, d, done.record)
	if w := classify(err); w.happened {
		return w.result(err)
	}
	r.tell(reg, after, done)
	r.tellOfRotation(reg, after, done.traits)
	if m.happened {
		return r.retry(ctx, d, done, m)
	}
	return r.urgent(d, done.record, r.next(reg, d, done)), nil
}

// waits says that the stored status tells that a registration waits for a
// place: only then it is looked at when one becomes free.
func waits(reg *v1alpha1.MCPClientRegistration) bool {
	accepted := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionAccepted)
	return accepted != nil && waitsForPlace(accepted.Reason)
}

// retry is when to try again after an error: never later than a deadline that
// takes something away.
func (r *RegistrationReconciler) retry(ctx context.Context, d policy.RegistrationDecision, done outcome, m mishap) (ctrl.Result, error) {
	if deadline := requeueAt(d.TakesAwayAt, r.Clock.Now()).RequeueAfter; deadline > 0 && deadline < maxBackoff {
		logf.FromContext(ctx).Error(done.err, "Trying again by the next deadline")
		return r.urgent(d, done.record, ctrl.Result{RequeueAfter: min(deadline, cmp.Or(m.after, deadlineRetry))}), nil
	}
	if m.stalled && done.record.Released != "" {
		// The revocation is now known to be blocked, and a person has let go.
		return r.urgent(d, done.record, ctrl.Result{RequeueAfter: releaseDelay}), nil
	}
	result, err := m.result(done.err)
	return r.urgent(d, done.record, result), err
}

// releaseDelay is how long after a blocked revocation a person's word for it is
// acted upon.
const releaseDelay = time.Second

// deadlineRetry is the delay of a retry that has a deadline before it.
const deadlineRetry = 5 * time.Second

// next is when to look again after a pass without error.
func (r *RegistrationReconciler) next(reg *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, done outcome) ctrl.Result {
	if wait := r.nextStep(reg, d, done); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}
	}
	result := requeueAt(d.Next, r.Clock.Now())
	if _, from := r.Examinations.Due(reg.UID, r.Clock.Now()); !from.IsZero() {
		wait := max(from.Sub(r.Clock.Now()), time.Second)
		result.RequeueAfter = min(cmp.Or(result.RequeueAfter, wait), wait)
	}
	if done.heard == unheard && residual(reg.Status.Revocation, r.Clock.Now()) {
		result.RequeueAfter = min(cmp.Or(result.RequeueAfter, guardCheck), guardCheck)
	}
	if waitsForPlace(d.Verdict.Reason) && !waits(reg) {
		// A place may have become free before the status said that one is needed.
		result.RequeueAfter = min(cmp.Or(result.RequeueAfter, settleTime), settleTime)
	}
	return result
}

// nextStep is how long to wait for the next step of a client's way; zero where it has
// none.
func (r *RegistrationReconciler) nextStep(reg *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, done outcome) time.Duration {
	switch {
	case done.again > 0:
		return done.again
	case d.Action == policy.Revoke && reg.DeletionTimestamp != nil && !done.record.HoldsPlace() && !done.gone:
		// It is told, and the object can be let go.
		return lifecycle.AtOnce
	case lifecycle.Told(done.record):
		return lifecycle.DisbeliefDelay
	case d.Verdict.Reason == v1alpha1.ReasonManagementLost:
		return blockedDelay
	}
	return 0
}

// The priorities of the queue: what the server is to be told that takes away
// overtakes what was told and waits for its proof, and that the rest.
const (
	priorityRevoke = 100
	priorityProve  = 50
	priorityNormal = 0
)

// notice is how long before a deadline that takes something away a registration has a
// place at the front, whatever it is looked at for: what waits in the queue when the
// deadline comes waits in that place.
const notice = time.Minute

// urgent gives a registration that must lose its client, or will soon lose something,
// a place at the front. Once the server was told, all else can wait for those it was
// not told of.
func (r *RegistrationReconciler) urgent(d policy.RegistrationDecision, record policy.Record, result ctrl.Result) ctrl.Result {
	priority := priorityNormal
	woken := r.Clock.Now().Add(result.RequeueAfter)
	switch {
	case lifecycle.Told(record):
		priority = priorityProve
	case d.Action == policy.Revoke || d.Verdict.Standing == policy.Refused,
		!d.TakesAwayAt.IsZero() && d.TakesAwayAt.Before(woken.Add(notice)):
		priority = priorityRevoke
	}
	result.Priority = &priority
	return result
}

// registrationStatus is the status that follows from what was decided and
// done.
func registrationStatus(reg *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, done outcome, m mishap, now time.Time) v1alpha1.MCPClientRegistrationStatus {
	record, old := done.record, reg.Status
	status := v1alpha1.MCPClientRegistrationStatus{
		ObservedGeneration: reg.Generation,
		Term:               old.Term,
		ClientID:           old.ClientID,
		Scopes:             old.Scopes,
		ScopesOmitted:      old.ScopesOmitted,
		RegisteredAt:       old.RegisteredAt,
		SecretName:         old.SecretName,
		RotatedAt:          timeOf(record.Rotation.MadeAt),
		OldKeyUntil:        timeOf(record.Rotation.OldUntil),
		PossibleOrphans:    record.Orphans,
		Revocation:         denial(old.Revocation, lifecycle.RevocationOf(old.Revocation, d, record), done.heard, now),
		ExpiresAt:          timeOf(d.ExpiresAt),
	}
	if d.Term != nil {
		status.Term = d.Term
	}
	if done.unlooked || foretold(reg, d, record, now) {
		// By this it is known that it has to be looked for.
		status.ExpiresAt = old.ExpiresAt
	}
	if d.Verdict.Reason != v1alpha1.ReasonFactUnknown && d.Verdict.Reason != v1alpha1.ReasonManagementLost {
		describeClient(&status, reg, d, record)
	}
	allowed := accepted(v1alpha1.ConditionAccepted, d.Verdict)
	m.message = m.text(meta.FindStatusCondition(old.Conditions, v1alpha1.ConditionRegistered))
	registered := registeredEntry(d, record, m)
	told := promises(reg, record, done.server, done.examined)
	entries := append([]entry{allowed, registered}, told...)
	allowed.waiting = allowed.waiting && !m.stalled
	blocked := m.happened && d.Verdict.Standing == policy.Refused
	if blocked || (registered.status == metav1.ConditionUnknown && !registered.waiting) {
		entries = append([]entry{registered, allowed}, told...)
	}
	status.Conditions = conditions(old.Conditions, reg.Generation, now, entries...)
	return status
}

// foretold says that status alone tells of an end of which the server may have been
// told.
func foretold(reg *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, record policy.Record, now time.Time) bool {
	return d.Action == policy.Revoke && lifecycle.Begins(record) && policy.EndedBefore(reg, now)
}

// describeClient says what there is at the authorization server.
func describeClient(status *v1alpha1.MCPClientRegistrationStatus, reg *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, record policy.Record) {
	before := status.Scopes
	status.ClientID, status.Scopes, status.RegisteredAt, status.SecretName = "", nil, nil, ""
	status.ScopesOmitted = 0
	if record.Exists() {
		status.ClientID = record.Client.ID
		status.RegisteredAt = timeOf(record.RegisteredAt)
	}
	if !record.Live() || record.Cause != "" {
		return
	}
	if policy.WantsSecret(reg.Spec) {
		status.SecretName = policy.SecretName(reg)
	}
	for _, name := range record.Client.Registered.Scopes {
		for _, scope := range slices.Concat(d.Scopes, before) {
			if scope.Name == name {
				status.Scopes = append(status.Scopes, scope)
				break
			}
		}
	}
}

// registeredEntry is the Registered condition.
func registeredEntry(d policy.RegistrationDecision, record policy.Record, m mishap) entry {
	e := entry{kind: v1alpha1.ConditionRegistered, status: metav1.ConditionUnknown}
	switch {
	case m.happened:
		e.reason, e.message, e.waiting = m.reason, m.message, !m.stalled
	case d.Verdict.Standing == policy.Undecided && !record.Live():
		e.reason, e.message, e.waiting = d.Verdict.Reason, d.Verdict.Message, d.Verdict.Waiting
	default:
		p, exists := lifecycle.PresenceOf(record)
		e.status, e.reason, e.message, e.waiting = p.Status, p.Reason, p.Message, p.Waiting
		if !exists {
			e.waiting = d.Verdict.Waiting
		}
	}
	return e
}

// timeOf turns an instant into the API's form; the zero instant is none.
func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	whole := metav1.NewTime(t.Truncate(time.Second))
	return &whole
}

// tell emits the events that are not transitions of Ready.
func (r *RegistrationReconciler) tell(before, after *v1alpha1.MCPClientRegistration, done outcome) {
	for _, mark := range after.Status.PossibleOrphans {
		if !slices.Contains(before.Status.PossibleOrphans, mark) {
			r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, "PossibleOrphan", "Register",
				"a registration request with the mark %s ended without an answer: a client with that mark may exist at the authorization server and belongs to nobody", mark)
		}
	}
	if done.vanished && done.record.Live() {
		r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, "ClientVanished", "Register",
			"the client %s was found to be gone at the authorization server and was registered anew", before.Status.ClientID)
	}
	if lifecycle.LetGo(done.record) {
		r.tellOfRelease(after, done)
	}
}

func (r *RegistrationReconciler) tellOfRelease(reg *v1alpha1.MCPClientRegistration, done outcome) {
	if done.record.Released != "" {
		r.Recorder.Eventf(reg, nil, corev1.EventTypeWarning, v1alpha1.ReasonReleased, "Release",
			"the client %s was let go without proof that it is gone: %s", cmp.Or(done.record.Client.ID, reg.Status.ClientID), done.record.Released)
	}
}

// tellOfRotation warns of a rotation that is asked for and cannot be done.
func (r *RegistrationReconciler) tellOfRotation(before, after *v1alpha1.MCPClientRegistration, traits authserver.Traits) {
	asked := after.Annotations[v1alpha1.AnnotationRotate] != "" || (after.Spec.Credentials != nil && after.Spec.Credentials.RotateAfterSeconds != nil)
	news := before.Status.ObservedGeneration != after.Status.ObservedGeneration
	if asked && news && !policy.Rotatable(after.Spec, traits) {
		r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, "RotationUnsupported", "Rotate",
			"the credentials of this client cannot be replaced here: the authorization server chooses client secrets itself, or the key is not the operator's; with tokenEndpointAuthMethod: PrivateKeyJWT and no jwks they can")
	}
}
