// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"slices"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// server returns a server whose authorization server is known. needs are the
// sources that must have been read before anything can be said about it.
func (m *memory) server(name guard.ServerName, needs func(policy.ServerEntry) []sourceKey) (guard.Server, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	entry, known := m.servers[name]
	if !known {
		return guard.Server{}, false
	}
	issuer, known := m.issuers[entry.AuthorizationServer]
	if !known || issuer.Issuer == "" {
		return guard.Server{}, false
	}
	for _, k := range needs(entry) {
		if s := m.shelves[k]; s == nil || !s.read {
			return guard.Server{}, false
		}
	}
	return guard.Server{ServerEntry: entry, Issuer: issuer.Issuer, Tokens: issuer.Tokens}, true
}

func (m *memory) clientsOf(authorizationServer, clientID string) []policy.ClientEntry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []policy.ClientEntry
	byID, known := m.clients[authorizationServer]
	if !known || clientID == "" {
		return nil
	}
	for c := range byID.of(hashOf(clientID)) {
		if c.clientID() == clientID {
			found = append(found, c.entry())
		}
	}
	return found
}

func (m *memory) grantsOf(client policy.ClientEntry) []policy.GrantEntry {
	names, holder := client.GrantNames(), objectKey{client.Namespace, client.Name}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []policy.GrantEntry
	for _, name := range names {
		object := objectKey{client.Namespace, name}
		for g := range m.grants.of(hashOf(object)) {
			if g.key() == object && g.holder() == holder {
				found = append(found, g.entry())
			}
		}
	}
	return found
}

// authorizationServers are those that servers name, each once.
func (m *memory) authorizationServers() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var names []string
	for _, entry := range m.servers {
		if !slices.Contains(names, entry.AuthorizationServer) {
			names = append(names, entry.AuthorizationServer)
		}
	}
	slices.Sort(names)
	return names
}

// counts are how many registrations and grants are kept.
func (m *memory) counts() (clients, granted int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for k, s := range m.shelves {
		switch k.resource {
		case registrations:
			clients += s.kept
		case grants:
			granted += s.kept
		}
	}
	return clients, granted
}
