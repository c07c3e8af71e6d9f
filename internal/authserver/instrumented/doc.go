// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package instrumented measures an authorization server: a decorator counts
// and times the calls of authserver.Server, and a hook counts the HTTP
// requests that were really sent.
//
// It knows Prometheus and the port. It must never know an adapter, and it
// changes no answer and no error.
//
// Start reading at Wrap.
package instrumented
