// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package tenant

// leeway is how many times the bound is allowed where nothing else excuses it.
const leeway = 1
