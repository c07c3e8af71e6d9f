// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"reflect"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// revoke takes the client of a registration on its way out. The team's Secret, the
// finalizer and the status come after the server was told.
func (s *step) revoke(ctx context.Context, done *outcome) (err error) {
	before := done.record
	if lifecycle.Begins(before) {
		s.rush.begin(s.reg.UID, s.Clock.Now())
		defer func() { s.rush.done(s.reg.UID, unsent(err)) }()
	}
	own := &ownLeaver{step: s, done: done}
	l, err := s.leaving(own)
	if err != nil {
		return err
	}
	if !s.confirmedWithOthers(ctx, before) {
		l.confirm = func(ctx context.Context) (bool, error) { return s.sure(ctx, before) }
	}
	l.later = s.later
	done.record, done.again, err = executor{s.Servers, s.Clock}.run(ctx, l)
	if own.anew && err == nil {
		done.again = lifecycle.AtOnce
	}
	if before.DeletedAt.IsZero() && !done.record.DeletedAt.IsZero() {
		logf.FromContext(ctx).Info("Client revoked", "clientID", before.Client.ID, "cause", done.record.Cause, "authorizationServer", done.record.Connection.Name)
	}
	if lifecycle.Told(before) && !own.ended {
		// The client is of no use any more, proven or not.
		err = errors.Join(err, s.forgetCredentials(ctx))
	}
	return err
}

// unsent reports whether an error says that there was no place at the server.
func unsent(err error) bool {
	var answer *authserver.Error
	return errors.As(err, &answer) && answer.Unsent
}

// later leaves it for a moment to memory that the server took a client, while others
// are to go.
func (s *step) later(record policy.Record) bool {
	if !s.rush.took(s.reg.UID, s.Clock.Now()) {
		return false
	}
	s.Records.Owe(s.reg, record)
	return true
}

// leaving is the client of the registration, which must not exist.
func (s *step) leaving(own *ownLeaver) (leaving, error) {
	record, verdict, seen := own.done.record, s.decision.Verdict, s.seen.facts.Observed
	l := leaving{
		Facts: lifecycle.Facts{
			Record: record, Cause: verdict.Cause, DueAt: verdict.DueAt, Last: s.reg.DeletionTimestamp != nil,
			Repeatable: s.decision.Repeatable, Capabilities: s.traits(),
			SeenAbsent: seen.Looked && seen.Is == policy.Absent, ForceReleased: s.decision.ForceReleased,
			DesiredDigest: policy.Digest(s.decision.Wish),
		},
		leaver: own, connection: s.decision.Connection, credentials: s.seen.facts.Credentials,
	}
	var err error
	l.ProbeKey, err = probeKey(record)
	return l, err
}

// probeKey makes the key of an absence probe for a client that may need one.
func probeKey(record policy.Record) (lifecycle.KeyPair, error) {
	if record.Cause != "" || !record.NeedsWitnessKey(policy.CredentialsFact{}) {
		return lifecycle.KeyPair{}, nil
	}
	return newKeyPair()
}

// ownLeaver is a registration whose client must not exist.
type ownLeaver struct {
	*step
	done *outcome
	// ended says that the client is gone and its credentials are.
	ended bool
	// anew says that the client was revoked only to begin anew.
	anew bool
}

func (o *ownLeaver) store(ctx context.Context, record policy.Record) (policy.Record, error) {
	return o.Records.Put(ctx, o.reg, record)
}

