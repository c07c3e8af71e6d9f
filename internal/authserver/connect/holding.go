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

func (h *holding) heed(err error) {
	var failure *authserver.Error
	if errors.As(err, &failure) && !failure.Unsent && failure.RetryAfter > 0 {
		h.gate.Hold(h.now().Add(failure.RetryAfter))
	}
}

// Discover calls the server.
func (h *holding) Discover(ctx context.Context) (authserver.Metadata, error) {
	metadata, err := h.next.Discover(ctx)
	h.heed(err)
	return metadata, err
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
