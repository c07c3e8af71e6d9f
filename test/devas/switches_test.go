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
		"token_endpoint_auth_methods_supported":          []any{"none", "client_secret_basic", "private_key_jwt"},
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
	for _, s := range []devas.Switches{{RotateRegistrationToken: "sometimes"}, {LatencyMillis: -1}} {
		if err := f.server.Set(s); err == nil {
			t.Errorf("accepted %+v", s)
		}
	}
}
