// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agreedtime tells the time by which ends are decided: that of the machine, as
// long as it agrees with the API server's, and the API server's where it does not. Ends
// are written into objects by people and pipelines whose clocks are the API server's or
// close to it; a machine whose clock is wrong would strike clients off early, or late.
//
// It knows the Date of answers that come anyway. It must never ask for one, and knows
// nothing of what the time is for.
//
// Start reading at Clock.
package agreedtime
