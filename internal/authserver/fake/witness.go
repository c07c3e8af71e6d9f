// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import "github.com/mcp-registrar/mcp-registrar/internal/authserver"

// provenAbsent says what a token endpoint would tell: it refuses an unknown
// client and a wrong credential alike, so that a refusal is proof only where
// the credential at hand is the current one. The caller holds the lock.
func (s *Server) provenAbsent(handle authserver.Handle) bool {
	if handle.ClientID == "" || handle.TokenEndpoint == "" {
		return false
	}
	client := s.lookup(handle.ClientID)
	switch handle.AuthMethod {
	case "none":
		return client == nil
	case "client_secret_basic":
		refused := client == nil || !client.Secret.Equal(handle.ClientSecret)
		return refused && !handle.ClientSecret.IsZero() && !handle.Uncertain
	case "private_key_jwt":
		return client == nil && !handle.PrivateKey.IsZero() && !handle.Uncertain
	}
	return false
}
