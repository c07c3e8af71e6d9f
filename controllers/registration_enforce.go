// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// enforce makes the authorization server agree with the decision.
func (r *RegistrationReconciler) enforce(ctx context.Context, reg *v1alpha1.MCPClientRegistration, seen observation, d policy.RegistrationDecision) outcome {
	done := outcome{record: seen.facts.Record, err: seen.err}
	step := &step{RegistrationReconciler: r, reg: reg, seen: seen, decision: d}
	step.announce()
	var err error
	switch d.Action {
	case policy.Nothing:
		return done
	case policy.Keep:
		err = step.keepCredentials(ctx, &done)
	case policy.Register:
		err = step.register(ctx, &done)
	case policy.Replace:
		err = step.replace(ctx, &done)
	case policy.Revoke:
		err = step.revoke(ctx, &done)
	case policy.Confirm:
		err = step.confirm(ctx, &done)
	case policy.Release:
		err = step.release(ctx, &done)
	}
	done.err = errors.Join(done.err, err)
	return done
}

// step carries one decision out.
type step struct {
	*RegistrationReconciler
	reg      *v1alpha1.MCPClientRegistration
	seen     observation
	decision policy.RegistrationDecision
}

// holdObject puts the finalizer on before anything is written to the
// authorization server.
func (s *step) holdObject(ctx context.Context) error {
	if s.reg.DeletionTimestamp != nil || controllerutil.ContainsFinalizer(s.reg, v1alpha1.Finalizer) {
		return nil
	}
	base := s.reg.DeepCopy()
	controllerutil.AddFinalizer(s.reg, v1alpha1.Finalizer)
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	return wrap("adding finalizer", s.Patch(ctx, s.reg, patch))
}

