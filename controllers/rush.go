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
	// crowd is how many wait where calm takes longer, longCalm: on a machine that is
	// busy, of many that go at one time none may begin for a while.
	crowd    = 32
	longCalm = 250 * time.Millisecond
	// longestTry is for how long a revocation that began keeps others waiting until its
	// server is told: one that waits for a server which answers nobody does not.
	longestTry = time.Second
	// shortestRecess and longestRecess bound for how long what waits for calm waits
	// before it looks again: recessEach for each that waits.
	shortestRecess = 60 * time.Millisecond
	longestRecess  = 4 * time.Second
	recessEach     = 3 * time.Millisecond
	// longestRush is the longest that anything waits for others.
	longestRush = 5 * time.Second
	// oneTry is for how long a revocation that is tried again is the same one.
	oneTry = time.Minute
	// mostTries is how many are remembered at least.
	mostTries = 4096
)

// rush has the servers told of all clients that must go at one time before anything
// is written about those that they were told of: proof, status and record of one
// client never delay the end of another. Its zero value is ready.
type rush struct {
	mu sync.Mutex
	// began counts the revocations that began, and last is when the last of them did.
	began int
	last  time.Time
	// tries are the revocations that began last: the count then, and when. older are
	// those before them.
	tries, older map[types.UID]try
	// underWay are those whose server is not told yet, with when they began.
	underWay map[types.UID]time.Time
	// told are the registrations whose client the server took, with when it did.
	told map[types.UID]time.Time
	turn int
	over bool
}

// try is a revocation.
type try struct {
	at time.Time
	// number is how many had begun by then.
	number int
	// unsent says that nothing was sent when it was tried last: there was no place at its
	// server.
	unsent bool
}

// begin notes that a client is about to be revoked. One that is tried again and again
// keeps nobody waiting; one that only waits for a place at its server does, for as long as
// any keeps others waiting.
func (r *rush) begin(uid types.UID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, found := r.try(uid); found && now.Sub(known.at) < oneTry {
		if known.unsent && now.Sub(known.at) < longestRush {
			r.last, r.underWay[uid] = now, now
		}
		return
	}
	if r.tries == nil || len(r.tries) >= mostTries {
		r.tries, r.older = map[types.UID]try{}, r.tries
	}
	if r.underWay == nil {
		r.underWay = map[types.UID]time.Time{}
	}
	r.began++
	r.last = now
	r.tries[uid], r.underWay[uid] = try{at: now, number: r.began}, now
}

// done notes that the server was told of a client, or could not be; unsent says that there
// was no place at it, so that it comes back soon.
func (r *rush) done(uid types.UID, unsent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.underWay, uid)
	if known, found := r.try(uid); found && known.unsent != unsent {
		known.unsent = unsent
		r.tries[uid] = known
	}
}

// try finds a revocation that began. The lock is held.
func (r *rush) try(uid types.UID) (known try, found bool) {
	if known, found = r.tries[uid]; !found {
		known, found = r.older[uid]
	}
	return known, found
}

// calm reports whether no other revocation began for a while, and none is under way. The
// lock is held.
func (r *rush) calm(now time.Time) bool {
	for _, since := range r.underWay {
		if now.Sub(since) < longestTry {
			return false
		}
	}
	if len(r.told) >= crowd {
		return now.Sub(r.last) >= longCalm
	}
	return now.Sub(r.last) >= calm
}

// took notes that the server took the client of a registration, and reports whether
// others began since, so that all else can wait.
func (r *rush) took(uid types.UID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.underWay, uid)
	own, tried := r.try(uid)
	if r.over || !tried || r.began == own.number || r.calm(now) {
		return false
	}
	if r.told == nil {
		r.told = map[types.UID]time.Time{}
	}
	r.told[uid] = now
	return true
}

// recess is for how long a registration waits until no others begin; zero where its
// turn has come.
func (r *rush) recess(uid types.UID, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, waits := r.told[uid]
	if !waits {
		return 0
	}
	if r.over || r.calm(now) || now.Sub(since) >= longestRush {
		delete(r.told, uid)
		return 0
	}
	mean := min(max(time.Duration(len(r.told))*recessEach, shortestRecess), longestRecess)
	// Those who wait come back one after the other.
	r.turn++
	return mean/2 + time.Duration(r.turn%len(r.told))*mean/time.Duration(len(r.told))
}

// forget drops what is kept of a registration that is gone.
func (r *rush) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, uid)
	delete(r.underWay, uid)
	delete(r.tries, uid)
	delete(r.older, uid)
}

// end has nobody wait any more.
func (r *rush) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}
