// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package tenant

// leeway is how many times the bound is allowed where nothing else excuses it: the
// race detector makes manager, guards and tenants, which share one process here,
// many times as slow, and other packages are tested beside them.
const leeway = slowest
