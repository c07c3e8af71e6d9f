// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// A token with the entry scope of a guarded server opens a session at every server
// that takes the same scope: where one of them has no guard, nobody refuses it.
func TestReachableByTheEntryScope(t *testing.T) {
	t.Parallel()
	server := func(entry v1alpha1.ScopeName, scopes ...v1alpha1.ScopeName) *v1alpha1.MCPServer {
		s := &v1alpha1.MCPServer{}
		s.Spec.EntryScope = entry
		for _, name := range scopes {
			s.Spec.Scopes = append(s.Spec.Scopes, v1alpha1.Scope{Name: name})
		}
		return s
	}
	for name, c := range map[string]struct{ reached, other *v1alpha1.MCPServer }{
		"the same entry scope":          {server("mcp:enter", "a:read"), server("mcp:enter", "b:read")},
		"a scope that is granted there": {server("b:read", "a:read"), server("", "b:read")},
		"the entry scope there":         {server("", "a:read"), server("a:read", "b:read")},
	} {
		servers := map[string]*v1alpha1.MCPServer{"a/guarded": c.reached, "b/open": c.other}
		if got := Reachable([]string{"a/guarded"}, servers, false); !slices.Contains(got, "b/open") {
			t.Errorf("%s: %q", name, got)
		}
	}
	apart := map[string]*v1alpha1.MCPServer{"a/guarded": server("", "a:read"), "b/open": server("", "b:read")}
	if got := Reachable([]string{"a/guarded"}, apart, false); slices.Contains(got, "b/open") {
		t.Errorf("nothing in common: %q", got)
	}
}

// A metadata document that changes its mind about the server's own scopes, as those of
// two nodes behind one address do, changes no client: each has what it has.
func TestMetadataThatChangesItsMindIsNoWork(t *testing.T) {
	t.Parallel()
	f := refreshing(live)
	if !slices.Contains(f.Record.Client.Registered.Scopes, "offline_access") {
		t.Fatalf("registered: %q", f.Record.Client.Registered.Scopes)
	}
	f.change(func(as *v1alpha1.AuthorizationServer) {
		as.Status.Capabilities = less(as.Status.Capabilities, v1alpha1.CapabilityOfflineAccess)
	})
	if d := Registration(f, now); d.Action != Keep {
		t.Errorf("a client that has the scope: %s, wish %q", d.Action, d.Wish.Scopes)
	}
	f.change(func(as *v1alpha1.AuthorizationServer) {
		as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
	})
	if d := Registration(f, now); d.Action != Keep {
		t.Errorf("one that is frozen: %s, wish %q", d.Action, d.Wish.Scopes)
	}
	f = refreshing(live)
	f.change(func(as *v1alpha1.AuthorizationServer) {
		as.Status.Capabilities = less(as.Status.Capabilities, v1alpha1.CapabilityOfflineAccess)
	})
	f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
	f.Observed.Client.Registered.Scopes = WithoutOIDCScopes(f.Observed.Client.Registered.Scopes)
	if d := Registration(f, now); d.Action != Replace || slices.Contains(d.Wish.Scopes, "offline_access") {
		t.Errorf("where the server took it away itself: %s, wish %q", d.Action, d.Wish.Scopes)
	}
}

func less(all []v1alpha1.Capability, one v1alpha1.Capability) []v1alpha1.Capability {
	return slices.DeleteFunc(slices.Clone(all), func(c v1alpha1.Capability) bool { return c == one })
}

// A pattern that was written for hosts and paths is no leave for every program's
// scheme: one of a private-use scheme must name it.
func TestPatternsNamePrivateUseSchemes(t *testing.T) {
	t.Parallel()
	for pattern, allowed := range map[string]bool{
		".*": false, ".*/callback": false, `[a-z]+://.*/callback`: false, `[^:]+://app\.example\.com/callback`: false,
		`\w+://app\.example\.com/callback`: false, `(https|.+)://app\.example\.com/callback`: false,
		`cursor://app\.example\.com/callback`: true, `(cursor|vscode)://.*`: true, `(?i)cursor:.*`: true, `^cursor:.*$`: true,
	} {
		f := facts(func(f *RegistrationFacts) {
			f.Registration.Spec.ApplicationType = v1alpha1.ApplicationNative
			f.Registration.Spec.RedirectURIs = []v1alpha1.RedirectURI{"cursor://app.example.com/callback"}
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy = &v1alpha1.RegistrationPolicy{RedirectURIPatterns: []string{pattern}}
			})
		})
		if d := Registration(f, now); (d.Verdict.Standing == Allowed) != allowed {
			t.Errorf("%s: %+v", pattern, d.Verdict)
		}
	}
}

// Where there is room for one entry scope more, it is the same one in whatever order
// the grants were read.
func TestEntryScopesDoNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	crowd := func(scopes int) RegistrationFacts {
		return facts(func(f *RegistrationFacts) {
			var grants []*v1alpha1.ScopeGrant
			for i := range 2 {
				g := grant()
				g.Name, g.UID = fmt.Sprintf("grant-%d", i), g.UID+"x"
				g.Spec.Scopes = nil
				grants = append(grants, g)
			}
			withGrants(grants...)(f)
			for i, entry := range []v1alpha1.ScopeName{"a:enter", "b:enter"} {
				server := f.Grants[i].Server.Object.DeepCopy()
				server.Spec.EntryScope, server.Spec.Scopes = entry, nil
				for n := range scopes / 2 {
					name := v1alpha1.ScopeName(fmt.Sprintf("%d:scope-%d", i, n))
					server.Spec.Scopes = append(server.Spec.Scopes, v1alpha1.Scope{Name: name, Tier: v1alpha1.TierRead})
					f.Grants[i].Grant.Spec.Scopes = append(f.Grants[i].Grant.Spec.Scopes, name)
				}
				f.Grants[i].Server.Object = server
			}
		})
	}
	f := crowd(MaxScopes)
	f.Grants[1].Grant.Spec.Scopes = f.Grants[1].Grant.Spec.Scopes[1:]
	first := Registration(f, now)
	if len(first.Scopes) != MaxScopes {
		t.Fatalf("%d scopes: %+v", len(first.Scopes), first.Verdict)
	}
	turned := f
	turned.Grants = []GrantFacts{f.Grants[1], f.Grants[0]}
	if again := Registration(turned, now); !slices.EqualFunc(first.Scopes, again.Scopes, func(a, b v1alpha1.EffectiveScope) bool { return a.Name == b.Name }) {
		t.Errorf("in another order there are other scopes")
	}
}

// A grant type that is taken out of the spec goes also from what is frozen, as a scope
// and a redirect URI do.
func TestGrantTypesGoFromWhatIsFrozen(t *testing.T) {
	t.Parallel()
	f := refreshing(live)
	f.change(func(as *v1alpha1.AuthorizationServer) {
		as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
	})
	if d := Registration(f, now); d.Action != Keep {
		t.Fatalf("nothing was taken out: %s, %+v", d.Action, d.Verdict)
	}
	f.Registration.Spec.GrantTypes = slices.DeleteFunc(f.Registration.Spec.GrantTypes, func(g v1alpha1.GrantType) bool { return g == v1alpha1.GrantRefreshToken })
	f.Record.Client.Registered.Scopes = WithoutOIDCScopes(f.Record.Client.Registered.Scopes)
	if d := Registration(f, now); d.Action != Replace || slices.Contains(d.Wish.GrantTypes, "refresh_token") || len(d.Wish.GrantTypes) == 0 {
		t.Errorf("%s, wish %q: %+v", d.Action, d.Wish.GrantTypes, d.Verdict)
	}
}
