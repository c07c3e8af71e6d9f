// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// refreshing is a registration that refreshes tokens at a server with its own scopes.
func refreshing(change func(*RegistrationFacts)) RegistrationFacts {
	return facts(func(f *RegistrationFacts) {
		f.Registration.Spec.GrantTypes = append(f.Registration.Spec.GrantTypes, v1alpha1.GrantRefreshToken)
		as := f.AuthorizationServer.Object
		as.Status.Capabilities = append(as.Status.Capabilities, v1alpha1.CapabilityOpenID, v1alpha1.CapabilityOfflineAccess)
		change(f)
	})
}

func TestScopesOfTheAuthorizationServerItself(t *testing.T) {
	t.Parallel()
	allow := func(scopes ...v1alpha1.OIDCScope) func(*RegistrationFacts) {
		return func(f *RegistrationFacts) {
			f.AuthorizationServer.Object.Spec.Policy = &v1alpha1.RegistrationPolicy{AllowedOIDCScopes: &scopes}
		}
	}
	for name, c := range map[string]struct {
		change func(*RegistrationFacts)
		want   []string
	}{
		"what refreshing needs, left out":    {func(*RegistrationFacts) {}, []string{"offline_access"}},
		"both, where the policy allows them": {allow(v1alpha1.OIDCScopeOfflineAccess, v1alpha1.OIDCScopeOpenID), []string{"offline_access", "openid"}},
		"none without RefreshToken":          {func(f *RegistrationFacts) { f.Registration.Spec.GrantTypes = f.Registration.Spec.GrantTypes[:1] }, nil},
		"none that the server does not have": {func(f *RegistrationFacts) { f.AuthorizationServer.Object.Status.Capabilities = nil }, nil},
		"one that the policy allows":         {allow(v1alpha1.OIDCScopeOfflineAccess), []string{"offline_access"}},
		"none, where the policy allows none": {allow(), nil},
		"openid is not registered everywhere": {func(f *RegistrationFacts) {
			allow(v1alpha1.OIDCScopeOfflineAccess, v1alpha1.OIDCScopeOpenID)(f)
			f.Traits.OpenIDImplied = true
		}, []string{"offline_access"}},
		"none while the server is not there":   {func(f *RegistrationFacts) { f.AuthorizationServer = AuthorizationServerFact{Is: Absent} }, nil},
		"none where the server has not spoken": {func(f *RegistrationFacts) { f.AuthorizationServer.Object.Status = v1alpha1.AuthorizationServerStatus{} }, nil},
	} {
		f := refreshing(c.change)
		d := Registration(f, now)
		own := slices.DeleteFunc(slices.Clone(d.Wish.Scopes), func(s string) bool { return !isOIDCScope(s) })
		if !slices.Equal(own, c.want) {
			t.Errorf("%s: wished for %q, want %q", name, own, c.want)
		}
		if slices.ContainsFunc(d.Scopes, func(s v1alpha1.EffectiveScope) bool { return isOIDCScope(s.Name) }) {
			t.Errorf("%s: granted %v", name, d.Scopes)
		}
		if !slices.IsSorted(d.Wish.Scopes) {
			t.Errorf("%s: %q is not sorted", name, d.Wish.Scopes)
		}
	}
}

// A client without a grant in force has nothing, whatever scopes of the server itself
// it is registered with.
func TestServersOwnScopesAreNoGrant(t *testing.T) {
	t.Parallel()
	f := refreshing(func(f *RegistrationFacts) { f.Grants = nil })
	if d := Registration(f, now); d.Verdict.Standing != Refused || d.Verdict.Cause != v1alpha1.CauseNoGrantInForce {
		t.Errorf("without a grant: %+v", d.Verdict)
	}
}

