// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// clockInterval is how often it is looked whether the clocks agree. Nobody is asked for
// it.
const clockInterval = 5 * time.Minute

// tellClock tells once that a clock is wrong, or right again.
func (r *AuthorizationServerReconciler) tellClock(before, after *v1alpha1.AuthorizationServer) {
	old := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionClockSynchronized)
	is := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionClockSynchronized)
	switch {
	case is == nil, old != nil && old.Reason == is.Reason, old == nil && is.Status == metav1.ConditionTrue:
	case is.Status == metav1.ConditionTrue:
		r.Recorder.Eventf(after, nil, corev1.EventTypeNormal, is.Reason, "Reconcile", "%s", is.Message)
	default:
		r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
	}
}
