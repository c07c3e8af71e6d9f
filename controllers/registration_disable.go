// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
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
		return &authserver.Error{Kind: authserver.Unavailable, Op: "disabling client", RetryAfter: lifecycle.DisbeliefDelay, Err: errStillEnabled}
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
