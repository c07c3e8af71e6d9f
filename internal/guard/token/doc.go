// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package token verifies access tokens: those that are JWTs by the keys of
// their issuer (RFC 9068), all others by asking it (RFC 7662). It implements
// guard.Tokens.
//
// It knows issuers, keys, claims and introspection. It must never know what a
// token is used for, who is on the register, or which scope leads where. It must
// never keep a token, log it or put any of it into an error: caches are keyed by
// its SHA-256.
//
// Start reading at Verifier.Verify; jwt.go judges signatures, claims.go what is
// said, kept.go when an issuer is asked again.
package token
