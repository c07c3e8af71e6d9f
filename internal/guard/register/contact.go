// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// standing is how a source stands. contact.mu guards it.
type standing struct {
	// read says that the source was delivered whole once.
	read bool
	// open says that its watch is open and has given what came before it.
	open bool
	// filling says that its watch is open and gives the whole list first.
	filling bool
	// resourceVersion is up to where it was delivered.
	resourceVersion string
	// floor is the greatest version that was delivered, by whichever source, before
	// the list was asked for that comes next.
	floor string
}

// contact is what may be relied on: what every source was delivered, and when the
// API server was last known to be there while each was being delivered.
type contact struct {
	mu      sync.Mutex
	sources map[sourceKey]*source
	// turns counts how often a watch was opened or ended.
	turns    int
	at       time.Time
	complete bool
	// leased is when the Lease was last written.
	leased time.Time
	// seenMost is the greatest version that was delivered; anchored that of the
	// Lease as it was written last. What is not beyond it is known to be in the
	// past of the API server, as long as the Lease is there.
	seenMost, anchored string
	// restarts is how often all of it was forgotten.
	restarts int
}

// forget drops everything: what was delivered is of another history.
func (c *contact) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	c.restarts++
	c.sources, c.complete = map[sourceKey]*source{}, false
	c.at, c.leased, c.seenMost, c.anchored = time.Time{}, time.Time{}, "", ""
}

// forgotten is how often everything was.
func (c *contact) forgotten() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restarts
}

// peak is the greatest version that was delivered.
func (c *contact) peak() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seenMost
}

// anchor notes the version of the Lease as it was last written.
func (c *contact) anchor(version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anchored = version
}

// past says that what happened up to a version is in the past of the API server,
// if the Lease is there: a watch may go on from it.
func (c *contact) past(version string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchored != "" && !newer(version, c.anchored)
}

// rise notes a version that was delivered by a source that is followed.
func (c *contact) rise(s *source, version string) {
	if c.sources[s.key] == s && newer(version, c.seenMost) {
		c.seenMost = version
	}
}

// renewed says that a Lease was written of an instant.
func (c *contact) renewed(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leased = at
}

// leaseAge is how much longer ago the Lease was written than it may be: as long as
// the operator takes the guard to be alive it may let things pass, and no longer.
func (c *contact) leaseAge(now time.Time) (age time.Duration, written bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return since(c.leased, now) - slack, !c.leased.IsZero()
}

// since is by the clock that never goes back and by the one on the wall, whichever
// says more: the first stands still while the machine sleeps.
func since(at, now time.Time) time.Duration {
	return max(0, now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

func (c *contact) add(s *source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources[s.key] = s
}

func (c *contact) remove(k sourceKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sources, k)
}

// asks says that a source is about to ask for a whole list.
func (c *contact) asks(s *source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.floor = c.seenMost
}

// opened says that a watch is open. With filling it will deliver the whole list
// first.
func (c *contact) opened(s *source, filling bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	s.open, s.filling = !filling && s.read, filling
}

func (c *contact) closed(s *source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	s.open, s.filling = false, false
}

// replaced says that the whole list was taken in, and returns whether it came by
// the watch that is open. A list is what there was when it was asked for, or later:
// where its version is below what was seen until then, back says that the API server
// was put back. What others were delivered while it was on its way may be beyond it.
func (c *contact) replaced(s *source, resourceVersion string) (streamed, back bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	streamed = s.filling
	s.open, s.filling = s.filling, false
	s.read, s.resourceVersion = true, resourceVersion
	back = c.sources[s.key] == s && newer(s.floor, resourceVersion)
	c.rise(s, resourceVersion)
	return streamed, back
}

func (c *contact) delivered(s *source, resourceVersion string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.resourceVersion = resourceVersion
	c.rise(s, resourceVersion)
}

// turn is to be asked before the API server is.
func (c *contact) turn() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turns
}

// confirm says that the API server answered to what was asked at an instant. It
// counts only if every watch was open from before then until now: what happened
// earlier was on its way before the answer. It returns whether the register
// became complete by it.
func (c *contact) confirm(asked time.Time, turn int, needed map[sourceKey]bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if turn != c.turns {
		return false
	}
	for _, s := range c.sources {
		if s.read && !s.open {
			return false
		}
	}
	c.at = asked
	if c.complete {
		return false
	}
	for k := range needed {
		if s := c.sources[k]; s == nil || !s.read {
			return false
		}
	}
	c.complete = true
	return true
}

// age is the time since contact was last confirmed.
func (c *contact) age(now time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return since(c.at, now), c.complete
}

// deniedUpTo is up to where denials were delivered; empty before they were read.
func (c *contact) deniedUpTo() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sources[denialsAt]; s != nil && s.read {
		return s.resourceVersion
	}
	return ""
}

// seen is, for each authorization server, up to where its registrations were
// delivered: of several sources the least, for what one has the other may lack.
// One that was not read at all is not among them.
func (c *contact) seen() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, missing := map[string]string{}, map[string]bool{}
	for k, s := range c.sources {
		if k.resource != registrations {
			continue
		}
		known, there := seen[k.value]
		order, err := resourceversion.CompareResourceVersion(s.resourceVersion, s.resourceVersion)
		if there && err == nil {
			order, err = resourceversion.CompareResourceVersion(s.resourceVersion, known)
		}
		missing[k.value] = missing[k.value] || err != nil || !s.read
		if !there || order < 0 {
			seen[k.value] = s.resourceVersion
		}
	}
	for name := range missing {
		if missing[name] {
			delete(seen, name)
		}
	}
	return seen
}
