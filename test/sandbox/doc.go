// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sandbox runs the reconcilers without a cluster: an API server in memory,
// a clock that jumps to the next thing to do, and a work queue that waits by that
// clock with the delays of the real one. An hour passes in a moment, and the
// clocks of API server and operator may differ.
//
// It must never know what the reconcilers decide: it knows them only as
// controllers.Setup puts them together, and wakes them as their watches would.
//
// Start reading at Sandbox in sandbox.go; stage.go is the manager that the
// reconcilers see, queue.go the passage of time.
package sandbox
