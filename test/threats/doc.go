// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package threats knows what went wrong in software that does what this does, by
// number, and holds that each of these faults has tests of its own, with the number
// in their names, and that docs/security.md lists them. It also has those of the
// tests that belong to no single room.
//
// It must never test the exploit: what is tested is what must hold.
//
// Start reading at list in threats_test.go.
package threats
