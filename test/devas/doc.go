// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devas is an OAuth authorization server for development, tests and
// the demo. It knows the authorization code flow with PKCE, refresh tokens,
// client credentials, dynamic client registration and its management
// (RFC 7591, RFC 7592) or, in its place, the admin API of Ory Hydra, and it can
// be ordered to misbehave in the ways real servers do: lost answers, rotated
// tokens, widened scopes, outages.
//
// It must never hold anything worth protecting: every user is "dev", consent
// is automatic, all state is in memory, and it refuses to listen anywhere but
// on loopback. It knows nothing of Kubernetes and nothing of the operator; the
// protocol itself is the work of the engine in zitadel/oidc, not of this
// package.
//
// Start reading at Server in server.go; serve.go is the way of one request
// from the wire through faults and counters to the engine and back.
package devas
