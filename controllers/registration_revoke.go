// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

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
	if err := s.current(ctx, done.record); err != nil {
		return err
	}
	server, leave, err := s.Servers.Enter(ctx, s.decision.Connection, authserver.Urgent)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := s.begin(ctx, server, done); err != nil {
		return err
	}
	if seen := s.seen.facts.Observed; seen.Looked && seen.Is == policy.Present && !seen.Client.Disabled {
		// What was accepted before did not last.
		done.record.DeletedAt = time.Time{}
	}
	if err := s.disableFirst(ctx, server, done); err != nil {
		return s.notOurs(ctx, done, err)
	}
	if err := server.Revoke(ctx, revocable(done.record, s.seen.facts.Credentials, s.Clock.Now())); err != nil {
		return s.notOurs(ctx, done, s.keepInstant(ctx, done, s.early(done.record, err)))
	}
	repeated := done.record.State == policy.RecordDeleted
	done.record.State = policy.RecordDeleted
	s.takenAway(ctx, done)
	if done.record, err = s.Records.Put(ctx, s.reg, done.record); err != nil {
		return err
	}
	if !repeated {
		done.again = proofDelay
	}
	return s.Credentials.Delete(ctx, s.seen.secret)
}

// keepInstant stores from when on a client is of no use whose deletion failed
// after it was disabled.
func (s *step) keepInstant(ctx context.Context, done *outcome, failure error) error {
	if done.record.DeletedAt.Equal(s.seen.facts.Record.DeletedAt) {
		return failure
	}
	stored, err := s.Records.Put(ctx, s.reg, done.record)
	done.record = stored
	return errors.Join(failure, err)
}

// notOurs ends the revocation of a client that was about to be taken over and
// is still somebody else's: it is left alone.
func (s *step) notOurs(ctx context.Context, done *outcome, err error) error {
	if !done.record.Adopting || !isConflict(err) {
		return err
	}
	stored, err := s.Records.Put(ctx, s.reg, policy.Record{
		Version: done.record.Version, Orphans: done.record.Orphans, Connection: done.record.Connection,
	})
	done.record, done.again = stored, atOnce
	return err
}

