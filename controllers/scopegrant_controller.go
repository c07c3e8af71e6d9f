// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// ScopeGrantReconciler says of each ScopeGrant whether it is in force, by whose
// word, and whether the registration carries it. It writes nothing but status: the client at the authorization server
// has one writer, the registration's.
type ScopeGrantReconciler struct {
	client.Client
	Clock    clock.PassiveClock
	Grants   *Grants
	Recorder events.EventRecorder
	Audit    audit.Recorder

	written written
	// told are the events on the audit record that no stored status follows
	// from yet, by UID of the grant.
	told sync.Map
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=scopegrants/status,verbs=get;update;patch

// Reconcile reports on one grant.
func (r *ScopeGrantReconciler) Reconcile(ctx context.Context, grant *v1alpha1.ScopeGrant) (ctrl.Result, error) {
	now := r.Clock.Now()
	facts, reg, err := r.observe(ctx, grant)
	decision, turnErr := r.Grants.decide(ctx, &facts, now)
	applied := policy.Applied(grant, decision, reg)
	return r.report(ctx, facts, reg, decision, applied, errors.Join(err, turnErr), now)
}

func (r *ScopeGrantReconciler) observe(ctx context.Context, grant *v1alpha1.ScopeGrant) (policy.GrantFacts, *v1alpha1.MCPClientRegistration, error) {
	facts := policy.GrantFacts{Grant: grant}
	var errs [4]error
	errs[0] = r.Grants.Observe(ctx, &facts, r.Grants.rooms())
	facts.Namespace, errs[1] = getNamespace(ctx, r.Client, grant.Namespace)
	var reg v1alpha1.MCPClientRegistration
	err := r.Get(ctx, types.NamespacedName{Namespace: grant.Namespace, Name: grant.Spec.ClientRef.Name}, &reg)
	switch {
	case apierrors.IsNotFound(err):
		facts.RegistrationIs = policy.Absent
		return facts, nil, errors.Join(errs[:]...)
	case err != nil:
		errs[2] = wrap("reading registration", err)
		return facts, nil, errors.Join(errs[:]...)
	}
	facts.RegistrationIs, facts.Registration, facts.Carried = policy.Present, &reg, reg.Status.Scopes
	facts.AuthorizationServer, errs[3] = getAuthorizationServer(ctx, r.Client, reg.Spec.AuthorizationServerRef.Name)
	return facts, &reg, errors.Join(errs[:]...)
}

func (r *ScopeGrantReconciler) report(ctx context.Context, facts policy.GrantFacts, reg *v1alpha1.MCPClientRegistration, d policy.GrantDecision, applied policy.Verdict, observed error, now time.Time) (ctrl.Result, error) {
	grant, after := facts.Grant, facts.Grant.DeepCopy()
	if r.written.over(grant) {
		return classify(errStale).result(errStale)
	}
	after.Status = grantStatus(grant, reg, d, applied, policy.Review(facts, d, now), now)
	if observed == nil && settling(grant, after.Status.Conditions, now) {
		return ctrl.Result{RequeueAfter: settleTime}, nil
	}
	if !equality.Semantic.DeepEqual(grant.Status, after.Status) {
		r.tell(grant, after, d, now)
	}
	writeErr := reporter{r.Client, r.Recorder, &r.written}.write(ctx, grant, after)
	if writeErr == nil {
		r.told.Delete(grant.UID)
	}
	err := errors.Join(observed, writeErr)
	if m := classify(err); m.happened {
		return m.result(err)
	}
	return requeueAt(nextOfGrant(d, now), r.Clock.Now()), nil
}

// tell puts on the audit record what became of a grant, before the status says
// so. A status that cannot be written at once does not repeat it.
func (r *ScopeGrantReconciler) tell(before, after *v1alpha1.ScopeGrant, d policy.GrantDecision, now time.Time) {
	stored, _ := r.told.LoadOrStore(before.UID, &sync.Map{})
	told, ok := stored.(*sync.Map)
	for _, event := range grantEvents(before, after, d, now) {
		key := [2]any{event.Type, event.Data.Generation}
		if !ok {
			continue
		}
		if _, done := told.LoadOrStore(key, true); !done {
			r.Audit.Record(event)
		}
	}
}

// nextOfGrant is when the answer about a grant can change with no event.
func nextOfGrant(d policy.GrantDecision, now time.Time) time.Time {
	var next time.Time
	for _, at := range []time.Time{d.ExpiresAt, d.AcceptableAt} {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// approvalOf is the decision of an owner of the server that counts for a grant, as
// its status shows it.
func approvalOf(a *v1alpha1.ScopeGrantApproval) *v1alpha1.Approval {
	if a == nil {
		return nil
	}
	return &v1alpha1.Approval{
		Name: a.Name, UID: string(a.UID), Decision: a.Spec.Decision, Reason: a.Spec.Reason,
		ApprovedBy:   a.Annotations[v1alpha1.AnnotationApprovedBy],
		DecisionTime: a.CreationTimestamp, ExpirationTime: a.Spec.ExpirationTime.DeepCopy(),
	}
}

// grantStatus is the status that follows from the decision.
func grantStatus(grant *v1alpha1.ScopeGrant, reg *v1alpha1.MCPClientRegistration, d policy.GrantDecision, applied policy.Verdict, review policy.ToolReview, now time.Time) v1alpha1.ScopeGrantStatus {
	status := v1alpha1.ScopeGrantStatus{
		ObservedGeneration: grant.Generation, ExpiresAt: timeOf(d.ExpiresAt),
		Approval: approvalOf(d.Approval), Basis: d.Basis, Term: d.Term,
		ToolSnapshot: review.Snapshot, ChangedTools: review.Changed, ChangedToolsOmitted: count32(review.Omitted),
	}
	if !d.Asked {
		status.Approval = grant.Status.Approval.DeepCopy()
	}
	if d.Undecided && grant.Status.ObservedGeneration == grant.Generation {
		// The end that was decided on stands: the annotation is the team's own.
		status.Basis, status.ExpiresAt = grant.Status.Basis, sooner(status.ExpiresAt, grant.Status.ExpiresAt)
		status.Approval = grant.Status.Approval.DeepCopy()
	}
	status.RecordedApprovals = recordedApprovals(grant.Status, status)
	if reg != nil {
		status.ExpiresAt = sooner(status.ExpiresAt, reg.Status.ExpiresAt)
	}
	carried := accepted(v1alpha1.ConditionApplied, applied)
	if carried.status == metav1.ConditionFalse {
		carried.waiting = d.Verdict.Waiting
	}
	entries := []entry{accepted(v1alpha1.ConditionAccepted, d.Verdict), carried}
	if review.Message != "" {
		entries = append(entries, entry{
			kind: v1alpha1.ConditionReviewRequired, status: metav1.ConditionTrue, reason: v1alpha1.ReasonToolsChanged, message: review.Message, aside: true,
		})
	}
	status.Conditions = conditions(grant.Status.Conditions, grant.Generation, now, entries...)
	return status
}

// sooner is the earlier of two instants; nil is none.
func sooner(a, b *metav1.Time) *metav1.Time {
	if a == nil || (b != nil && b.Before(a)) {
		return b
	}
	return a
}
