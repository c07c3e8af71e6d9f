// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const (
	openIDPath = "/.well-known/openid-configuration"
	oauthPath  = "/.well-known/oauth-authorization-server"
)

func (f *fixture) set(s devas.Switches) {
	f.Helper()
	if err := f.server.Set(s); err != nil {
		f.Fatal(err)
	}
}

func TestDiscovery(t *testing.T) {
	f := start(t, devas.Options{ScopesSupported: []string{"read"}})
	issuer := f.server.Issuer()
	doc := f.get(issuer+openIDPath, "")
	if other := f.get(issuer+oauthPath, ""); !cmp.Equal(doc.json, other.json) {
		t.Errorf("the documents differ: %s", cmp.Diff(doc.json, other.json))
	}
	want := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
		"registration_endpoint": issuer + "/register", "revocation_endpoint": issuer + "/revoke",
		"introspection_endpoint": issuer + "/introspect", "jwks_uri": issuer + "/keys",
		"code_challenge_methods_supported":               []any{"S256"},
		"grant_types_supported":                          []any{"authorization_code", "refresh_token", "client_credentials"},
		"response_types_supported":                       []any{"code"},
		"token_endpoint_auth_methods_supported":          []any{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
		"authorization_response_iss_parameter_supported": true,
		"scopes_supported":                               []any{"read"},
	}
	for name, value := range want {
		if !cmp.Equal(doc.json[name], value) {
			t.Errorf("%s: got %v, want %v", name, doc.json[name], value)
		}
	}
}

func TestDiscoverySwitches(t *testing.T) {
	f := start(t, devas.Options{})
	f.set(devas.Switches{HideS256: true, Issuer: "https://foreign.example.com", RegistrationOrigin: "http://127.0.0.1:1"})
	doc := f.get(f.server.Issuer()+oauthPath, "")
	if _, ok := doc.json["code_challenge_methods_supported"]; ok {
		t.Error("S256 is published")
	}
	if doc.text("issuer") != "https://foreign.example.com" || doc.text("registration_endpoint") != "http://127.0.0.1:1/register" {
		t.Errorf("document: %v", doc.json)
	}
	if doc.text("token_endpoint") != f.server.Issuer()+"/token" {
		t.Errorf("token endpoint: %s", doc.text("token_endpoint"))
	}
}

func TestRegistrationSwitches(t *testing.T) {
	tests := map[string]struct {
		switches devas.Switches
		field    string
		want     any
	}{
		"narrowed scopes":       {devas.Switches{OnlyScopes: []string{"read"}}, "scope", "read"},
		"scopes narrowed away":  {devas.Switches{OnlyScopes: []string{}}, "scope", ""},
		"narrowed grants":       {devas.Switches{OnlyGrantTypes: []string{"authorization_code"}}, "grant_types", []any{"authorization_code"}},
		"extra scope":           {devas.Switches{ExtraScope: "admin"}, "scope", "read write admin"},
		"extra grant":           {devas.Switches{ExtraGrantType: "client_credentials"}, "grant_types", []any{"authorization_code", "refresh_token", "client_credentials"}},
		"extra redirect URI":    {devas.Switches{ExtraRedirectURI: "https://x.example.com/cb"}, "redirect_uris", []any{redirect, "https://x.example.com/cb"}},
		"another method":        {devas.Switches{AuthMethod: "client_secret_basic"}, "token_endpoint_auth_method", "client_secret_basic"},
		"unknown field dropped": {devas.Switches{DropUnknownFields: true}, "x_custom", nil},
		"software id dropped":   {devas.Switches{DropSoftware: true}, "software_id", nil},
		"version dropped":       {devas.Switches{DropSoftware: true}, "software_version", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := start(t, devas.Options{})
			f.set(test.switches)
			r := f.registered(public(map[string]any{"x_custom": "kept"}))
			if !cmp.Equal(r.json[test.field], test.want) {
				t.Errorf("registered %s: got %v, want %v", test.field, r.json[test.field], test.want)
			}
			read := f.get(r.text("registration_client_uri"), r.text("registration_access_token"))
			if !cmp.Equal(read.json, r.json) {
				t.Errorf("a read differs: %s", cmp.Diff(r.json, read.json))
			}
			if id := f.server.Clients()[0].SoftwareID; id != "uid-1" {
				t.Errorf("software id on the admin surface: %q", id)
			}
		})
	}
}

func TestNarrowedToNothingAllowsNothing(t *testing.T) {
	f := start(t, devas.Options{})
	f.set(devas.Switches{OnlyScopes: []string{}})
	c := credentialsOf(f.registered(confidential(nil)))
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}
	wantError(t, f.token(c, form), http.StatusBadRequest, "invalid_scope")
}

