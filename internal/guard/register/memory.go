// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"slices"
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// objectKey names an object of a source.
type objectKey struct{ namespace, name string }

// memory is what is kept of objects. What is in it is never changed, only
// replaced, so that it can be handed out.
type memory struct {
	mu      sync.RWMutex
	pool    pool
	shelves map[sourceKey]*shelf
	servers map[guard.ServerName]policy.ServerEntry
	issuers map[string]policy.IssuerEntry
	// clients are by authorization server and client id, grants by name.
	clients map[string]index[client]
	grants  index[grant]
	denials denied
}

// shelf is what one source delivered.
type shelf struct {
	key sourceKey
	// read says that it was delivered whole once.
	read bool
	// clients and grants are by the object's name, and counted.
	clients index[client]
	grants  index[grant]
	kept    int
	others  map[objectKey]struct{}
}

func newMemory() *memory {
	return &memory{
		shelves: map[sourceKey]*shelf{},
		servers: map[guard.ServerName]policy.ServerEntry{}, issuers: map[string]policy.IssuerEntry{},
		clients: map[string]index[client]{}, grants: newIndex(func(g *grant) **grant { return &g.next }),
		denials: newDenied(),
	}
}

// open makes room for what a source delivers.
func (m *memory) open(k sourceKey) *shelf {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &shelf{
		key: k, others: map[objectKey]struct{}{},
		clients: newIndex(func(c *client) **client { return &c.beside }),
		grants:  newIndex(func(g *grant) **grant { return &g.beside }),
	}
	m.shelves[k] = s
	return s
}

// close forgets what a source delivered, and takes nothing of it any more.
func (m *memory) close(k sourceKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shelves[k]
	if s == nil {
		return
	}
	for _, object := range s.keys() {
		m.put(s, object, nil)
	}
	delete(m.shelves, k)
	if k.resource == registrations && len(m.clients[k.value].first) == 0 {
		delete(m.clients, k.value)
	}
}

// set takes what an object says; nil when it is gone or says nothing that can be
// read. It returns whom that may concern, and whether a client leaves by it.
func (m *memory) set(s *shelf, object objectKey, value any, now time.Time) ([]guard.Change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shelves[s.key] != s {
		return nil, false
	}
	// The operator waits for every denial to be acted on.
	leaves := s.key.resource == denials || s.key.resource == registrations && s.leaves(object, value, now)
	return m.put(s, object, value), leaves
}

// replace takes all that a source has.
func (m *memory) replace(s *shelf, values map[objectKey]any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shelves[s.key] != s {
		return
	}
	for _, object := range s.keys() {
		if _, there := values[object]; !there {
			m.put(s, object, nil)
		}
	}
	for object, value := range values {
		m.put(s, object, value)
	}
	s.read = true
}

// put puts one object where it belongs.
func (m *memory) put(s *shelf, object objectKey, value any) []guard.Change {
	switch s.key.resource {
	case registrations:
		entry, there := value.(policy.ClientEntry)
		return m.putClient(s, object, entry, there && fits(entry.Name, entry.UID, entry.ClientID))
	case grants:
		entry, there := value.(policy.GrantEntry)
		// What is not in force gives nothing, and a tenant makes as much of it as it likes.
		return m.putGrant(s, object, entry, there && entry.InForce && m.guards(entry) && fits(entry.Name))
	case denials:
		entry, there := value.(policy.DenialEntry)
		return m.putDenial(s, object, entry, there)
	}
	m.putOther(s, object, value)
	return []guard.Change{{}}
}

// putOther puts a server or the issuer of an authorization server.
func (m *memory) putOther(s *shelf, object objectKey, value any) {
	name := guard.ServerName{Namespace: object.namespace, Name: object.name}
	delete(s.others, object)
	switch s.key.resource {
	case servers:
		delete(m.servers, name)
		if entry, there := value.(policy.ServerEntry); there && !entry.Taken {
			m.servers[name], s.others[object] = entry, struct{}{}
		}
	case authorizationServers:
		delete(m.issuers, object.name)
		if issuer, there := value.(policy.IssuerEntry); there {
			m.issuers[object.name], s.others[object] = issuer, struct{}{}
		}
	}
}

