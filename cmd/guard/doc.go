// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command guard stands in front of MCP servers and lets through what the
// register allows: as a reverse proxy, as an external authorization service
// for Envoy (ext_authz), or as both.
//
// It knows flags and wires packages together; it must never hold a rule. What
// decides is in internal/guard, what it decides by in internal/policy.
//
// Start reading at run.
package main
