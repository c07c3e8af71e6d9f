// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package examine finds out whether an authorization server keeps what it
// promises: it asks for codes and tokens as a client would, and looks at what
// comes back. It needs nothing of a server but its standard endpoints, so that
// one Examiner serves every method of management.
//
// It knows RFC 6749, RFC 7636 and RFC 9068. It must never log in, follow a
// redirect, keep a cookie, a code or a token, trust what a token says, or
// contact another origin than the issuer's.
//
// Start reading at New; judge.go says what an answer of the authorization
// endpoint means, token.go what one of the token endpoint does.
package examine
