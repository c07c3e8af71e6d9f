// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package instrumented

import (
	"context"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

type server struct {
	name    string
	next    authserver.Server
	metrics *Metrics
}

// Wrap returns next with every call counted and timed under a name.
func Wrap(name string, next authserver.Server, metrics *Metrics) authserver.Server {
	return &server{name: name, next: next, metrics: metrics}
}

// Discover calls the wrapped server.
func (s *server) Discover(ctx context.Context) (authserver.Metadata, error) {
	start := s.metrics.now()
	metadata, err := s.next.Discover(ctx)
	s.metrics.observe(s.name, opDiscover, start, err)
	return metadata, err
}

// CheckAccess calls the wrapped server.
func (s *server) CheckAccess(ctx context.Context) error {
	start := s.metrics.now()
	err := s.next.CheckAccess(ctx)
	s.metrics.observe(s.name, opAccess, start, err)
	return err
}

// Register calls the wrapped server.
func (s *server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	start := s.metrics.now()
	client, err := s.next.Register(ctx, wish)
	s.metrics.observe(s.name, opRegister, start, err)
	return client, err
}

// Find calls the wrapped server.
func (s *server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	start := s.metrics.now()
	client, found, err := s.next.Find(ctx, handle)
	s.metrics.observe(s.name, opFind, start, err)
	return client, found, err
}

// Replace calls the wrapped server.
func (s *server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	start := s.metrics.now()
	client, err := s.next.Replace(ctx, handle, wish)
	s.metrics.observe(s.name, opReplace, start, err)
	return client, err
}

// Revoke calls the wrapped server.
func (s *server) Revoke(ctx context.Context, handle authserver.Handle) error {
	start := s.metrics.now()
	err := s.next.Revoke(ctx, handle)
	s.metrics.observe(s.name, opRevoke, start, err)
	return err
}

// Traits are those of the wrapped server.
func (s *server) Traits() authserver.Traits { return s.next.Traits() }

// Disable calls the wrapped server.
func (s *server) Disable(ctx context.Context, handle authserver.Handle) error {
	start := s.metrics.now()
	err := s.next.Disable(ctx, handle)
	s.metrics.observe(s.name, opDisable, start, err)
	return err
}

// List calls the wrapped server.
func (s *server) List(ctx context.Context, cursor string) (authserver.Page, error) {
	start := s.metrics.now()
	page, err := s.next.List(ctx, cursor)
	s.metrics.observe(s.name, opList, start, err)
	return page, err
}

// Tidy calls the wrapped server.
func (s *server) Tidy(ctx context.Context, t authserver.Tidying) (more bool, err error) {
	start := s.metrics.now()
	more, err = s.next.Tidy(ctx, t)
	s.metrics.observe(s.name, opTidy, start, err)
	return more, err
}
