// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"slices"
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
	// patience is how long the urgent wait for a place, at a server at which one became
	// free no longer ago than that: one that takes longer keeps nobody waiting who could
	// be of use elsewhere.
	patience = 25 * time.Millisecond
	// queue is how many of the urgent wait for each place.
	queue = 2
)

// Gate is an authserver.Gate with a settable number of places.
type Gate struct {
	now func() time.Time

	mu       sync.Mutex
	places   int
	inFlight int
	heldTo   time.Time
	turn     int
	// waiting are the urgent that wait for a place, the first of them first.
	waiting []chan struct{}
	// left is when a place became free last.
	left time.Time
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

// Enter takes a place or says when to come back. The urgent wait a moment for one
// where places become free: at a server that answers nobody they do not.
func (g *Gate) Enter(urgency authserver.Urgency) (func(), error) {
	place, err := g.try(urgency)
	if err != nil {
		return nil, err
	}
	if g.granted(place) {
		return sync.OnceFunc(g.leave), nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return nil, g.refuse()
}

// try returns what is closed when the caller has a place.
func (g *Gate) try(urgency authserver.Urgency) (chan struct{}, error) {
	now, place := g.now(), make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case now.Before(g.heldTo):
		return nil, g.refuse()
	case g.inFlight < g.open(urgency):
		g.inFlight++
		close(place)
		return place, nil
	case urgency != authserver.Urgent, now.Sub(g.left) >= patience, len(g.waiting) >= queue*g.places:
		return nil, g.refuse()
	}
	g.waiting = append(g.waiting, place)
	return place, nil
}

// granted waits for a place.
func (g *Gate) granted(place chan struct{}) bool {
	select {
	case <-place:
		return true
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-place:
		return true
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, place); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return false
	}
	// It was given in this moment.
	return true
}

// refuse says when to come back.
func (g *Gate) refuse() error {
	if wait := g.heldTo.Sub(g.now()); wait > 0 {
		return refusal("waiting out Retry-After", wait+g.pause())
	}
	return refusal("taking a place", g.pause())
}

// leave gives a place back, or on to the first who waits for one.
func (g *Gate) leave() {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = now
	if len(g.waiting) > 0 && g.inFlight <= g.places && !now.Before(g.heldTo) {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		return
	}
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