// begin stores why and since when the client should be gone, before the server
// is told: a revocation that began is finished, whatever the wish becomes. It
// also sees to it that the absence can be witnessed if the answer to the
// deletion is lost: an update in doubt is resolved first, and a client that
// authenticates by a key which is not at hand is given one.
func (s *step) begin(ctx context.Context, server authserver.Server, done *outcome) error {
	record, begun := done.record, done.record.Cause != ""
	if record.State == policy.RecordDeleted {
		return nil
	}
	if s.traits().OwnClientID {
		return s.beginByID(ctx, done)
	}
	record, err := s.resolve(ctx, server, record)
	if err != nil {
		return err
	}
	if record.Replacing == done.record.Replacing && begun && !record.NeedsWitnessKey(s.seen.facts.Credentials) {
		return nil
	}
	if !begun {
		record.Cause, record.DueAt = s.decision.Verdict.Cause, s.decision.Verdict.DueAt
	}
	if !record.Replacing && record.NeedsWitnessKey(s.seen.facts.Credentials) {
		return s.giveWitnessKey(ctx, server, done, record)
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	done.record = stored
	return err
}

// beginByID is begin where a client is known by its id alone: nothing is needed
// to prove its absence.
func (s *step) beginByID(ctx context.Context, done *outcome) error {
	record := done.record
	if record.Cause != "" {
		return nil
	}
	if record.State == policy.RecordPending {
		// What is about to end may have come into being unnoticed.
		s.orphaned(record, record.Mark)
	}
	record.Cause, record.DueAt = s.decision.Verdict.Cause, s.decision.Verdict.DueAt
	stored, err := s.Records.Put(ctx, s.reg, record)
	done.record = stored
	return err
}

// resolve reads a client whose last update may or may not have been carried
// out. A server that offers no reading leaves that open.
func (s *step) resolve(ctx context.Context, server authserver.Server, record policy.Record) (policy.Record, error) {
	if !record.Replacing {
		return record, nil
	}
	found, is, err := server.Find(ctx, record.Handle(s.seen.facts.Credentials, s.Clock.Now()))
	var answer *authserver.Error
	if errors.As(err, &answer) && refusal(answer) {
		return record, nil
	}
	if err == nil && is {
		record.Client = carryOver(record.Client, found, policy.Said(found.Registered, record.Client.Registered))
		record.Replacing = false
	}
	return record, err
}

// giveWitnessKey replaces the key set of a client that is about to be deleted.
// A server that refuses leaves the deletion without a witness, not undone.
func (s *step) giveWitnessKey(ctx context.Context, server authserver.Server, done *outcome, record policy.Record) error {
	pair, err := newKeyPair()
	if err != nil {
		return err
	}
	handle, wish := record.Handle(s.seen.facts.Credentials, s.Clock.Now()), record.Client.Registered
	wish.JWKS, wish.JWKSURI = pair.jwks, ""
	record.Replacing, record.WitnessKey, record.WitnessKeyID = true, pair.private, pair.id
	if done.record, err = s.Records.Put(ctx, s.reg, record); err != nil {
		return err
	}
	answer, err := server.Replace(ctx, handle, wish)
	var failure *authserver.Error
	if errors.As(err, &failure) && (failure.MaybeApplied || failure.Kind == authserver.Unavailable) {
		return err
	}
	given := done.record
	given.Replacing = false
	if err == nil {
		given.Client = carryOver(given.Client, answer, policy.Said(answer.Registered, given.Client.Registered))
		given.Client.Registered.JWKS = pair.jwks
	}
	stored, err := s.Records.Put(ctx, s.reg, given)
	done.record = stored
	return err
}

// current fails with errStale unless the decision is the same with what the API
// server holds: a deletion cannot be taken back, and a cache may be behind a
// renewal. Versions are not compared: a tenant who keeps touching objects would
// keep the client.
func (s *step) current(ctx context.Context, record policy.Record) error {
	var reg v1alpha1.MCPClientRegistration
	if err := s.Records.Live.Get(ctx, client.ObjectKeyFromObject(s.reg), &reg); err != nil {
		return wrap("reading registration", err)
	}
	facts := s.seen.facts
	facts.Registration = &reg
	var err error
	if s.decision.Verdict.Cause == v1alpha1.CauseAuthorizationServerGone {
		facts.AuthorizationServer, err = getAuthorizationServer(ctx, s.Records.Live, reg.Spec.AuthorizationServerRef.Name)
	}
	if s.decision.Verdict.Cause == v1alpha1.CauseNoGrantInForce {
		facts.Grants, err = s.currentGrants(ctx, facts)
	}
	switch {
	case err != nil:
		return err
	case reg.UID != s.reg.UID, policy.Registration(facts, s.Clock.Now()).Action != s.decision.Action:
		return errStale
	}
	return s.Records.Fresh(ctx, s.reg.UID, record.Version)
}

// currentGrants are the grants of the registration as the API server holds them.
func (s *step) currentGrants(ctx context.Context, facts policy.RegistrationFacts) ([]policy.GrantFacts, error) {
	var list v1alpha1.ScopeGrantList
	if err := s.Records.Live.List(ctx, &list, client.InNamespace(s.reg.Namespace)); err != nil {
		return nil, wrap("listing grants", err)
	}
	var grants []policy.GrantFacts
	for i := range list.Items {
		if list.Items[i].Spec.ClientRef.Name != s.reg.Name {
			continue
		}
		grant := policy.GrantFacts{
			Grant: &list.Items[i], RegistrationIs: policy.Present,
			AuthorizationServer: facts.AuthorizationServer, Namespace: facts.Namespace,
		}
		if err := s.Grants.Observe(ctx, &grant); err != nil {
			return nil, err
		}
		grants = append(grants, grant)
	}
	return grants, nil
}

// confirm records that nothing is left of the client and forgets its secrets.
func (s *step) confirm(ctx context.Context, done *outcome) error {
	// The credentials go first: a record of the end is the last thing looked at.
	if err := s.Credentials.Delete(ctx, s.seen.secret); err != nil {
		return err
	}
	s.concludes(done.record)
	s.Places.Leave(s.reg.UID)
	stored, err := s.Records.Put(ctx, s.reg, s.concluded(done.record))
	if err != nil {
		return err
	}
	done.record = stored
	// What was revoked only to begin anew is registered at once.
	if s.decision.Verdict.Standing == policy.Allowed || s.decision.Verdict.Reason == v1alpha1.ReasonRevoking {
		done.again = atOnce
	}
	return nil
}

// concluded is the record of a client that is proven to be gone, or that a
// person let go, or that was never known.
func (s *step) concluded(old policy.Record) policy.Record {
	record := policy.Record{
		State: policy.RecordRevoked, Version: old.Version, Orphans: old.Orphans, Connection: old.Connection,
		Client: authserver.Client{ID: old.Client.ID}, Released: old.Released, TokenLifetime: old.TokenLifetime,
		Reached: old.Reached, Cause: old.Cause, DueAt: old.DueAt, DeletedAt: old.DeletedAt,
	}
	if old.State == policy.RecordPending && !old.Findable() {
		record.Orphans = append(slices.Clone(record.Orphans), old.Mark)
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
	s.concludes(done.record)
	s.Places.Leave(s.reg.UID)
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
	s.Examinations.Forget(s.reg.UID)
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
	copies := s.decision.Connection.CopySeconds
	before := done.record.Reached
	if len(before) == 0 {
		// It was registered before this was noted.
		before = []string{policy.Anywhere}
	}
	reached := policy.Reached(before, s.decision.Grants)
	if s.decision.TokenLifetime > done.record.TokenLifetime || copies > done.record.Connection.CopySeconds || len(reached) > len(done.record.Reached) {
		longer := done.record
		longer.Reached = reached
		longer.TokenLifetime = max(longer.TokenLifetime, s.decision.TokenLifetime)
		longer.Connection.CopySeconds = max(longer.Connection.CopySeconds, copies)
		stored, err := s.Records.Put(ctx, s.reg, longer)
		if err != nil {
			return err
		}
		done.record = stored
	}
	credentials := s.seen.facts.Credentials
	if credentials.Foreign || credentials.Is == policy.Unknown {
		return nil
	}
	if done.record.KnowsNextKey(s.Clock.Now()) {
		return s.handOver(ctx, done)
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