// register creates a client. A pending record is stored before the request and
// the answer before anything else (RFC 7591 registration cannot be repeated).
func (s *step) register(ctx context.Context, done *outcome) error {
	server, leave, err := s.Servers.Enter(ctx, s.decision.Connection, authserver.Routine)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.holdObject(ctx); err != nil {
		return err
	}
	wish, pair, err := s.completeWish()
	if err != nil {
		return err
	}
	if err := s.takePlace(ctx); err != nil {
		return err
	}
	done.vanished = done.record.Live()
	if done.vanished {
		s.taken(audit.ClientVanished, done.record)
	}
	pending, err := s.pending(done.record, wish)
	if err != nil {
		return err
	}
	if done.record, err = s.Records.Put(ctx, s.reg, pending); err != nil {
		s.Places.Leave(s.reg)
		return err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	answer, err := server.Register(ctx, policy.Marked(wish, s.Cluster, string(s.reg.UID), pending.Mark))
	leave()
	if err != nil {
		return s.registrationFailed(ctx, done, err)
	}
	return s.registered(ctx, server, done, answer, wish, pair)
}

// takePlace takes a place of the namespace where their number is limited. If
// another took the last one meanwhile, the decision is made again.
func (s *step) takePlace(ctx context.Context) error {
	quota := policy.Quota(s.seen.facts.AuthorizationServer)
	if quota == nil || s.seen.facts.Record.State.HoldsPlace() {
		return nil
	}
	free, err := s.Places.Take(ctx, s.reg, int(*quota))
	if err == nil && !free {
		return errStale
	}
	return err
}

// completeWish adds the key set of a new key pair where one is needed.
func (s *step) completeWish() (authserver.ClientMetadata, keyPair, error) {
	wish, credentials := s.decision.Wish, s.seen.facts.Credentials
	pair := keyPair{private: credentials.PrivateKey, id: credentials.KeyID, jwks: credentials.PublicJWKS}
	if !s.decision.MakeKey {
		return wish, pair, nil
	}
	pair, err := newKeyPair()
	wish.JWKS = pair.jwks
	return wish, pair, err
}

// pending is the record of a request about to be sent. A request that was
// pending before ended without an answer: its mark may live on as an orphan.
func (s *step) pending(old policy.Record, wish authserver.ClientMetadata) (policy.Record, error) {
	mark, err := newMark()
	orphans := slices.Clone(old.Orphans)
	if old.State == policy.RecordPending {
		s.orphaned(old, old.Mark)
		orphans = append(orphans, old.Mark)
	}
	return policy.Record{
		State: policy.RecordPending, Mark: mark, Orphans: orphans, Version: old.Version,
		Connection: s.decision.Connection, TokenEndpoint: s.decision.TokenEndpoint,
		WishDigest: policy.Digest(wish), TokenLifetime: s.decision.TokenLifetime,
	}, err
}

// registrationFailed records what an error leaves behind: a refusal is kept,
// so that it is not repeated; a request that was not carried out leaves
// nothing; one that may have been stays pending, to be tried again.
func (s *step) registrationFailed(ctx context.Context, done *outcome, err error) error {
	var answer *authserver.Error
	if !errors.As(err, &answer) {
		return err
	}
	record, refused := done.record, refusal(answer)
	switch {
	case refused:
		if answer.MaybeApplied {
			s.orphaned(record, record.Mark)
			record.Orphans = append(slices.Clone(record.Orphans), record.Mark)
		}
		record = s.refused(record, v1alpha1.ReasonRejected, answer.Code)
		done.again, err = atOnce, nil
	case answer.MaybeApplied:
		return err
	default:
		record.State = ""
	}
	if answer.Kind == authserver.Unauthorized {
		err = fmt.Errorf("%w: %w", errInitialAccess, err)
	}
	s.Places.Leave(s.reg)
	stored, putErr := s.Records.Put(ctx, s.reg, record)
	done.record = stored
	return errors.Join(err, putErr)
}

// refusal says that the same request need not be sent again.
func refusal(answer *authserver.Error) bool {
	return answer.Kind == authserver.Rejected || answer.Kind == authserver.Conflict
}

// refused notes that the wish was refused. Its digest is the one that the next
// decision computes.
func (s *step) refused(record policy.Record, reason, code string) policy.Record {
	if record.State != policy.RecordRegistered {
		record.State = policy.RecordRefused
	}
	record.RefusedReason, record.RefusedCode = reason, code
	record.RefusedDigest, record.RefusedAt = policy.Digest(s.decision.Wish), s.Clock.Now()
	return record
}

// registered stores the answer. If it cannot be stored, the client is deleted
// again at once: nobody would know it. The store may have happened all the
// same, so the next pass looks before it believes the record.
func (s *step) registered(ctx context.Context, server authserver.Server, done *outcome, answer authserver.Client, wish authserver.ClientMetadata, pair keyPair) error {
	record := done.record
	record.State, record.Client, record.RegisteredAt = policy.RecordRegistered, answer, s.Clock.Now()
	record.Excess, record.Missing = policy.Compare(wish, answer)
	record.Client.Registered.JWKS = cmp.Or(answer.Registered.JWKS, wish.JWKS)
	shared, err := s.Records.Shared(ctx, s.reg.UID, record.Connection.Issuer, answer.ID)
	switch {
	case err != nil || shared:
		// The client is another registration's, or may be: it is not touched.
		s.orphaned(record, record.Mark)
		record = s.refused(policy.Record{Version: record.Version, Connection: record.Connection,
			Orphans: append(record.Orphans, record.Mark)}, v1alpha1.ReasonRejected, "shared_client_id")
	case answer.ManagementURI == "" || answer.ManagementToken.IsZero():
		s.orphaned(record, record.Mark)
		record = s.refused(policy.Record{Version: record.Version, Connection: record.Connection,
			Orphans: append(record.Orphans, record.Mark)}, v1alpha1.ReasonManagementUnsupported, "")
	}
	if record.Live() {
		s.Audit.Record(s.given(audit.ClientRegistered, record))
	} else {
		s.Places.Leave(s.reg)
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil && record.Live() {
		s.Drift.Suspect(s.reg.UID)
		undo := server.Revoke(ctx, record.Handle(policy.CredentialsFact{}))
		return errors.Join(err, undo)
	}
	if err != nil {
		return err
	}
	done.record = stored
	logf.FromContext(ctx).Info("Client registered", "clientID", answer.ID, "authorizationServer", record.Connection.Name)
	if !stored.Live() || s.unfit(stored) {
		done.again = atOnce
		return nil
	}
	return s.putCredentials(ctx, stored, pair)
}

// unfit says that the next decision will be to revoke: no credentials are
// handed out for such a client.
func (s *step) unfit(record policy.Record) bool {
	expires := record.Client.SecretExpiresAt
	return len(record.Excess) > 0 || (!expires.IsZero() && !s.Clock.Now().Before(expires))
}

// replace makes the client equal to the wish. That an answer is outstanding is
// stored first: if it is lost, secrets at hand prove nothing any more.
func (s *step) replace(ctx context.Context, done *outcome) error {
	urgency := authserver.Routine
	excess, _ := policy.Compare(s.decision.Wish, done.record.Client)
	if len(excess) > 0 {
		urgency = authserver.Urgent
	}
	server, leave, err := s.Servers.Enter(ctx, s.decision.Connection, urgency)
	if err != nil {
		return err
	}
	defer leave()
	wish, pair, err := s.completeWish()
	if err != nil {
		return err
	}
	if err := s.holdObject(ctx); err != nil {
		return err
	}
	uncertain := done.record
	uncertain.Replacing = true
	uncertain.TokenLifetime = max(uncertain.TokenLifetime, s.decision.TokenLifetime)
	if done.record, err = s.Records.Put(ctx, s.reg, uncertain); err != nil {
		return err
	}
	if s.decision.MakeKey {
		if err := s.putCredentials(ctx, done.record, pair); err != nil {
			return err
		}
	}
	handle := s.seen.facts.Record.Handle(s.seen.facts.Credentials)
	ctx, cancel := detached(ctx)
	defer cancel()
	answer, err := server.Replace(ctx, handle, policy.Marked(wish, s.Cluster, string(s.reg.UID), uncertain.Mark))
	leave()
	if err != nil {
		return s.replacementFailed(ctx, done, err, excess)
	}
	return s.replaced(ctx, done, answer, wish, pair)
}

// replacementFailed records what an error leaves behind. A refused reduction
// leaves a client that can do more than it may: it is revoked next.
func (s *step) replacementFailed(ctx context.Context, done *outcome, err error, excess []string) error {
	var answer *authserver.Error
	if !errors.As(err, &answer) || (answer.MaybeApplied && !refusal(answer)) {
		return err
	}
	record := done.record
	record.Replacing = s.seen.facts.Record.Replacing || answer.MaybeApplied
	if refusal(answer) {
		record = s.refused(record, v1alpha1.ReasonRejected, answer.Code)
		record.Excess = excess
		if len(excess) == 0 && s.seen.facts.Record.Replacing {
			record.Excess = []string{"what an update with a lost answer may have added"}
		}
		done.again, err = atOnce, nil
	}
	if answer.Kind == authserver.Unauthorized {
		// The client may be gone: the next pass looks, with the second witness.
		s.Drift.Suspect(s.reg.UID)
		done.again, err = atOnce, nil
	}
	stored, putErr := s.Records.Put(ctx, s.reg, record)
	done.record = stored
	return errors.Join(err, putErr)
}

func (s *step) replaced(ctx context.Context, done *outcome, answer authserver.Client, wish authserver.ClientMetadata, pair keyPair) error {
	record := done.record
	record.Client = carryOver(record.Client, answer, answer.Registered)
	record.WishDigest, record.Replacing = policy.Digest(wish), false
	record.RefusedReason, record.RefusedCode, record.RefusedDigest = "", "", ""
	record.Excess, record.Missing = policy.Compare(wish, answer)
	record.Client.Registered.JWKS = cmp.Or(answer.Registered.JWKS, wish.JWKS)
	s.changes(done.record, record, s.decision.MakeKey || !record.Client.Secret.Equal(done.record.Client.Secret))
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil {
		return err
	}
	done.record = stored
	logf.FromContext(ctx).Info("Client updated", "clientID", record.Client.ID, "authorizationServer", record.Connection.Name)
	if s.decision.Verdict.Standing != policy.Allowed {
		// With the reduction nothing may be left to hold back.
		done.again = atOnce
	}
	if s.unfit(stored) {
		done.again = atOnce
		return nil
	}
	return s.putCredentials(ctx, stored, pair)
}
