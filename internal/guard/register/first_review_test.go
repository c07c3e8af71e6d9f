// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"fmt"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// BenchmarkFirstScopes is what one challenge costs every two seconds at a server with
// a hundred thousand clients, and for how long the news of a revocation waits for it.
func BenchmarkFirstScopes(b *testing.B) {
	m := newMemory()
	server := policy.ServerEntry{Namespace: "team-0", Name: "files", AuthorizationServer: "as", Scopes: []policy.CatalogueScope{{Name: "files:read"}, {Name: "files:write"}, {Name: "files:list"}}}
	m.open(serverSource(guard.ServerName{Namespace: "team-0", Name: "files"}))
	const namespaces = 50
	var regs, given [namespaces]*shelf
	for i := range namespaces {
		namespace := fmt.Sprintf("team-%d", i)
		regs[i] = m.open(sourceKey{registrations, namespace, fieldAuthorizationServer, "as"})
		given[i] = m.open(sourceKey{grants, namespace, fieldServer, "files"})
	}
	until := time.Now().Add(time.Hour)
	for i := range 100_000 {
		at := i % namespaces
		id, namespace := fmt.Sprintf("client-%d", i), fmt.Sprintf("team-%d", at)
		m.put(regs[at], objectKey{namespace, id}, policy.ClientEntry{Namespace: namespace, Name: id, UID: id, ClientID: id, Owner: "o", EndsAt: until,
			Scopes: []policy.EntryScope{{Name: "files:read", Grants: []string{id}}}})
		m.put(given[at], objectKey{namespace, id}, policy.GrantEntry{Namespace: namespace, Name: id, Client: id, ServerNamespace: "team-0", Server: "files", Scopes: []string{"files:read"}, EndsAt: until, InForce: true})
	}
	b.ReportAllocs()
	for b.Loop() {
		if scopes := policy.FirstScopes(server, m.holdings(server), time.Now()); len(scopes) != 1 {
			b.Fatalf("%q", scopes)
		}
	}
}
