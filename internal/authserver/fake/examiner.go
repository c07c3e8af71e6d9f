// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Operations of an examiner.
const (
	Challenge Operation = "challenge"
	Canary    Operation = "canary"
	Borrow    Operation = "borrow"
)

// ChallengeRequired answers what Switches.PKCE says: Yes unless it is set.
func (s *Server) ChallengeRequired(ctx context.Context, _ authserver.ChallengeQuestion) (authserver.Answer, error) {
	end, err := s.begin(ctx, Challenge)
	if err != nil {
		return authserver.Unclear, err
	}
	if err := end.lost(); err != nil {
		return authserver.Unclear, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.switches.PKCE != nil {
		return *s.switches.PKCE, nil
	}
	return authserver.Yes, nil
}

// CanaryToken gives what Switches.Token makes of a token that is as asked for.
func (s *Server) CanaryToken(ctx context.Context, q authserver.TokenQuestion) (authserver.TokenFacts, error) {
	return s.issue(ctx, Canary, q)
}

// Borrow lends a token that names its client and its audience, with what
// Switches.Token makes of it.
func (s *Server) Borrow(
	ctx context.Context, q authserver.TokenQuestion, use func(authserver.Secret, authserver.TokenFacts) error,
) error {
	facts, err := s.issue(ctx, Borrow, q)
	if err != nil {
		return err
	}
	return use(authserver.NewSecret("token of "+q.Handle.ClientID+" for "+strings.Join(facts.Audience, " ")), facts)
}

func (s *Server) issue(ctx context.Context, operation Operation, q authserver.TokenQuestion) (authserver.TokenFacts, error) {
	end, err := s.begin(ctx, operation)
	if err != nil {
		return authserver.TokenFacts{}, err
	}
	if err := end.lost(); err != nil {
		return authserver.TokenFacts{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.authenticates(q.Handle) {
		return authserver.TokenFacts{}, refused("asking for a token")
	}
	facts := authserver.TokenFacts{
		Readable: true, Audience: []string{q.Resource}, Scopes: q.Scopes,
		Lifetime: s.lookup(q.Handle.ClientID).Registered.TokenLifetime,
	}
	if s.switches.Token != nil {
		facts = s.switches.Token(facts)
	}
	return facts, nil
}
