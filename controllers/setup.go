// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Field indexes.
const (
	indexGrantClient  = "spec.clientRef.name"
	indexGrantServer  = "spec.serverRef"
	indexRegistration = "spec.authorizationServerRef.name"
	indexWaits        = "waitsForPlace"
	indexApproval     = "about"
	indexRecordClient = "client"
	indexRecordPlace  = "place"
	indexRecordServer = "authorizationServer"
)

// maxBackoff caps the retry delay, so that an object that keeps failing for
// one reason is not late for another.
const maxBackoff = time.Minute

// countDelay is how long changes of clients are gathered before they are
// counted.
const countDelay = 5 * time.Second

// SetupIndexes registers the field indexes that the reconcilers look up.
func SetupIndexes(ctx context.Context, mgr manager.Manager) error {
	indexer := mgr.GetFieldIndexer()
	byAuthorizationServer := func(object client.Object) []string {
		switch o := object.(type) {
		case *v1alpha1.MCPClientRegistration:
			return []string{o.Spec.AuthorizationServerRef.Name}
		case *v1alpha1.MCPServer:
			return []string{o.Spec.AuthorizationServerRef.Name}
		}
		return nil
	}
	indexes := []struct {
		object client.Object
		field  string
		values client.IndexerFunc
	}{
		{&v1alpha1.ScopeGrant{}, indexGrantClient, func(object client.Object) []string {
			return []string{object.(*v1alpha1.ScopeGrant).Spec.ClientRef.Name}
		}},
		{&v1alpha1.ScopeGrant{}, indexGrantServer, func(object client.Object) []string {
			grant := object.(*v1alpha1.ScopeGrant)
			return []string{grant.ServerNamespace() + "/" + grant.Spec.ServerRef.Name}
		}},
		{&v1alpha1.ScopeGrantApproval{}, indexApproval, about},
		{&v1alpha1.MCPClientRegistration{}, indexRegistration, byAuthorizationServer},
		{&v1alpha1.MCPServer{}, indexRegistration, byAuthorizationServer},
		{&v1alpha1.MCPServer{}, indexClaim, claimOf},
		{&v1alpha1.MCPClientRegistration{}, indexUndenied, undenied},
		{&v1alpha1.MCPClientRegistration{}, indexWaits, waitsIn},
		{&v1alpha1.MCPServer{}, indexWaits, waitsForRoom},
		{&v1alpha1.ScopeGrant{}, indexWaits, waitsForRoom},
		{&v1alpha1.AccessDenial{}, indexDenied, deniedRegistration},
		{&v1alpha1.AccessDenial{}, indexUnenforced, unenforced},
		{&corev1.Secret{}, indexRecordClient, func(object client.Object) []string {
			return []string{recordClient(object.(*corev1.Secret))}
		}},
		{&corev1.Secret{}, indexRecordServer, func(object client.Object) []string {
			return []string{recordServer(object.(*corev1.Secret))}
		}},
		{&corev1.Secret{}, indexRecordPlace, func(object client.Object) []string {
			return placesOf(object.(*corev1.Secret))
		}},
	}
	for _, index := range indexes {
		if err := indexer.IndexField(ctx, index.object, index.field, index.values); err != nil {
			return wrap("indexing "+index.field, err)
		}
	}
	return nil
}

func options(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, maxBackoff),
		ReconciliationTimeout:   2 * time.Minute,
	}
}

// changed passes what a user changed, and deletions; not status.
var changed = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, finalizersChanged())

// decided passes a decision that was made or deleted, and one of which it was learnt
// what was looked at.
var decided = predicate.Or(changed, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.ScopeGrantApproval)
	after, same := e.ObjectNew.(*v1alpha1.ScopeGrantApproval)
	return ok && same && (!equality.Semantic.DeepEqual(before.Status.LookedAt, after.Status.LookedAt) ||
		(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil))
}})

// finalizersChanged passes an object whose finalizers changed: ours is put on
// again where somebody took it off.
func finalizersChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !slices.Equal(e.ObjectOld.GetFinalizers(), e.ObjectNew.GetFinalizers())
	}}
}

