// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crashmatrix breaks every operation of the manager at every boundary
// at which it touches the world, in every way that makes sense there, on every
// personality of authorization server: the process dies before or after the
// call, the answer is lost, the server fails after it did the work or before,
// the cache is behind. It finds the boundaries by itself, in a run without
// faults, so that a new call is covered without being listed. What must hold is
// checked while it happens and when all is at rest.
//
// It must never ask the manager what is true: statuses, Secrets and the audit
// record are compared with the authorization server. It knows the reconcilers
// only as controllers.Setup puts them together.
//
// Start reading at TestCrashMatrix in matrix_test.go; operations_test.go says
// what is done, promises_test.go and rest_test.go what must hold.
package crashmatrix
