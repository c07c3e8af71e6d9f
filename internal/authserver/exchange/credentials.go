// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/base64"
	"net/url"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// The content types of bodies.
const (
	JSONType = "application/json"
	FormType = "application/x-www-form-urlencoded"
)

// Bearer is the Authorization header of a token (RFC 6750 §2.1); empty for an
// empty token.
func Bearer(token authserver.Secret) string {
	if token.IsZero() {
		return ""
	}
	return "Bearer " + token.Reveal()
}

// Basic is the Authorization header of a client (RFC 6749 §2.3.1: both parts
// are form-encoded first).
func Basic(id string, secret authserver.Secret) string {
	return PlainBasic(url.QueryEscape(id), url.QueryEscape(secret.Reveal()))
}

// PlainBasic is the Authorization header of a client without the encoding of
// RFC 6749, for servers that forget to decode.
func PlainBasic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}
