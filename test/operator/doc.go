// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package operator runs the manager as users run it: as a process of its own,
// whose metrics and memory are seen from outside. It is for tests that kill the
// process or measure it. It knows the manager's flags and nothing of what the
// manager does.
//
// It must never import the product: what it starts is the binary that is
// shipped.
//
// Start reading at Start in process.go; metrics.go reads what the process says
// of itself.
package operator
