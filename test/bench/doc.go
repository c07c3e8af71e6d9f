// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bench measures the manager from outside: how fast a burst of
// registrations becomes Ready and what it costs, how late revocations and
// withdrawn approvals are, and what a restart does. It has the build tag bench;
// "make bench" runs it, and docs/benchmarks.md holds figures and what they mean.
//
// Beside that it measures what a guard adds to a call, in guard_test.go.
//
// It must never measure one run against another run's ceiling: the bare loader
// that it compares with runs beside it, on the same machine.
//
// Start reading at TestBench in bench_test.go; each of the other files is one
// measurement.
package bench
