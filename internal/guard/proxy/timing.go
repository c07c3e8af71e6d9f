// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// fuse calls a function after a time, unless it was put out before.
type fuse struct {
	mu    sync.Mutex
	out   bool
	timer *time.Timer
}

func light(after time.Duration, burn func()) *fuse {
	f := &fuse{}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer = time.AfterFunc(after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.out {
			burn()
		}
	})
	return f
}

// putOut returns when the function has run or will never run.
func (f *fuse) putOut() {
	f.timer.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out = true
}

// stopwatch sums up the time that passes in the guard.
type stopwatch struct {
	clock clock.PassiveClock
	since time.Time
	spent time.Duration
}

func (s *stopwatch) start(c clock.PassiveClock) {
	s.clock, s.since = c, c.Now()
}

// pause leaves out the time until resume.
func (s *stopwatch) pause() { s.spent += s.clock.Since(s.since) }

func (s *stopwatch) resume() { s.since = s.clock.Now() }

func (s *stopwatch) total() time.Duration { return s.spent + s.clock.Since(s.since) }
