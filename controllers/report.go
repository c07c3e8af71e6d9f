// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	// conflictDelay is how soon a pass that met a newer version is repeated.
	conflictDelay = 20 * time.Millisecond
	// blockedDelay is how often something is tried that needs a person.
	blockedDelay = time.Minute
	// settleTime is how long a new object may wait for others before its
	// status says so: objects that are applied together find each other
	// first, and each gets one status write.
	settleTime = 3 * time.Second
)

// mishap is what an error means: for the conditions, and for what is returned.
type mishap struct {
	// happened says that there was an error at all.
	happened bool
	// silent says that the status stays as it is.
	silent  bool
	reason  string
	message string
	// says is the API server's own reason, beside the message.
	says string
	// stalled says that only a person helps.
	stalled bool
	// after is a fixed delay; zero means that the error is returned and
	// retried with backoff.
	after time.Duration
}

// classify is the one place where kinds of errors become outcomes. Of several,
// the worst wins: our credentials, then what is unavailable, then the rest.
func classify(err error) mishap {
	var answer *authserver.Error
	switch {
	case err == nil:
		return mishap{}
	case errors.Is(err, errStale), apierrors.IsConflict(err):
		return mishap{happened: true, silent: true, after: conflictDelay}
	case errors.Is(err, errForeignSecret):
		return mishap{happened: true, stalled: true, reason: v1alpha1.ReasonSecretConflict, after: blockedDelay,
			message: "the credentials Secret exists and was not created by the operator for this registration: delete it, or choose another spec.credentials.secretName"}
	case errors.Is(err, errFinalizerRefused):
		return mishap{happened: true, stalled: true, reason: v1alpha1.ReasonFinalizerRefused, after: blockedDelay,
			message: "something removes the operator's finalizer from this object as soon as it is set: nothing new is registered without it; ask the platform team which mutating admission policy or tool does so"}
	case errors.Is(err, errRecordDamaged):
		return mishap{happened: true, stalled: true, reason: v1alpha1.ReasonRecordDamaged, after: blockedDelay,
			message: "something changes the registration record in the operator's namespace while it is written: nothing new is registered; ask the platform team which mutating admission policy changes Secrets there (see the runbook)"}
	case errors.As(err, &answer):
		return classifyAnswer(answer, errors.Is(err, errInitialAccess))
	}
	return classifyCluster(err)
}

func classifyAnswer(answer *authserver.Error, initialAccess bool) mishap {
	switch answer.Kind {
	case authserver.Unauthorized:
		if initialAccess {
			return mishap{happened: true, reason: v1alpha1.ReasonUnauthorized, after: blockedDelay, stalled: true,
				message: "the authorization server refuses the operator's own access: it is the platform team's turn, whom the condition AdminAccess of the AuthorizationServer tells what to do; nothing needs to be done here, and it goes on by itself"}
		}
		return mishap{happened: true, reason: v1alpha1.ReasonManagementLost, after: blockedDelay, stalled: true,
			message: "the authorization server refuses the management token of the client, which may be alive: ask the platform team to delete the client there, then to release it (see the runbook)"}
	case authserver.Rejected, authserver.Conflict:
		return mishap{happened: true, reason: v1alpha1.ReasonManagementUnsupported, after: blockedDelay, stalled: true,
			message: "the authorization server refuses to manage the client, which may be alive: ask the platform team to delete the client there, then to release it (see the runbook)"}
	case authserver.Unavailable:
	}
	return mishap{happened: true, silent: answer.Unsent && answer.RetryAfter < settleTime, reason: v1alpha1.ReasonUnavailable, after: answer.RetryAfter,
		message: "the authorization server gives no usable answer: tried again"}
}

// result is what Reconcile returns.
func (m mishap) result(err error) (ctrl.Result, error) {
	if m.after > 0 {
		return ctrl.Result{RequeueAfter: m.after}, nil
	}
	return ctrl.Result{}, err
}

// requeueAt returns the delay until an instant. It is never zero or negative,
// which controller-runtime would take for "not at all".
func requeueAt(next, now time.Time) ctrl.Result {
	if next.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(now), lifecycle.AtOnce)}
}

// entry is one condition in the making.
type entry struct {
	kind    string
	status  metav1.ConditionStatus
	reason  string
	message string
	// waiting says that nobody needs to act on this object.
	waiting bool
	// aside says that Ready does not depend on it.
	aside bool
}

// accepted is the Accepted condition of a verdict.
func accepted(kind string, v policy.Verdict) entry {
	e := entry{kind: kind, reason: v.Reason, message: v.Message, waiting: v.Waiting, status: metav1.ConditionFalse}
	switch v.Standing {
	case policy.Allowed:
		e.status = metav1.ConditionTrue
	case policy.Undecided:
		e.status = metav1.ConditionUnknown
	case policy.Refused, policy.Frozen:
	}
	return e
}

