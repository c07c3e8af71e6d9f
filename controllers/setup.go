// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Field indexes.
const (
	indexGrantClient  = "spec.clientRef.name"
	indexGrantServer  = "spec.serverRef"
	indexRegistration = "spec.authorizationServerRef.name"
	indexRecordClient = "client"
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
		{&v1alpha1.MCPClientRegistration{}, indexRegistration, byAuthorizationServer},
		{&v1alpha1.MCPServer{}, indexRegistration, byAuthorizationServer},
		{&corev1.Secret{}, indexRecordClient, func(object client.Object) []string {
			return []string{object.GetLabels()[v1alpha1.LabelClient]}
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

// finalizersChanged passes an object whose finalizers changed: ours is put on
// again where somebody took it off.
func finalizersChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !slices.Equal(e.ObjectOld.GetFinalizers(), e.ObjectNew.GetFinalizers())
	}}
}

// SetupWithManager starts the reconciler of registrations.
func (r *RegistrationReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("mcpclientregistration").
		Watches(&v1alpha1.MCPClientRegistration{}, deletionsFirst(), builder.WithPredicates(changed)).
		Watches(&v1alpha1.AuthorizationServer{}, handler.EnqueueRequestsFromMapFunc(r.ofAuthorizationServer), builder.WithPredicates(usableChanged())).
		Watches(&v1alpha1.MCPServer{}, handler.EnqueueRequestsFromMapFunc(r.ofServer), builder.WithPredicates(changed)).
		Watches(&v1alpha1.ScopeGrant{}, handler.EnqueueRequestsFromMapFunc(ofGrant), builder.WithPredicates(changed)).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, updatesOnly())).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(ofRecord), builder.WithPredicates(released())).
		WithOptions(options(workers)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// SetupWithManager starts the reconciler of grants.
func (r *ScopeGrantReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("scopegrant").
		For(&v1alpha1.ScopeGrant{}, builder.WithPredicates(changed)).
		Watches(&v1alpha1.MCPClientRegistration{}, handler.EnqueueRequestsFromMapFunc(r.ofRegistration)).
		Watches(&v1alpha1.MCPServer{}, handler.EnqueueRequestsFromMapFunc(r.ofServer), builder.WithPredicates(changed)).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, updatesOnly())).
		WithOptions(options(workers)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// SetupWithManager starts the reconciler of servers.
func (r *MCPServerReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("mcpserver").
		For(&v1alpha1.MCPServer{}, builder.WithPredicates(changed)).
		Watches(&v1alpha1.AuthorizationServer{}, handler.EnqueueRequestsFromMapFunc(r.ofAuthorizationServer), builder.WithPredicates(changed)).
		WithOptions(options(workers)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// SetupWithManager starts the reconciler of authorization servers.
func (r *AuthorizationServerReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("authorizationserver").
		For(&v1alpha1.AuthorizationServer{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Secret{}, gathered()).
		Watches(&v1alpha1.MCPClientRegistration{}, strays()).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.ofCredential)).
		WithOptions(options(workers)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
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

// gathered enqueues the authorization server of a record some time after a
// change of the record, so that many changes are counted once.
func gathered() handler.EventHandler {
	enqueue := func(object client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if name := object.GetLabels()[v1alpha1.LabelAuthorizationServer]; name != "" {
			q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}, countDelay)
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
	}
}

// strays has the records counted some time after a registration went: one that
// went without its client left its record behind.
func strays() handler.EventHandler {
	return handler.Funcs{DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if reg, ok := e.Object.(*v1alpha1.MCPClientRegistration); ok {
			q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: reg.Spec.AuthorizationServerRef.Name}}, countDelay)
		}
	}}
}

// updatesOnly passes updates: the start-up list is the objects' own affair.
func updatesOnly() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
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
		metadata := (m == nil) == (n == nil) && (m == nil || *m == *n)
		return before.Generation != after.Generation || !metadata ||
			before.Status.ObservedGeneration != after.Status.ObservedGeneration ||
			!slices.Equal(before.Status.Capabilities, after.Status.Capabilities) ||
			(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil)
	}}
}

// released passes a record that a person has let go of.
func released() predicate.Predicate {
	return predicate.And(predicate.AnnotationChangedPredicate{}, predicate.NewPredicateFuncs(func(object client.Object) bool {
		return object.GetAnnotations()[v1alpha1.AnnotationRelease] != ""
	}))
}

