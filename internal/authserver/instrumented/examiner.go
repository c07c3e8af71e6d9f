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
