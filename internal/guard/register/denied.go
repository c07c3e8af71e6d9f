// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"maps"
	"slices"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// denied are the denials there are. memory.mu guards it.
type denied struct {
	byName map[string]policy.DenialEntry
	// clients and registrations are the names of denials, by whom they name.
	clients       map[string]map[string]struct{}
	registrations map[objectKey]map[string]struct{}
	// servers counts the denials that name an authorization server.
	servers map[string]int
	// misread are those that name nobody known.
	misread map[string]struct{}
}

func newDenied() denied {
	return denied{
		byName: map[string]policy.DenialEntry{}, clients: map[string]map[string]struct{}{},
		registrations: map[objectKey]map[string]struct{}{}, servers: map[string]int{}, misread: map[string]struct{}{},
	}
}

// putDenial puts or takes away a denial. It returns the clients that it may be
// about.
func (m *memory) putDenial(s *shelf, object objectKey, entry policy.DenialEntry, there bool) []guard.Change {
	var changes []guard.Change
	if old, known := m.denials.byName[object.name]; known {
		m.denials.remove(old)
		changes = m.namedBy(old)
	}
	delete(s.others, object)
	if !there {
		return changes
	}
	s.others[object] = struct{}{}
	m.denials.add(entry)
	for _, change := range m.namedBy(entry) {
		if !slices.Contains(changes, change) {
			changes = append(changes, change)
		}
	}
	return changes
}

func (d *denied) add(entry policy.DenialEntry) {
	d.byName[entry.Name] = entry
	if !entry.Understood() {
		d.misread[entry.Name] = struct{}{}
	}
	if entry.ClientID != "" {
		enter(d.clients, entry.ClientID, entry.Name)
		d.servers[entry.AuthorizationServer]++
	}
	if entry.Registration != "" {
		enter(d.registrations, objectKey{entry.Namespace, entry.Registration}, entry.Name)
	}
}

func (d *denied) remove(entry policy.DenialEntry) {
	delete(d.byName, entry.Name)
	delete(d.misread, entry.Name)
	leave(d.clients, entry.ClientID, entry.Name)
	leave(d.registrations, objectKey{entry.Namespace, entry.Registration}, entry.Name)
	if entry.ClientID == "" {
		return
	}
	if d.servers[entry.AuthorizationServer]--; d.servers[entry.AuthorizationServer] == 0 {
		delete(d.servers, entry.AuthorizationServer)
	}
}

func enter[K comparable](sets map[K]map[string]struct{}, key K, name string) {
	if sets[key] == nil {
		sets[key] = map[string]struct{}{}
	}
	sets[key][name] = struct{}{}
}

func leave[K comparable](sets map[K]map[string]struct{}, key K, name string) {
	delete(sets[key], name)
	if len(sets[key]) == 0 {
		delete(sets, key)
	}
}

// namedBy are the clients that a denial may be about, at the authorization servers
// that are known.
func (m *memory) namedBy(entry policy.DenialEntry) []guard.Change {
	var found []guard.Change
	if entry.Registration != "" {
		found = m.holders(objectKey{entry.Namespace, entry.Registration})
	}
	if entry.ClientID == "" {
		return found
	}
	for name := range m.issuers {
		if m.sameIssuer(name, entry.AuthorizationServer) {
			found = append(found, guard.Change{AuthorizationServer: name, ClientID: entry.ClientID})
		}
	}
	return found
}

// sameIssuer says that two authorization servers are one, or have one issuer.
func (m *memory) sameIssuer(one, other string) bool {
	return one == other || m.issuers[one].Issuer != "" && m.issuers[one].Issuer == m.issuers[other].Issuer
}

// denialsOf are the denials that name a client of a server, or a registration that
// has it.
func (m *memory) denialsOf(server guard.Server, clientID string) []policy.DenialEntry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.denials.byName) == 0 || clientID == "" {
		return nil
	}
	var found []policy.DenialEntry
	for name := range m.denials.clients[clientID] {
		if entry := m.denials.byName[name]; m.sameIssuer(server.AuthorizationServer, entry.AuthorizationServer) {
			found = append(found, entry)
		}
	}
	byID, known := m.clients[server.AuthorizationServer]
	if !known || len(m.denials.registrations) == 0 {
		return found
	}
	for c := range byID.of(hashOf(clientID)) {
		if c.clientID() != clientID {
			continue
		}
		holder := c.entry()
		for name := range m.denials.registrations[c.key()] {
			if entry := m.denials.byName[name]; entry.Holds(holder) {
				found = append(found, entry)
			}
		}
	}
	return found
}

// deniedServers are the authorization servers that denials name.
func (m *memory) deniedServers() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.denials.servers))
}

// denialCounts are how many denials are kept, and how many of them are misread.
func (m *memory) denialCounts() (kept, misread int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.denials.byName), len(m.denials.misread)
}

// maxOpen is how many denials that are not acted on the Lease names.
const maxOpen = 16

// openDenials are the denials that are known and not, or not fully, acted on: they
// name nobody that is known, or an authorization server that was not read yet.
func (m *memory) openDenials() (open []string, more bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	open = slices.Collect(maps.Keys(m.denials.misread))
	for server := range m.denials.servers {
		if s := m.shelves[sourceKey{authorizationServers, "", fieldName, server}]; s != nil && s.read {
			continue
		}
		for name, entry := range m.denials.byName {
			if entry.ClientID != "" && entry.AuthorizationServer == server {
				open = append(open, name)
			}
		}
	}
	slices.Sort(open)
	open = slices.Compact(open)
	return open[:min(len(open), maxOpen)], len(open) > maxOpen
}
