// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fake is an authorization server in memory, for tests: it keeps
// clients, tokens and secrets, and can be ordered to misbehave.
//
// It knows the port's types and passes the suite in contract. It must never
// know HTTP, Kubernetes or what a particular test expects: tests look at
// Clients and Calls afterwards.
//
// Start reading at Server; Switches change how it answers, Fail orders the
// next error, Connector hands it out.
package fake
