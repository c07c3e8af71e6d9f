// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"maps"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// logCapacity bounds the log; older entries make room for newer ones.
const logCapacity = 100_000

// NoAnswer is the status under which requests are counted that ended without
// an answer: connection closed, or never answered.
const NoAnswer = 0

// Entry is one request in the log.
type Entry struct {
	// Time is when the answer was about to be sent, after any work.
	Time time.Time `json:"time"`
	// Operation is what was asked.
	Operation Operation `json:"operation"`
	// ClientID is the client the request named, or got. Empty if none.
	ClientID string `json:"clientID,omitempty"`
	// Status is the status sent, or NoAnswer.
	Status int `json:"status"`
}

// Counters are the number of requests by operation and status.
type Counters map[Operation]map[int]int

// Total is the number of requests of one operation, whatever their status.
func (c Counters) Total(o Operation) int {
	sum := 0
	for _, n := range c[o] {
		sum += n
	}
	return sum
}

// journal counts requests. A request is counted before the first byte of its
// answer is sent, so that whoever has an answer finds it counted.
type journal struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	counts   Counters
	inFlight int
	highest  int
	ring     []Entry
	next     int
}

func newJournal(c clock.PassiveClock) *journal {
	return &journal{clock: c, counts: Counters{}}
}

func (j *journal) enter() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.inFlight++
	j.highest = max(j.highest, j.inFlight)
}

func (j *journal) leave() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.inFlight--
}

func (j *journal) record(o Operation, clientID string, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := Entry{Time: j.clock.Now(), Operation: o, ClientID: clientID, Status: status}
	byStatus := j.counts[e.Operation]
	if byStatus == nil {
		byStatus = map[int]int{}
		j.counts[e.Operation] = byStatus
	}
	byStatus[e.Status]++
	if len(j.ring) < logCapacity {
		j.ring = append(j.ring, e)
		return
	}
	j.ring[j.next] = e
	j.next = (j.next + 1) % logCapacity
}

func (j *journal) snapshot() Counters {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make(Counters, len(j.counts))
	for o, byStatus := range j.counts {
		out[o] = maps.Clone(byStatus)
	}
	return out
}

func (j *journal) maxInFlight() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.highest
}

func (j *journal) entries() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Entry, 0, len(j.ring))
	out = append(out, j.ring[j.next:]...)
	return append(out, j.ring[:j.next]...)
}

// reset forgets everything but the requests now in flight.
func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts = Counters{}
	j.highest = j.inFlight
	j.ring, j.next = nil, 0
}
