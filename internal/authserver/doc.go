// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authserver is the port to an OAuth 2.1 authorization server: what
// the register needs of one, its own types, and the closed set of errors.
//
// It knows no HTTP, no Kubernetes and no policy. It imports the standard
// library only. Adapters (dcr) live in folders below it and translate between
// these types and the wire; nobody else looks at an HTTP status code.
//
// Start reading at Server in server.go, then Error in errors.go. The suite in
// contract says what every adapter and the fake must do.
package authserver
