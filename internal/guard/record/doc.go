// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package record puts the guard's decisions on record: a line of the audit
// stream for each, and the metrics of the guard.
//
// It knows the fields of a decision, and how much may be said of a caller about
// whom nothing is known. It must never know a token, the arguments of a call or
// how a request came, and it must never decide anything.
//
// Start reading at Recorder.Record.
package record
