// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// reap revokes a client whose registration went without it, because somebody
// took the finalizer off. The record holds all that is needed. It goes when the
// client is proven to be gone; until then it counts as a possible orphan.
func (r *AuthorizationServerReconciler) reap(ctx context.Context, as *v1alpha1.AuthorizationServer, secret *corev1.Secret, record policy.Record, counts *v1alpha1.ClientCounts) error {
	if ours, err := r.credible(ctx, as, secret, record); err != nil || !ours {
		counts.PossibleOrphans++
		return err
	}
	l := leaving{
		Facts:      r.ownerless(record, r.Servers.Connector.Traits(record.Connection)),
		leaver:     &orphanedLeaver{r, &Records{Client: r.Client, Live: r.Live, Namespace: r.Namespace}, secret},
		connection: record.Connection,
	}
	var err error
	if l.ProbeKey, err = probeKey(record); err != nil {
		return err
	}
	if _, _, err = (executor{r.Servers, r.Clock}).run(ctx, l); err != nil {
		logf.FromContext(ctx).Error(err, "Revoking the client of a registration that is gone", "clientID", record.Client.ID)
		counts.PossibleOrphans++
		return nil
	}
	logf.FromContext(ctx).Info("What a registration that is gone left behind is dealt with", "clientID", record.Client.ID, "mark", record.Mark)
	return nil
}

// credible reports whether a record whose registration is gone may be acted upon.
// One that lost its label may be somebody's invention: it is not believed about where
// a client is, nor about one that another record speaks of.
func (r *AuthorizationServerReconciler) credible(ctx context.Context, as *v1alpha1.AuthorizationServer, secret *corev1.Secret, record policy.Record) (bool, error) {
	if marked(secret) {
		return true, nil
	}
	if !policy.SameServer(record.Connection, policy.Connection(as)) {
		return false, nil
	}
	records := &Records{Client: r.Client, Live: r.Live, Namespace: r.Namespace}
	shared, err := records.Shared(ctx, recordUID(secret), record.Connection.Issuer, record.Client.ID)
	return !shared, err
}

// ownerless are the facts about a client that no registration speaks of any more.
func (r *AuthorizationServerReconciler) ownerless(record policy.Record, capabilities authserver.Traits) lifecycle.Facts {
	return lifecycle.Facts{
		Record: record, Cause: v1alpha1.CauseDeleted, DueAt: r.Clock.Now(), Last: true, Alone: true, Repeatable: true,
		Capabilities: capabilities, ForceReleased: record.Released != "" && record.Cause != "",
	}
}

// orphanedLeaver is a record whose registration is gone.
type orphanedLeaver struct {
	*AuthorizationServerReconciler
	records *Records
	secret  *corev1.Secret
}

func (o *orphanedLeaver) store(ctx context.Context, record policy.Record) (policy.Record, error) {
	return o.records.Put(ctx, registrationOf(o.secret), record)
}

func (o *orphanedLeaver) end(ctx context.Context, out lifecycle.Outcome) (policy.Record, error) {
	for _, event := range out.Events {
		o.tell(ctx, event)
	}
	last := out.Record
	if len(last.Orphans) > 0 {
		return o.store(ctx, last)
	}
	return last, o.records.Delete(ctx, registrationOf(o.secret).UID, last.Version)
}

func (o *orphanedLeaver) tell(_ context.Context, event lifecycle.Event) {
	o.strayTaken(event, o.secret)
}

// registrationOf is the registration that a record names, without its spec.
func registrationOf(record *corev1.Secret) *v1alpha1.MCPClientRegistration {
	key := registrationKey(record)
	return &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, UID: recordUID(record),
	}}
}

// strayTaken tells of the end of a client whose registration is gone.
func (r *AuthorizationServerReconciler) strayTaken(event lifecycle.Event, secret *corev1.Secret) {
	record := event.Record
	e := auditEvent(auditTypes[event.Kind], kindRegistration, registrationOf(secret))
	if event.Kind == lifecycle.UnconfirmedRegistration {
		e.Data.Mark = record.Mark
	}
	e.Time = r.Clock.Now()
	e.Data.AuthorizationServer, e.Data.Issuer, e.Data.ClientID = record.Connection.Name, record.Connection.Issuer, record.Client.ID
	e.Data.Cause = string(v1alpha1.CauseDeleted)
	e.Data.Message = "the registration went without its client: its finalizer was taken off"
	r.Audit.Record(e)
}

// stray says that the registration of a record is gone. Its client is too,
// unless somebody took the finalizer off by hand.
func (r *AuthorizationServerReconciler) stray(ctx context.Context, record *corev1.Secret) (bool, error) {
	if !watches(r.Watched, registrationKey(record).Namespace) {
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
	err := reader.Get(ctx, registrationKey(record), &reg)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return reg.UID != recordUID(record), wrap("reading registration", err)
}
