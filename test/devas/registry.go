// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"cmp"
	"errors"
	"slices"
	"sync"
)

var (
	errUnauthorized  = errors.New("unknown client or wrong registration access token")
	errUnknownClient = errors.New("unknown client")

	// gone is the record that takes the place of a client to be removed.
	gone = &record{}
)

// registry holds the live clients and remembers the deleted ones.
type registry struct {
	mu      sync.RWMutex
	clients map[string]*record
	deleted []string
}

func newRegistry() *registry {
	return &registry{clients: map[string]*record{}}
}

func (g *registry) add(rec *record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clients[rec.id] = rec
}

// insert adds a record unless its id is taken.
func (g *registry) insert(rec *record) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, taken := g.clients[rec.id]; taken {
		return false
	}
	g.clients[rec.id] = rec
	return true
}

// byID are the records that match, in the order of their ids.
func (g *registry) byID(matches func(*record) bool) []*record {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var out []*record
	for _, rec := range g.clients {
		if matches(rec) {
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b *record) int { return cmp.Compare(a.id, b.id) })
	return out
}

func (g *registry) get(id string) (*record, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	rec, ok := g.clients[id]
	return rec, ok
}

// manage lets the holder of a client's registration access token replace its
// record, or to remove the client by replacing it with gone. It answers
// errUnauthorized to an unknown client and to a wrong token alike.
func (g *registry) manage(id, token string, change func(*record) (*record, error)) (*record, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec, ok := g.clients[id]
	if !ok || !sameSecret(rec.token, token) {
		return nil, errUnauthorized
	}
	next, err := change(rec)
	if err != nil {
		return nil, err
	}
	g.put(id, next)
	return next, nil
}

// override replaces a record without asking for a token.
func (g *registry) override(id string, change func(*record) (*record, error)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec, ok := g.clients[id]
	if !ok {
		return errUnknownClient
	}
	next, err := change(rec)
	if err != nil {
		return err
	}
	g.put(id, next)
	return nil
}

func (g *registry) put(id string, next *record) {
	if next != gone {
		g.clients[id] = next
		return
	}
	delete(g.clients, id)
	g.deleted = append(g.deleted, id)
}

func (g *registry) list() []Client {
	g.mu.RLock()
	defer g.mu.RUnlock()
	out := make([]Client, 0, len(g.clients))
	for _, rec := range g.clients {
		out = append(out, rec.summary())
	}
	slices.SortFunc(out, func(a, b Client) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (g *registry) deletedIDs() []string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Clone(g.deleted)
}
