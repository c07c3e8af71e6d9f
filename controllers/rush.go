// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// calm is for how long no other revocation may have begun before what is left of
	// those that the server took is done. It is shorter than the delay of a proof.
	calm = 40 * time.Millisecond
	// shortestRecess and longestRecess bound for how long what waits for calm waits
	// before it looks again: recessEach for each that waits.
	shortestRecess = 60 * time.Millisecond
	longestRecess  = time.Second
	recessEach     = 2 * time.Millisecond
	// longestRush is the longest that anything waits for others.
	longestRush = 5 * time.Second
)

// rush has the servers told of all clients that must go at one time before anything
// is written about those that they were told of: proof, status and record of one
// client never delay the end of another. Its zero value is ready.
type rush struct {
	mu sync.Mutex
	// began counts the revocations that began, and last is when the last of them did.
	began int
	last  time.Time
	// told are the registrations whose client the server took.
	told map[types.UID]taken
	turn int
}

// taken is a client that the server took.
type taken struct {
	at time.Time
	// began is how many revocations had begun by then.
	began int
}

// begin notes that a client is about to be revoked.
func (r *rush) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began++
	r.last = now
}

// took notes that the server took the client of a registration, and that all else can
// wait.
func (r *rush) took(uid types.UID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[types.UID]taken{}
	}
	r.told[uid] = taken{now, r.began}
}

// recess is for how long a registration waits until no others begin; zero where its
// turn has come.
func (r *rush) recess(uid types.UID, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	own, waits := r.told[uid]
	if !waits {
		return 0
	}
	if r.began == own.began || now.Sub(r.last) >= calm || now.Sub(own.at) >= longestRush {
		delete(r.told, uid)
		return 0
	}
	mean := min(max(time.Duration(len(r.told))*recessEach, shortestRecess), longestRecess)
	// Those who wait come back one after the other.
	r.turn++
	return mean/2 + time.Duration(r.turn%len(r.told))*mean/time.Duration(len(r.told))
}