// end forgets what there was of the client. The credentials go first: a record of
// the end is the last thing looked at. What may fail comes before it is told.
func (o *ownLeaver) end(ctx context.Context, out lifecycle.Outcome) (policy.Record, error) {
	if err := o.forgetCredentials(ctx); err != nil {
		return o.done.record, err
	}
	o.ended = true
	if o.reg.DeletionTimestamp != nil {
		if err := o.Records.Fresh(ctx, o.reg.UID, out.Record.Version); err != nil {
			return o.done.record, err
		}
	}
	for _, event := range out.Events {
		o.tell(ctx, event)
	}
	o.Places.Leave(o.reg.UID)
	switch {
	case o.reg.DeletionTimestamp == nil:
	case heldByOthers(o.reg) && (o.done.record.HoldsPlace() || o.untold(ctx, out.Record)):
		// The object stays when it is let go: what it says of its client comes first.
		return o.store(ctx, out.Record)
	default:
		return o.letGo(ctx, out.Record)
	}
	verdict := o.decision.Verdict
	o.anew = verdict.Standing == policy.Allowed || verdict.Reason == v1alpha1.ReasonRevoking
	return o.store(ctx, out.Record)
}

// letGo lets the object go: absence is proven, or a person answers for it. The
// record goes after the object, never before: without it a later pass could not
// tell a proven absence from a lost record. A record that names possible orphans
// stays behind for the platform team.
func (o *ownLeaver) letGo(ctx context.Context, last policy.Record) (policy.Record, error) {
	if len(last.Orphans) > 0 && !reflect.DeepEqual(last, o.done.record) {
		stored, err := o.store(ctx, last)
		if err != nil {
			return o.done.record, err
		}
		last = stored
	}
	base := o.reg.DeepCopy()
	if controllerutil.RemoveFinalizer(o.reg, v1alpha1.Finalizer) {
		err := o.Patch(ctx, o.reg, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
		if client.IgnoreNotFound(err) != nil {
			return last, wrapWrite("remove the finalizer from this object", err, o.reg)
		}
	}
	o.done.gone = true
	o.Drift.Forget(o.reg.UID)
	o.Examinations.Forget(o.reg.UID)
	if len(last.Orphans) > 0 {
		return last, nil
	}
	return last, o.Records.Delete(ctx, o.reg.UID, last.Version)
}

// forgetCredentials deletes the team's Secret, if there is one of the operator's.
func (s *step) forgetCredentials(ctx context.Context) error {
	if !policy.WantsSecret(s.reg.Spec) {
		return nil
	}
	if s.seen.secret == nil {
		_, secret, err := s.Credentials.Get(ctx, s.reg)
		if err != nil {
			return err
		}
		s.seen.secret = secret
	}
	return s.Credentials.Delete(ctx, s.seen.secret)
}

// confirmedWithOthers reports whether a read that many ends share shows that this one
// was not renewed before it came.
func (s *step) confirmedWithOthers(ctx context.Context, record policy.Record) bool {
	verdict := s.decision.Verdict
	return lifecycle.Begins(record) && verdict.Cause == v1alpha1.CauseExpired && s.Wave.unchanged(ctx, s.reg, verdict.DueAt)
}

// sure makes sure of what a deletion rests on, and that it can be read again from the
// objects that it was due, where one request does both; it reports whether that is so.
func (s *step) sure(ctx context.Context, record policy.Record) (repeatable bool, err error) {
	if s.settled(record) {
		return false, nil
	}
	if s.decision.Repeatable || !s.ownDoing() {
		return false, s.current(ctx)
	}
	if s.foretell(ctx, record) {
		return true, nil
	}
	return false, s.current(ctx)
}

// settled reports whether there is nothing to make sure of: what the decision rests on
// cannot be taken back, or the revocation began before.
func (s *step) settled(record policy.Record) bool {
	observed := s.seen.facts.Observed
	absent := observed.Looked && observed.Is == policy.Absent
	return !lifecycle.Begins(record) || s.decision.Verdict.Cause == v1alpha1.CauseDeleted || absent
}

// ownDoing reports whether the decision rests on the registration itself, whatever else
// it rests on.
func (s *step) ownDoing() bool {
	cause := s.decision.Verdict.Cause
	return cause != v1alpha1.CauseAuthorizationServerGone && cause != v1alpha1.CauseNoGrantInForce
}

// foretell has status tell, before the server is told, that the client's end has come.
// It is stored over the version that was decided on and over no other, which shows that
// the cache is not behind. False: it was not stored, for whatever reason.
func (s *step) foretell(ctx context.Context, record policy.Record) bool {
	before, now := s.reg.DeepCopy(), s.Clock.Now()
	after := s.reg.DeepCopy()
	after.Status.Revocation = lifecycle.RevocationOf(after.Status.Revocation, s.decision, record)
	if !policy.EndedBefore(after, now) {
		after.Status.ExpiresAt = timeOf(now)
	}
	fit(after)
	if err := s.Status().Update(ctx, after); err != nil {
		logf.FromContext(ctx).V(1).Info("Status could not tell of an end ahead", "reason", err.Error())
		return false
	}
	if after.ResourceVersion != before.ResourceVersion {
		s.written.note(before)
	}
	*s.reg = *after
	return policy.EndedBefore(s.reg, now)
}

// current fails with errStale unless the decision is the same with what the API
// server holds: a deletion cannot be taken back, and a cache may be behind a
// renewal. It asks once, for what the decision rests on. Versions are not compared: a
// tenant who keeps touching objects would keep the client.
func (s *step) current(ctx context.Context) error {
	facts := s.seen.facts
	var err error
	switch s.decision.Verdict.Cause { //nolint:exhaustive // all others rest on the registration itself
	case v1alpha1.CauseAuthorizationServerGone:
		facts.AuthorizationServer, err = getAuthorizationServer(ctx, s.Records.Live, s.reg.Spec.AuthorizationServerRef.Name)
	case v1alpha1.CauseNoGrantInForce:
		facts.Grants, err = s.currentGrants(ctx, facts)
	default:
		defer s.Wave.byItself()()
		facts.Registration, err = s.currentRegistration(ctx)
	}
	if err == nil && policy.Registration(facts, s.Clock.Now()).Action != s.decision.Action {
		return errStale
	}
	return err
}

// currentRegistration is the registration as the API server holds it.
func (s *step) currentRegistration(ctx context.Context) (*v1alpha1.MCPClientRegistration, error) {
	var reg v1alpha1.MCPClientRegistration
	if err := s.Records.Live.Get(ctx, client.ObjectKeyFromObject(s.reg), &reg); err != nil {
		return s.reg, wrap("reading registration", err)
	}
	if reg.UID != s.reg.UID {
		return s.reg, errStale
	}
	return &reg, nil
}

// currentGrants are the grants of the registration as the API server holds them. Those
// who lose theirs at one time share a list.
func (s *step) currentGrants(ctx context.Context, facts policy.RegistrationFacts) ([]policy.GrantFacts, error) {
	list, err := s.liveGrants.read(ctx, s.reg.Namespace, func(ctx context.Context) (*v1alpha1.ScopeGrantList, error) {
		var list v1alpha1.ScopeGrantList
		return &list, wrap("listing grants", s.Records.Live.List(ctx, &list, client.InNamespace(s.reg.Namespace)))
	})
	if err != nil {
		return nil, err
	}
	var grants []policy.GrantFacts
	shared := s.Grants.rooms()
	for i := range list.Items {
		if list.Items[i].Spec.ClientRef.Name != s.reg.Name {
			continue
		}
		grant := policy.GrantFacts{
			Grant: &list.Items[i], RegistrationIs: policy.Present, Registration: s.reg,
			AuthorizationServer: facts.AuthorizationServer, Namespace: facts.Namespace,
		}
		if err := s.Grants.Observe(ctx, &grant, shared); err != nil {
			return nil, err
		}
		if policy.Grant(grant, s.Clock.Now()).Asked {
			// Whether it is in force rests on what owners of the server decided.
			var err error
			if grant.Approvals, err = s.Grants.currentApprovals(ctx, s.Records.Live, grant.Grant); err != nil {
				return nil, err
			}
		}
		grants = append(grants, grant)
	}
	return grants, nil
}
