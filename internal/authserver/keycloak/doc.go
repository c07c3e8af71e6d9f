// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keycloak manages clients through Keycloak's Admin REST API. The
// register chooses their ids and secrets; what it notes of a client, the
// ownership mark above all, are attributes of that client.
//
// It knows Keycloak's representation of clients and client scopes. It must
// never know Kubernetes or policy, never take an empty list for the proof that
// a client is gone without having seen that it may look, and never touch a
// client that does not carry the owner's mark.
//
// Start reading at New in server.go; clients.go does what the port asks for,
// operation.go counts as one what takes several requests, wish.go and
// answer.go translate, token.go is how the register introduces itself.
package keycloak
