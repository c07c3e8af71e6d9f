// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// revoke deletes the client: the authorization server first, the credentials
// second. That it accepted is not yet proof.
//
// The clock is read again after the answer: this is the instant that lateness
// is measured by, and the call may have taken long.
func (s *step) revoke(ctx context.Context, done *outcome) error {
	if err := s.Records.Fresh(ctx, s.reg.UID, done.record.Version); err != nil {
		return err
	}
	server, leave, err := s.Servers.Enter(ctx, s.decision.Connection, authserver.Urgent)
	if err != nil {
		return err
	}
	defer leave()
	if err := server.Revoke(ctx, done.record.Handle(s.seen.facts.Credentials)); err != nil {
		return err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	record, repeated := done.record, done.record.State == policy.RecordDeleted
	record.State = policy.RecordDeleted
	if !repeated {
		record.DeletedAt, record.Cause, record.DueAt = s.Clock.Now(), s.decision.Verdict.Cause, s.decision.Verdict.DueAt
	}
	if done.record, err = s.Records.Put(ctx, s.reg, record); err != nil {
		return err
	}
	if !repeated {
		done.again = proofDelay
		s.Metrics.Revoked(record.Cause, record.DeletedAt.Sub(record.DueAt))
	}
	logf.FromContext(ctx).Info("Client revoked", "clientID", record.Client.ID, "cause", record.Cause, "authorizationServer", record.Connection.Name)
	return s.Credentials.Delete(ctx, s.seen.secret)
}

// confirm records that nothing is left of the client and forgets its secrets.
func (s *step) confirm(ctx context.Context, done *outcome) error {
	stored, err := s.Records.Put(ctx, s.reg, s.concluded(done.record))
	if err != nil {
		return err
	}
	done.record = stored
	if s.decision.Verdict.Standing == policy.Allowed {
		done.again = atOnce
	}
	return s.Credentials.Delete(ctx, s.seen.secret)
}

// concluded is the record of a client that is proven to be gone, or that a
// person let go, or that was never known.
func (s *step) concluded(old policy.Record) policy.Record {
	record := policy.Record{
		State: policy.RecordRevoked, Version: old.Version, Orphans: old.Orphans, Connection: old.Connection,
		Client: authserver.Client{ID: old.Client.ID}, Released: old.Released, TokenLifetime: old.TokenLifetime,
		Cause: old.Cause, DueAt: old.DueAt, DeletedAt: old.DeletedAt,
	}
	if old.State == policy.RecordPending {
		record.Orphans = append(record.Orphans, old.Mark)
		record.State = ""
		return record
	}
	if old.Released == "" {
		record.VerifiedAt = s.Clock.Now()
	}
	if record.Cause == "" {
		record.Cause, record.DueAt = s.decision.Verdict.Cause, s.decision.Verdict.DueAt
	}
	if len(old.Excess) > 0 || s.unfit(old) {
		record = s.refused(record, v1alpha1.ReasonWidened, "")
		record.State, record.Excess = policy.RecordRevoked, old.Excess
		if len(old.Excess) == 0 {
			record.RefusedReason = v1alpha1.ReasonSecretExpired
		}
	}
	return record
}

// release lets the object go: absence is proven, or a person answers for it.
// The record goes after the object, never before: without it a later pass
// could not tell a proven absence from a lost record. A record that names
// possible orphans stays behind for the platform team.
func (s *step) release(ctx context.Context, done *outcome) error {
	if err := s.Records.Fresh(ctx, s.reg.UID, done.record.Version); err != nil {
		return err
	}
	if err := s.Credentials.Delete(ctx, s.seen.secret); err != nil {
		return err
	}
	last := s.concluded(done.record)
	if len(last.Orphans) > 0 && done.record.State != last.State {
		stored, err := s.Records.Put(ctx, s.reg, last)
		if err != nil {
			return err
		}
		done.record = stored
	}
	base := s.reg.DeepCopy()
	if controllerutil.RemoveFinalizer(s.reg, v1alpha1.Finalizer) {
		err := s.Patch(ctx, s.reg, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
		if client.IgnoreNotFound(err) != nil {
			return wrap("removing finalizer", err)
		}
	}
	done.gone = true
	s.Drift.Forget(s.reg.UID)
	if len(last.Orphans) > 0 {
		return nil
	}
	return s.Records.Delete(ctx, s.reg.UID, done.record.Version)
}

// keepCredentials restores the credentials of a client that is as wished.
func (s *step) keepCredentials(ctx context.Context, done *outcome) error {
	if err := s.holdObject(ctx); err != nil {
		return err
	}
	credentials := s.seen.facts.Credentials
	if credentials.Foreign || credentials.Is == policy.Unknown {
		return nil
	}
	pair := keyPair{private: credentials.PrivateKey, id: credentials.KeyID, jwks: credentials.PublicJWKS}
	return s.putCredentials(ctx, done.record, pair)
}

// putCredentials writes the team's Secret. Nothing is written for an object
// that is being deleted.
func (s *step) putCredentials(ctx context.Context, record policy.Record, pair keyPair) error {
	if !policy.WantsSecret(s.reg.Spec) || s.reg.DeletionTimestamp != nil {
		return nil
	}
	if s.seen.facts.Credentials.Foreign {
		return errForeignSecret
	}
	data := credentialsData(s.reg, record, s.decision, pair)
	return s.Credentials.Put(ctx, s.reg, s.seen.secret, data)
}

// atOnce is the delay of a decision that is made again at once.
const atOnce = time.Millisecond

// proofDelay is how long after an accepted deletion its proof is looked for.
const proofDelay = 50 * time.Millisecond

// disbeliefDelay is how long after a deletion that did not take effect it is
// tried again.
const disbeliefDelay = 10 * time.Second
