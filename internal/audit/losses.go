// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"sync"
	"time"
)

// loss is a number of lost events, and the times of the first and the last.
type loss struct {
	events      uint64
	from, until time.Time
}

func (l loss) with(more loss) loss {
	switch {
	case l.events == 0:
		return more
	case more.events == 0:
		return l
	}
	l.events += more.events
	if more.from.Before(l.from) {
		l.from = more.from
	}
	if more.until.After(l.until) {
		l.until = more.until
	}
	return l
}

// losses counts the events that are lost and not told of in the stream. Events
// may be lost while the stream tells of earlier ones.
type losses struct {
	mu sync.Mutex
	// since are those after being, which the stream is being told of.
	being, since loss
}

func (l *losses) add(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = l.since.with(loss{1, at.UTC(), at.UTC()})
}

func (l *losses) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.being.events + l.since.events
}

// telling returns what the stream is to be told.
func (l *losses) telling() loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.being, l.since = l.being.with(l.since), loss{}
	return l.being
}

// told forgets what the last telling returned.
func (l *losses) told() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.being = loss{}
}
