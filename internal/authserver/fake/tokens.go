// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// authenticates says whether a token endpoint would take the credentials of a
// handle for those of a client that is alive and enabled. The caller holds the
// lock.
func (s *Server) authenticates(handle authserver.Handle) bool {
	client := s.lookup(handle.ClientID)
	switch {
	case client == nil, client.Disabled:
		return false
	case client.Registered.AuthMethod == "private_key_jwt":
		return holdsKey(s.keysInForce(client), handle)
	}
	return client.Registered.AuthMethod == handle.AuthMethod && client.Secret.Equal(handle.ClientSecret)
}

// KeysInForce returns the JWK set that the assertions of a client are verified
// with; empty if there is no such client.
func (s *Server) KeysInForce(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if client := s.lookup(id); client != nil {
		return s.keysInForce(client)
	}
	return ""
}

func (s *Server) keysInForce(client *authserver.Client) string {
	if cached, ok := s.cached[client.ID]; ok {
		return cached
	}
	return client.Registered.JWKS
}

// cacheKeys is what a replacement does to the keys in force. The caller holds
// the lock.
func (s *Server) cacheKeys(client *authserver.Client, wish authserver.ClientMetadata) {
	before := s.keysInForce(client)
	delete(s.cached, client.ID)
	if s.switches.KeepKeys && client.Registered.JWKS != wish.JWKS {
		s.cached[client.ID] = before
	}
}

// holdsKey says whether a JWK set holds the public part of a handle's P-256
// key under the handle's kid.
func holdsKey(jwks string, handle authserver.Handle) bool {
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	block, _ := pem.Decode([]byte(handle.PrivateKey.Reveal()))
	if block == nil || json.Unmarshal([]byte(jwks), &set) != nil {
		return false
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return false
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return false
	}
	const half = 32
	point, err := private.PublicKey.Bytes()
	if err != nil || len(point) != 1+2*half {
		return false
	}
	for _, key := range set.Keys {
		if key.Kid == handle.KeyID && key.X == base64.RawURLEncoding.EncodeToString(point[1:1+half]) &&
			key.Y == base64.RawURLEncoding.EncodeToString(point[1+half:]) {
			return true
		}
	}
	return false
}
