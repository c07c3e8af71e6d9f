// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"fmt"
	"slices"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

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

// What clients have in common is asked of those with a grant at the server and a client
// of its authorization server, by their namespace, and kept for a while.
func TestFirstScopesAreThoseOfItsClients(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	r := &Register{clock: clock, agreed: clock, memory: newMemory()}
	m := r.memory
	m.open(serverSource(guard.ServerName{Namespace: "a", Name: "files"}))
	server := guard.Server{ServerEntry: policy.ServerEntry{Namespace: "a", Name: "files", AuthorizationServer: "as", Scopes: []policy.CatalogueScope{{Name: "read"}, {Name: "write"}}}}
	until := clock.Now().Add(time.Hour)
	add := func(namespace, as, at string, scopes ...string) {
		grant := policy.GrantEntry{Namespace: namespace, Name: "g", Client: "c", ServerNamespace: at, Server: "files", Scopes: scopes, EndsAt: until, InForce: true}
		entry := policy.ClientEntry{Namespace: namespace, Name: "c", UID: "u", ClientID: namespace, Owner: "o", EndsAt: until}
		for _, scope := range scopes {
			entry.Scopes = append(entry.Scopes, policy.EntryScope{Name: scope, Grants: []string{"g"}})
		}
		m.put(m.open(sourceKey{registrations, namespace, fieldAuthorizationServer, as}), objectKey{namespace, "c"}, entry)
		m.put(m.open(sourceKey{grants, namespace, fieldServer, "files"}), objectKey{namespace, "g"}, grant)
	}
	want := func(name string, scopes ...string) {
		t.Helper()
		if got := r.FirstScopes(server); !slices.Equal(got, scopes) {
			t.Errorf("%s: %q, want %q", name, got, scopes)
		}
	}
	want("no clients")
	add("a", "as", "a", "read", "write")
	want("kept")
	clock.SetTime(clock.Now().Add(firstFor))
	want("one client", "read", "write")
	add("b", "as", "a", "read")
	add("c", "other", "a", "write")
	clock.SetTime(clock.Now().Add(firstFor))
	want("two clients, and one of another authorization server", "read")
	clock.SetTime(clock.Now().Add(-time.Minute))
	add("d", "as", "a", "write")
	want("a clock that was set back")
}

// News come in while somebody asks.
func TestNewsComeInWhileFirstScopesAreLookedFor(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	r := &Register{clock: clock, memory: newMemory()}
	m := r.memory
	m.open(serverSource(guard.ServerName{Namespace: "a", Name: "files"}))
	regs, given := m.open(sourceKey{registrations, "", fieldAuthorizationServer, "as"}), m.open(sourceKey{grants, "", fieldServer, "files"})
	server := policy.ServerEntry{Namespace: "a", Name: "files", AuthorizationServer: "as", Scopes: []policy.CatalogueScope{{Name: "read"}}}
	until := r.clock.Now().Add(time.Hour)
	set := func(i int) {
		id := fmt.Sprint(i)
		m.set(regs, objectKey{"a", id}, policy.ClientEntry{Namespace: "a", Name: id, UID: id, ClientID: id, EndsAt: until, Scopes: []policy.EntryScope{{Name: "read", Grants: []string{id}}}}, until)
		m.set(given, objectKey{"a", id}, policy.GrantEntry{Namespace: "a", Name: id, Client: id, ServerNamespace: "a", Server: "files", Scopes: []string{"read"}, EndsAt: until, InForce: true}, until)
	}
	for i := range 3 * holdersAtOnce {
		set(i)
	}
	seen := 0
	for holding := range m.holdings(server) {
		if len(holding.Grants) != 1 || holding.Grants[0].Client != holding.Client.Name {
			t.Fatalf("%+v", holding)
		}
		// This would never return if a lock were held.
		if seen++; seen%holdersAtOnce == 0 {
			set(seen)
		}
	}
	if seen != 3*holdersAtOnce {
		t.Errorf("%d clients were seen", seen)
	}
}
