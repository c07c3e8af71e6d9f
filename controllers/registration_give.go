// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// give carries out what internal/lifecycle plans for a client that may exist: the
// intent is stored, the server is asked, what its answer means is told and stored
// before anything else, and then the team is given its credentials.
func (s *step) give(ctx context.Context, done *outcome) error {
	wanted, err := s.wanted(done.record)
	if err != nil {
		return err
	}
	for range mostSteps {
		plan := lifecycle.Give(wanted, s.Clock.Now())
		out, err := s.take(ctx, done, plan)
		if out.Wait > 0 {
			done.again = out.Wait
		}
		if err != nil || !out.Hand {
			return err
		}
		done.changed, wanted = true, wanted.Handing(done.record)
		done.pair = lifecycle.KeyPair{
			Private: wanted.Credentials.PrivateKey, ID: wanted.Credentials.KeyID, JWKS: wanted.Credentials.PublicJWKS,
		}
	}
	return errTooManySteps
}

// wanted are the facts of the registration's client, and what only chance can make
// of it.
func (s *step) wanted(record policy.Record) (lifecycle.Wanted, error) {
	facts, d, as := s.seen.facts, s.decision, s.seen.facts.AuthorizationServer.Object
	w := lifecycle.Wanted{
		Action: d.Action, Record: record, Observed: facts.Observed, Credentials: facts.Credentials,
		Capabilities: facts.Traits, Cluster: s.Cluster, UID: string(s.reg.UID),
		Server: policy.ServerDigest(as), Paused: policy.Paused(as),
		Connection: d.Connection, TokenEndpoint: d.TokenEndpoint,
		Wish: d.Wish, AuthMethods: d.AuthMethods, Adopt: d.Adopt, MakeKey: d.MakeKey, Resend: d.Resend, Final: d.Verdict.Standing == policy.Allowed,
		Grants: d.Grants, TokenLifetime: d.TokenLifetime, ServiceAccount: s.reg.Spec.ServiceAccountName,
		ChoosesSecret:   facts.Traits.OwnSecret && policy.HasSecret(s.reg.Spec.TokenEndpointAuthMethod),
		RotationRequest: policy.RotationRequest(s.reg), Overlap: policy.Overlap(s.reg.Spec, facts.Traits),
		RetryAfter: policy.DriftCheckInterval(as),
	}
	var err error
	w.Made, err = chance(w)
	return w, err
}

// chance makes what may be needed of what only chance can make.
func chance(w lifecycle.Wanted) (made lifecycle.Made, err error) {
	if w.Action == policy.Register {
		if made.Mark, err = newMark(); err != nil {
			return made, err
		}
		if made.ClientID, err = newClientID(w.Capabilities.IDPrefix); err != nil {
			return made, err
		}
	}
	if w.ChoosesSecret && (w.Action == policy.Register || w.Action == policy.Rotate) {
		made.Secret, err = newClientSecret()
	}
	if err == nil && (w.MakeKey || w.Action == policy.Rotate) {
		made.Key, err = newKeyPair()
	}
	return made, err
}

// take takes one step.
func (s *step) take(ctx context.Context, done *outcome, plan lifecycle.Plan) (out lifecycle.Outcome, err error) {
	server, leave, err := s.enter(ctx, plan)
	if err != nil {
		return out, err
	}
	defer leave()
	if err := s.prepare(ctx, server, done.record, plan); err != nil {
		return out, err
	}
	learnt, err := s.first(plan)
	if err != nil {
		return out, err
	}
	defer func() { learnt(out.Management) }()
	before := done.record
	if err := s.intend(ctx, done, plan); err != nil {
		return out, err
	}
	if plan.Call != lifecycle.None || plan.GiveCredentials {
		// What the server took, the team gets.
		var cancel context.CancelFunc
		ctx, cancel = detached(ctx)
		defer cancel()
	}
	answer := s.ask(ctx, server, plan, before)
	leave()
	if plan.GiveCredentials {
		if err := s.putCredentials(ctx, done.record, plan.Key); err != nil {
			return out, err
		}
	}
	out = plan.After(answer, s.Clock.Now())
	err = s.conclude(ctx, done, &out)
	return out, err
}

// enter takes a place at the server, where one is asked.
func (s *step) enter(ctx context.Context, plan lifecycle.Plan) (authserver.Server, func(), error) {
	if plan.Call == lifecycle.None {
		return nil, func() {}, nil
	}
	urgency := authserver.Routine
	if plan.Urgent {
		urgency = authserver.Urgent
	}
	return s.Servers.Enter(ctx, s.decision.Connection, urgency)
}

// prepare does what a step rests on. A client that is to be disabled waits for none
// of it but that the decision still holds.
func (s *step) prepare(ctx context.Context, server authserver.Server, old policy.Record, plan lifecycle.Plan) error {
	if s.decision.Action == policy.Disable {
		if s.settled(old) {
			return nil
		}
		return s.current(ctx)
	}
	if err := s.holdObject(ctx); err != nil {
		return err
	}
	if plan.MetadataFirst {
		if _, err := server.Discover(ctx); err != nil {
			return err
		}
	}
	if s.decision.Action != policy.Register {
		return nil
	}
	if !old.HoldsPlace() {
		if err := s.takePlace(ctx); err != nil {
			return err
		}
	}
	return s.adoptable(ctx)
}

// adoptable fails where the client that is to be taken over is another
// registration's.
func (s *step) adoptable(ctx context.Context) error {
	if s.decision.Adopt == "" {
		return nil
	}
	shared, err := s.Records.Shared(ctx, s.reg.UID, s.decision.Connection.Issuer, s.decision.Adopt)
	if err != nil || shared {
		s.Places.Leave(s.reg.UID)
		return errors.Join(err, errTaken)
	}
	return nil
}

