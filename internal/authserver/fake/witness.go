// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import "github.com/mcp-registrar/mcp-registrar/internal/authserver"

// absent says whether a refused management token proves that the client is
// gone: after a deletion that was accepted, unless the token may be an old one
// and the token endpoint knows the client. The caller holds the lock.
func (s *Server) absent(live *authserver.Client, handle authserver.Handle) bool {
	known := handle.Uncertain && live != nil && handle.AuthMethod == "none"
	return handle.Deleted && !known || s.provenAbsent(handle)
}

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
	case authserver.SecretBasic, authserver.SecretPost:
		refused := client == nil || !client.Secret.Equal(handle.ClientSecret)
		return refused && !handle.ClientSecret.IsZero() && !handle.Uncertain
	case "private_key_jwt":
		return client == nil && !handle.PrivateKey.IsZero() && !handle.Uncertain
	}
	return false
}
