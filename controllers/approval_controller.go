// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// ApprovalReconciler says of each ScopeGrantApproval whether it counts, and keeps
// what was looked at, so that it can be said later what changed. It writes nothing
// but status: whether a grant is in force is decided where the grant is.
type ApprovalReconciler struct {
	client.Client
	Clock    clock.PassiveClock
	Grants   *Grants
	Recorder events.EventRecorder

	written written
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=scopegrantapprovals/status,verbs=get;update;patch

// Reconcile reports on one decision.
func (r *ApprovalReconciler) Reconcile(ctx context.Context, a *v1alpha1.ScopeGrantApproval) (ctrl.Result, error) {
	now := r.Clock.Now()
	facts, err := r.observe(ctx, a)
	return r.report(ctx, a, policy.Approval(facts, now), err, now)
}

func (r *ApprovalReconciler) observe(ctx context.Context, a *v1alpha1.ScopeGrantApproval) (policy.ApprovalFacts, error) {
	facts := policy.ApprovalFacts{Approval: a}
	ref := a.Spec.GrantRef
	if ref == nil {
		var err error
		facts.Server, err = r.namedServer(ctx, a)
		return facts, err
	}
	if facts.Unwatched = !watches(r.Grants.Namespaces, ref.Namespace); facts.Unwatched {
		return facts, nil
	}
	var grant v1alpha1.ScopeGrant
	switch err := r.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, &grant); {
	case apierrors.IsNotFound(err):
		facts.GrantIs = policy.Absent
		return facts, nil
	case err != nil:
		return facts, wrap("reading grant", err)
	}
	facts.GrantIs, facts.Grant.Grant = policy.Present, &grant
	var errs [3]error
	facts.Grant.Server, errs[0] = r.Grants.server(ctx, &grant)
	facts.Grant.AdmissionIs, facts.Grant.AdmissionSince, errs[1] = r.Grants.Admission.Is(ctx)
	var reg v1alpha1.MCPClientRegistration
	switch err := r.Get(ctx, clientOf(&grant), &reg); {
	case apierrors.IsNotFound(err):
		facts.Grant.RegistrationIs = policy.Absent
	case err != nil:
		errs[2] = wrap("reading registration", err)
	default:
		facts.Grant.RegistrationIs, facts.Grant.Registration = policy.Present, &reg
	}
	return facts, errors.Join(errs[:]...)
}

// namedServer is the server that an approval names.
func (r *ApprovalReconciler) namedServer(ctx context.Context, a *v1alpha1.ScopeGrantApproval) (policy.ServerFact, error) {
	var server v1alpha1.MCPServer
	switch err := r.Get(ctx, types.NamespacedName{Namespace: a.Namespace, Name: a.Spec.ServerRef.Name}, &server); {
	case apierrors.IsNotFound(err):
		return policy.ServerFact{Is: policy.Absent}, nil
	case err != nil:
		return policy.ServerFact{}, wrap("reading MCPServer", err)
	}
	return policy.ServerFact{Is: policy.Present, Object: &server}, nil
}

func (r *ApprovalReconciler) report(ctx context.Context, a *v1alpha1.ScopeGrantApproval, d policy.ApprovalDecision, observed error, now time.Time) (ctrl.Result, error) {
	after := a.DeepCopy()
	after.Status = v1alpha1.ScopeGrantApprovalStatus{
		ObservedGeneration: a.Generation, LookedAt: slices.Clone(d.LookedAt),
		Conditions: conditions(a.Status.Conditions, a.Generation, now, accepted(v1alpha1.ConditionAccepted, d.Verdict)),
	}
	err := errors.Join(observed, reporter{r.Client, r.Recorder, &r.written}.write(ctx, a, after))
	if m := classify(err); m.happened {
		return m.result(err)
	}
	return requeueAt(d.Next, r.Clock.Now()), nil
}
