// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"sync"
	"time"
)

const (
	// reportEvery is how often there is a report about one topic at most.
	reportEvery = time.Minute
	// maxWaiting is how many reports wait for an earlier one at most.
	maxWaiting = 10
)

// topic is what a complaint is about.
type topic int

const (
	// failure: something could not be written.
	failure topic = iota
	// finding: a file is not as it was left.
	finding
	topics
)

// complaints reports errors, in a goroutine of its own that lasts as long as
// there are any: a log may hang like the stream does.
type complaints struct {
	now    func() time.Time
	report func(error)

	mu      sync.Mutex
	last    [topics]time.Time
	waiting []error
	// telling is closed when nothing waits any more. Nil: nothing does.
	telling chan struct{}
}

// about reports an error, unless there was a report about the topic within the
// last minute. It does not wait.
func (c *complaints) about(t topic, err error) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.last[t]
	if c.report == nil || !last.IsZero() && now.Sub(last) < reportEvery || len(c.waiting) == maxWaiting {
		return
	}
	c.last[t] = now
	c.waiting = append(c.waiting, err)
	if c.telling == nil {
		c.telling = make(chan struct{})
		go c.tell()
	}
}

func (c *complaints) tell() {
	for {
		err, more := c.next()
		if !more {
			return
		}
		c.report(err)
	}
}

func (c *complaints) next() (err error, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		close(c.telling)
		c.telling = nil
		return nil, false
	}
	err = c.waiting[0]
	c.waiting = c.waiting[1:]
	return err, true
}

// told is closed when every report was made.
func (c *complaints) told() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.telling != nil {
		return c.telling
	}
	none := make(chan struct{})
	close(none)
	return none
}
