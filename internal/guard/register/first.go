// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"iter"
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
	by map[guard.ServerName]firstScopes
}

type firstScopes struct {
	at     time.Time
	scopes []string
}

// FirstScopes implements guard.Register.
func (r *Register) FirstScopes(server guard.Server) []string {
	now := r.clock.Now()
	if server.EntryScope != "" {
		return policy.FirstScopes(server.ServerEntry, nil, now)
	}
	name := guard.ServerName{Namespace: server.Namespace, Name: server.Name}
	r.first.mu.Lock()
	defer r.first.mu.Unlock()
	known, there := r.first.by[name]
	if age := now.Sub(known.at); there && age >= 0 && age < firstFor {
		return known.scopes
	}
	if r.first.by == nil || len(r.first.by) > maxFirst {
		r.first.by = map[guard.ServerName]firstScopes{}
	}
	scopes := r.memory.firstScopes(server.ServerEntry, now)
	r.first.by[name] = firstScopes{at: now, scopes: scopes}
	return scopes
}

// maxFirst is more servers than a guard serves; names of servers come and go.
const maxFirst = 4096

func (m *memory) firstScopes(server policy.ServerEntry, now time.Time) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return policy.FirstScopes(server, m.holdings(server), now)
}

// holdings are the clients with a grant at a server, with their grants. m.mu is held.
func (m *memory) holdings(server policy.ServerEntry) iter.Seq[policy.Holding] {
	return func(yield func(policy.Holding) bool) {
		by := map[objectKey][]policy.GrantEntry{}
		for g := range m.grants.all() {
			if shared := *g.shared; g.inForce && shared[1] == server.Namespace && shared[2] == server.Name {
				by[g.holder()] = append(by[g.holder()], g.entry())
			}
		}
		for k, s := range m.shelves {
			if k.resource != registrations || k.value != server.AuthorizationServer {
				continue
			}
			for holder, grants := range by {
				if c := s.client(holder); c != nil && !yield(policy.Holding{Client: c.entry(), Grants: grants}) {
					return
				}
			}
		}
	}
}
