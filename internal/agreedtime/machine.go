// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !testclock

package agreedtime

import "k8s.io/utils/clock"

// Machine is the clock of the machine.
func Machine() clock.WithTicker { return clock.RealClock{} }
