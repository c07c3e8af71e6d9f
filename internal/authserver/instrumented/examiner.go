// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package instrumented

import (
	"context"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

type examiner struct {
	name    string
	next    authserver.Examiner
	metrics *Metrics
}

// WrapExaminer returns next with every call counted and timed under a name.
func WrapExaminer(name string, next authserver.Examiner, metrics *Metrics) authserver.Examiner {
	return &examiner{name: name, next: next, metrics: metrics}
}

// ChallengeRequired calls the wrapped examiner.
func (e *examiner) ChallengeRequired(ctx context.Context, q authserver.ChallengeQuestion) (authserver.Answer, error) {
	start := e.metrics.now()
	answer, err := e.next.ChallengeRequired(ctx, q)
	e.metrics.observe(e.name, opChallenge, start, err)
	return answer, err
}

// CanaryToken calls the wrapped examiner.
func (e *examiner) CanaryToken(ctx context.Context, q authserver.TokenQuestion) (authserver.TokenFacts, error) {
	start := e.metrics.now()
	facts, err := e.next.CanaryToken(ctx, q)
	e.metrics.observe(e.name, opCanary, start, err)
	return facts, err
}

// Borrow calls the wrapped examiner. The time that use takes is not the
// server's.
func (e *examiner) Borrow(
	ctx context.Context, q authserver.TokenQuestion, use func(authserver.Secret, authserver.TokenFacts) error,
) error {
	start, used := e.metrics.now(), false
	err := e.next.Borrow(ctx, q, func(token authserver.Secret, facts authserver.TokenFacts) error {
		used = true
		e.metrics.observe(e.name, opBorrow, start, nil)
		return use(token, facts)
	})
	if !used {
		e.metrics.observe(e.name, opBorrow, start, err)
	}
	return err
}
