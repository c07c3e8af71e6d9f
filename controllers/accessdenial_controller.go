// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// AccessDenialReconciler says of each AccessDenial whether every guard acts on it.
// It writes status, and takes away what the operator made and nobody needs any
// more; it never touches another denial.
type AccessDenialReconciler struct {
	client.Client
	Clock    clock.PassiveClock
	Guards   *Guards
	Denials  *Denials
	Recorder events.EventRecorder

	written written
	mu      sync.Mutex
	// asked is the version that guards must have seen, of the denials that wait.
	asked map[types.UID]asked
}

type asked struct {
	generation int64
	version    string
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=accessdenials/status,verbs=get;update;patch

// strayDenial is how long a denial that the operator made outlives its
// registration: longer than any token, and than any guard goes on without word.
const strayDenial = 24 * time.Hour

// Reconcile reports on one denial.
func (r *AccessDenialReconciler) Reconcile(ctx context.Context, denial *v1alpha1.AccessDenial) (ctrl.Result, error) {
	now := r.Clock.Now()
	if operatorMade(denial) && (policy.DenialOf(denial).Over(now) || r.stray(ctx, denial, now)) {
		return ctrl.Result{}, r.Denials.delete(ctx, denial)
	}
	facts := policy.EnforcementFacts{Denial: denial, Version: r.version(denial)}
	var err error
	if !enforced(denial, now) {
		facts.Guards, facts.Servers, facts.GuardsAre, err = r.Guards.all(ctx, now)
	}
	e := policy.Enforced(facts, now)
	if e.Enforced && err == nil {
		err = r.Guards.History.Holds(ctx)
	}
	return r.report(ctx, denial, e, err, now)
}

// version is the first version that was seen of the present generation. What is
// written since is status, and guards need not have seen it.
func (r *AccessDenialReconciler) version(denial *v1alpha1.AccessDenial) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == nil || len(r.asked) >= maxWritten {
		r.asked = map[types.UID]asked{}
	}
	known, there := r.asked[denial.UID]
	if !there || known.generation != denial.Generation {
		known = asked{denial.Generation, denial.ResourceVersion}
		r.asked[denial.UID] = known
	}
	return known.version
}

func (r *AccessDenialReconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asked, uid)
}

// enforced says that the status says so of the present spec. It stays true: guards
// that begin later have the denial from their beginning.
func enforced(denial *v1alpha1.AccessDenial, now time.Time) bool {
	return denial.Status.EnforcedTime != nil && denial.Status.ObservedGeneration == denial.Generation && !policy.DenialOf(denial).Over(now)
}

// stray says that the registration that the operator denied is gone for long.
func (r *AccessDenialReconciler) stray(ctx context.Context, denial *v1alpha1.AccessDenial, now time.Time) bool {
	if now.Before(denial.CreationTimestamp.Add(strayDenial)) {
		return false
	}
	namespace, name, _ := strings.Cut(denial.Annotations[v1alpha1.AnnotationRegistration], "/")
	var reg v1alpha1.MCPClientRegistration
	err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &reg)
	return apierrors.IsNotFound(err) || err == nil && string(reg.UID) != denial.Labels[v1alpha1.LabelRegistrationUID]
}

func (r *AccessDenialReconciler) report(ctx context.Context, denial *v1alpha1.AccessDenial, e policy.Enforcement, observed error, now time.Time) (ctrl.Result, error) {
	next := r.next(denial, now)
	if observed == nil && enforced(denial, now) {
		r.forget(denial.UID)
		return requeueAt(next, now), nil
	}
	after := denial.DeepCopy()
	after.Status = denialStatus(denial, e, now)
	if observed == nil && settling(denial, after.Status.Conditions, now) {
		return ctrl.Result{RequeueAfter: settleTime}, nil
	}
	var err error
	if observed == nil {
		err = reporter{r.Client, r.Recorder, &r.written}.write(ctx, denial, after)
	}
	if m := classify(errors.Join(observed, err)); m.happened {
		return m.result(errors.Join(observed, err))
	}
	if e.Verdict.Waiting || e.Verdict.Reason == v1alpha1.ReasonNoGuard {
		// A Lease that is not renewed ends without an event.
		next = now.Add(guardCheck)
	}
	return requeueAt(next, now), nil
}

