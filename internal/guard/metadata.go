// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// What pages of any origin may send to read metadata, as browsers are told when they
// ask (the Fetch standard, §3.3).
const (
	MetadataMethods = "GET, OPTIONS"
	MetadataHeaders = "Content-Type, MCP-Protocol-Version"
)

// Metadata is the protected resource metadata of a server (RFC 9728 §2): what a
// client without a token needs to get one, and nothing else. scopes are those that it
// asks for first.
func Metadata(server Server, scopes []string) []byte {
	document := oauthex.ProtectedResourceMetadata{
		Resource:               server.Resource,
		AuthorizationServers:   []string{server.Issuer},
		BearerMethodsSupported: []string{"header"},
		ScopesSupported:        scopes,
	}
	// Texts can always be written.
	encoded, err := json.Marshal(document)
	if err != nil {
		return []byte("{}")
	}
	return encoded
}
