// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// crowd is a guard whose register has one client with many grants in force beside two with
// one each. It counts the entries that are visited.
type crowd struct {
	*desk
	engine          *guard.Engine
	clients, given  *source
	visits, lookups int
}

// Age implements guard.Register: there is no API server to hear of.
func (c *crowd) Age() (time.Duration, bool) { return 0, true }

// Clients implements guard.Register, and counts.
func (c *crowd) Clients(authorizationServer, clientID string) []policy.ClientEntry {
	c.lookups++
	return c.desk.Clients(authorizationServer, clientID)
}

// Record implements guard.Recorder.
func (c *crowd) Record(guard.Request, guard.Verdict) {}

// Verify implements guard.Tokens: a token is the id of its client.
func (c *crowd) Verify(_ context.Context, shown guard.Presentation, _ guard.TokenQuestion) (guard.Token, error) {
	return guard.Token{Issuer: "https://as.example.com", ClientID: shown.Token, Subject: "s", Scopes: []string{"read"}, ExpiresAt: start.Add(time.Hour)}, nil
}

// StillGood implements guard.Tokens.
func (c *crowd) StillGood(_ context.Context, known guard.Token, _ string, _ guard.TokenQuestion) (guard.Token, error) {
	return known, nil
}

const (
	// crowded has many grants, single and idle have one each.
	crowded, single, idle = "crowded", "single", "idle"
	readTool, writeTool   = "read_file", "write_file"
)

func newCrowd(granted int) *crowd {
	c := &crowd{desk: newDesk()}
	m := c.memory
	for k, entry := range map[sourceKey]any{
		issuerAt: policy.IssuerEntry{Issuer: "https://as.example.com"},
		serverSource(files): policy.ServerEntry{
			Namespace: files.Namespace, Name: files.Name, Resource: "https://mcp.example.com/files", AuthorizationServer: "as",
			Scopes: []policy.CatalogueScope{{Name: "read", Tools: []string{readTool}}, {Name: "write", Tools: []string{writeTool}}},
		},
		denialsAt: nil,
	} {
		name := k.value
		m.replace(c.source(k).shelf, map[objectKey]any{{k.namespace, name}: entry})
	}
	c.clients, c.given = c.source(clientsAt), c.source(grantsAt)
	m.replace(c.clients.shelf, nil)
	m.replace(c.given.shelf, nil)
	for id, n := range map[string]int{crowded: granted, single: 1, idle: 1} {
		entry := policy.ClientEntry{Namespace: "team", Name: id, UID: id, ClientID: id, Owner: "o", EndsAt: start.Add(time.Hour)}
		var names []string
		for i := range n {
			c.grant(id, i, true)
			if i < policy.MaxGrants {
				names = append(names, nameOf(id, i))
			}
		}
		// No more than these does the operator have a client live on.
		entry.Scopes = []policy.EntryScope{{Name: "read", Grants: names}}
		m.put(c.clients.shelf, objectKey{"team", id}, entry)
	}
	c.engine = guard.New(guard.Options{Register: c, Tokens: c, Recorder: c, Clock: c.clock, MaxStaleness: time.Minute})
	c.count()
	return c
}

func nameOf(id string, i int) string { return fmt.Sprintf("%s-%d", id, i) }

// grant has a client have a grant, or not, as an event of the API server does.
func (c *crowd) grant(id string, i int, inForce bool) {
	entry := policy.GrantEntry{
		Namespace: "team", Name: nameOf(id, i), Client: id, ServerNamespace: files.Namespace, Server: files.Name,
		Scopes: []string{"read"}, EndsAt: start.Add(time.Duration(i+1) * time.Hour), InForce: inForce,
	}
	changes, _ := c.memory.set(c.given.shelf, objectKey{"team", entry.Name}, entry, start)
	c.tell(changes)
}

// count has every step along an index counted.
func (c *crowd) count() {
	m := c.memory
	next, twin := m.grants.next, m.clients["as"].next
	m.grants.next = func(g *grant) **grant { c.visits++; return next(g) }
	m.clients["as"] = index[client]{first: m.clients["as"].first, next: func(k *client) **client { c.visits++; return twin(k) }}
}

func calls(id, tool string) guard.Request {
	return guard.Request{Server: files, Authorization: []string{"Bearer " + id}, Message: guard.Message{Kind: guard.Call, Method: "tools/call", ID: "1", Tool: tool}}
}

func listens(id string) guard.Request {
	return guard.Request{Server: files, Authorization: []string{"Bearer " + id}, Message: guard.Message{Kind: guard.Listen}}
}

