// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

// The methods by which a client sends a shared secret to the token endpoint (RFC 7591
// §2): in the Authorization header, or in the body (RFC 6749 §2.3.1).
const (
	SecretBasic = "client_secret_basic"
	SecretPost  = "client_secret_post"
)

// SharedSecret reports whether a client that authenticates by a method of RFC 7591 §2
// has a secret, wherever it sends it.
func SharedSecret(method string) bool { return method == SecretBasic || method == SecretPost }
