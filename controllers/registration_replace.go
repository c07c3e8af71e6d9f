// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"reflect"
	"time"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

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
	// What is sent enables the client: from now on it may be.
	uncertain.Replacing, uncertain.Disabled = true, false
	uncertain.TokenDoubtful = !s.traits().OwnClientID
	uncertain.ServiceAccount = s.reg.Spec.ServiceAccountName
	uncertain.TokenLifetime = max(uncertain.TokenLifetime, s.decision.TokenLifetime)
	if uncertain.Live() && len(uncertain.Reached) == 0 {
		// It was registered before this was noted.
		uncertain.Reached = []string{policy.Anywhere}
	}
	uncertain.Reached = policy.Reached(uncertain.Reached, s.decision.Grants)
	if s.decision.MakeKey {
		// The key must outlive a crash; the team gets it when it is accepted.
		uncertain.Rotation.NextKey, uncertain.Rotation.NextKeyID, uncertain.Rotation.NextJWKS = pair.private, pair.id, pair.jwks
		uncertain.Rotation.OldJWKS, uncertain.Rotation.OldUntil = "", time.Time{}
	}
	if done.record, err = s.Records.Put(ctx, s.reg, uncertain); err != nil {
		return err
	}
	sent := replacement{wish: wish, pair: pair, settles: uncertain.KeysSettle(s.Clock.Now())}
	request := s.marked(wish, uncertain)
	request.Secret = s.nextSecret(uncertain)
	handle := s.seen.facts.Record.Handle(s.seen.facts.Credentials, s.Clock.Now())
	ctx, cancel := detached(ctx)
	defer cancel()
	answer, err := server.Replace(ctx, handle, request)
	leave()
	if err != nil {
		return errors.Join(s.renewed(ctx, done, answer), s.replacementFailed(ctx, done, err, excess))
	}
	return s.replaced(ctx, done, answer, sent)
}

// replacement is an update that was sent.
type replacement struct {
	wish authserver.ClientMetadata
	// pair is the key of the client.
	pair keyPair
	// settles says that it was sent when the keys of before could not come back
	// any more.
	settles bool
}

