// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// errStillThere says that a server accepted a deletion and still knows the
// client.
var errStillThere = errors.New("the server accepted the deletion but still knows the client")

// errMayComeLate says that a request without an answer may still be carried out.
var errMayComeLate = errors.New("the client is not there, but the request for it may still be carried out")

// reap revokes a client whose registration went without it, because somebody
// took the finalizer off. The record holds all that is needed. It goes when the
// client is proven to be gone; until then it counts as a possible orphan.
func (r *AuthorizationServerReconciler) reap(ctx context.Context, secret *corev1.Secret, record policy.Record, counts *v1alpha1.ClientCounts) error {
	records := &Records{Client: r.Client, Live: r.Live, Namespace: r.Namespace}
	gone := registrationOf(secret)
	record, err := r.revokeStray(ctx, records, gone, record, secret)
	if record.Adopting && isConflict(err) {
		// It was to be taken over and is still somebody else's.
		return records.Delete(ctx, gone.UID, record.Version)
	}
	if err != nil {
		logf.FromContext(ctx).Error(err, "Revoking the client of a registration that is gone", "clientID", record.Client.ID)
		counts.PossibleOrphans++
		return nil
	}
	logf.FromContext(ctx).Info("Client of a registration that is gone revoked", "clientID", record.Client.ID)
	if len(record.Orphans) == 0 {
		return records.Delete(ctx, gone.UID, record.Version)
	}
	_, err = records.Put(ctx, gone, policy.Record{
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

// revokeStray deletes a client and proves that it is gone. What was done is
// stored before it is built upon, as with any other revocation.
func (r *AuthorizationServerReconciler) revokeStray(ctx context.Context, records *Records, gone *v1alpha1.MCPClientRegistration, record policy.Record, secret *corev1.Secret) (policy.Record, error) {
	server, leave, err := r.Servers.Enter(ctx, record.Connection, authserver.Urgent)
	if err != nil {
		return record, err
	}
	defer leave()
	ctx, cancel := detached(ctx)
	defer cancel()
	if record.State != policy.RecordDeleted {
		if record, err = r.deleteStray(ctx, records, gone, record, server); err != nil {
			return record, err
		}
		r.strayTaken(audit.ClientRevoked, record, secret)
		record.State, record.DeletedAt = policy.RecordDeleted, r.Clock.Now()
		if record, err = records.Put(ctx, gone, record); err != nil {
			return record, err
		}
	}
	handle := revocable(record, policy.CredentialsFact{}, r.Clock.Now())
	found, is, err := server.Find(ctx, handle)
	switch {
	case err != nil:
		return record, err
	case is:
		// The deletion was not done: from now on a refused token proves nothing
		// again, and the one that came with the answer is the one that is good.
		record.Client = carryOver(record.Client, found, record.Client.Registered)
		record.State = policy.RecordRegistered
		stored, err := records.Put(ctx, gone, record)
		return stored, errors.Join(errStillThere, err)
	case record.MayComeLate(r.Clock.Now()):
		return record, errMayComeLate
	}
	r.strayTaken(audit.RevocationVerified, record, secret)
	return record, nil
}

// deleteStray deletes a client. One whose absence could not be witnessed
// otherwise is given a key for that first.
func (r *AuthorizationServerReconciler) deleteStray(ctx context.Context, records *Records, gone *v1alpha1.MCPClientRegistration, record policy.Record, server authserver.Server) (policy.Record, error) {
	if !server.Traits().OwnClientID && !record.Replacing && record.NeedsWitnessKey(policy.CredentialsFact{}) {
		done := outcome{record: record}
		witness := &step{RegistrationReconciler: &RegistrationReconciler{Records: records, Clock: r.Clock}, reg: gone}
		if err := witness.giveWitnessKey(ctx, server, &done, record); err != nil {
			return done.record, err
		}
		record = done.record
	}
	return record, server.Revoke(ctx, revocable(record, policy.CredentialsFact{}, r.Clock.Now()))
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
