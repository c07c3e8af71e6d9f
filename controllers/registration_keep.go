// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

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