func (m *memory) putClient(s *shelf, object objectKey, entry policy.ClientEntry, there bool) []guard.Change {
	var changes []guard.Change
	as := s.key.value
	byID, known := m.clients[as]
	if !known {
		byID = newIndex(func(c *client) **client { return &c.twin })
		m.clients[as] = byID
	}
	if old := s.client(object); old != nil {
		s.clients.remove(hashOf(object), old)
		s.kept--
		if id := old.clientID(); id != "" {
			byID.remove(hashOf(id), old)
			changes = append(changes, guard.Change{AuthorizationServer: as, ClientID: id})
		}
	}
	if !there {
		return changes
	}
	c := m.pool.client(entry)
	s.clients.add(hashOf(object), c)
	s.kept++
	id := entry.ClientID
	if id == "" {
		return changes
	}
	byID.add(hashOf(id), c)
	if len(changes) == 0 || changes[0].ClientID != id {
		changes = append(changes, guard.Change{AuthorizationServer: as, ClientID: id})
	}
	return changes
}

func (m *memory) putGrant(s *shelf, object objectKey, entry policy.GrantEntry, there bool) []guard.Change {
	var changes []guard.Change
	if old := s.grant(object); old != nil {
		s.grants.remove(hashOf(object), old)
		s.kept--
		m.grants.remove(hashOf(object), old)
		changes = m.holders(old.holder())
	}
	if !there {
		return changes
	}
	g := m.pool.grant(entry)
	s.grants.add(hashOf(object), g)
	s.kept++
	m.grants.add(hashOf(object), g)
	for _, change := range m.holders(g.holder()) {
		if !slices.Contains(changes, change) {
			changes = append(changes, change)
		}
	}
	return changes
}

// holders are the clients of a registration: one, or none that is known.
func (m *memory) holders(registration objectKey) []guard.Change {
	var found []guard.Change
	for k, s := range m.shelves {
		if k.resource != registrations {
			continue
		}
		if c := s.client(registration); c != nil && c.clientID() != "" {
			found = append(found, guard.Change{AuthorizationServer: k.value, ClientID: c.clientID()})
		}
	}
	return found
}

// guards says that a grant is about a server that is guarded here: others have
// servers of the same name.
func (m *memory) guards(entry policy.GrantEntry) bool {
	_, guarded := m.shelves[serverSource(guard.ServerName{Namespace: entry.ServerNamespace, Name: entry.Server})]
	return guarded
}

// leaves says that what an event says of a registration takes its client away:
// the operator waits to hear that it was taken in.
func (s *shelf) leaves(object objectKey, value any, now time.Time) bool {
	entry, there := value.(policy.ClientEntry)
	switch {
	case !there, entry.Left != "", !entry.EndsAt.IsZero() && !now.Before(entry.EndsAt):
		return true
	case entry.ClientID != "":
		return false
	}
	old := s.client(object)
	return old != nil && old.clientID() != ""
}

func (s *shelf) client(object objectKey) *client {
	for c := range s.clients.of(hashOf(object)) {
		if c.key() == object {
			return c
		}
	}
	return nil
}

func (s *shelf) grant(object objectKey) *grant {
	for g := range s.grants.of(hashOf(object)) {
		if g.key() == object {
			return g
		}
	}
	return nil
}

// keys are the objects on a shelf.
func (s *shelf) keys() []objectKey {
	var keys []objectKey
	for c := range s.clients.all() {
		keys = append(keys, c.key())
	}
	for g := range s.grants.all() {
		keys = append(keys, g.key())
	}
	for object := range s.others {
		keys = append(keys, object)
	}
	return keys
}
