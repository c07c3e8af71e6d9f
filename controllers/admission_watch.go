// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// watched adds the watches of the admission policies that approvals rest on,
// and of the beginning of an epoch.
func (a *Admission) watched(b *builder.Builder, of handler.MapFunc) *builder.Builder {
	if !a.Served {
		return b
	}
	matters := builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
		return slices.Contains(approvalPolicies, object.GetName())
	}))
	for _, kind := range []client.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{},
	} {
		b = b.Watches(kind, onAdmission(of), matters)
	}
	begun := make(chan event.GenericEvent, 1)
	a.begun = append(a.begun, begun)
	return b.WatchesRawSource(source.Channel(begun, handler.EnqueueRequestsFromMapFunc(of)))
}

// announce has what waits for an epoch looked at.
func (a *Admission) announce() {
	for _, begun := range a.begun {
		select {
		case begun <- event.GenericEvent{Object: &admissionregistrationv1.ValidatingAdmissionPolicy{}}:
		default:
		}
	}
}

// onAdmission enqueues what a change of the policies concerns, when the last
// answer about them is no longer used. That they are there again is said by the
// beginning of an epoch.
func onAdmission(of handler.MapFunc) handler.EventHandler {
	enqueue := func(ctx context.Context, object client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, request := range of(ctx, object) {
			q.AddAfter(request, admissionMemory+time.Second/2)
		}
	}
	return handler.Funcs{
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				enqueue(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(ctx, e.Object, q)
		},
	}
}
