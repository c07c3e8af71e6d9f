// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	limits   = "mcp-registrar-limits"
	patterns = "mcp-registrar-patterns"
)

// client edits a registration with a redirect URI.
func interactive(uris ...v1alpha1.RedirectURI) *v1alpha1.MCPClientRegistration {
	r := registration("l-" + suffix())
	r.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode}
	r.Spec.RedirectURIs = uris
	return r
}

// native is an interactive client on a user's machine.
func native(uris ...v1alpha1.RedirectURI) *v1alpha1.MCPClientRegistration {
	r := interactive(uris...)
	r.Spec.ApplicationType = v1alpha1.ApplicationNative
	return r
}

func at(as string, r *v1alpha1.MCPClientRegistration) *v1alpha1.MCPClientRegistration {
	r.Spec.AuthorizationServerRef.Name = as
	return r
}

func fetching(uri string) *v1alpha1.MCPClientRegistration {
	r := registration("l-" + suffix())
	r.Spec.JWKSURI = uri
	return r
}

func method(m v1alpha1.TokenEndpointAuthMethod) *v1alpha1.MCPClientRegistration {
	r := registration("l-" + suffix())
	r.Spec.TokenEndpointAuthMethod = m
	return r
}

func grantTypes(types ...v1alpha1.GrantType) *v1alpha1.MCPClientRegistration {
	r := interactive("https://app.example.com/callback")
	r.Spec.GrantTypes = types
	return r
}

func owned[T client.Object](object T, by string) T { return with(object, v1alpha1.AnnotationOwner, by) }

func one[T client.Object](object T) func(*testing.T, client.Client) error {
	return creating(func() client.Object { return object })
}

func TestLimitsOnCreation(t *testing.T) {
	generated := registration("")
	generated.GenerateName = "l-"
	long, ownerless := registration("l-"+suffix()), owned(server("l-"+suffix()), "Team Payments")
	good, absent := "https://app.example.com/callback", at("absent", endingAt(owned(fetching("https://x.example.com/k"), "anyone"), inDays(4000)))
	try(t, []attempt{
		{"within", alice, one(endingAt(registration("l-"+suffix()), inDays(29))), "", nil},
		{"with a generated name", alice, one(generated), "", nil},
		{"beyond the lifetime", alice, one(endingAt(long, inDays(31))), limits,
			[]string{`beyond the maximum lifetime of 2592000 seconds that AuthorizationServer "strict" allows`, "for example mcp-registrar.dev/expires-at"}},
		{"beyond any lifetime", alice, one(with(registration("l-"+suffix()), v1alpha1.AnnotationExpiresAt, "9998-01-01T00:00:00Z")), limits, []string{"beyond the maximum lifetime"}},
		{"beyond, where there is no bound", alice, one(at("open", with(registration("l-"+suffix()), v1alpha1.AnnotationExpiresAt, "9998-01-01T00:00:00Z"))), "", nil},
		{"lapsed", alice, one(with(registration("l-"+suffix()), v1alpha1.AnnotationExpiresAt, "0001-01-02T00:00:00Z")), "", nil},
		{"at no authorization server", alice, one(absent), "", nil},
		{"grant types that are listed", alice, one(grantTypes(v1alpha1.GrantAuthorizationCode, v1alpha1.GrantClientCredentials)), "", nil},
		{"a grant type that is not", alice, one(grantTypes(v1alpha1.GrantAuthorizationCode, v1alpha1.GrantRefreshToken)), limits,
			[]string{"spec.grantTypes: RefreshToken is not allowed", "for example grantTypes: [ClientCredentials, AuthorizationCode]"}},
		{"a method that is not", alice, one(method(v1alpha1.AuthMethodClientSecretBasic)), limits,
			[]string{"spec.tokenEndpointAuthMethod: ClientSecretBasic is not allowed", "for example tokenEndpointAuthMethod: PrivateKeyJWT"}},
		{"any, where nothing is listed", alice, one(at("open", method(v1alpha1.AuthMethodClientSecretBasic))), "", nil},
		{"a redirect URI that matches", alice, one(interactive(v1alpha1.RedirectURI(good), "https://b.example.com")), "", nil},
		{"a redirect URI that matches in part", alice, one(interactive(v1alpha1.RedirectURI(good), "https://b.example.com/x")), patterns,
			[]string{"https://b.example.com/x", "matches no pattern", `for example one that matches https://app\.example\.com/.*`}},
		{"any redirect URI, where nothing is listed", alice, one(at("open", interactive("https://x.example.com/"))), "", nil},
		{"a private-use scheme that no pattern lists", alice, one(native("com.example.app:/callback")), patterns, []string{"com.example.app:/callback matches no pattern"}},
		{"a private-use scheme that a pattern does not name", alice, one(native("com.example.app:/anybody")), patterns, []string{"com.example.app:/anybody matches no pattern"}},
		{"a private-use scheme, where nothing is listed", alice, one(at("open", native("com.example.app:/callback"))), limits,
			[]string{"com.example.app:/callback is of a private-use scheme", "spec.policy.redirectURIPatterns", "for example redirectURIs: [http://127.0.0.1/callback]"}},
		{"a key set that is listed", alice, one(fetching("https://keys.example.com/a")), "", nil},
		{"a key set that is not", alice, one(fetching("https://keys.example.com/a/b")), patterns, []string{"spec.jwksURI: https://keys.example.com/a/b matches no pattern"}},
		{"a key set, where nothing is listed", alice, one(at("open", fetching("https://keys.example.com/a"))), limits,
			[]string{"spec.jwksURI", "lists no place to fetch keys from", "for example jwks: '{"}},
		{"an owner that does not match", alice, one(owned(registration("l-"+suffix()), "Team")), patterns,
			[]string{"mcp-registrar.dev/owner does not match the pattern", `for example mcp-registrar.dev/owner: "team-payments@example.com"`}},
		{"an owner that matches in part", alice, one(owned(registration("l-"+suffix()), "x "+testOwner)), patterns, []string{"does not match the pattern"}},
		{"a server's owner that does not match", owner, one(ownerless), patterns, []string{"does not match the pattern"}},
		{"any owner, where nothing is said", alice, one(at("open", owned(registration("l-"+suffix()), "Team"))), "", nil},
	})
}