// SetupWithManager starts the reconciler of registrations.
func (r *RegistrationReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("mcpclientregistration").
		Watches(&v1alpha1.MCPClientRegistration{}, deletionsFirst(), builder.WithPredicates(changed)).
		Watches(&v1alpha1.AuthorizationServer{}, handler.EnqueueRequestsFromMapFunc(r.ofAuthorizationServer), builder.WithPredicates(usableChanged())).
		Watches(&v1alpha1.MCPServer{}, handler.EnqueueRequestsFromMapFunc(r.ofServer), builder.WithPredicates(predicate.Or(changed, claimShifted(), getsRoom()))).
		Watches(&v1alpha1.ScopeGrant{}, first(ofGrant), builder.WithPredicates(predicate.Or(changed, getsRoom()))).
		Watches(&v1alpha1.ScopeGrantApproval{}, first(r.ofApproval), builder.WithPredicates(decided)).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, updatesOnly())).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(ofRecord), builder.WithPredicates(released())).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.waitingForPlace), builder.WithPredicates(placeLeft())).
		Watches(&v1alpha1.MCPClientRegistration{}, handler.Funcs{DeleteFunc: r.left}).
		WithOptions(options(workers))
	if r.Guards != nil {
		b = b.Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(r.ofGuard), builder.WithPredicates(acknowledged(v1alpha1.AnnotationSeen, v1alpha1.AnnotationGuards)))
	}
	if err := mgr.Add(r); err != nil {
		return wrap("adding what is stored at the end", err)
	}
	return r.Grants.Admission.watched(b, r.ofApproved).Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// SetupWithManager starts the reconciler of grants.
func (r *ScopeGrantReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("scopegrant").
		For(&v1alpha1.ScopeGrant{}, builder.WithPredicates(predicate.Or(changed, beginsToWait()))).
		Watches(&v1alpha1.ScopeGrantApproval{}, handler.EnqueueRequestsFromMapFunc(r.ofApproval), builder.WithPredicates(decided)).
		Watches(&v1alpha1.MCPClientRegistration{}, handler.EnqueueRequestsFromMapFunc(r.ofRegistration)).
		Watches(&v1alpha1.MCPServer{}, handler.EnqueueRequestsFromMapFunc(r.ofServer), builder.WithPredicates(predicate.Or(changed, toolsChanged(), claimShifted(), getsRoom()))).
		Watches(&v1alpha1.ScopeGrant{}, handler.EnqueueRequestsFromMapFunc(r.ofRoom), builder.WithPredicates(givesRoom())).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, updatesOnly())).
		WithOptions(options(workers))
	return r.Grants.Admission.watched(b, r.ofAdmission).Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// SetupWithManager starts the reconciler of approvals.
func (r *ApprovalReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("scopegrantapproval").
		For(&v1alpha1.ScopeGrantApproval{}, builder.WithPredicates(decided)).
		Watches(&v1alpha1.ScopeGrant{}, handler.EnqueueRequestsFromMapFunc(r.ofGrant), builder.WithPredicates(changed)).
		Watches(&v1alpha1.MCPClientRegistration{}, handler.EnqueueRequestsFromMapFunc(r.ofRegistration), builder.WithPredicates(changed)).
		Watches(&v1alpha1.MCPServer{}, handler.EnqueueRequestsFromMapFunc(r.ofServer), builder.WithPredicates(predicate.Or(changed, claimShifted()))).
		WithOptions(options(workers))
	return r.Grants.Admission.watched(b, r.ofAdmission).Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// SetupWithManager starts the reconciler of servers.
func (r *MCPServerReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("mcpserver").
		For(&v1alpha1.MCPServer{}, builder.WithPredicates(predicate.Or(changed, beginsToWait()))).
		Watches(&v1alpha1.AuthorizationServer{}, handler.EnqueueRequestsFromMapFunc(r.ofAuthorizationServer), builder.WithPredicates(changed)).
		Watches(&v1alpha1.MCPServer{}, handler.EnqueueRequestsFromMapFunc(r.ofClaim), builder.WithPredicates(predicate.Or(comesOrGoes(), claimShifted()))).
		Watches(&v1alpha1.MCPServer{}, handler.EnqueueRequestsFromMapFunc(r.ofRoom), builder.WithPredicates(givesRoom())).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, updatesOnly())).
		Watches(&v1alpha1.ScopeGrant{}, later(r.serverOf)).
		Watches(&v1alpha1.MCPClientRegistration{}, handler.EnqueueRequestsFromMapFunc(r.ofRegistration), builder.WithPredicates(changed, updatesOnly())).
		WithOptions(options(workers))
	return r.Probes.watched(b, r.ofAuthorizationServer).Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// SetupWithManager starts the reconciler of authorization servers.
func (r *AuthorizationServerReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("authorizationserver").
		For(&v1alpha1.AuthorizationServer{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Watches(&v1alpha1.AuthorizationServer{}, handler.Funcs{DeleteFunc: r.gone}).
		Watches(&corev1.Secret{}, later(authorizationServerOf)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.ofCredential)).
		WithOptions(options(workers))
	return r.Access.watched(r.Strays.watched(b)).Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// deletionsFirst enqueues an object, one that is being deleted before others.
func deletionsFirst() handler.EventHandler {
	plain := handler.WithLowPriorityWhenUnchanged(&handler.EnqueueRequestForObject{})
	return handler.Funcs{
		CreateFunc: plain.Create,
		DeleteFunc: plain.Delete,
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			queue, ok := q.(priorityqueue.PriorityQueue[reconcile.Request])
			if !ok || e.ObjectNew.GetDeletionTimestamp() == nil {
				plain.Update(ctx, e, q)
				return
			}
			priority := priorityRevoke
			queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority},
				reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.ObjectNew)})
		},
	}
}

