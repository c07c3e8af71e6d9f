// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	shortestPause = 20 * time.Millisecond
	pauseSteps    = 41
	// stride has no factor in common with pauseSteps, so that the pauses of
	// successive callers run through every step.
	stride = 17
)

// Gate is an authserver.Gate with a settable number of places.
type Gate struct {
	now func() time.Time

	mu       sync.Mutex
	places   int
	inFlight int
	heldTo   time.Time
	turn     int
}

var _ authserver.Gate = (*Gate)(nil)

// New returns an open gate. Fewer than one place counts as one.
func New(places int, now func() time.Time) *Gate {
	return &Gate{places: max(places, 1), now: now}
}

// Resize sets the number of places. Those inside stay.
func (g *Gate) Resize(places int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.places = max(places, 1)
}

// Hold closes the gate for everyone until an instant. An earlier instant than
// the one in force changes nothing.
func (g *Gate) Hold(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.heldTo) {
		g.heldTo = until
	}
}

// Enter takes a place or says at once when to come back.
func (g *Gate) Enter(urgency authserver.Urgency) (func(), error) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.heldTo) {
		return nil, refusal("waiting out Retry-After", g.heldTo.Sub(now)+g.pause())
	}
	if g.inFlight >= g.open(urgency) {
		return nil, refusal("taking a place", g.pause())
	}
	g.inFlight++
	return sync.OnceFunc(g.leave), nil
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
}

// open returns how many places an urgency may fill: a quarter of them, at
// least one where there are two, is closed to all but the urgent.
func (g *Gate) open(urgency authserver.Urgency) int {
	if urgency == authserver.Urgent || g.places == 1 {
		return g.places
	}
	return g.places - max(g.places/4, 1)
}

// pause spreads those who come back over 20 to 60 ms.
func (g *Gate) pause() time.Duration {
	g.turn = (g.turn + stride) % pauseSteps
	return shortestPause + time.Duration(g.turn)*time.Millisecond
}

func refusal(op string, after time.Duration) error {
	return &authserver.Error{
		Kind: authserver.Unavailable, Op: op, Unsent: true, RetryAfter: after,
	}
}