// Every client with a grant in force is registered with the entry scope of the
// server, by that grant, and loses it with the grant.
func TestEntryScopeIsRegistered(t *testing.T) {
	t.Parallel()
	entering := func(change func(*RegistrationFacts)) RegistrationFacts {
		return facts(func(f *RegistrationFacts) {
			f.Grants[0].Server.Object = f.Grants[0].Server.Object.DeepCopy()
			f.Grants[0].Server.Object.Spec.EntryScope = "mcp:enter"
			change(f)
		})
	}
	f := entering(func(*RegistrationFacts) {})
	d := Registration(f, now)
	at := slices.IndexFunc(d.Scopes, func(s v1alpha1.EffectiveScope) bool { return s.Name == "mcp:enter" })
	if at < 0 || !slices.Equal(d.Scopes[at].Grants, []string{f.Grants[0].Grant.Name}) || !slices.Contains(d.Wish.Scopes, "mcp:enter") {
		t.Errorf("scopes %v, wish %q", d.Scopes, d.Wish.Scopes)
	}
	ended := entering(func(f *RegistrationFacts) { f.Grants[0].Grant.Spec.Scopes = []v1alpha1.ScopeName{"unheard:of"} })
	if d := Registration(ended, now); slices.Contains(d.Wish.Scopes, "mcp:enter") || d.Verdict.Cause != v1alpha1.CauseNoGrantInForce {
		t.Errorf("of a grant that is not in force: %q, %+v", d.Wish.Scopes, d.Verdict)
	}
	if d := Server(ServerFacts{Server: f.Grants[0].Server.Object, AuthorizationServer: f.AuthorizationServer, Claims: alone, Room: NewRoom(nil)}); d.Standing != Allowed {
		t.Errorf("the server: %+v", d)
	}
	for name, scope := range map[string]v1alpha1.ScopeName{
		"one that is granted": f.Grants[0].Server.Object.Spec.Scopes[0].Name, "a wildcard": "mcp:*", "one of the authorization server": "offline_access",
	} {
		server := f.Grants[0].Server.Object.DeepCopy()
		server.Spec.EntryScope = scope
		if d := Server(ServerFacts{Server: server, AuthorizationServer: f.AuthorizationServer}); d.Reason != v1alpha1.ReasonScopeNotAllowed {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// While a server cannot be read, its clients keep what they have of it, the entry
// scope too; what the client has by other grants goes all the same.
func TestEntryScopeOfAServerThatIsNotKnown(t *testing.T) {
	t.Parallel()
	f := liveFacts(func(f *RegistrationFacts) {
		name, granted := f.Grants[0].Grant.Name, string(f.Grants[0].Grant.Spec.Scopes[0])
		f.Grants[0].Server = ServerFact{Is: Unknown}
		f.Registration.Status.Scopes = []v1alpha1.EffectiveScope{
			{Name: granted, Grants: []string{name}}, {Name: "mcp:enter", Grants: []string{name}}, {Name: "gone:read", Grants: []string{"gone"}},
		}
		f.Record.Client.Registered.Scopes = []string{granted, "gone:read", "mcp:enter"}
	})
	d := Registration(f, now)
	if d.Action != Replace || !slices.Contains(d.Wish.Scopes, "mcp:enter") || slices.Contains(d.Wish.Scopes, "gone:read") {
		t.Errorf("%s, wish %q: %+v", d.Action, d.Wish.Scopes, d.Verdict)
	}
}

// What is frozen keeps the server's own scopes as long as they are wished for or the
// server is not known, and a client that has nothing else is revoked.
func TestServersOwnScopesOfWhatIsFrozen(t *testing.T) {
	t.Parallel()
	frozen := func(change func(*RegistrationFacts)) RegistrationDecision {
		return Registration(liveFacts(func(f *RegistrationFacts) {
			f.Registration.Spec.GrantTypes = append(f.Registration.Spec.GrantTypes, v1alpha1.GrantRefreshToken)
			f.Record.Client.Registered.Scopes = append(f.Record.Client.Registered.Scopes, "offline_access")
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Status.Capabilities = append(as.Status.Capabilities, v1alpha1.CapabilityOfflineAccess)
			})
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
			})
			change(f)
		}), now)
	}
	if d := frozen(func(f *RegistrationFacts) {
		f.change(func(as *v1alpha1.AuthorizationServer) { as.Status = v1alpha1.AuthorizationServerStatus{} })
	}); d.Action != Keep {
		t.Errorf("the server has not spoken: %s %q", d.Action, d.Wish.Scopes)
	}
	none := func(f *RegistrationFacts) {
		f.change(func(as *v1alpha1.AuthorizationServer) {
			as.Spec.Policy = &v1alpha1.RegistrationPolicy{AllowedOIDCScopes: &[]v1alpha1.OIDCScope{}}
		})
	}
	if d := frozen(none); d.Action != Replace || slices.Contains(d.Wish.Scopes, "offline_access") {
		t.Errorf("the policy allows none: %s %q", d.Action, d.Wish.Scopes)
	}
	if d := frozen(func(f *RegistrationFacts) {
		f.Record.Client.Registered.Scopes = []string{"gone:read", "offline_access"}
	}); d.Action != Revoke {
		t.Errorf("nothing granted is left: %s %q", d.Action, d.Wish.Scopes)
	}
}
