// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestDenied(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	plain := func() DenialFacts {
		reg := &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{
			Namespace: "agents", Name: "bot", ResourceVersion: "120", DeletionTimestamp: &metav1.Time{Time: at},
			Annotations: map[string]string{v1alpha1.AnnotationOwner: "team", v1alpha1.AnnotationExpiresAt: "2027-01-01T00:00:00Z"},
		}}
		reg.Status.ClientID = "c1"
		guard := Guard{Namespace: "tools", Servers: []string{"tools/invoices"}, Seen: "120", Until: at.Add(time.Minute)}
		return DenialFacts{
			Registration: reg, ClientID: "c1", Reached: []string{"tools/invoices"}, Guarded: map[string][]string{"tools/invoices": {"tools"}},
			GuardsAre: Present, Guards: []Guard{guard},
		}
	}
	for _, test := range []struct {
		name   string
		change func(*DenialFacts)
		want   bool
	}{
		{"the guard has seen the deletion", func(*DenialFacts) {}, true},
		{"it has seen more", func(f *DenialFacts) { f.Guards[0].Seen = "1000" }, true},
		{"it has seen less", func(f *DenialFacts) { f.Guards[0].Seen = "99" }, false},
		{"it does not say what it has seen", func(f *DenialFacts) { f.Guards[0].Seen = "" }, false},
		{"what it says is no number", func(f *DenialFacts) { f.Guards[0].Seen = "9z" }, false},
		{"it may go on no more", func(f *DenialFacts) { f.Guards[0].Seen, f.Guards[0].Until = "", at.Add(-11*time.Second) }, true},
		{"its clock may go slower", func(f *DenialFacts) { f.Guards[0].Seen, f.Guards[0].Until = "", at.Add(-9*time.Second) }, false},
		{"a second guard lags", func(f *DenialFacts) { f.Guards = append(f.Guards, f.Guards[0]); f.Guards[1].Seen = "1" }, false},
		{"a guard of another server lags", func(f *DenialFacts) {
			f.Guards = append(f.Guards, Guard{Namespace: "tools", Servers: []string{"tools/other"}, Until: at.Add(time.Hour)})
		}, true},
		{"a stranger's lease says that it lags", func(f *DenialFacts) {
			f.Guards = append(f.Guards, f.Guards[0])
			f.Guards[1].Seen, f.Guards[1].Namespace = "", "elsewhere"
		}, true},
		{"only a stranger's lease says that it has seen it", func(f *DenialFacts) { f.Guards[0].Namespace = "elsewhere" }, false},
		{"its revocation began and it stands as before", func(f *DenialFacts) {
			f.Registration.DeletionTimestamp = nil
			f.Registration.Status.Revocation = &v1alpha1.Revocation{ClientID: "c1"}
		}, true},
		{"there is no guard", func(f *DenialFacts) { f.Guards = nil }, false},
		{"guards could not be listed", func(f *DenialFacts) { f.GuardsAre = Unknown }, false},
		{"the server is open", func(f *DenialFacts) { f.Guarded = nil }, false},
		{"another server that it reached is open", func(f *DenialFacts) { f.Reached = append(f.Reached, "tools/open") }, false},
		{"what it reached is not known", func(f *DenialFacts) { f.Reached = nil }, false},
		{"the object still stands", func(f *DenialFacts) { f.Registration.DeletionTimestamp = nil }, false},
		{"it stands for another client now", func(f *DenialFacts) { f.Registration.DeletionTimestamp, f.Registration.Status.ClientID = nil, "c2" }, true},
		{"it has expired", func(f *DenialFacts) {
			f.Registration.DeletionTimestamp = nil
			f.Registration.Annotations[v1alpha1.AnnotationExpiresAt] = at.Format(time.RFC3339)
		}, true},
		{"it expires a second later", func(f *DenialFacts) {
			f.Registration.DeletionTimestamp = nil
			f.Registration.Annotations[v1alpha1.AnnotationExpiresAt] = at.Add(time.Second).Format(time.RFC3339)
		}, false},
		{"it is suspended", func(f *DenialFacts) {
			f.Registration.DeletionTimestamp, f.Registration.Spec.State = nil, v1alpha1.StateSuspended
		}, true},
	} {
		facts := plain()
		test.change(&facts)
		if got := Denied(facts, at); got != test.want {
			t.Errorf("%s: denied is %v", test.name, got)
		}
	}
}

func TestReachedOnlyGrows(t *testing.T) {
	t.Parallel()
	grant := func(namespace, server string) GrantInForce {
		g := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "agents"}}
		g.Spec.ServerRef = v1alpha1.ServerReference{Name: server, Namespace: namespace}
		return GrantInForce{Grant: g}
	}
	first := Reached(nil, []GrantInForce{grant("tools", "b"), grant("", "a"), grant("tools", "b")})
	if want := []string{"agents/a", "tools/b"}; !slices.Equal(first, want) {
		t.Errorf("reached %q, want %q", first, want)
	}
	if got := Reached(first, nil); !slices.Equal(got, first) {
		t.Errorf("without a grant: reached %q, want %q", got, first)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	server := func(scopes ...v1alpha1.ScopeName) *v1alpha1.MCPServer {
		s := &v1alpha1.MCPServer{}
		for _, name := range scopes {
			s.Spec.Scopes = append(s.Spec.Scopes, v1alpha1.Scope{Name: name})
		}
		return s
	}
	servers := map[string]*v1alpha1.MCPServer{
		"a/files": server("files:read", "files:write"), "b/copy": server("other", "files:write"), "c/notes": server("notes:read"),
		"d/twin": server("files:read"), "e/other": server("unlike"),
	}
	servers["a/files"].Spec.Resource, servers["b/copy"].Spec.Resource = "https://files.example.com", "https://copy.example.com"
	servers["d/twin"].Spec.Resource, servers["d/twin"].Spec.Audience = "https://twin.example.com", "https://files.example.com"
	servers["e/other"].Spec.Resource = "https://files.example.com"
	for _, test := range []struct {
		reached []string
		bound   bool
		want    []string
	}{
		{[]string{"a/files"}, false, []string{"a/files", "b/copy", "d/twin"}},
		{[]string{"a/files"}, true, []string{"a/files", "d/twin"}},
		{[]string{"d/twin"}, true, []string{"a/files", "d/twin"}},
		{[]string{"b/copy"}, true, []string{"b/copy"}},
		{[]string{"c/notes"}, false, []string{"c/notes"}},
		{[]string{"*", "gone/server"}, true, []string{"*", "gone/server"}},
	} {
		if got := Reachable(test.reached, servers, test.bound); !slices.Equal(got, test.want) {
			t.Errorf("from %q, bound %t: %q, want %q", test.reached, test.bound, got, test.want)
		}
	}
}
