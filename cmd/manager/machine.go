// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !testclock

package main

import "k8s.io/utils/clock"

// machine is the clock of the machine.
func machine() clock.WithTicker { return clock.RealClock{} }
