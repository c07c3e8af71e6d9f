// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// errStillEnabled says that a server accepted to disable a client and did not.
var errStillEnabled = errors.New("the server accepted that the client is disabled but says that it is not")

// disable makes a suspended client useless, and looks that it is: it comes back
// under its id when it is no longer suspended.
func (s *step) disable(ctx context.Context, done *outcome) error {
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
	handle := done.record.Handle(s.seen.facts.Credentials, s.Clock.Now())
	if err := server.Disable(ctx, handle); err != nil {
		return err
	}
	found, is, err := server.Find(ctx, handle)
	switch {
	case err != nil:
		return err
	case is && !found.Disabled:
		return &authserver.Error{Kind: authserver.Unavailable, Op: "disabling client", RetryAfter: disbeliefDelay, Err: errStillEnabled}
	}
	record := done.record
	first := !record.Disabled
	record.Disabled = true
	e := s.event(audit.ClientChanged, record)
	e.Data.Removed, e.Data.Cause = []string{"enabled"}, string(s.decision.Verdict.Cause)
	s.Audit.Record(e)
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil {
		return err
	}
	done.record = stored
	if first {
		s.Metrics.Revoked(s.decision.Verdict.Cause, s.Clock.Now().Sub(s.decision.Verdict.DueAt))
	}
	logf.FromContext(ctx).Info("Client disabled", "clientID", record.Client.ID, "authorizationServer", record.Connection.Name)
	return nil
}

// disableFirst is the first phase of a revocation where the server can disable
// a client: from then on it is of no use, however long its deletion takes.
func (s *step) disableFirst(ctx context.Context, server authserver.Server, done *outcome) error {
	record := done.record
	if !s.traits().Disables || record.State == policy.RecordDeleted {
		return nil
	}
	if err := server.Disable(ctx, revocable(record, s.seen.facts.Credentials, s.Clock.Now())); err != nil {
		return err
	}
	done.record.Disabled = true
	s.takenAway(ctx, done)
	return nil
}

// takenAway notes the instant from which the client is of no use. The clock is
// read after the answer: the call may have taken long.
func (s *step) takenAway(ctx context.Context, done *outcome) {
	if !done.record.DeletedAt.IsZero() {
		return
	}
	done.record.DeletedAt = s.Clock.Now()
	s.taken(audit.ClientRevoked, done.record)
	s.Metrics.Revoked(done.record.Cause, done.record.DeletedAt.Sub(done.record.DueAt))
	logf.FromContext(ctx).Info("Client revoked", "clientID", done.record.Client.ID, "cause", done.record.Cause, "authorizationServer", done.record.Connection.Name)
}

// isConflict says that a client carries another's mark.
func isConflict(err error) bool {
	var answer *authserver.Error
	return errors.As(err, &answer) && answer.Kind == authserver.Conflict
}

// revocable is the handle of a client that is to be revoked: one that was about
// to be taken over is revoked only if that was done.
func revocable(record policy.Record, credentials policy.CredentialsFact, now time.Time) authserver.Handle {
	handle := record.Handle(credentials, now)
	handle.Adopting = false
	return handle
}