// renewed stores what an answer renewed that cannot be used otherwise.
func (s *step) renewed(ctx context.Context, done *outcome, answer authserver.Client) error {
	if s.traits().OwnSecret {
		answer.Secret = authserver.Secret{}
	}
	record := lifecycle.CarryOver(done.record, answer)
	if reflect.DeepEqual(record, done.record) {
		return nil
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	done.record = stored
	return err
}

// replacementFailed records what an error leaves behind. A refused reduction
// leaves a client that can do more than it may: it is revoked next.
func (s *step) replacementFailed(ctx context.Context, done *outcome, err error, excess []string) error {
	var answer *authserver.Error
	if !errors.As(err, &answer) || (!refusal(answer) && (answer.MaybeApplied || done.record.Findable())) || done.record.Adopting {
		return err
	}
	record := undone(done.record, s.seen.facts.Record, answer.MaybeApplied)
	if refusal(answer) {
		record = s.keptAsItIs(ctx, record, answer, excess)
		done.again, err = atOnce, nil
	}
	if answer.Kind == authserver.Unauthorized && s.suspect(err) {
		done.again, err = atOnce, nil
	}
	stored, putErr := s.Records.Put(ctx, s.reg, record)
	done.record = stored
	return errors.Join(err, putErr)
}

// undone is a record after an update that was refused: as it was before, unless that
// may have been carried out all the same.
func undone(record, before policy.Record, applied bool) policy.Record {
	record.Replacing = before.Replacing || applied
	record.TokenDoubtful = record.TokenDoubtful && (before.TokenDoubtful || applied)
	record.Disabled = before.Disabled && !applied
	return record
}

// suspect says that the client may be gone and that the next pass looks, with the
// second witness. While the server is paused a later one does.
func (s *step) suspect(err error) bool {
	if errors.Is(err, errInitialAccess) || s.seen.facts.Observed.Looked {
		return false
	}
	s.Drift.Suspect(s.reg.UID)
	return !policy.Paused(s.seen.facts.AuthorizationServer.Object)
}

// keptAsItIs is the record of a client whose update was refused.
func (s *step) keptAsItIs(ctx context.Context, record policy.Record, answer *authserver.Error, excess []string) policy.Record {
	if record.Findable() {
		// There is a client, with what an earlier request asked for.
		record.State, record.RegisteredAt = policy.RecordRegistered, s.Clock.Now()
		s.Audit.Record(s.given(audit.ClientRegistered, record))
	}
	if s.decision.Resend {
		// What is registered is refused: it is asked for again as late as any
		// other wish that was.
		record.KeysSettleAt = s.Clock.Now().Add(policy.DriftCheckInterval(s.seen.facts.AuthorizationServer.Object))
		logf.FromContext(ctx).Error(answer, "Keys cannot be settled: the authorization server may accept those of before", "clientID", record.Client.ID, "tryingAgainAt", record.KeysSettleAt)
		return record
	}
	record = s.refused(record, v1alpha1.ReasonRejected, answer.Code)
	record.Excess = excess
	if before := s.seen.facts.Record; len(excess) == 0 && (before.Replacing || before.Findable()) {
		record.Excess = []string{"what an update with a lost answer may have added"}
	}
	return record
}

// replaced stores the answer. A client that was pending is registered by it.
func (s *step) replaced(ctx context.Context, done *outcome, answer authserver.Client, sent replacement) error {
	record, before := s.updated(done.record, answer, sent), done.record
	if before.State == policy.RecordPending {
		record.State, record.RegisteredAt = policy.RecordRegistered, s.Clock.Now()
		s.Audit.Record(s.given(audit.ClientRegistered, record))
	} else {
		s.changes(before, record, s.decision.MakeKey || !record.Client.Secret.Equal(before.Client.Secret), s.repeats(sent))
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil {
		return err
	}
	done.record = stored
	logf.FromContext(ctx).Info("Client updated", "clientID", record.Client.ID, "authorizationServer", record.Connection.Name)
	settling := !record.KeysSettleAt.Equal(before.KeysSettleAt)
	if s.decision.Verdict.Standing != policy.Allowed || settling || before.Rotation.OldJWKS != record.Rotation.OldJWKS {
		// With the reduction nothing may be left to hold back; the next pass
		// knows when the keys settle, and whether another rotation may begin.
		done.again = atOnce
	}
	if s.unfit(stored) {
		done.again = atOnce
		return nil
	}
	done.changed, done.pair = true, sent.pair
	if stored.KnowsNextKey(s.Clock.Now()) {
		return s.handOver(ctx, done)
	}
	if stored.Rotation.KeyWaits() {
		// The next pass knows when the next key may be used.
		done.again = atOnce
	}
	return s.putCredentials(ctx, stored, sent.pair)
}

// updated is the record of a client after an update.
func (s *step) updated(before policy.Record, answer authserver.Client, sent replacement) policy.Record {
	if secret := s.nextSecret(before); answer.Secret.IsZero() && !secret.IsZero() {
		answer.Secret = secret
	}
	record := lifecycle.CarryOver(before, answer)
	record.Client.Registered = withKeys(answer.Registered, sent.wish)
	record.Replacing, record.Disabled, record.Adopting, record.TokenDoubtful = false, false, false, false
	excess, missing := policy.Compare(sent.wish, answer)
	record.Excess = excess
	if !s.decision.Resend {
		record.WishDigest, record.Missing = policy.Digest(sent.wish), missing
		record.RefusedReason, record.RefusedCode, record.RefusedDigest = "", "", ""
	}
	record = s.settleKeys(record, sent)
	record.Rotation = s.accepted(before.Rotation, sent.wish.JWKS, record.KeysSettleAt.IsZero())
	return record
}