// errTaken says that a client belongs to another registration.
var errTaken = errors.New("the client to be taken over belongs to another registration")

// first waits for the first client of a server, where it is not known yet whether
// its clients can be managed.
func (s *step) first(plan lifecycle.Plan) (leave func(policy.Knowledge), err error) {
	if plan.Call != lifecycle.Register || s.traits().OwnClientID {
		return func(policy.Knowledge) {}, nil
	}
	return s.Manageability.Enter(s.seen.facts.AuthorizationServer.Object)
}

// intend tells of what is known before a step, and stores its intent. Whether it was
// stored is open after an error: a place that was taken stays so. Before a client is
// made or changed it is stored in any case: a cache may be behind.
func (s *step) intend(ctx context.Context, done *outcome, plan lifecycle.Plan) error {
	for _, event := range plan.Events {
		done.vanished = done.vanished || event.Kind == lifecycle.ClientVanished
		s.tell(ctx, event)
	}
	before := done.record
	if !plan.Gives() && reflect.DeepEqual(plan.Intent, before) {
		return nil
	}
	var err error
	if done.record, err = s.Records.Put(ctx, s.reg, plan.Intent); err != nil {
		return err
	}
	if s.decision.Action != policy.Register || plan.GiveCredentials {
		return nil
	}
	if done.record.Damage != policy.Undamaged {
		s.Places.Leave(s.reg.UID)
		return errors.Join(errRecordDamaged, s.takeBack(ctx, done, before))
	}
	return s.accountAlone(ctx, done, plan)
}

// takeBack has the record say again what it said before a request that was not
// sent.
func (s *step) takeBack(ctx context.Context, done *outcome, before policy.Record) (err error) {
	if before.Version == "" {
		err = s.Records.Delete(ctx, s.reg.UID, done.record.Version)
		done.record = before
		return err
	}
	done.record, err = s.Records.Put(ctx, s.reg, before.At(done.record.Version))
	return err
}

// ask makes the call of a step, and learns what its answer cannot tell.
func (s *step) ask(ctx context.Context, server authserver.Server, plan lifecycle.Plan, before policy.Record) lifecycle.Answer {
	x := executor{s.Servers, s.Clock}
	a := x.ask(ctx, server, plan, before, s.seen.facts.Credentials, s.traits())
	a.OfOperator = errors.Is(a.Err, errInitialAccess)
	if plan.Call != lifecycle.Register {
		return a
	}
	if answer, ok := errors.AsType[*authserver.Error](a.Err); ok && answer.Kind == authserver.Unauthorized && !a.OfOperator {
		// There is no other credential when a client is registered.
		a.Err = fmt.Errorf("%w: %w", errInitialAccess, a.Err)
	}
	s.showAccess(ctx, a.Err)
	if a.Client.Named() && !s.traits().OwnClientID {
		shared, err := s.Records.Shared(ctx, s.reg.UID, plan.Intent.Connection.Issuer, a.Client.ID)
		a.Shared = err != nil || shared
	}
	return a
}

// showAccess tells what the answer to a registration shows of the initial access token,
// where the server cannot be asked about it in another way.
func (s *step) showAccess(ctx context.Context, failure error) {
	as := s.seen.facts.AuthorizationServer.Object
	if s.Access == nil || as == nil || s.traits().ChecksAccess || failure != nil && !errors.Is(failure, errInitialAccess) {
		return
	}
	if config, err := s.Servers.complete(ctx, policy.Connection(as), authserver.Routine); err == nil {
		s.Access.Show(as, config, failure)
	}
}

// conclude tells of what an answer means and stores it. A place that the record does
// not hold any more is given back.
func (s *step) conclude(ctx context.Context, done *outcome, out *lifecycle.Outcome) error {
	if out.Suspect {
		s.Drift.Suspect(s.reg.UID)
	}
	for _, event := range out.Events {
		s.tell(ctx, event)
	}
	record := out.Record.At(done.record.Version)
	if reflect.DeepEqual(record, done.record) {
		return out.Err
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil && out.Undo {
		stored, err = s.unanswered(ctx, record, err)
	}
	if err != nil {
		out.Hand, out.Management = false, policy.Unknown
		return errors.Join(out.Err, err)
	}
	if !stored.HoldsPlace() {
		s.Places.Leave(s.reg.UID)
	}
	done.record = stored
	return out.Err
}

// unanswered finds out whether a record was stored although the answer to that
// was lost. If not, the client is deleted again at once: nobody would know it.
// Of a client whose id the register chose the pending record knows.
func (s *step) unanswered(ctx context.Context, record policy.Record, cause error) (policy.Record, error) {
	stored, _, err := s.Records.GetLive(ctx, s.reg.UID)
	if err == nil && stored.Live() && stored.Mark == record.Mark && stored.Client.ID == record.Client.ID {
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

func (u unstored) end(ctx context.Context, out lifecycle.Outcome) (policy.Record, error) {
	for _, event := range out.Events {
		u.tell(ctx, event)
	}
	return out.Record, nil
}

func (u unstored) tell(ctx context.Context, event lifecycle.Event) { u.own.tell(ctx, event) }

// putCredentials writes the team's Secret. Nothing is written for an object
// that is being deleted.
func (s *step) putCredentials(ctx context.Context, record policy.Record, key lifecycle.KeyPair) error {
	if !policy.WantsSecret(s.reg.Spec) || s.reg.DeletionTimestamp != nil {
		return nil
	}
	if s.seen.facts.Credentials.Foreign {
		return errForeignSecret
	}
	data := credentialsData(s.reg, record, s.decision, key)
	return s.Credentials.Put(ctx, s.reg, s.seen.secret, data)
}
