// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// What is empty names nobody, and nobody gets nothing.
func TestT13EmptyIdentityIsDenied(t *testing.T) {
	for name, spoil := range map[string]func(*RegistrationFacts){
		"no owner":                  func(f *RegistrationFacts) { remove(f.Registration, v1alpha1.AnnotationOwner) },
		"empty owner":               func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationOwner, "") },
		"blank owner":               func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationOwner, " \t\u2003") },
		"blank owner of the grant":  func(f *RegistrationFacts) { annotate(f.Grants[0].Grant, v1alpha1.AnnotationOwner, "\n") },
		"blank owner of the server": func(f *RegistrationFacts) { annotate(f.Grants[0].Server.Object, v1alpha1.AnnotationOwner, " ") },
		"empty end":                 func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationExpiresAt, "") },
		"empty end of the grant":    func(f *RegistrationFacts) { annotate(f.Grants[0].Grant, v1alpha1.AnnotationExpiresAt, "") },
		"no annotations":            func(f *RegistrationFacts) { f.Registration.Annotations = nil },
		"no namespaces admitted":    func(f *RegistrationFacts) { f.AuthorizationServer.Object.Spec.AllowedNamespaces = nil },
		"namespaces admitted by ''": func(f *RegistrationFacts) { f.AuthorizationServer.Object.Spec.AllowedNamespaces.From = "" },
		"selector without selector": func(f *RegistrationFacts) {
			f.AuthorizationServer.Object.Spec.AllowedNamespaces.From = v1alpha1.NamespacesSelector
		},
		"scope without a name":       func(f *RegistrationFacts) { f.Grants[0].Grant.Spec.Scopes = []v1alpha1.ScopeName{""} },
		"no scopes":                  func(f *RegistrationFacts) { f.Grants[0].Grant.Spec.Scopes = nil },
		"unknown grant type ''":      func(f *RegistrationFacts) { f.Registration.Spec.GrantTypes = []v1alpha1.GrantType{""} },
		"unknown authentication ''":  func(f *RegistrationFacts) { f.Registration.Spec.TokenEndpointAuthMethod = "" },
		"server in another place ''": func(f *RegistrationFacts) { abroad(&v1alpha1.AllowedClients{})(f.Grants[0].Server.Object) },
	} {
		t.Run(name, func(t *testing.T) {
			f := facts()
			spoil(&f)
			if d := Registration(f, now); d.Action != Nothing || d.Verdict.Standing == Allowed {
				t.Errorf("%s, %+v", d.Action, d.Verdict)
			}
		})
	}
	if d := Registration(RegistrationFacts{Registration: registration()}, now); d.Action != Nothing {
		t.Errorf("of nothing known: %s", d.Action)
	}
	if d := Registration(RegistrationFacts{Registration: &v1alpha1.MCPClientRegistration{}}, now); d.Action != Nothing {
		t.Errorf("of an empty object: %s", d.Action)
	}
}

// An approval counts only with both names, and they are two people's.
func TestT13EmptyPeopleApproveNothing(t *testing.T) {
	approved := func(requester, changer, by string) GrantFacts {
		f := checked(grant(giving("payer", "invoices:pay")), func(f *GrantFacts) { f.Grant.Spec.Reason = "ticket 1" }, deciding(v1alpha1.DecisionApproved), approvedBy(by))
		f.Approvals[0].Spec.RequestedBy = ""
		annotate(f.Grant, v1alpha1.AnnotationRequestedBy, requester)
		annotate(f.Grant, v1alpha1.AnnotationChangedBy, changer)
		return f
	}
	if d := Grant(approved("alice", "", "olga"), now); !d.InForce {
		t.Fatalf("the test shows nothing: %+v", d.Verdict)
	}
	for name, f := range map[string]GrantFacts{
		"nobody approved":              approved("alice", "", ""),
		"nobody asked":                 approved("", "", "olga"),
		"nobody asked and approved":    approved("", "", ""),
		"who asked approved":           approved("alice", "", "alice"),
		"who changed it last approved": approved("alice", "olga", "olga"),
	} {
		if d := Grant(f, now); d.InForce {
			t.Errorf("%s: in force", name)
		}
	}
}

// Tokens of a client are for the servers whose grants are in force, and for no
// other, however many grants name it.
func TestT16ResourcesAreThoseOfGrantsInForce(t *testing.T) {
	const inForce, lapsed, denied = "https://mcp.example.com/invoices", "https://mcp.example.com/lapsed", "https://mcp.example.com/denied"
	f := facts(func(f *RegistrationFacts) {
		for resource, change := range map[string]func(*GrantFacts){
			lapsed: func(g *GrantFacts) { setEnd(g.Grant, now.Add(-1)) },
			denied: func(g *GrantFacts) { abroad(nil)(g.Server.Object) },
		} {
			one := grantFacts(grant(giving(resource[len("https://mcp.example.com/"):], "invoices:export")), change)
			one.AuthorizationServer = f.AuthorizationServer
			one.Server.Object.Spec.Resource = resource
			f.Grants = append(f.Grants, one)
		}
	})
	d := Registration(f, now)
	if d.Action != Register || !slices.Equal(d.Resources, []string{inForce}) || !slices.Equal(d.Wish.Scopes, []string{"invoices:read"}) {
		t.Errorf("%s for %q with %q: %+v", d.Action, d.Resources, d.Wish.Scopes, d.Verdict)
	}
}

// A random client is never for a resource that no grant in force names.
func TestT16RandomResources(t *testing.T) {
	seed, r := seeded(t)
	given := 0
	for i := range 5_000 {
		f := randomFacts(r)
		d := Registration(f, now)
		for _, resource := range slices.Concat(d.Resources, d.Wish.Audiences) {
			given++
			if !slices.ContainsFunc(f.Grants, func(g GrantFacts) bool {
				return g.Server.Object != nil && g.Server.Object.Spec.Resource == resource && Grant(g, now).InForce
			}) {
				t.Fatalf("seed %d, round %d: for %s, which no grant in force names", seed, i, resource)
			}
		}
	}
	if given < 100 {
		t.Errorf("only %d resources came up", given)
	}
}

// A tenant names a place for the authorization server to fetch from only where
// the platform team lists it, in full.
func TestT17PlacesToFetchFromAreListed(t *testing.T) {
	const listed = `https://keys\.example\.com/[a-z]+`
	for uri, want := range map[string]Action{
		"https://keys.example.com/agent":                       Register,
		"https://keys.example.com/agent/../admin":              Nothing,
		"https://keys.example.com/agent\n":                     Nothing,
		"https://keys.example.com/agent?x=1":                   Nothing,
		"https://keys.example.com.evil.example/a":              Nothing,
		"https://keys.example.com@127.0.0.1/agent":             Nothing,
		"https://evil.example/?https://keys.example.com/agent": Nothing,
		"http://169.254.169.254/latest":                        Nothing,
		"https://keysXexample.com/agent":                       Nothing,
	} {
		f := facts(func(f *RegistrationFacts) {
			privateKeyJWT(f.Registration)
			f.Registration.Spec.JWKSURI = uri
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.JWKSURIPatterns = []string{listed} })
		})
		if d := Registration(f, now); d.Action != want {
			t.Errorf("%q: %s, want %s", uri, d.Action, want)
		}
		f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.JWKSURIPatterns = nil })
		if d := Registration(f, now); d.Action != Nothing || d.Verdict.Reason != v1alpha1.ReasonJWKSNotAllowed {
			t.Errorf("%q, and nothing is listed: %s, %+v", uri, d.Action, d.Verdict)
		}
	}
}