// visited is how many entries something visits.
func (c *crowd) visited(what func()) int {
	before := c.visits
	what()
	return c.visits - before
}

// However many grants of one client there are, neither its own calls nor those of others
// visit more of them than it lives on, and an event about one of them visits no others.
func TestManyGrantsOfOneClientAreNotVisited(t *testing.T) {
	seen := map[int]map[string]int{}
	for _, granted := range []int{1, policy.MaxGrants, 100, 10_000} {
		c := newCrowd(granted)
		decides := func(r guard.Request, want guard.Reason) func() {
			return func() {
				if v := c.engine.Decide(t.Context(), r); v.Reason != want {
					t.Errorf("%d grants: %s %s", granted, v.Reason, v.Text)
				}
			}
		}
		seen[granted] = map[string]int{
			"its call":             c.visited(decides(calls(crowded, readTool), guard.ReasonAllowed)),
			"its refused call":     c.visited(decides(calls(crowded, writeTool), guard.Reason(policy.RefusedNoGrant))),
			"its list":             c.visited(func() { c.engine.Callable(c.engine.Decide(t.Context(), calls(crowded, readTool)))(readTool) }),
			"another's call":       c.visited(decides(calls(single, readTool), guard.ReasonAllowed)),
			"a grant that changes": c.visited(func() { c.grant(crowded, 0, true) }),
			"a grant that leaves":  c.visited(func() { c.grant(crowded, 0, false) }),
			"a grant that comes":   c.visited(func() { c.grant(crowded, granted, true) }),
		}
		t.Logf("%d grants: %v", granted, seen[granted])
	}
	for what, most := range seen[policy.MaxGrants] {
		for granted, visits := range seen {
			if visits[what] > most {
				t.Errorf("%s: %d entries visited with %d grants, %d with %d", what, visits[what], granted, most, policy.MaxGrants)
			}
		}
	}
	if one := seen[1]["another's call"]; one != seen[10_000]["another's call"] {
		t.Errorf("another's call visits %d and %d entries", one, seen[10_000]["another's call"])
	}
}

// What is under way of a client is looked at when something of that client changes, and of
// others nothing. The look at all that is under way costs each the same, however many
// grants somebody else has.
func TestWhatIsUnderWayOfOthersIsNotLookedAt(t *testing.T) {
	const streams = 20
	perStream := map[int]int{}
	for _, granted := range []int{1, 10_000} {
		c := newCrowd(granted)
		for _, id := range []string{single, idle} {
			for range streams {
				v := c.engine.Decide(t.Context(), listens(id))
				if !v.Allowed() {
					t.Fatal(v.Reason, v.Text)
				}
				held, release := c.engine.Hold(t.Context(), listens(id), v)
				defer release()
				defer func() {
					if held.Err() != nil {
						t.Errorf("%d grants: %v", granted, context.Cause(held))
					}
				}()
			}
		}
		c.lookups = 0
		c.grant(crowded, 0, true)
		c.grant(crowded, granted, true)
		c.grant(crowded, granted, false)
		if c.lookups != 0 {
			t.Errorf("%d grants: %d lookups of others when a grant changes", granted, c.lookups)
		}
		c.grant(single, 0, true)
		if c.lookups != streams {
			t.Errorf("%d grants: %d lookups for %d streams of the client itself", granted, c.lookups, streams)
		}
		c.lookups = 0
		perStream[granted] = c.visited(func() { c.tell([]guard.Change{everything}) })
		if c.lookups != 2*streams {
			t.Errorf("%d grants: %d lookups for %d streams in all", granted, c.lookups, 2*streams)
		}
	}
	if perStream[1] != perStream[10_000] {
		t.Errorf("a look at all that is under way visits %d entries beside a client with 1 grant, %d beside one with 10,000", perStream[1], perStream[10_000])
	}
}

// BenchmarkDecide is what a decision takes, of a client with many grants and of one beside it.
func BenchmarkDecide(b *testing.B) {
	for _, granted := range []int{1, 100, 10_000} {
		for _, id := range []string{crowded, single} {
			b.Run(fmt.Sprintf("grants=%d/%s", granted, id), func(b *testing.B) {
				c, r := newCrowd(granted), calls(id, readTool)
				b.ReportAllocs()
				for b.Loop() {
					if v := c.engine.Decide(b.Context(), r); !v.Allowed() {
						b.Fatal(v.Reason)
					}
				}
			})
		}
	}
}
