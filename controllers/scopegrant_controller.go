// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// ScopeGrantReconciler says of each ScopeGrant whether it is in force and
// whether the registration carries it. It writes nothing but status: the
// client at the authorization server has one writer, the registration's.
type ScopeGrantReconciler struct {
	client.Client
	Clock    clock.PassiveClock
	Recorder events.EventRecorder
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=scopegrants/status,verbs=get;update;patch

// Reconcile reports on one grant.
func (r *ScopeGrantReconciler) Reconcile(ctx context.Context, grant *v1alpha1.ScopeGrant) (ctrl.Result, error) {
	now := r.Clock.Now()
	facts, reg, err := r.observe(ctx, grant)
	decision := policy.Grant(facts, now)
	applied := policy.Applied(grant, decision, reg)
	return r.report(ctx, grant, reg, decision, applied, err, now)
}

func (r *ScopeGrantReconciler) observe(ctx context.Context, grant *v1alpha1.ScopeGrant) (policy.GrantFacts, *v1alpha1.MCPClientRegistration, error) {
	facts := policy.GrantFacts{Grant: grant}
	var errs [4]error
	facts.Server, errs[0] = getServer(ctx, r.Client, grant)
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
	facts.RegistrationIs = policy.Present
	facts.AuthorizationServer, errs[3] = getAuthorizationServer(ctx, r.Client, reg.Spec.AuthorizationServerRef.Name)
	return facts, &reg, errors.Join(errs[:]...)
}

func (r *ScopeGrantReconciler) report(ctx context.Context, grant *v1alpha1.ScopeGrant, reg *v1alpha1.MCPClientRegistration, d policy.GrantDecision, applied policy.Verdict, observed error, now time.Time) (ctrl.Result, error) {
	after := grant.DeepCopy()
	after.Status = grantStatus(grant, reg, d, applied, now)
	if observed == nil && settling(grant, after.Status.Conditions, now) {
		return ctrl.Result{RequeueAfter: settleTime}, nil
	}
	err := errors.Join(observed, reporter{r.Client, r.Recorder}.write(ctx, grant, after))
	if m := classify(err); m.happened {
		return m.result(err)
	}
	if d.ExpiresAt.After(now) {
		return requeueAt(d.ExpiresAt, r.Clock.Now()), nil
	}
	return ctrl.Result{}, nil
}

// grantStatus is the status that follows from the decision.
func grantStatus(grant *v1alpha1.ScopeGrant, reg *v1alpha1.MCPClientRegistration, d policy.GrantDecision, applied policy.Verdict, now time.Time) v1alpha1.ScopeGrantStatus {
	status := v1alpha1.ScopeGrantStatus{ObservedGeneration: grant.Generation, ExpiresAt: timeOf(d.ExpiresAt)}
	if reg != nil && reg.Status.ExpiresAt != nil && (status.ExpiresAt == nil || reg.Status.ExpiresAt.Before(status.ExpiresAt)) {
		status.ExpiresAt = reg.Status.ExpiresAt
	}
	carried := accepted(v1alpha1.ConditionApplied, applied)
	if carried.status == metav1.ConditionFalse {
		carried.waiting = d.Verdict.Waiting
	}
	status.Conditions = conditions(grant.Status.Conditions, grant.Generation, now,
		accepted(v1alpha1.ConditionAccepted, d.Verdict), carried)
	return status
}
