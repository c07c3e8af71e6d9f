// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// register creates a client. A pending record is stored before the request and
// the answer before anything else (RFC 7591 registration cannot be repeated).
func (s *step) register(ctx context.Context, done *outcome) error {
	server, leave, err := s.Servers.Enter(ctx, s.decision.Connection, authserver.Routine)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.prepare(ctx, server, done.record); err != nil {
		return err
	}
	if s.decision.Adopt != "" {
		return s.adopt(ctx, done)
	}
	done.vanished = done.record.Live()
	if done.vanished {
		s.taken(audit.ClientVanished, done.record)
	}
	wish, pair, err := s.completeWish()
	if err != nil {
		return err
	}
	learnt, err := s.first()
	if err != nil {
		return err
	}
	shown := policy.Unknown
	defer func() { learnt(shown) }()
	if err := s.foretell(ctx, done, wish, pair); err != nil {
		return err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	request := s.marked(wish, done.record)
	request.Secret = done.record.Client.Secret
	answer, err := server.Register(ctx, request)
	leave()
	if err != nil {
		return s.unregistered(ctx, done, answer, err)
	}
	err = s.registered(ctx, done, answer, wish, pair)
	shown = s.shown(done.record)
	return err
}

// unregistered is a request that ended with an error: what the answer names is
// undone where it can be.
func (s *step) unregistered(ctx context.Context, done *outcome, answer authserver.Client, err error) error {
	if answer.Named() && !s.traits().OwnClientID && onlyUnavailable(err) {
		return s.unusable(ctx, done, answer, err)
	}
	return s.registrationFailed(ctx, done, err)
}

// first waits for the first client of a server, where it is not known yet whether
// its clients can be managed.
func (s *step) first() (leave func(policy.Knowledge), err error) {
	if s.traits().OwnClientID {
		return func(policy.Knowledge) {}, nil
	}
	return s.Manageability.Enter(s.seen.facts.AuthorizationServer.Object)
}

// shown is what a registration showed of the management of clients.
func (s *step) shown(record policy.Record) policy.Knowledge {
	switch {
	case record.Live() && !record.Client.ManagementToken.IsZero():
		return policy.Present
	case record.RefusedReason == v1alpha1.ReasonManagementUnsupported:
		return policy.Absent
	}
	return policy.Unknown
}

// foretell stores the record of a request about to be sent. Whether it was stored
// is open after an error: the place stays taken.
func (s *step) foretell(ctx context.Context, done *outcome, wish authserver.ClientMetadata, pair keyPair) error {
	pending, err := s.pending(done.record, wish)
	if err != nil {
		return err
	}
	if s.decision.MakeKey && !s.traits().OwnClientID {
		// The absence of the client could not be witnessed without its key.
		pending.WitnessKey, pending.WitnessKeyID = pair.private, pair.id
	}
	return s.announcePending(ctx, done, pending)
}

// announcePending stores a pending record, unless somebody changes it on its way.
func (s *step) announcePending(ctx context.Context, done *outcome, pending policy.Record) (err error) {
	before := done.record
	if done.record, err = s.Records.Put(ctx, s.reg, pending); err != nil {
		return err
	}
	if done.record.Damage != policy.Undamaged {
		s.Places.Leave(s.reg.UID)
		return errors.Join(errRecordDamaged, s.takeBack(ctx, done, before))
	}
	return s.accountAlone(ctx, done)
}

// takeBack has the record say again what it said before a request that was not
// sent.
func (s *step) takeBack(ctx context.Context, done *outcome, before policy.Record) (err error) {
	if before.Version == "" {
		err = s.Records.Delete(ctx, s.reg.UID, done.record.Version)
		done.record = before
		return err
	}
	before.Version = done.record.Version
	done.record, err = s.Records.Put(ctx, s.reg, before)
	return err
}

// prepare does what a request for a client rests on.
func (s *step) prepare(ctx context.Context, server authserver.Server, old policy.Record) error {
	if err := s.holdObject(ctx); err != nil {
		return err
	}
	if err := s.sound(ctx, server, old); err != nil {
		return err
	}
	return s.takePlace(ctx)
}

// sound asks a server for its metadata before a request is repeated that may
// leave a client nobody knows each time: a gateway with no server behind it gives
// no answers to that either.
func (s *step) sound(ctx context.Context, server authserver.Server, old policy.Record) error {
	if old.State != policy.RecordPending || old.Findable() {
		return nil
	}
	_, err := server.Discover(ctx)
	return err
}

// pending is the record of a request about to be sent. A request that was
// pending before ended without an answer: its mark may live on as an orphan,
// unless the register chose the client id: then it is the same request again,
// and whatever becomes of both is one client.
func (s *step) pending(old policy.Record, wish authserver.ClientMetadata) (policy.Record, error) {
	record := policy.Record{
		State: policy.RecordPending, Version: old.Version, Orphans: slices.Clone(old.Orphans), Unanswered: old.Unanswered,
		Connection: s.decision.Connection, TokenEndpoint: s.decision.TokenEndpoint, Owner: policy.Owner(s.Cluster, string(s.reg.UID)),
		WishDigest: policy.Digest(wish), TokenLifetime: s.decision.TokenLifetime,
		Reached:        policy.Reached(nil, s.decision.Grants),
		ServiceAccount: s.reg.Spec.ServiceAccountName, KeysSent: policy.KeysDigest(wish),
	}
	record.Rotation.Request = policy.RotationRequest(s.reg)
	if old.Findable() && !old.Adopting {
		record.Mark, record.Client = old.Mark, old.Client
		record.Reached = policy.Reached(old.Reached, s.decision.Grants)
		return record, nil
	}
	if old.State == policy.RecordPending && !old.Findable() {
		s.orphaned(old, old.Mark)
		record.Orphans = append(record.Orphans, old.Mark)
	}
	var err error
	if record.Mark, err = newMark(); err != nil || !s.traits().OwnClientID {
		return record, err
	}
	if record.Client.ID, err = newClientID(s.traits().IDPrefix); err != nil || !s.choosesSecret() {
		return record, err
	}
	record.Client.Secret, err = newClientSecret()
	return record, err
}

// choosesSecret says that the register makes the client's secret.
func (s *step) choosesSecret() bool {
	return s.traits().OwnSecret && s.reg.Spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodClientSecretBasic
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
	// A request for this client id was sent before, and may yet be carried out.
	late := s.seen.facts.Record.Findable()
	switch {
	case record.Findable() && (answer.MaybeApplied || answer.Kind == authserver.Conflict):
		// Whether there is a client of that id now is looked up.
		if answer.Kind == authserver.Conflict {
			done.again, err = atOnce, nil
		}
		return err
	case refused:
		record = s.orphanedIf(answer.MaybeApplied || late, record)
		record = s.refused(record, v1alpha1.ReasonRejected, answer.Code)
		record.Client = authserver.Client{}
		done.again, err = atOnce, nil
	case late:
		return s.administrators(answer, err)
	case answer.MaybeApplied:
		record = s.unheard(record)
	default:
		record.State, record.Client = "", authserver.Client{}
	}
	return errors.Join(s.administrators(answer, err), s.keepFailed(ctx, done, record))
}

// keepFailed stores what a failed request leaves behind; a place that it does not
// hold any more is given back.
func (s *step) keepFailed(ctx context.Context, done *outcome, record policy.Record) (err error) {
	done.record, err = s.Records.Put(ctx, s.reg, record)
	if err == nil && !record.State.HoldsPlace() {
		s.Places.Leave(s.reg.UID)
	}
	return err
}

// orphanedIf notes the mark of a request that may have been carried out.
func (s *step) orphanedIf(applied bool, record policy.Record) policy.Record {
	if applied {
		s.orphaned(record, record.Mark)
		record.Orphans = append(slices.Clone(record.Orphans), record.Mark)
	}
	return record
}

// unheard notes that an answer was lost. What it may have made is asked for once
// more; then a person has to say what became of it.
func (s *step) unheard(record policy.Record) policy.Record {
	if record.Unanswered++; !record.Unconfirmed() {
		return record
	}
	record = s.orphanedIf(true, record)
	record.State, record.Client = "", authserver.Client{}
	return record
}

// administrators says of an error that it is about the operator's own credential,
// where it is: there is no other when a client is registered.
func (s *step) administrators(answer *authserver.Error, err error) error {
	if err != nil && answer.Kind == authserver.Unauthorized && !errors.Is(err, errInitialAccess) {
		return fmt.Errorf("%w: %w", errInitialAccess, err)
	}
	return err
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
	if reason == v1alpha1.ReasonManagementUnsupported {
		record.RefusedServer = policy.ServerDigest(s.seen.facts.AuthorizationServer.Object)
	}
	return record
}

// registered stores the answer before anything else.
func (s *step) registered(ctx context.Context, done *outcome, answer authserver.Client, wish authserver.ClientMetadata, pair keyPair) error {
	record := done.record
	chosen := record.Client.Secret
	record.State, record.Client, record.RegisteredAt, record.Unanswered = policy.RecordRegistered, answer, s.Clock.Now(), 0
	if record.Client.Secret.IsZero() {
		record.Client.Secret = chosen
	}
	record.Excess, record.Missing = policy.Compare(wish, answer)
	record.Client.Registered = withKeys(answer.Registered, wish)
	if !s.traits().OwnClientID {
		record = s.usable(ctx, record)
	}
	if record.Live() {
		s.Audit.Record(s.given(audit.ClientRegistered, record))
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil && record.Live() && !s.traits().OwnClientID {
		stored, err = s.unanswered(ctx, record, err)
	}
	if err != nil {
		return err
	}
	if !stored.Live() {
		s.Places.Leave(s.reg.UID)
	}
	done.record = stored
	logf.FromContext(ctx).Info("Client registered", "clientID", answer.ID, "authorizationServer", record.Connection.Name)
	if !stored.Live() || s.unfit(stored) {
		done.again = atOnce
		return nil
	}
	done.changed, done.pair = true, pair
	return s.putCredentials(ctx, stored, pair)
}

// usable refuses a client that cannot be this registration's: another has it, or
// may have, or there is no way to manage it. It is not touched.
func (s *step) usable(ctx context.Context, record policy.Record) policy.Record {
	reason, code := "", ""
	shared, err := s.Records.Shared(ctx, s.reg.UID, record.Connection.Issuer, record.Client.ID)
	switch {
	case err != nil || shared:
		reason, code = v1alpha1.ReasonRejected, "shared_client_id"
	case record.Client.ManagementURI == "" || record.Client.ManagementToken.IsZero():
		reason = v1alpha1.ReasonManagementUnsupported
	default:
		return record
	}
	s.orphaned(record, record.Mark)
	return s.refused(policy.Record{Version: record.Version, Connection: record.Connection,
		Orphans: append(record.Orphans, record.Mark)}, reason, code)
}

// unusable undoes a registration whose answer names a client and cannot be used
// otherwise: it is on record as one that must not exist, and deleted at once.
func (s *step) unusable(ctx context.Context, done *outcome, answer authserver.Client, cause error) error {
	record, now := done.record, s.Clock.Now()
	record.State, record.Client, record.RegisteredAt = policy.RecordRegistered, answer, now
	record.Cause, record.DueAt = v1alpha1.CauseUnusable, now
	if answer.ManagementURI == "" || answer.ManagementToken.IsZero() {
		// Of an answer that cannot be read as a whole it is not known whether there
		// is no way to manage the client.
		record = s.orphanedIf(true, record)
		record = s.refused(policy.Record{Version: record.Version, Connection: record.Connection, Orphans: record.Orphans}, v1alpha1.ReasonRejected, lifecycle.CodeUnusable)
	} else if record = s.usable(ctx, record); record.Live() {
		s.Audit.Record(s.given(audit.ClientRegistered, record))
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil && record.Live() {
		stored, err = s.unanswered(ctx, record, err)
	}
	if err != nil {
		return errors.Join(cause, err)
	}
	done.record, done.again = stored, atOnce
	logf.FromContext(ctx).Error(cause, "The answer to a registration cannot be used: the client that it names is deleted again", "clientID", answer.ID)
	return nil
}

// unanswered finds out whether a record was stored although the answer to that
// was lost. If not, the client is deleted again at once: nobody would know it.
// Of a client whose id the register chose the pending record knows.
func (s *step) unanswered(ctx context.Context, record policy.Record, cause error) (policy.Record, error) {
	stored, _, err := s.Records.GetLive(ctx, s.reg.UID)
	if err == nil && stored.State == record.State && stored.Mark == record.Mark {
		return stored, nil
	}
	s.Drift.Suspect(s.reg.UID)
	_, _, revokeErr := executor{s.Servers, s.Clock}.run(ctx, leaving{
		Facts: lifecycle.Facts{
			Record: record, Cause: v1alpha1.CauseUnusable, DueAt: s.Clock.Now(), Last: true, Alone: true, Repeatable: true,
			Capabilities: s.traits(),
		},
		leaver: unstored{&ownLeaver{step: s}}, connection: s.decision.Connection,
	})
	return record, errors.Join(cause, err, revokeErr)
}

// unstored is a client that no record could be stored of.
type unstored struct{ own *ownLeaver }

func (unstored) store(_ context.Context, record policy.Record) (policy.Record, error) {
	return record, nil
}

func (u unstored) end(_ context.Context, out lifecycle.Outcome) (policy.Record, error) {
	for _, event := range out.Events {
		u.tell(event)
	}
	return out.Record, nil
}

func (u unstored) tell(event lifecycle.Event) { u.own.tell(event) }

// unfit says that the next decision will be to revoke: no credentials are
// handed out for such a client.
func (s *step) unfit(record policy.Record) bool {
	expires := record.Client.SecretExpiresAt
	return len(record.Excess) > 0 || (!expires.IsZero() && !s.Clock.Now().Before(expires))
}

// adopt begins to take over a client of somebody else: it is stored as pending,
// and found and replaced like a client whose registration had no answer.
func (s *step) adopt(ctx context.Context, done *outcome) error {
	record, err := s.pending(policy.Record{Version: done.record.Version, Orphans: done.record.Orphans}, s.decision.Wish)
	if err != nil {
		return err
	}
	record.Client.ID, record.Adopting = s.decision.Adopt, true
	// Whoever had the client before may have had it use any server.
	record.Reached = policy.Reached([]string{policy.Anywhere}, s.decision.Grants)
	if shared, err := s.Records.Shared(ctx, s.reg.UID, record.Connection.Issuer, record.Client.ID); err != nil || shared {
		s.Places.Leave(s.reg.UID)
		return errors.Join(err, errTaken)
	}
	if err := s.announcePending(ctx, done, record); err != nil {
		return err
	}
	done.again = atOnce
	return nil
}

// errTaken says that a client belongs to another registration.
var errTaken = errors.New("the client to be taken over belongs to another registration")
