// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// SmallBody is how large a body is read before anything is asked, in bytes: the refusal
// can then say which request it is the answer to.
const SmallBody = 8 << 10

const (
	// DefaultMaxBody is how large the body of a request may be, in bytes.
	DefaultMaxBody = 4 << 20
	// DefaultRoom is how many bytes bodies of requests may take together.
	DefaultRoom = 64 << 20
	// shares is how many clients together can take all the room.
	shares = 4
	// patience is how long a request waits for others to make room.
	patience = 5 * time.Second
)

// room is the memory that bodies of requests may take: together, and those of one client.
// Who finds none waits a while, and takes nothing of the others' meanwhile. A client has so
// many requests that wait or have room at most.
type room struct {
	all   *semaphore.Weighted
	share int64
	most  int
	mu    sync.Mutex
	by    map[Change]*portion
}

// portion is the share of one client, with how many requests take of it or wait.
type portion struct {
	free     *semaphore.Weighted
	requests int
}

// newRoom makes room for some bytes. A client's share is a part of it, and at least the
// largest body that there may be.
func newRoom(size, largest int64, most int) *room {
	share := max(size/shares, largest)
	return &room{all: semaphore.NewWeighted(max(size, share)), share: share, most: most, by: map[Change]*portion{}}
}

// enter takes room; nil where there is none. What it returns gives it back, the first time
// that it is called.
func (r *room) enter(ctx context.Context, client Change, size int64, wait bool) (leave func()) {
	if size == 0 {
		return func() {}
	}
	own := r.arrive(client)
	if own == nil {
		return nil
	}
	waits, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !acquire(waits, own.free, size, wait) {
		r.depart(client)
		return nil
	}
	if !acquire(waits, r.all, size, wait) {
		own.free.Release(size)
		r.depart(client)
		return nil
	}
	return sync.OnceFunc(func() {
		r.all.Release(size)
		own.free.Release(size)
		r.depart(client)
	})
}

func acquire(ctx context.Context, from *semaphore.Weighted, size int64, wait bool) bool {
	if !wait {
		return from.TryAcquire(size)
	}
	return from.Acquire(ctx, size) == nil
}

// arrive counts a request of a client; nil where it has as many as it may.
func (r *room) arrive(client Change) *portion {
	r.mu.Lock()
	defer r.mu.Unlock()
	own, known := r.by[client]
	if !known {
		own = &portion{free: semaphore.NewWeighted(r.share)}
		r.by[client] = own
	}
	if own.requests >= r.most {
		return nil
	}
	own.requests++
	return own
}

func (r *room) depart(client Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := r.by[client]
	if own.requests--; own.requests == 0 {
		delete(r.by, client)
	}
}
