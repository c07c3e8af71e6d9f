// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	// strayDelay is how long after a registration went its record is looked at. One
	// that the operator lets go is gone a moment before its record, which is no stray.
	strayDelay = 2 * time.Second
	// turnDelay is how long a stray waits for another's turn to end.
	turnDelay = 500 * time.Millisecond
)

// StrayReconciler deals with strays: it revokes the client of a record whose
// registration is gone, and deletes the record. That holds all that is needed: the
// AuthorizationServer may be gone too.
type StrayReconciler struct {
	client.Client
	Clock   clock.PassiveClock
	Servers *Servers
	Audit   audit.Recorder
	// Live reads from the API server.
	Live client.Reader
	// Namespace is the operator's own, where the records are.
	Namespace string
	// Records may owe something to the record of a stray.
	Records *Records
	// Strays is told which of them could not be dealt with.
	Strays *Strays
	// Watched are the namespaces that are watched; empty means all. Nothing is
	// known of the registrations of others.
	Watched []string
	// Cluster is the UID of the cluster: records of others may have been brought here
	// while their clusters live.
	Cluster string
}

// Reconcile looks at one record, and does nothing where its registration is there.
func (r *StrayReconciler) Reconcile(ctx context.Context, secret *corev1.Secret) (ctrl.Result, error) {
	stray, err := r.stray(ctx, secret)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !stray {
		r.Strays.forget(secret.Name)
		return ctrl.Result{}, nil
	}
	again, err := r.deal(ctx, secret)
	m := classify(err)
	if m.after > 0 && !m.silent {
		// It has no status that could say so.
		logf.FromContext(ctx).Error(err, "Revoking the client of a registration that is gone")
	}
	if m.happened {
		return m.result(err)
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// stray says that the registration of a record is gone.
func (r *StrayReconciler) stray(ctx context.Context, record *corev1.Secret) (bool, error) {
	key := registrationKey(record)
	if recordUID(record) == "" || key.Name == "" || !watches(r.Watched, key.Namespace) {
		return false, nil
	}
	gone, err := missing(ctx, r.Client, record)
	if err != nil || !gone {
		return false, err
	}
	// The cache may be behind a record that is new.
	return missing(ctx, r.Live, record)
}

// deal deals with what is left, and says when it has to be looked at again. A record of
// possible orphans stays for the platform team.
func (r *StrayReconciler) deal(ctx context.Context, secret *corev1.Secret) (again time.Duration, err error) {
	record, err := decodeRecord(secret)
	if err != nil {
		// Nothing can be done before somebody changes it. It is counted.
		logf.FromContext(ctx).Error(err, "Decoding the record of a registration that is gone")
		return 0, nil
	}
	leave, entered := r.Strays.enter(recordUID(secret), record.Connection.Name)
	if !entered {
		return turnDelay, nil
	}
	defer leave()
	if r.Records.owes(recordUID(secret)) {
		// What its registration owes to storage comes first.
		return turnDelay, r.Records.Settle(ctx, recordUID(secret))
	}
	left, _ := lifecycle.LeftoverOf(record)
	if left == lifecycle.LeftClient {
		return r.reap(ctx, secret, record)
	}
	r.Strays.forget(secret.Name)
	if left == lifecycle.LeftNothing {
		err = r.records().Delete(ctx, recordUID(secret), record.Version)
	}
	return 0, err
}

// records remembers nothing: who keeps a record of a registration that is gone has none
// to compare it with.
func (r *StrayReconciler) records() *Records {
	return &Records{Client: r.Client, Live: r.Live, Namespace: r.Namespace}
}

// reap revokes the client of a stray. The record goes when the client is proven to be
// gone; until then it counts as a possible orphan.
func (r *StrayReconciler) reap(ctx context.Context, secret *corev1.Secret, record policy.Record) (again time.Duration, err error) {
	again, err = r.revoke(ctx, secret, record)
	switch m := classify(err); {
	case m.silent:
	case m.happened || again > 0:
		r.Strays.hold(secret)
	default:
		r.Strays.forget(secret.Name)
		logf.FromContext(ctx).Info("What a registration that is gone left behind is dealt with", "clientID", record.Client.ID, "mark", record.Mark)
	}
	return again, err
}

func (r *StrayReconciler) revoke(ctx context.Context, secret *corev1.Secret, record policy.Record) (again time.Duration, err error) {
	ours, err := r.credible(ctx, secret, record)
	if err != nil {
		return 0, err
	}
	if !ours {
		why := "it lost its label"
		if r.foreign(record) {
			why = "it is of another cluster: its client is revoked once that is named in spec.formerClusters of the AuthorizationServer"
		}
		logf.FromContext(ctx).Info("The record of a registration that is gone is not believed", "clientID", record.Client.ID, "reason", why, "owner", record.Owner)
		return blockedDelay, nil
	}
	l := leaving{
		Facts:      ownerless(record, r.Servers.Connector.Traits(record.Connection), r.Clock.Now()),
		leaver:     &orphanedLeaver{r, r.records(), secret},
		connection: record.Connection,
	}
	if l.ProbeKey, err = probeKey(record); err != nil {
		return 0, err
	}
	_, again, err = executor{r.Servers, r.Clock}.run(ctx, l)
	return again, err
}

// credible reports whether a record whose registration is gone may be acted upon.
// One that lost its label may be somebody's invention: it is not believed about where
// a client is, nor about one that another record speaks of. One of another cluster may
// be a copy, whose client lives there, unless the AuthorizationServer says that it is gone.
func (r *StrayReconciler) credible(ctx context.Context, secret *corev1.Secret, record policy.Record) (bool, error) {
	foreign := r.foreign(record)
	if marked(secret) && !foreign {
		return true, nil
	}
	as, err := getAuthorizationServer(ctx, r.Client, record.Connection.Name)
	if err != nil || as.Is != policy.Present || !policy.SameServer(record.Connection, policy.Connection(as.Object)) {
		return false, err
	}
	if _, gone := policy.OwnedByOneOf(as.Object.Spec.FormerClusters, record.Owner); foreign && !gone {
		return false, nil
	}
	shared, err := r.records().Shared(ctx, recordUID(secret), record.Connection.Issuer, record.Client.ID)
	return !shared, err
}

// foreign reports whether a record was made in another cluster.
func (r *StrayReconciler) foreign(record policy.Record) bool {
	if r.Cluster == "" || record.Owner == "" {
		return false
	}
	_, own := policy.OwnedBy(r.Cluster, record.Owner)
	return !own
}

// SetupWithManager starts the reconciler of strays.
func (r *StrayReconciler) SetupWithManager(mgr manager.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("stray").
		Watches(&v1alpha1.MCPClientRegistration{}, handler.Funcs{DeleteFunc: r.wentWithout}).
		Watches(&corev1.Secret{}, handler.Funcs{CreateFunc: r.appeared, UpdateFunc: r.altered, DeleteFunc: r.dealtWith}).
		WithOptions(options(workers)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// requestQueue is the queue of a controller.
type requestQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// wentWithout has the record of a registration that went looked at, if it is still
// there by then.
func (r *StrayReconciler) wentWithout(_ context.Context, e event.DeleteEvent, q requestQueue) {
	q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{
		Namespace: r.Namespace, Name: recordName(e.Object.GetUID()),
	}}, strayDelay)
}

// appeared has a record looked at that is new, or that an operator left behind which
// runs no more.
func (r *StrayReconciler) appeared(_ context.Context, e event.CreateEvent, q requestQueue) {
	if secret, ok := e.Object.(*corev1.Secret); ok && recordUID(secret) != "" {
		q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(secret)}, strayDelay)
	}
}

