// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// CheckAccess gets a new token, since the one at hand would hide that the secret was
// changed, and looks at any one client, of which Keycloak says what the register's
// account may do with it.
func (s *Server) CheckAccess(ctx context.Context) error {
	o := s.operation("checking access")
	if _, err := s.adminToken(ctx, o.name, s.token.held.Load()); err != nil {
		return err
	}
	c := o.look("/clients?max=1")
	clients, got, err := o.items(ctx, c)
	if err != nil {
		return err
	}
	if len(clients) == 0 {
		// Every realm has clients: who sees none may not look.
		return &authserver.Error{Kind: authserver.Unauthorized, Op: o.name, Code: CodeMissingRole}
	}
	access := clients[0].Object("access")
	manages := !access.Has("manage") || access.Flag("manage")
	if err := access.Err(); err != nil {
		return exchange.Useless(c, got, err)
	}
	if !manages {
		return &authserver.Error{Kind: authserver.Unauthorized, Op: o.name, Code: CodeMissingRole}
	}
	return nil
}