// A pattern that cannot be read refuses nobody here: the controllers freeze.
func TestPatternsThatCannotBeRead(t *testing.T) {
	try(t, []attempt{
		{"owner", alice, one(at("broken", registration("l-"+suffix()))), "", nil},
		{"redirect URI", alice, one(at("broken", interactive("https://x.example.com/"))), "", nil},
		{"key set that the good one matches", alice, one(at("broken", fetching("https://keys.example.com/a"))), "", nil},
		{"key set that the good one does not match", alice, one(at("broken", fetching("https://keys.example.com/A"))), "", nil},
	})
}

// On update only what is new is judged.
func TestLimitsOnUpdate(t *testing.T) {
	w := use(t)
	as := open("narrowing")
	given(t, admin, as)
	r := at("narrowing", interactive("https://old.example.com/", "https://old.example.com/2"))
	r.Spec.GrantTypes = append(r.Spec.GrantTypes, v1alpha1.GrantRefreshToken)
	given(t, alice, owned(r, "Old Team"))
	as.Spec.Policy = authorizationServer("x").Spec.Policy
	if err := w.clients[admin].Update(t.Context(), as); err != nil {
		t.Fatal(err)
	}
	w.until(t, func() bool {
		return w.clients[alice].Create(t.Context(), at("narrowing", owned(registration("probe"), "Old Team")), client.DryRunAll) != nil
	})
	spec := func(change fields) func(*testing.T, client.Client) error { return patching(r, fields{"spec": change}) }
	try(t, []attempt{
		{"renamed", alice, spec(fields{"clientName": "Other"}), "", nil},
		{"renewed beyond the maximum, which the controllers refuse", alice, patching(r, annotations(v1alpha1.AnnotationExpiresAt, "2040-01-01T00:00:00Z")), "", nil},
		{"one redirect URI more", alice, spec(fields{"redirectURIs": []string{"https://old.example.com/", "https://app.example.com/"}}), "", nil},
		{"one that does not match", alice, spec(fields{"redirectURIs": []string{"https://old.example.com/", "https://new.example.com/"}}), patterns,
			[]string{"https://new.example.com/ matches no pattern"}},
		{"one fewer", alice, spec(fields{"redirectURIs": []string{"https://old.example.com/"}}), "", nil},
		{"a grant type more", alice, spec(fields{"grantTypes": []string{"AuthorizationCode", "RefreshToken", "ClientCredentials"}}), "", nil},
		{"one that is not listed", alice, spec(fields{"grantTypes": []string{"AuthorizationCode", "TokenExchange"}}), limits, []string{"TokenExchange is not allowed"}},
		{"a key set", alice, spec(fields{"jwksURI": "https://other.example.com/"}), patterns, []string{"matches no pattern"}},
		{"handed over to another that does not match", alice, patching(r, annotations(v1alpha1.AnnotationOwner, "New Team")), patterns, []string{"does not match the pattern"}},
		{"handed over", alice, patching(r, annotations(v1alpha1.AnnotationOwner, "new-team@example.com")), "", nil},
	})
}

// The largest wish against the largest policy is more work than the API server
// gives; it is left to the controllers, and no legitimate request fails.
func TestLimitsOfWork(t *testing.T) {
	as := open("large")
	as.Spec.Policy = &v1alpha1.RegistrationPolicy{}
	uris := make([]v1alpha1.RedirectURI, 32)
	for i := range uris {
		pattern := fmt.Sprintf("https://app%d.example.com/", i)
		as.Spec.Policy.RedirectURIPatterns = append(as.Spec.Policy.RedirectURIPatterns, pattern+strings.Repeat("[a-z]*", (512-len(pattern))/6))
		uris[i] = v1alpha1.RedirectURI(fmt.Sprintf("https://app%d.example.com/%s", 31-i, strings.Repeat("a", 480)))
	}
	given(t, admin, as)
	small := v1alpha1.RedirectURI("https://app7.example.com/callback")
	use(t).until(t, func() bool {
		return use(t).clients[alice].Create(t.Context(), at("large", interactive("https://x.example.com/")), client.DryRunAll) != nil
	})
	annotated := at("large", interactive(small))
	for i := range 128 - len(annotated.Annotations) {
		annotated.Annotations[fmt.Sprintf("example.com/%04d-%s", i, strings.Repeat("k", 40))] = strings.Repeat("v", 450)
	}
	try(t, []attempt{
		{"small", alice, one(at("large", interactive(small))), "", nil},
		{"as large as it gets", alice, one(at("large", interactive(uris...))), "", nil},
		{"with all the annotations that there may be", alice, one(annotated), "", nil},
	})
}