// altered has a record looked at again whose registration is gone: at once when a
// person lets its client go, soon when it speaks of something else than before. What
// the reconciler itself stores is not news: a client that cannot be deleted waits its
// turn.
func (r *StrayReconciler) altered(ctx context.Context, e event.UpdateEvent, q requestQueue) {
	before, ok := e.ObjectOld.(*corev1.Secret)
	after, same := e.ObjectNew.(*corev1.Secret)
	if !ok || !same || recordUID(after) == "" {
		return
	}
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(after)}
	if released().Update(e) {
		q.Add(request)
		return
	}
	// Of one that goes later its deletion tells.
	if gone, err := missing(ctx, r.Client, after); (err != nil || gone) && retold(before, after) {
		q.AddAfter(request, strayDelay)
	}
}

// retold says that a record speaks of another client or request than before, or can
// be read where it could not.
func retold(before, after *corev1.Secret) bool {
	old, oldErr := decodeRecord(before)
	now, err := decodeRecord(after)
	if oldErr != nil || err != nil {
		return err == nil
	}
	was, _ := lifecycle.LeftoverOf(old)
	is, _ := lifecycle.LeftoverOf(now)
	return is != was || now.Mark != old.Mark || now.Client.ID != old.Client.ID
}

// dealtWith forgets a record that went.
func (r *StrayReconciler) dealtWith(_ context.Context, e event.DeleteEvent, _ requestQueue) {
	if secret, ok := e.Object.(*corev1.Secret); ok {
		r.Records.forget(recordUID(secret))
	}
	r.Strays.forget(e.Object.GetName())
}
