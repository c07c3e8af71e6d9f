// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager runs the controllers of MCP Registrar. It holds wiring only:
// flags, the manager of controller-runtime, and what the reconcilers are given.
package main
