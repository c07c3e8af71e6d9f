// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
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
	// Cluster is the UID of the cluster: ownership marks name it.
	Cluster string
	// Strays says which records of registrations that are gone could not be dealt
	// with.
	Strays *Strays
	// Access is what is known of the operator's own access to servers.
	Access *Access
	// Ahead is by how much the clock of the machine is ahead of the API server's, where
	// that is known; nil: nobody knows.
	Ahead func() (ahead time.Duration, known bool)

	written     written
	mu          sync.Mutex
	discoveries map[types.UID]discovery
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
	if r.Ahead != nil {
		facts.Clock.Ahead, facts.Clock.Known = r.Ahead()
	}
	facts.Traits = r.Servers.Connector.Traits(policy.Connection(as))
	var errs [4]error
	facts.CredentialIs, errs[0] = r.Servers.CredentialIs(ctx, as)
	if as.DeletionTimestamp == nil {
		last, err := r.discover(ctx, as, now)
		facts.Asked, facts.Metadata, facts.Err = !last.at.IsZero(), last.metadata, last.err
		errs[1] = err
		facts.Access, facts.AskAccess = r.access(ctx, as, facts.Traits, now)
	}
	facts.Clients, facts.Manageable, errs[2] = r.count(ctx, policy.Described(facts))
	facts.Counted = errs[2] == nil
	if facts.Asked && facts.Err == nil && facts.CredentialIs == policy.Present && !facts.Access.Lacking() && r.inventoryDue(as, facts.Traits, now) {
		facts.Inventory, errs[3] = r.takeInventory(ctx, as, now)
		if onlyUnavailable(errs[3]) {
			logf.FromContext(ctx).V(1).Info("Inventory put off", "reason", errs[3].Error())
			errs[3] = nil
		}
	}
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

