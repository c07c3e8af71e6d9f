// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command valuesdoc writes the table of the chart's values into docs/helm.md. It
// knows how values.yaml is written: each value has a comment above it that says
// what it does.
//
// It must never know what a value means: that is said in values.yaml, once.
//
// Start reading at table.go. "make generate" runs it.
package main
