// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit writes and checks the audit stream: one JSON line for each
// change of an identity, or for each decision about a call, CloudEvents 1.0, each
// line bound to the one before by its hash, so that a line that was altered,
// removed, moved or added is found, and sealed with a key, so that this holds
// against who can write the file.
//
// It knows the types of events, what they say and how lines are chained; it
// must never know Kubernetes, the API types, policy or an authorization server.
// It must never be handed a secret but its own keys, which Keys hides: Data and
// CallData have a field for each thing that may be said and no free-form map, so
// that a token cannot slip in under a name of its own.
//
// Start reading at Event and CallEvent; Stream takes what writer writes, Verify
// checks, and seal in line.go is the form of a line.
package audit
