// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// mostTidied is how many scopes Tidy deletes in one go.
const mostTidied = 2

// makeScopes makes the scopes that a client is registered with.
func (s *Server) makeScopes(wish authserver.ClientMetadata) {
	for _, scope := range wish.Scopes {
		if _, there := s.scopes[scope]; !there {
			s.scopes[scope] = wish.SoftwareID[:max(strings.LastIndex(wish.SoftwareID, "/"), 0)]
		}
	}
}

// Tidy deletes scopes, and takes them away from clients, as Keycloak does. It takes no
// notice of the time: a call that gives scopes is over at once.
func (s *Server) Tidy(ctx context.Context, t authserver.Tidying) (more bool, err error) {
	if !s.traits.Tidies {
		return false, &authserver.Error{Kind: authserver.Rejected, Op: "deleting scopes"}
	}
	end, err := s.begin(ctx, Tidy)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	deleted := 0
	for _, scope := range slices.Sorted(maps.Keys(s.scopes)) {
		if s.scopes[scope] != t.Owner || t.Used(scope) {
			continue
		}
		if deleted++; deleted > mostTidied {
			more = true
			break
		}
		delete(s.scopes, scope)
		for _, client := range s.clients {
			client.Registered.Scopes = slices.DeleteFunc(slices.Clone(client.Registered.Scopes), func(has string) bool { return has == scope })
		}
	}
	s.mu.Unlock()
	return more, end.lost()
}

// Scopes returns the names of the scopes that registrations made.
func (s *Server) Scopes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.scopes))
}
