// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

var (
	errBound = errors.New("it is bound to a key (cnf), and was shown as a bearer token")
	errUse   = errors.New("it says that it is no access token")
)

// binding is the claim of a token that only the holder of a key may use (RFC
// 7800 §3.1): one that is shown as a bearer token is refused (RFC 9449 §7.2).
const binding = "cnf"

// foreignClaims are those that no access token has: of ID tokens (OpenID Connect
// Core §3.3.2.11 and what is built on it) and of security event and logout tokens
// (RFC 8417 §2.2). nonce is not one of them: Keycloak put it into access tokens
// until its version 24.
var foreignClaims = []string{"at_hash", "c_hash", "s_hash", "events"}

// useClaims are those by which servers say what a token is: typ is Keycloak's,
// token_use that of Cognito and of Hydra's introspection, and token_type that of
// introspection (RFC 7662 §2.2).
var useClaims = []string{"typ", "token_use", "token_type"}

// rightUses are what they say of a bearer access token, in lower case; n_a is of
// no type (RFC 8693 §2.2.1). Everything else is another use.
var rightUses = []string{"bearer", "access", "access_token", "at+jwt", "application/at+jwt", "access_token+jwt", "jwt", "n_a"}

// boundUse is what useClaims say of an access token that is bound to a key (RFC 9449 §5),
// in lower case.
const boundUse = "dpop"

// misuse is why what is said is not said of a bearer access token: its error is one
// of refuse. It is nil where nothing speaks against it.
func (m *members) misuse() error {
	bound := m.has(binding)
	if slices.ContainsFunc(foreignClaims, m.has) {
		return refuse(guard.TokenKind, errUse)
	}
	for _, name := range useClaims {
		if !m.has(name) {
			continue
		}
		use := strings.ToLower(m.text(name))
		bound = bound || use == boundUse
		if use != boundUse && !slices.Contains(rightUses, use) {
			return refuse(guard.TokenKind, errUse)
		}
	}
	if bound {
		return refuse(guard.TokenBound, errBound)
	}
	return nil
}