// next is when the answer can change with no event.
func (r *AccessDenialReconciler) next(denial *v1alpha1.AccessDenial, now time.Time) time.Time {
	next := policy.DenialOf(denial).EndsAt
	if !next.After(now) {
		next = time.Time{}
	}
	if operatorMade(denial) {
		stray := denial.CreationTimestamp.Add(strayDenial)
		if !stray.After(now) {
			stray = now.Add(strayDenial)
		}
		if next.IsZero() || stray.Before(next) {
			next = stray
		}
	}
	return next
}

// denialStatus is the status that follows from what guards say.
func denialStatus(denial *v1alpha1.AccessDenial, e policy.Enforcement, now time.Time) v1alpha1.AccessDenialStatus {
	status := v1alpha1.AccessDenialStatus{ObservedGeneration: denial.Generation, EnforcedTime: denial.Status.EnforcedTime, EnforcedBy: denial.Status.EnforcedBy}
	if e.Verdict.Reason == v1alpha1.ReasonExpired {
		status.EnforcedTime, status.EnforcedBy = nil, nil
	}
	if status.EnforcedTime == nil && e.By > 0 {
		status.EnforcedBy = new(bounded(e.By))
	}
	if status.EnforcedTime == nil && e.Enforced {
		// Rounded up: it is never earlier than the truth.
		status.EnforcedTime = new(metav1.NewTime(now.Add(time.Second - 1).Truncate(time.Second)))
	}
	if pending := len(e.Pending); pending > 0 {
		status.Pending, status.PendingGuards = new(bounded(pending)), e.Pending[:min(pending, maxPendingGuards)]
	}
	status.Conditions = conditions(denial.Status.Conditions, denial.Generation, now, accepted(v1alpha1.ConditionEnforced, e.Verdict))
	return status
}

// maxPendingGuards is how many guards the status of a denial names.
const maxPendingGuards = 16

func bounded(n int) int32 { return int32(min(n, 1<<30)) } //nolint:gosec // It is bounded.

// indexUnenforced finds the denials that guards are not known to act on.
const indexUnenforced = "unenforced"

func unenforced(object client.Object) []string {
	denial, ok := object.(*v1alpha1.AccessDenial)
	if !ok {
		return nil
	}
	c := meta.FindStatusCondition(denial.Status.Conditions, v1alpha1.ConditionEnforced)
	if c != nil && c.ObservedGeneration == denial.Generation && c.Reason != v1alpha1.ReasonGuardsPending && c.Reason != v1alpha1.ReasonNoGuard {
		return nil
	}
	return []string{labelTrue}
}

// SetupWithManager starts the reconciler of denials.
func (r *AccessDenialReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("accessdenial").
		For(&v1alpha1.AccessDenial{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(options(workers))
	if r.Guards != nil {
		b = b.Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(r.ofGuard),
			builder.WithPredicates(acknowledged(v1alpha1.AnnotationDenials, v1alpha1.AnnotationGuards)))
	}
	return b.Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// ofGuard names the denials that wait for word of guards.
func (r *AccessDenialReconciler) ofGuard(ctx context.Context, _ client.Object) []reconcile.Request {
	var waiting v1alpha1.AccessDenialList
	if err := r.List(ctx, &waiting, client.MatchingFields{indexUnenforced: labelTrue}, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	requests := make([]reconcile.Request, len(waiting.Items))
	for i := range waiting.Items {
		requests[i].Name = waiting.Items[i].Name
	}
	return requests
}
