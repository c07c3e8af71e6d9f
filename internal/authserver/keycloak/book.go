// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	// mostNoted is how many ids of client scopes are remembered.
	mostNoted = 1 << 14
	// absence is for how long it is remembered that a realm has no client scope of a
	// name that the register does not make.
	absence = 10 * time.Minute
)

// book is what is remembered of the client scopes of a realm, by name, and which of
// them are given to clients or deleted at the moment: one that is just given to a
// client is not deleted, and one that is being deleted is not given.
type book struct {
	now func() time.Time

	mu    sync.Mutex
	notes map[string]note
	// hands counts the operations that give a scope, given is when one last ended.
	hands map[string]int
	given map[string]time.Time
	// going are being deleted; each is closed when that is over.
	going map[string]chan struct{}
}

// Memory holds what the connections of one process remember of client scopes, by the
// issuer: two connections with one realm, or a new one in place of an old, must know what
// the other gives to clients.
type Memory struct {
	mu    sync.Mutex
	books map[string]*book
}

// NewMemory remembers nothing yet.
func NewMemory() *Memory { return &Memory{books: map[string]*book{}} }

// of is the book of an issuer. A nil Memory has a new one each time.
func (m *Memory) of(issuer string, now func() time.Time) *book {
	if m == nil {
		return newBook(now)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.books[issuer] == nil {
		m.books[issuer] = newBook(now)
	}
	return m.books[issuer]
}

// note is what is remembered of one client scope: its internal id, or for how long it
// is to be taken for absent.
type note struct {
	id    string
	until time.Time
}

func newBook(now func() time.Time) *book {
	return &book{
		now: now, notes: map[string]note{}, hands: map[string]int{}, given: map[string]time.Time{},
		going: map[string]chan struct{}{},
	}
}

// id is the internal id of a client scope; empty for one that is absent.
func (b *book) id(name string) (id string, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	noted, known := b.notes[name]
	return noted.id, known && (noted.id != "" || b.now().Before(noted.until))
}

// note remembers a client scope; one without an id for a while only.
func (b *book) note(name, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.notes) >= mostNoted {
		clear(b.notes)
	}
	b.notes[name] = note{id: id, until: b.now().Add(absence)}
}

// forget has a client scope looked up anew.
func (b *book) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.notes, name)
}

// give keeps client scopes from being deleted until done is called, and waits for a
// deletion of one of them that is under way.
func (b *book) give(ctx context.Context, op string, names []string) (done func(), err error) {
	for {
		b.mu.Lock()
		going := b.anyGoing(names)
		if going == nil {
			break
		}
		b.mu.Unlock()
		select {
		case <-going:
		case <-ctx.Done():
			return nil, &authserver.Error{Kind: authserver.Unavailable, Op: op, Err: exchange.Cause(ctx.Err())}
		}
	}
	defer b.mu.Unlock()
	for _, name := range names {
		b.hands[name]++
	}
	return func() { b.gave(names) }, nil
}

func (b *book) anyGoing(names []string) chan struct{} {
	for _, name := range names {
		if going := b.going[name]; going != nil {
			return going
		}
	}
	return nil
}

func (b *book) gave(names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		b.given[name] = b.now()
		if b.hands[name]--; b.hands[name] == 0 {
			delete(b.hands, name)
		}
	}
}

// take says that a client scope may be deleted: nobody gives it, or gave it since an
// instant. Until done is called nobody does.
func (b *book) take(name string, since time.Time) (done func(), free bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, given := b.given[name]
	if b.hands[name] > 0 || given && !last.Before(since) || b.going[name] != nil {
		return nil, false
	}
	over := make(chan struct{})
	b.going[name] = over
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.going, name)
		delete(b.notes, name)
		close(over)
	}, true
}

// outlive forgets what was given before an instant.
func (b *book) outlive(since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.given, func(_ string, last time.Time) bool { return last.Before(since) })
}
