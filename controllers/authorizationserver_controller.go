// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// AuthorizationServerReconciler discovers each AuthorizationServer and counts
// the clients there. It writes nothing but status.
type AuthorizationServerReconciler struct {
	client.Client
	Clock    clock.PassiveClock
	Servers  *Servers
	Recorder events.EventRecorder
	Metrics  *Metrics
	Audit    audit.Recorder
	// Live reads from the API server.
	Live client.Reader
	// Namespace is the operator's own, where the records are.
	Namespace string
	// Watched are the namespaces that are watched; empty means all. Nothing is
	// known of the registrations of others.
	Watched []string

	written     written
	mu          sync.Mutex
	discoveries map[types.UID]discovery
	// suspects are records whose registration was not found at the last count,
	// by authorization server, with when that was first seen.
	suspects map[types.UID]map[string]time.Time
}

// discovery is the last answer to discovery, kept so that a pass for another
// reason does not ask again.
type discovery struct {
	generation int64
	at         time.Time
	metadata   authserver.Metadata
	err        error
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=authorizationservers/status,verbs=get;update;patch

// Reconcile reports on one authorization server.
func (r *AuthorizationServerReconciler) Reconcile(ctx context.Context, as *v1alpha1.AuthorizationServer) (ctrl.Result, error) {
	now := r.Clock.Now()
	facts, err := r.observe(ctx, as, now)
	decision := policy.AuthorizationServer(facts)
	return r.report(ctx, as, facts, decision, err, now)
}

func (r *AuthorizationServerReconciler) observe(ctx context.Context, as *v1alpha1.AuthorizationServer, now time.Time) (policy.AuthorizationServerFacts, error) {
	facts := policy.AuthorizationServerFacts{Server: as}
	var errs [3]error
	_, facts.CredentialIs, errs[0] = r.Servers.InitialAccessToken(ctx, as)
	if as.Spec.DynamicRegistration != nil && as.DeletionTimestamp == nil {
		last, err := r.discover(ctx, as, now)
		facts.Asked, facts.Metadata, facts.Err = !last.at.IsZero(), last.metadata, last.err
		errs[1] = err
	}
	facts.Clients, errs[2] = r.count(ctx, as)
	facts.Counted = errs[2] == nil
	return facts, errors.Join(errs[:]...)
}

// discover asks the server, or returns the last answer while that is neither
// too old nor for another generation. An answer that is only passing is
// returned as an error too.
func (r *AuthorizationServerReconciler) discover(ctx context.Context, as *v1alpha1.AuthorizationServer, now time.Time) (discovery, error) {
	r.mu.Lock()
	last := r.discoveries[as.UID]
	r.mu.Unlock()
	fresh := last.generation == as.Generation && now.Before(last.at.Add(policy.DriftCheckInterval(as)))
	if fresh && !onlyUnavailable(last.err) {
		return last, nil
	}
	server, leave, err := r.Servers.Enter(ctx, policy.Connection(as), authserver.Urgent)
	if err != nil {
		return last, err
	}
	defer leave()
	next := discovery{generation: as.Generation, at: now}
	next.metadata, next.err = server.Discover(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.discoveries == nil {
		r.discoveries = map[types.UID]discovery{}
	}
	r.discoveries[as.UID] = next
	if onlyUnavailable(next.err) {
		return next, next.err
	}
	return next, nil
}

// count counts the records of this server. Records come from the cache.
func (r *AuthorizationServerReconciler) count(ctx context.Context, as *v1alpha1.AuthorizationServer) (v1alpha1.ClientCounts, error) {
	var counts v1alpha1.ClientCounts
	var records corev1.SecretList
	err := r.List(ctx, &records, client.InNamespace(r.Namespace),
		client.MatchingLabels{v1alpha1.LabelAuthorizationServer: shortLabel(as.Name)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return counts, fmt.Errorf("listing records: %w", err)
	}
	suspects := map[string]time.Time{}
	for i := range records.Items {
		if err := r.countRecord(ctx, &records.Items[i], &counts, r.suspicion(as.UID, suspects)); err != nil {
			return counts, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.suspects == nil {
		r.suspects = map[types.UID]map[string]time.Time{}
	}
	r.suspects[as.UID] = suspects
	r.Metrics.Counted(as.Name, counts)
	return counts, nil
}

// suspicion returns a function that notes a record whose registration was not
// found, and says whether it has been so for a while: a registration that is
// let go is gone a moment before its record.
func (r *AuthorizationServerReconciler) suspicion(as types.UID, noted map[string]time.Time) func(name string) bool {
	r.mu.Lock()
	known := r.suspects[as]
	r.mu.Unlock()
	now := r.Clock.Now()
	return func(name string) bool {
		since, found := known[name]
		if !found {
			since = now
		}
		noted[name] = since
		return now.Sub(since) >= countDelay
	}
}

// countRecord counts one record. The record of a registration that is gone is
// deleted, unless it tells of a client that may live on.
func (r *AuthorizationServerReconciler) countRecord(ctx context.Context, secret *corev1.Secret, counts *v1alpha1.ClientCounts, lasting func(string) bool) error {
	record, err := decodeRecord(secret)
	if err != nil {
		// One bad record must not hide the others: what it speaks of is unknown.
		logf.FromContext(ctx).Error(err, "Decoding registration record", "secret", secret.Name)
		counts.PossibleOrphans++
		return nil
	}
	stray, err := r.stray(ctx, secret)
	if err != nil {
		return err
	}
	counts.PossibleOrphans += int32(min(len(record.Orphans), 1000))
	if !stray {
		if record.Live() {
			counts.Managed++
		}
		return nil
	}
	if !lasting(secret.Name) {
		return nil
	}
	switch {
	case record.Live() || record.State == policy.RecordDeleted:
		return r.reap(ctx, secret, record, counts)
	case record.State == policy.RecordPending:
		counts.PossibleOrphans++
	case len(record.Orphans) == 0:
		leftover := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: secret.Name}}
		err := r.Delete(ctx, leftover, client.Preconditions{ResourceVersion: &record.Version})
		return wrap("deleting the record of a registration that is gone", client.IgnoreNotFound(err))
	}
	return nil
}

// reap revokes a client whose registration went without it, because somebody
// took the finalizer off. The record holds all that is needed. It goes when the
// client is proven to be gone; until then it counts as a possible orphan.
func (r *AuthorizationServerReconciler) reap(ctx context.Context, secret *corev1.Secret, record policy.Record, counts *v1alpha1.ClientCounts) error {
	if err := r.revokeStray(ctx, record, secret); err != nil {
		logf.FromContext(ctx).Error(err, "Revoking the client of a registration that is gone", "clientID", record.Client.ID)
		counts.PossibleOrphans++
		return nil
	}
	logf.FromContext(ctx).Info("Client of a registration that is gone revoked", "clientID", record.Client.ID)
	records := &Records{Client: r.Client, Live: r.Live, Namespace: r.Namespace}
	gone := registrationOf(secret)
	if len(record.Orphans) == 0 {
		return records.Delete(ctx, gone.UID, record.Version)
	}
	_, err := records.Put(ctx, gone, policy.Record{
		State: policy.RecordRevoked, Version: record.Version, Connection: record.Connection, Orphans: record.Orphans,
		Client: authserver.Client{ID: record.Client.ID}, VerifiedAt: r.Clock.Now(),
	})
	return err
}

// registrationOf is the registration that a record names, without its spec.
func registrationOf(record *corev1.Secret) *v1alpha1.MCPClientRegistration {
	return &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{
		Namespace: record.Annotations[annotationRegistrationNamespace], Name: record.Annotations[annotationRegistrationName],
		UID: types.UID(record.Labels[v1alpha1.LabelRegistrationUID]),
	}}
}

// revokeStray deletes a client and proves that it is gone.
func (r *AuthorizationServerReconciler) revokeStray(ctx context.Context, record policy.Record, secret *corev1.Secret) error {
	server, leave, err := r.Servers.Enter(ctx, record.Connection, authserver.Urgent)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := detached(ctx)
	defer cancel()
	handle := record.Handle(policy.CredentialsFact{})
	if err := server.Revoke(ctx, handle); err != nil {
		return err
	}
	r.strayTaken(audit.ClientRevoked, record, secret)
	handle.Deleted = true
	_, found, err := server.Find(ctx, handle)
	if err == nil && found {
		return errors.New("the server accepted the deletion but still knows the client")
	}
	if err == nil {
		r.strayTaken(audit.RevocationVerified, record, secret)
	}
	return err
}

// strayTaken tells of the end of a client whose registration is gone.
func (r *AuthorizationServerReconciler) strayTaken(kind audit.Type, record policy.Record, secret *corev1.Secret) {
	e := auditEvent(kind, kindRegistration, registrationOf(secret))
	e.Time = r.Clock.Now()
	e.Data.AuthorizationServer, e.Data.Issuer, e.Data.ClientID = record.Connection.Name, record.Connection.Issuer, record.Client.ID
	e.Data.Cause = string(v1alpha1.CauseDeleted)
	e.Data.Message = "the registration went without its client: its finalizer was taken off"
	r.Audit.Record(e)
}

// stray says that the registration of a record is gone. Its client is too,
// unless somebody took the finalizer off by hand.
func (r *AuthorizationServerReconciler) stray(ctx context.Context, record *corev1.Secret) (bool, error) {
	if !watches(r.Watched, record.Annotations[annotationRegistrationNamespace]) {
		return false, nil
	}
	gone, err := missing(ctx, r.Client, record)
	if err != nil || !gone {
		return false, err
	}
	// The cache may be behind a record that is new.
	return missing(ctx, r.Live, record)
}

func missing(ctx context.Context, reader client.Reader, record *corev1.Secret) (bool, error) {
	var reg v1alpha1.MCPClientRegistration
	key := types.NamespacedName{
		Namespace: record.Annotations[annotationRegistrationNamespace], Name: record.Annotations[annotationRegistrationName],
	}
	err := reader.Get(ctx, key, &reg)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return string(reg.UID) != record.Labels[v1alpha1.LabelRegistrationUID], wrap("reading registration", err)
}

func (r *AuthorizationServerReconciler) report(ctx context.Context, as *v1alpha1.AuthorizationServer, facts policy.AuthorizationServerFacts, d policy.AuthorizationServerDecision, observed error, now time.Time) (ctrl.Result, error) {
	m := classify(observed)
	if m.happened && m.silent {
		return m.result(observed)
	}
	allowed, discovered := accepted(v1alpha1.ConditionAccepted, d.Accepted), accepted(v1alpha1.ConditionDiscovered, d.Discovered)
	// What needs a person is not hidden behind what is only waited for.
	allowed.waiting = allowed.waiting && (discovered.waiting || discovered.status == metav1.ConditionTrue)
	discovered.waiting = discovered.waiting && (allowed.waiting || allowed.status == metav1.ConditionTrue)
	next := as.DeepCopy()
	next.Status = v1alpha1.AuthorizationServerStatus{
		ObservedGeneration: as.Generation,
		Metadata:           d.Metadata,
		Capabilities:       d.Capabilities,
		Clients:            d.Clients,
		Conditions:         conditions(as.Status.Conditions, as.Generation, now, allowed, discovered),
	}
	err := reporter{r.Client, r.Recorder, &r.written}.write(ctx, as, next)
	if w := classify(err); w.happened {
		return w.result(err)
	}
	if m.happened {
		return m.result(observed)
	}
	after := policy.DriftCheckInterval(facts.Server)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.suspects[as.UID]) > 0 {
		after = min(after, countDelay+time.Second)
	}
	if facts.Clients.PossibleOrphans > 0 {
		after = min(after, blockedDelay)
	}
	return ctrl.Result{RequeueAfter: after}, nil
}