func ofRecord(_ context.Context, object client.Object) []reconcile.Request {
	annotations := object.GetAnnotations()
	key := types.NamespacedName{Namespace: annotations[annotationRegistrationNamespace], Name: annotations[annotationRegistrationName]}
	if key.Name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: key}}
}

// ofCredential names the authorization servers whose initial access token a
// Secret holds.
func (r *AuthorizationServerReconciler) ofCredential(ctx context.Context, object client.Object) []reconcile.Request {
	if object.GetLabels()[v1alpha1.LabelRegistrationUID] != "" {
		return nil
	}
	var list v1alpha1.AuthorizationServerList
	return requests(ctx, r.Client, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			d := list.Items[i].Spec.DynamicRegistration
			if d != nil && d.InitialAccessTokenSecretRef != nil && d.InitialAccessTokenSecretRef.Name == object.GetName() {
				keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
			}
		}
		return keys
	})
}

func ofGrant(_ context.Context, object client.Object) []reconcile.Request {
	grant, ok := object.(*v1alpha1.ScopeGrant)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: grant.Namespace, Name: grant.Spec.ClientRef.Name}}}
}

// requests lists objects and names those that it found. On an error nothing is
// enqueued: the periodic check finds what was missed.
func requests(ctx context.Context, reader client.Reader, list client.ObjectList, name func() []types.NamespacedName, options ...client.ListOption) []reconcile.Request {
	if err := reader.List(ctx, list, options...); err != nil {
		logf.FromContext(ctx).Error(err, "Listing what a change concerns")
		return nil
	}
	unique := map[types.NamespacedName]bool{}
	for _, key := range name() {
		unique[key] = true
	}
	found := make([]reconcile.Request, 0, len(unique))
	for key := range maps.Keys(unique) {
		found = append(found, reconcile.Request{NamespacedName: key})
	}
	return found
}

func registrations(ctx context.Context, reader client.Reader, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.MCPClientRegistrationList
	return requests(ctx, reader, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
		return keys
	}, options...)
}

func (r *RegistrationReconciler) ofAuthorizationServer(ctx context.Context, object client.Object) []reconcile.Request {
	return registrations(ctx, r.Client, client.MatchingFields{indexRegistration: object.GetName()})
}

func (r *RegistrationReconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return registrations(ctx, r.Client, client.InNamespace(object.GetName()))
}

func (r *RegistrationReconciler) ofServer(ctx context.Context, object client.Object) []reconcile.Request {
	return grants(ctx, r.Client, clientOf, client.MatchingFields{indexGrantServer: object.GetNamespace() + "/" + object.GetName()})
}

func grants(ctx context.Context, reader client.Reader, name func(*v1alpha1.ScopeGrant) types.NamespacedName, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.ScopeGrantList
	return requests(ctx, reader, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			keys = append(keys, name(&list.Items[i]))
		}
		return keys
	}, options...)
}

func clientOf(grant *v1alpha1.ScopeGrant) types.NamespacedName {
	return types.NamespacedName{Namespace: grant.Namespace, Name: grant.Spec.ClientRef.Name}
}

func self(grant *v1alpha1.ScopeGrant) types.NamespacedName { return client.ObjectKeyFromObject(grant) }

func (r *ScopeGrantReconciler) ofRegistration(ctx context.Context, object client.Object) []reconcile.Request {
	return grants(ctx, r.Client, self, client.InNamespace(object.GetNamespace()), client.MatchingFields{indexGrantClient: object.GetName()})
}

func (r *ScopeGrantReconciler) ofServer(ctx context.Context, object client.Object) []reconcile.Request {
	return grants(ctx, r.Client, self, client.MatchingFields{indexGrantServer: object.GetNamespace() + "/" + object.GetName()})
}

func (r *ScopeGrantReconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return grants(ctx, r.Client, self, client.InNamespace(object.GetName()))
}

func (r *MCPServerReconciler) ofAuthorizationServer(ctx context.Context, object client.Object) []reconcile.Request {
	var list v1alpha1.MCPServerList
	return requests(ctx, r.Client, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
		return keys
	}, client.MatchingFields{indexRegistration: object.GetName()})
}
