// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// enforce makes the authorization server agree with the decision.
func (r *RegistrationReconciler) enforce(ctx context.Context, reg *v1alpha1.MCPClientRegistration, seen observation, d policy.RegistrationDecision) outcome {
	done := outcome{record: seen.facts.Record, err: seen.err, server: seen.facts.AuthorizationServer.Object, traits: seen.facts.Traits}
	done.unlooked = !seen.facts.Observed.Looked && suspected(reg, seen.facts.Record, r.Clock.Now()) && !policy.Paused(done.server)
	step := &step{RegistrationReconciler: r, reg: reg, seen: seen, decision: d}
	step.announce()
	var err error
	switch d.Action {
	case policy.Nothing:
		if d.Verdict.Standing == policy.Refused {
			r.Places.Leave(reg.UID)
		}
	case policy.Keep, policy.Register, policy.Replace, policy.Disable, policy.Rotate:
		err = step.give(ctx, &done)
	case policy.Revoke:
		err = step.revoke(ctx, &done)
	}
	done.err = errors.Join(done.err, err, step.heardByGuards(ctx, &done))
	step.examine(ctx, &done)
	return done
}

// heardByGuards finds out whether every guard has the news of a revocation.
func (s *step) heardByGuards(ctx context.Context, done *outcome) error {
	told := lifecycle.RevocationOf(s.reg.Status.Revocation, s.decision, done.record)
	if told == nil || told.ClientID != done.record.Client.ID {
		// Of a client before the present one it is no longer known what it could
		// reach.
		return nil
	}
	var err error
	done.heard, err = s.Guards.Heard(ctx, s.reg, done.record, told.ClientID, s.traits().Audiences, s.Clock.Now())
	return err
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
	switch {
	case s.reg.DeletionTimestamp != nil:
		return nil
	case controllerutil.ContainsFinalizer(s.reg, v1alpha1.Finalizer):
		return s.held(ctx)
	}
	base := s.reg.DeepCopy()
	controllerutil.AddFinalizer(s.reg, v1alpha1.Finalizer)
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := s.Patch(ctx, s.reg, patch); err != nil {
		return wrapWrite("add the finalizer to this object", err, s.reg)
	}
	if !controllerutil.ContainsFinalizer(s.reg, v1alpha1.Finalizer) {
		return errFinalizerRefused
	}
	return nil
}

// held makes sure that an object which is held already is still there, where no record
// says that it had a client: a cache that is behind may show one that was let go.
func (s *step) held(ctx context.Context) error {
	if s.seen.facts.Record.Version != "" {
		return nil
	}
	live, err := s.currentRegistration(ctx)
	switch {
	case apierrors.IsNotFound(err), err == nil && live.DeletionTimestamp != nil:
		return errStale
	}
	return err
}

// errFinalizerRefused says that the finalizer did not stay on the object, although
// nobody refused it: without it nothing keeps the object until its client is gone.
var errFinalizerRefused = errors.New("the finalizer did not stay on the registration")

// errRecordDamaged says that a record was not stored as it was written.
var errRecordDamaged = errors.New("the registration record was changed on its way into storage")

func (s *step) traits() authserver.Traits { return s.seen.facts.Traits }
