// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mcpserver is a small MCP server made with the official Go SDK, for
// tests, benches and the demo. It knows invoices: tools that read them, one that
// pays, one that takes long and tells of its progress, and one that no scope
// should lead to.
//
// It must never ask who calls: it has no authorization of its own, which is what
// a guard in front of it is for. It holds nothing worth protecting, changes
// nothing, and listens on loopback only.
//
// Start reading at Server in server.go; tools.go is what it offers.
package mcpserver