func TestSecretSwitches(t *testing.T) {
	f := start(t, devas.Options{})
	f.set(devas.Switches{SecretForPublic: true})
	if r := f.registered(public(nil)); r.text("client_secret") == "" || r.text("token_endpoint_auth_method") != "none" {
		t.Errorf("public client: %v", r.json)
	}
	f.set(devas.Switches{SecretExpired: true})
	r := f.registered(confidential(nil))
	if expires, _ := r.json["client_secret_expires_at"].(float64); expires <= 0 || int64(expires) >= wall.Now().Unix() {
		t.Errorf("expires at %v", expires)
	}
	wantError(t, f.clientCredentials(credentialsOf(r)), http.StatusUnauthorized, "invalid_client")
	f.set(devas.Switches{RotateSecretOnPut: true})
	put := f.sendJSON(http.MethodPut, r.text("registration_client_uri"), r.text("registration_access_token"),
		confidential(map[string]any{"client_id": r.text("client_id")}))
	if put.text("client_secret") == "" || put.text("client_secret") == r.text("client_secret") {
		t.Fatalf("the secret was not rotated: %v", put.json)
	}
	wantError(t, f.clientCredentials(credentialsOf(r)), http.StatusUnauthorized, "invalid_client")
	if got := f.clientCredentials(credentialsOf(put)); got.status != http.StatusOK {
		t.Errorf("with the new secret: %d %v", got.status, got.json)
	}
}

func TestClientURIOnAnotherOrigin(t *testing.T) {
	f := start(t, devas.Options{})
	f.set(devas.Switches{ClientURIOrigin: "https://evil.example.com"})
	r := f.registered(public(nil))
	if uri := r.text("registration_client_uri"); uri != "https://evil.example.com/register/"+r.text("client_id") {
		t.Errorf("registration_client_uri: %s", uri)
	}
}

func TestLatencySwitch(t *testing.T) {
	f := start(t, devas.Options{Switches: devas.Switches{LatencyMillis: 50}})
	begin := wall.Now()
	f.get(f.server.Issuer()+openIDPath, "")
	if took := wall.Since(begin); took < 50*time.Millisecond {
		t.Errorf("took %s", took)
	}
}

func TestSwitchesRefused(t *testing.T) {
	f := start(t, devas.Options{})
	for _, s := range []devas.Switches{{RotateRegistrationToken: "sometimes"}, {LatencyMillis: -1}, {TokenLifetimeSeconds: -1}} {
		if err := f.server.Set(s); err == nil {
			t.Errorf("accepted %+v", s)
		}
	}
}

func TestPKCESwitches(t *testing.T) {
	tests := map[string]struct {
		switches devas.Switches
		// whether each kind of request gets a code
		none, plain, s256 bool
	}{
		"neither":  {devas.Switches{}, false, false, true},
		"plain":    {devas.Switches{AcceptPlain: true}, false, true, true},
		"optional": {devas.Switches{PKCEOptional: true}, true, true, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := start(t, devas.Options{})
			f.set(test.switches)
			c := credentialsOf(f.registered(public(nil)))
			verifier, challenge := pkce()
			for method, want := range map[string]bool{"": test.none, "plain": test.plain, "S256": test.s256} {
				params := authorization(c.id, map[string]string{"plain": verifier, "S256": challenge}[method])
				params.Set("code_challenge_method", method)
				if method == "" {
					params.Del("code_challenge")
					params.Del("code_challenge_method")
				}
				response, _ := f.authorize(params)
				if got := response.Get("code") != ""; got != want {
					t.Errorf("%q: code %t, want %t", method, got, want)
				}
				if want {
					f.redeemed(c, response.Get("code"), verifier)
				}
			}
			f.wantVerified(c, test.switches.PKCEOptional)
		})
	}
}

func (f *fixture) redeemed(c credentials, code, verifier string) {
	f.Helper()
	if r := f.token(c, exchange(code, verifier)); r.status != http.StatusOK {
		f.Errorf("redeeming: %d %v", r.status, r.json)
	}
}

// wantVerified redeems a code with a wrong verifier.
func (f *fixture) wantVerified(c credentials, accepted bool) {
	f.Helper()
	_, challenge := pkce()
	response, _ := f.authorize(authorization(c.id, challenge))
	other, _ := pkce()
	if r := f.token(c, exchange(response.Get("code"), other)); (r.status == http.StatusOK) != accepted {
		f.Errorf("a wrong verifier: %d %v", r.status, r.json)
	}
}

func TestTokenSwitches(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(confidential(nil)))
	f.set(devas.Switches{TokenAudience: "https://else.example.com", TokenScope: "admin", TokenLifetimeSeconds: 7200})
	r := f.clientCredentials(c)
	got := f.verified(r.text("access_token"))
	if !cmp.Equal([]string(got.Audience), []string{"https://else.example.com"}) || got.Scope != "read write admin" {
		t.Errorf("claims: %+v", got)
	}
	if life := got.Expiry.Time().Sub(got.IssuedAt.Time()).Round(10 * time.Second); life != 2*time.Hour || r.json["expires_in"] != 7200.0 {
		t.Errorf("lives for %s, expires in %v", life, r.json["expires_in"])
	}
	f.set(devas.Switches{})
	if got := f.verified(f.clientCredentials(c).text("access_token")); got.Scope != "read write" || !cmp.Equal([]string(got.Audience), []string{resource}) {
		t.Errorf("claims without switches: %+v", got)
	}
}

func TestPlainIsPublishedWhereAccepted(t *testing.T) {
	f := start(t, devas.Options{})
	f.set(devas.Switches{AcceptPlain: true})
	if got := f.get(f.server.Issuer()+oauthPath, "").json["code_challenge_methods_supported"]; !cmp.Equal(got, []any{"S256", "plain"}) {
		t.Errorf("methods: %v", got)
	}
}
