// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"iter"
	"slices"
	"time"
)

// Holding is a client with its grants.
type Holding struct {
	Client ClientEntry
	Grants []GrantEntry
}

// FirstScopes are the scopes that clients are told to ask for before it is known who
// they are. Each of them must be one that every client is registered with, because
// authorization servers refuse who asks for more: the entry scope, or, without one,
// those of the least powerful tier that every client with a grant in force has. There
// may be none.
func FirstScopes(server ServerEntry, holdings iter.Seq[Holding], now time.Time) []string {
	if server.EntryScope != "" {
		return []string{server.EntryScope}
	}
	common := CallFacts{Server: server}.candidates()
	some := false
	for holding := range holdings {
		if holding.Client.ClientID == "" || holding.Client.Left != "" || expired(now, holding.Client.EndsAt) {
			continue
		}
		held := slices.DeleteFunc(slices.Clone(common), func(scope CatalogueScope) bool {
			return !holding.has(server, scope.Name, now)
		})
		if len(held) == 0 && !holding.anything(server, now) {
			continue
		}
		if common, some = held, true; len(common) == 0 {
			return nil
		}
	}
	if !some {
		return nil
	}
	return leastPowerful(common)
}

// leastPowerful are the scopes of the least powerful tier of some that are in the order
// of their power.
func leastPowerful(scopes []CatalogueScope) []string {
	var names []string
	for _, scope := range scopes {
		if rank(scope.Tier) == rank(scopes[0].Tier) {
			names = append(names, scope.Name)
		}
	}
	return names
}

// StillGiven are the scopes of a token that grants in force give its client at the
// server now, whatever became of the token: none of those that are not the server's, and
// none to a client that may not call.
func StillGiven(f CallFacts, now time.Time) []string {
	if Caller(f, now).Refusal != "" {
		return nil
	}
	holding := Holding{Client: f.Clients[0], Grants: f.Grants}
	return slices.DeleteFunc(slices.Clone(f.Scopes), func(scope string) bool { return !holding.has(f.Server, scope, now) })
}

// Listed reports whether a list of tools shows one to a client: one that it may call
// and, at a server with an entry scope, one that it may call as soon as it asks for a
// scope that it was granted. Nobody calls what they are not shown, and so nobody who
// begins with the entry scope alone would ever ask for more.
func Listed(f CallFacts, now time.Time) bool {
	if f.Tool == "" {
		return false
	}
	refusal := Call(f, now).Refusal
	return refusal == "" || refusal == RefusedScopeMissing && f.Server.EntryScope != ""
}

// has says that a grant in force gives a scope of a server.
func (h Holding) has(server ServerEntry, scope string, now time.Time) bool {
	return slices.ContainsFunc(h.Grants, func(g GrantEntry) bool { return g.gives(server, h.Client, scope, now) })
}

// anything says that a grant in force gives some scope of a server.
func (h Holding) anything(server ServerEntry, now time.Time) bool {
	return slices.ContainsFunc(server.Scopes, func(scope CatalogueScope) bool { return h.has(server, scope.Name, now) })
}