// conditions builds the conditions of a status from its entries, the most
// telling first. Ready is their AND; Reconciling and Stalled are present only
// while true, and never together.
func conditions(previous []metav1.Condition, generation int64, now time.Time, entries ...entry) []metav1.Condition {
	ready := entry{kind: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: v1alpha1.ReasonReady, message: "everything holds"}
	waiting := false
	for _, e := range slices.Backward(entries) {
		if e.status != metav1.ConditionTrue && !e.aside {
			ready.status, ready.reason, ready.message = e.status, e.reason, e.message
			waiting = waiting || e.waiting
		}
	}
	all := append(entries, ready)
	switch {
	case ready.status == metav1.ConditionTrue:
	case waiting:
		all = append(all, entry{kind: v1alpha1.ConditionReconciling, status: metav1.ConditionTrue, reason: ready.reason, message: ready.message})
	default:
		all = append(all, entry{kind: v1alpha1.ConditionStalled, status: metav1.ConditionTrue, reason: ready.reason, message: ready.message})
	}
	built := make([]metav1.Condition, 0, len(all))
	for _, e := range all {
		condition := metav1.Condition{
			Type: e.kind, Status: e.status, Reason: e.reason, Message: e.message,
			ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		}
		if old := meta.FindStatusCondition(previous, e.kind); old != nil && old.Status == e.status {
			condition.LastTransitionTime = old.LastTransitionTime
		}
		built = append(built, condition)
	}
	return built
}

// reported is an object with conditions.
type reported interface {
	client.Object
	GetConditions() []metav1.Condition
	SetConditions(conditions []metav1.Condition)
}

// settling says that a new object still waits for others and its status can
// wait with it. An age below zero is the API server's clock being ahead: then
// nothing waits.
func settling(object reported, next []metav1.Condition, now time.Time) bool {
	age := now.Sub(object.GetCreationTimestamp().Time)
	return len(object.GetConditions()) == 0 && meta.IsStatusConditionTrue(next, v1alpha1.ConditionReconciling) &&
		age >= 0 && age < settleTime
}

// maxWritten is how many status writes are remembered at least.
const maxWritten = 4096

// written remembers which version of an object a status was last written over,
// for some thousand objects: a pass that still sees that version decides on what
// is out of date, and nothing would wake it when the cache catches up.
type written struct {
	mu     sync.Mutex
	recent map[types.UID]string
	older  map[types.UID]string
}

// over says that the status of an object was written over the version at hand.
func (w *written) over(object client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	base, found := w.recent[object.GetUID()]
	if !found {
		base, found = w.older[object.GetUID()]
	}
	return found && base == object.GetResourceVersion()
}

func (w *written) note(object client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.recent == nil || len(w.recent) >= maxWritten {
		w.older, w.recent = w.recent, map[types.UID]string{}
	}
	w.recent[object.GetUID()] = object.GetResourceVersion()
}

// reporter writes status: it is the only writer.
type reporter struct {
	client.Client
	recorder events.EventRecorder
	written  *written
}

// write stores the status of after if it differs from before, then tells of
// the transition of Ready. The status is stored under the version that was
// decided on: a newer one is decided on again.
func (w reporter) write(ctx context.Context, before, after reported) error {
	if w.written.over(before) {
		return errStale
	}
	fit(after)
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	if err := w.Status().Update(ctx, after); err != nil {
		err = wrapWrite("write the status of this object", client.IgnoreNotFound(err), after)
		if m := classify(err); m.reason == v1alpha1.ReasonWriteRefused {
			// There is no other place to say it.
			w.recorder.Eventf(after, nil, corev1.EventTypeWarning, m.reason, "Reconcile", "%s", m.text(nil))
		}
		return err
	}
	if after.GetResourceVersion() != before.GetResourceVersion() {
		w.written.note(before)
	}
	w.tell(before, after)
	return nil
}

// tell tells of the transition of Ready: as a warning where somebody has to act.
func (w reporter) tell(before, after reported) {
	old := meta.FindStatusCondition(before.GetConditions(), v1alpha1.ConditionReady)
	ready := meta.FindStatusCondition(after.GetConditions(), v1alpha1.ConditionReady)
	if ready == nil || (old != nil && old.Status == ready.Status && old.Reason == ready.Reason) {
		return
	}
	kind := corev1.EventTypeNormal
	if meta.IsStatusConditionTrue(after.GetConditions(), v1alpha1.ConditionStalled) ||
		meta.IsStatusConditionFalse(after.GetConditions(), v1alpha1.ConditionAdminAccess) {
		kind = corev1.EventTypeWarning
	}
	w.recorder.Eventf(after, nil, kind, ready.Reason, "Reconcile", "%s", ready.Message)
}
