// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestGrantNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scopes []EntryScope
		want   []string
	}{
		"none":                       {nil, nil},
		"of no grant":                {[]EntryScope{{Name: "a"}}, nil},
		"each once":                  {[]EntryScope{{"a", []string{"y", "x"}}, {"b", []string{"y", "x"}}, {"c", []string{"z", "x"}}}, []string{"x", "y", "z"}},
		"those before and afterward": {[]EntryScope{{"a", []string{"x"}}, {"b", nil}, {"c", []string{"x"}}}, []string{"x"}},
	} {
		if diff := cmp.Diff(c.want, ClientEntry{Scopes: c.scopes}.GrantNames()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// randomCall is a call of a client at a server, with grants by any of whose names the
// client may have scopes.
func randomCall(r *rand.Rand) CallFacts {
	names, scopes, tools := []string{"g1", "g2", "g3", "g4"}, []string{"read", "write", "enter"}, []string{"", "look", "change"}
	some := func(of []string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(string) bool { return r.IntN(2) == 0 })
	}
	at := func() time.Time { return accessNow.Add(time.Duration(r.IntN(4)-1) * time.Hour) }
	f := CallFacts{
		Server: ServerEntry{Namespace: "tools", Name: "files", EntryScope: pick(r, "", "enter"), WithholdChanged: r.IntN(2) == 0},
		Scopes: some(scopes), Tool: pick(r, tools...), Untied: r.IntN(4) == 0,
	}
	client := ClientEntry{Namespace: "team", Name: "bot", ClientID: "c", EndsAt: accessNow.Add(time.Hour)}
	for _, scope := range scopes {
		f.Server.Scopes = append(f.Server.Scopes, CatalogueScope{Name: scope, Tier: pick(r, v1alpha1.TierRead, v1alpha1.TierWrite), Tools: some(tools[1:])})
		client.Scopes = append(client.Scopes, EntryScope{Name: scope, Grants: some(names)})
	}
	f.Clients = []ClientEntry{client}
	for _, name := range names {
		f.Grants = append(f.Grants, GrantEntry{
			Namespace: "team", Name: name, Client: pick(r, "bot", "bot", "another"), ServerNamespace: "tools", Server: pick(r, "files", "files", "other"),
			Scopes: some(scopes), ChangedTools: some(tools[1:]), EndsAt: at(), InForce: r.IntN(4) > 0,
		})
	}
	return f
}

// A grant by which the client has no scope changes no decision, whatever it says: whoever
// decides may leave it out.
func TestOtherGrantsChangeNothing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	allowed, fewer := 0, 0
	for range 20_000 {
		all := randomCall(r)
		named := all
		names := all.Clients[0].GrantNames()
		named.Grants = slices.DeleteFunc(slices.Clone(all.Grants), func(g GrantEntry) bool { return !slices.Contains(names, g.Name) })
		want, got := Call(all, accessNow), Call(named, accessNow)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%+v (-of all +of those by which it has scopes):\n%s", all, diff)
		}
		if Listed(all, accessNow) != Listed(named, accessNow) || !slices.Equal(StillGiven(all, accessNow), StillGiven(named, accessNow)) {
			t.Fatalf("%+v is listed or told of otherwise", all)
		}
		if want.Refusal == "" {
			allowed++
		}
		if len(named.Grants) < len(all.Grants) {
			fewer++
		}
	}
	if allowed < 1000 || fewer < 1000 {
		t.Errorf("only %d calls were allowed, and only %d had grants to leave out", allowed, fewer)
	}
}
