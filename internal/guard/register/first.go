// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// firstFor is for how long is kept what clients of a server have in common: anybody
// may ask, and the answer takes a look at each of them.
const firstFor = 2 * time.Second

// first remembers what clients are told to ask for first, by server. The zero value
// is ready.
type first struct {
	mu sync.Mutex
	by map[guard.ServerName]*firstScopes
}

// firstScopes are those of one server. Who finds them too old looks, and whoever asks
// for the same meanwhile waits for that.
type firstScopes struct {
	mu     sync.Mutex
	until  time.Time
	at     time.Time
	scopes []string
}

// maxFirst is more servers than a guard serves; names of servers come and go.
const maxFirst = 4096

func (f *first) of(name guard.ServerName) *firstScopes {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, there := f.by[name]; there {
		return known
	}
	if f.by == nil || len(f.by) >= maxFirst {
		f.by = map[guard.ServerName]*firstScopes{}
	}
	f.by[name] = &firstScopes{}
	return f.by[name]
}

// FirstScopes implements guard.Register.
func (r *Register) FirstScopes(server guard.Server) []string {
	now := r.agreed.Now()
	if server.EntryScope != "" {
		return policy.FirstScopes(server.ServerEntry, nil, now)
	}
	known := r.first.of(guard.ServerName{Namespace: server.Namespace, Name: server.Name})
	known.mu.Lock()
	defer known.mu.Unlock()
	if !now.Before(known.at) && now.Before(known.until) {
		return known.scopes
	}
	known.scopes, known.at = policy.FirstScopes(server.ServerEntry, r.memory.holdings(server.ServerEntry), now), now
	// What takes long is done seldom: anybody may ask.
	known.until = now.Add(max(firstFor, firstShare*r.agreed.Since(now)))
	return known.scopes
}

// firstShare is how many times as long as it took to find them out first scopes are
// kept.
const firstShare = 20

// holdersAtOnce is how many clients are looked for before news may come in again.
const holdersAtOnce = 1024

// holdings are the clients with a grant at a server, with their grants. No lock is held
// for longer than it takes to go through the grants once.
func (m *memory) holdings(server policy.ServerEntry) iter.Seq[policy.Holding] {
	return func(yield func(policy.Holding) bool) {
		by := map[objectKey][]*grant{}
		for _, g := range m.grantsAt(server) {
			by[g.holder()] = append(by[g.holder()], g)
		}
		for some := range slices.Chunk(slices.Collect(maps.Keys(by)), holdersAtOnce) {
			for holder, c := range m.clientsAt(server.AuthorizationServer, some) {
				holding := policy.Holding{Client: c.entry()}
				for _, g := range by[holder] {
					holding.Grants = append(holding.Grants, g.entry())
				}
				if !yield(holding) {
					return
				}
			}
		}
	}
}

// grantsAt are the grants in force at a server.
func (m *memory) grantsAt(server policy.ServerEntry) []*grant {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []*grant
	for g := range m.grants.all() {
		if shared := *g.shared; g.inForce && shared[1] == server.Namespace && shared[2] == server.Name {
			found = append(found, g)
		}
	}
	return found
}

// clientsAt are those of some registrations that have a client of an authorization
// server.
func (m *memory) clientsAt(authorizationServer string, registered []objectKey) map[objectKey]*client {
	m.mu.RLock()
	defer m.mu.RUnlock()
	found := map[objectKey]*client{}
	for k, s := range m.shelves {
		if k.resource != registrations || k.value != authorizationServer {
			continue
		}
		for _, registration := range registered {
			if k.namespace != "" && k.namespace != registration.namespace {
				continue
			}
			if c := s.client(registration); c != nil {
				found[registration] = c
			}
		}
	}
	return found
}
