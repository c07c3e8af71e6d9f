// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubewrites counts what the operator writes to the Kubernetes API, at
// the transport, so that the write budget is visible in production and
// asserted in tests.
//
// It knows HTTP verbs and the shape of API paths; it must never know what is
// written or why.
//
// Start reading at Counter.
package kubewrites
