// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe asks live MCP servers as a client would, and says what it saw:
// whether calls without a token are refused, where the challenge leads, what
// the protected resource metadata says, how a token of another audience is
// treated, and which tools there are.
//
// It knows the streamable HTTP transport of MCP (revisions 2025-11-25 and
// 2026-07-28), RFC 9728 and RFC 8785. It must never judge what it saw, keep or
// log a token, follow a redirect, or dial an address or an origin other than the
// server's that the rules allow.
//
// Start reading at Prober.Ask; anonymous.go, metadata.go and client.go are what
// is asked, transport.go is how, tools.go and canonical.go are the digests.
package probe