// count counts the records of this server, and reads in them what registrations
// showed of it. Records come from the cache.
func (r *AuthorizationServerReconciler) count(ctx context.Context, as *v1alpha1.AuthorizationServer) (v1alpha1.ClientCounts, policy.Knowledge, error) {
	var counts v1alpha1.ClientCounts
	var records corev1.SecretList
	manageable := policy.Unknown
	err := r.List(ctx, &records, client.InNamespace(r.Namespace),
		client.MatchingFields{indexRecordServer: as.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return counts, manageable, fmt.Errorf("listing records: %w", err)
	}
	for i := range records.Items {
		manageable = learnt(manageable, &records.Items[i], as)
		r.countRecord(ctx, &records.Items[i], &counts)
	}
	r.Metrics.Counted(as.Name, counts)
	return counts, manageable, nil
}

// learnt adds what a record shows of the management of clients: one that was
// refused for want of it, by the server as it is, outweighs any number that were
// registered.
func learnt(known policy.Knowledge, secret *corev1.Secret, as *v1alpha1.AuthorizationServer) policy.Knowledge {
	record, err := decodeRecord(secret)
	switch {
	case err != nil || known == policy.Absent:
	case record.RefusedReason == v1alpha1.ReasonManagementUnsupported && record.RefusedServer == policy.ServerDigest(as):
		return policy.Absent
	case record.Live() && policy.SameServer(record.Connection, policy.Connection(as)):
		return policy.Present
	}
	return known
}

// countRecord counts one record.
func (r *AuthorizationServerReconciler) countRecord(ctx context.Context, secret *corev1.Secret, counts *v1alpha1.ClientCounts) {
	record, err := decodeRecord(secret)
	if err != nil {
		// One bad record must not hide the others: what it speaks of is unknown.
		logf.FromContext(ctx).Error(err, "Decoding registration record", "secret", secret.Name)
		counts.PossibleOrphans++
		return
	}
	if registrationKey(secret).Name == "" {
		// Whose it is cannot be told: it must not hide the others either.
		logf.FromContext(ctx).Info("A registration record does not say whose it is", "secret", secret.Name)
		counts.PossibleOrphans++
		return
	}
	counts.PossibleOrphans += countable(len(record.Orphans))
	switch {
	case r.Strays.Held(secret.Name):
		counts.PossibleOrphans++
	case record.Live():
		counts.Managed++
	}
}

// countable bounds what one record adds to a count.
func countable(n int) int32 { return int32(min(n, 1000)) } //nolint:gosec // it is at most 1000

func (r *AuthorizationServerReconciler) report(ctx context.Context, as *v1alpha1.AuthorizationServer, facts policy.AuthorizationServerFacts, d policy.AuthorizationServerDecision, observed error, now time.Time) (ctrl.Result, error) {
	m := classify(observed)
	if m.happened && m.silent {
		return m.result(observed)
	}
	next := as.DeepCopy()
	next.Status = v1alpha1.AuthorizationServerStatus{
		ObservedGeneration:       as.Generation,
		Metadata:                 d.Metadata,
		Capabilities:             d.Capabilities,
		Clients:                  d.Clients,
		Inventory:                d.Inventory,
		ClockSkewSeconds:         d.ClockSkewSeconds,
		OperatorClockSkewSeconds: d.OperatorClockSkewSeconds,
		Conditions:               conditions(as.Status.Conditions, as.Generation, now, serverEntries(d)...),
	}
	err := reporter{r.Client, r.Recorder, &r.written}.write(ctx, as, next)
	if w := classify(err); w.happened {
		return w.result(err)
	}
	r.tellClock(as, next)
	if m.happened {
		return m.result(observed)
	}
	return ctrl.Result{RequeueAfter: r.next(next, facts)}, nil
}

// serverEntries are the conditions of a decision. What needs a person is not hidden
// behind what is only waited for.
func serverEntries(d policy.AuthorizationServerDecision) []entry {
	entries := urgentFirst(decisiveEntries(d))
	if d.ClockSynchronized != nil {
		shown := accepted(v1alpha1.ConditionClockSynchronized, *d.ClockSynchronized)
		shown.aside = true
		entries = append(entries, shown)
	}
	return entries
}

// decisiveEntries are those that Ready depends on.
func decisiveEntries(d policy.AuthorizationServerDecision) []entry {
	entries := []entry{accepted(v1alpha1.ConditionAccepted, d.Accepted)}
	if d.AdminAccess != nil {
		entries = append(entries, accepted(v1alpha1.ConditionAdminAccess, *d.AdminAccess))
	}
	entries = append(entries, accepted(v1alpha1.ConditionDiscovered, d.Discovered))
	if d.Manageable != nil {
		entries = append(entries, accepted(v1alpha1.ConditionManageable, *d.Manageable))
	}
	return entries
}

// urgentFirst puts what needs a person first, and has nothing wait then.
func urgentFirst(entries []entry) []entry {
	needsPerson := func(e entry) bool { return e.status != metav1.ConditionTrue && !e.waiting }
	if !slices.ContainsFunc(entries, needsPerson) {
		return entries
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		switch {
		case needsPerson(a) == needsPerson(b):
			return 0
		case needsPerson(a):
			return -1
		}
		return 1
	})
	for i := range entries {
		entries[i].waiting = false
	}
	return entries
}

// next is how long after a pass without error the server is looked at again.
func (r *AuthorizationServerReconciler) next(next *v1alpha1.AuthorizationServer, facts policy.AuthorizationServerFacts) time.Duration {
	after := policy.DriftCheckInterval(facts.Server)
	if next.Status.Inventory != nil {
		after = min(after, max(nextInventory(next).Sub(r.Clock.Now()), time.Second))
	}
	if facts.AskAccess > 0 {
		after = min(after, facts.AskAccess)
	}
	if facts.Clock.Known {
		after = min(after, clockInterval)
	}
	if facts.Clients.PossibleOrphans > 0 {
		after = min(after, blockedDelay)
	}
	return after
}