// first enqueues the clients that an object is about; when somebody changed or
// deleted the object, or made a denial, before others: they may have lost something.
func first(of handler.MapFunc) handler.EventHandler {
	plain := handler.EnqueueRequestsFromMapFunc(of)
	ahead := func(ctx context.Context, object client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		priority := priorityRevoke
		for _, request := range of(ctx, object) {
			if queue, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
				queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request)
			} else {
				q.Add(request)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if a, is := e.Object.(*v1alpha1.ScopeGrantApproval); is && a.Spec.Decision == v1alpha1.DecisionDenied && !e.IsInInitialList {
				ahead(ctx, e.Object, q)
				return
			}
			plain.Create(ctx, e, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			ahead(ctx, e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			ahead(ctx, e.Object, q)
		},
	}
}

// later enqueues what an object counts for some time after a change of the
// object, so that many changes are counted once.
func later(of func(client.Object) types.NamespacedName) handler.EventHandler {
	enqueue := func(object client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if key := of(object); key.Name != "" {
			q.AddAfter(reconcile.Request{NamespacedName: key}, countDelay)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.ObjectNew, q)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.Object, q)
		},
		GenericFunc: func(_ context.Context, e event.GenericEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.Object, q)
		},
	}
}

// authorizationServerOf names the authorization server of a record.
func authorizationServerOf(record client.Object) types.NamespacedName {
	secret, ok := record.(*corev1.Secret)
	if !ok {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Name: recordServer(secret)}
}

// serverOf names the server of a grant, if it is in a namespace that is watched.
func (r *MCPServerReconciler) serverOf(object client.Object) types.NamespacedName {
	grant, ok := object.(*v1alpha1.ScopeGrant)
	if !ok || !watches(r.Watched, grant.ServerNamespace()) {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: grant.ServerNamespace(), Name: grant.Spec.ServerRef.Name}
}

// gone forgets what is kept in memory of an authorization server whose object
// is gone.
func (r *AuthorizationServerReconciler) gone(_ context.Context, e event.DeleteEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.discoveries, e.Object.GetUID())
	r.Access.Forget(e.Object.GetUID())
	r.Metrics.Gone(e.Object.GetName())
}

// updatesOnly passes updates: the start-up list is the objects' own affair.
func updatesOnly() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

// comesOrGoes passes an object that is new or gone.
func comesOrGoes() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
}

// claimShifted passes a server that was refused for its resource or namespace, or is so no
// more: others with its resource come before it or after it now.
func claimShifted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.MCPServer)
			after, same := e.ObjectNew.(*v1alpha1.MCPServer)
			return ok && same && policy.WaitsForResource(before) != policy.WaitsForResource(after)
		},
	}
}

// usableChanged passes an AuthorizationServer whose spec or discovery changed,
// not one whose clients were counted.
func usableChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.AuthorizationServer)
		after, same := e.ObjectNew.(*v1alpha1.AuthorizationServer)
		if !ok || !same {
			return true
		}
		m, n := before.Status.Metadata, after.Status.Metadata
		metadata := equality.Semantic.DeepEqual(m, n)
		return before.Generation != after.Generation || !metadata || policy.Manageable(before) != policy.Manageable(after) ||
			policy.AdminAccess(before) != policy.AdminAccess(after) ||
			policy.Paused(before) != policy.Paused(after) ||
			before.Status.ObservedGeneration != after.Status.ObservedGeneration ||
			!slices.Equal(before.Status.Capabilities, after.Status.Capabilities) ||
			(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil)
	}}
}

// toolsChanged passes a server whose live tools were found to be others.
func toolsChanged() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.MCPServer)
			after, same := e.ObjectNew.(*v1alpha1.MCPServer)
			return ok && same && !slices.Equal(before.Status.Tools, after.Status.Tools)
		},
	}
}

// released passes a record that a person has let go of.
func released() predicate.Predicate {
	return predicate.And(predicate.AnnotationChangedPredicate{}, predicate.NewPredicateFuncs(func(object client.Object) bool {
		return object.GetAnnotations()[v1alpha1.AnnotationRelease] != ""
	}))
}

// left forgets the places that a registration took in memory which is gone, for
// those who wait for one.
func (r *RegistrationReconciler) left(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	r.Places.Leave(e.Object.GetUID())
	r.rush.forget(e.Object.GetUID())
	for _, request := range r.waitingIn(ctx, e.Object.GetNamespace()) {
		queue.Add(request)
	}
}

// placeLeft passes a record that no longer stands for a client.
func placeLeft() predicate.Predicate {
	holds := func(object client.Object) bool {
		secret, ok := object.(*corev1.Secret)
		return ok && len(placesOf(secret)) > 0
	}
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool { return holds(e.ObjectOld) && !holds(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool { return holds(e.Object) },
	}
}
