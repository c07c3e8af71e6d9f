// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"context"
	"errors"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/gate"
)

// holding closes the gate when the server asks to be left alone, whichever
// call it tells.
type holding struct {
	next authserver.Server
	gate *gate.Gate
	now  func() time.Time
}

func (h *holding) heed(err error) { heed(h.gate, h.now, err) }

func heed(gate *gate.Gate, now func() time.Time, err error) {
	var failure *authserver.Error
	if errors.As(err, &failure) && !failure.Unsent && failure.RetryAfter > 0 {
		gate.Hold(now().Add(failure.RetryAfter))
	}
}

// Traits are those of the server.
func (h *holding) Traits() authserver.Traits { return h.next.Traits() }

// Disable calls the server.
func (h *holding) Disable(ctx context.Context, handle authserver.Handle) error {
	err := h.next.Disable(ctx, handle)
	h.heed(err)
	return err
}

// List calls the server.
func (h *holding) List(ctx context.Context, cursor string) (authserver.Page, error) {
	page, err := h.next.List(ctx, cursor)
	h.heed(err)
	return page, err
}

// Tidy calls the server.
func (h *holding) Tidy(ctx context.Context, t authserver.Tidying) (more bool, err error) {
	more, err = h.next.Tidy(ctx, t)
	h.heed(err)
	return more, err
}

// Discover calls the server.
func (h *holding) Discover(ctx context.Context) (authserver.Metadata, error) {
	metadata, err := h.next.Discover(ctx)
	h.heed(err)
	return metadata, err
}

// CheckAccess calls the server.
func (h *holding) CheckAccess(ctx context.Context) error {
	err := h.next.CheckAccess(ctx)
	h.heed(err)
	return err
}

// Register calls the server.
func (h *holding) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	client, err := h.next.Register(ctx, wish)
	h.heed(err)
	return client, err
}

// Find calls the server.
func (h *holding) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	client, found, err := h.next.Find(ctx, handle)
	h.heed(err)
	return client, found, err
}

// Replace calls the server.
func (h *holding) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	client, err := h.next.Replace(ctx, handle, wish)
	h.heed(err)
	return client, err
}

// Revoke calls the server.
func (h *holding) Revoke(ctx context.Context, handle authserver.Handle) error {
	err := h.next.Revoke(ctx, handle)
	h.heed(err)
	return err
}

// holdingExaminer closes the gate when the server asks its examiner to be left
// alone.
type holdingExaminer struct {
	next authserver.Examiner
	gate *gate.Gate
	now  func() time.Time
}

// ChallengeRequired calls the examiner.
func (h *holdingExaminer) ChallengeRequired(ctx context.Context, q authserver.ChallengeQuestion) (authserver.Answer, error) {
	answer, err := h.next.ChallengeRequired(ctx, q)
	heed(h.gate, h.now, err)
	return answer, err
}

// Borrow calls the examiner. What use returns is nothing that the server said.
func (h *holdingExaminer) Borrow(
	ctx context.Context, q authserver.TokenQuestion, use func(authserver.Secret, authserver.TokenFacts) error,
) error {
	used := false
	err := h.next.Borrow(ctx, q, func(token authserver.Secret, facts authserver.TokenFacts) error {
		used = true
		return use(token, facts)
	})
	if !used {
		heed(h.gate, h.now, err)
	}
	return err
}

// CanaryToken calls the examiner.
func (h *holdingExaminer) CanaryToken(ctx context.Context, q authserver.TokenQuestion) (authserver.TokenFacts, error) {
	facts, err := h.next.CanaryToken(ctx, q)
	heed(h.gate, h.now, err)
	return facts, err
}
