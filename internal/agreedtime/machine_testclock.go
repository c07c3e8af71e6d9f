// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build testclock

package agreedtime

import (
	"os"
	"time"

	"k8s.io/utils/clock"
)

// Machine is a clock that is wrong by what TEST_CLOCK_AHEAD says, for tests of a binary
// that is built for them: no other has it.
func Machine() clock.WithTicker {
	by, err := time.ParseDuration(os.Getenv("TEST_CLOCK_AHEAD"))
	if err != nil {
		panic("TEST_CLOCK_AHEAD: " + err.Error())
	}
	return wrong{clock.RealClock{}, by}
}

type wrong struct {
	clock.RealClock
	by time.Duration
}

// Now implements clock.PassiveClock.
func (w wrong) Now() time.Time { return w.RealClock.Now().Add(w.by) }

// Since implements clock.PassiveClock.
func (w wrong) Since(t time.Time) time.Duration { return w.Now().Sub(t) }
