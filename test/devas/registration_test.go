// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func TestRegistrationAnswersEverythingRegistered(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(public(map[string]any{"token_endpoint_auth_method": "client_secret_basic", "x_custom": "kept", "client_id": "mine"}))
	for _, name := range []string{
		"client_id", "client_secret", "client_id_issued_at", "client_secret_expires_at", "registration_client_uri",
		"registration_access_token", "client_name", "redirect_uris", "grant_types", "response_types",
		"token_endpoint_auth_method", "scope", "software_id", "software_version", "x_custom",
	} {
		if _, ok := r.json[name]; !ok {
			t.Errorf("%s is missing: %v", name, r.json)
		}
	}
	if r.header.Get("Cache-Control") != "no-store" || r.json["client_secret_expires_at"] != 0.0 || r.text("client_id") == "mine" {
		t.Errorf("answer: %v %v", r.header, r.json)
	}
	pub := f.registered(public(nil))
	if _, ok := pub.json["client_secret"]; ok {
		t.Error("a public client got a secret")
	}
	if n := f.server.Counts().Total(devas.Register); n != 2 {
		t.Errorf("%d registrations counted", n)
	}
}

func TestRegistrationRefused(t *testing.T) {
	f := start(t, devas.Options{ScopesSupported: []string{"read", "write"}})
	key, _ := keyPair(t)
	private := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "k1"}}}
	broken := map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "x": "bad", "y": "bad"}}}
	tests := map[string]struct {
		body any
		code string
	}{
		"no redirect URI":            {public(map[string]any{"redirect_uris": nil}), "invalid_redirect_uri"},
		"http redirect URI":          {public(map[string]any{"redirect_uris": []string{"http://app.example.com/cb"}}), "invalid_redirect_uri"},
		"fragment in redirect URI":   {public(map[string]any{"redirect_uris": []string{redirect + "#f"}}), "invalid_redirect_uri"},
		"wildcard in redirect URI":   {public(map[string]any{"redirect_uris": []string{"https://*.example.com/cb"}}), "invalid_redirect_uri"},
		"relative redirect URI":      {public(map[string]any{"redirect_uris": []string{"/cb"}}), "invalid_redirect_uri"},
		"script redirect URI":        {public(map[string]any{"redirect_uris": []string{"javascript:alert(1)"}}), "invalid_redirect_uri"},
		"unknown method":             {public(map[string]any{"token_endpoint_auth_method": "client_secret_jwt"}), "invalid_client_metadata"},
		"unknown grant":              {public(map[string]any{"grant_types": []string{"password"}}), "invalid_client_metadata"},
		"machine without secret":     {confidential(map[string]any{"token_endpoint_auth_method": "none"}), "invalid_client_metadata"},
		"refresh without code":       {confidential(map[string]any{"grant_types": []string{"refresh_token"}}), "invalid_client_metadata"},
		"response type without code": {confidential(map[string]any{"response_types": []string{"code"}}), "invalid_client_metadata"},
		"implicit response type":     {public(map[string]any{"response_types": []string{"token"}}), "invalid_client_metadata"},
		"unknown scope":              {public(map[string]any{"scope": "read admin"}), "invalid_client_metadata"},
		"private key without keys":   {confidential(map[string]any{"token_endpoint_auth_method": "private_key_jwt"}), "invalid_client_metadata"},
		"broken keys":                {confidential(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": broken}), "invalid_client_metadata"},
		"private keys":               {confidential(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": private}), "invalid_client_metadata"},
		"keys by reference":          {confidential(map[string]any{"jwks_uri": "https://app.example.com/jwks"}), "invalid_client_metadata"},
		"software statement":         {public(map[string]any{"software_statement": "x.y.z"}), "unapproved_software_statement"},
		"application type":           {public(map[string]any{"application_type": "toaster"}), "invalid_client_metadata"},
		"not an object":              {[]string{"x"}, "invalid_client_metadata"},
		"null":                       {nil, "invalid_client_metadata"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wantError(t, f.register(test.body), http.StatusBadRequest, test.code) })
	}
	r := f.do(f.request(http.MethodPost, f.server.Issuer()+"/register", "", "text/plain", "{}"))
	wantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
	if clients := f.server.Clients(); len(clients) != 0 {
		t.Errorf("clients were made: %v", clients)
	}
}

func TestInitialAccessToken(t *testing.T) {
	f := start(t, devas.Options{InitialAccessToken: "let-me-in"})
	endpoint := f.server.Issuer() + "/register"
	for token, want := range map[string]int{"": 401, "wrong": 401, "let-me-in": 201} {
		if r := f.sendJSON(http.MethodPost, endpoint, token, public(nil)); r.status != want {
			t.Errorf("token %q: got %d %v, want %d", token, r.status, r.json, want)
		}
	}
}

func TestManagementLifeCycle(t *testing.T) {
	tests := map[devas.Rotation]struct{ onRead, onReplace bool }{
		devas.RotateNever:  {false, false},
		devas.RotateOnPut:  {false, true},
		devas.RotateAlways: {true, true},
	}
	for rotation, want := range tests {
		t.Run(string(rotation), func(t *testing.T) {
			f := start(t, devas.Options{Switches: devas.Switches{RotateRegistrationToken: rotation}})
			r := f.registered(confidential(nil))
			uri, id, token := r.text("registration_client_uri"), r.text("client_id"), r.text("registration_access_token")

			read := f.get(uri, token)
			token = f.nextToken(read, uri, token, want.onRead)
			wantFields(t, read, map[string]string{"client_id": id, "client_secret": r.text("client_secret"), "client_name": "batch"})

			put := f.sendJSON(http.MethodPut, uri, token, confidential(map[string]any{
				"client_id": id, "client_name": "renamed", "scope": "read", "client_secret": r.text("client_secret"),
			}))
			token = f.nextToken(put, uri, token, want.onReplace)
			wantFields(t, put, map[string]string{"client_secret": r.text("client_secret"), "client_name": "renamed", "scope": "read"})

			if gone := f.do(f.request(http.MethodDelete, uri, token, "", "")); gone.status != http.StatusNoContent {
				t.Fatalf("deleting: %d %v", gone.status, gone.json)
			}
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				wantError(t, f.do(f.request(method, uri, token, "", "")), http.StatusUnauthorized, "invalid_token")
			}
			if deleted := f.server.Deleted(); !cmp.Equal(deleted, []string{id}) || len(f.server.Clients()) != 0 {
				t.Errorf("deleted %v, live %v", deleted, f.server.Clients())
			}
		})
	}
}

func wantFields(t *testing.T, r reply, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if r.text(name) != value {
			t.Errorf("%s: got %q, want %q", name, r.text(name), value)
		}
	}
}

// nextToken checks whether the token was rotated and returns the one to use next.
func (f *fixture) nextToken(r reply, uri, old string, rotated bool) string {
	f.Helper()
	next := r.text("registration_access_token")
	if r.status != http.StatusOK || next == "" || (next != old) != rotated {
		f.Fatalf("answer %d %v, want rotation: %t", r.status, r.json, rotated)
	}
	if rotated {
		wantError(f.T, f.get(uri, old), http.StatusUnauthorized, "invalid_token")
	}
	return next
}

func TestUnknownClientAndWrongTokenLookTheSame(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(public(nil))
	wrong := f.get(r.text("registration_client_uri"), "wrong")
	unknown := f.get(f.server.Issuer()+"/register/nobody", r.text("registration_access_token"))
	for _, got := range []reply{wrong, unknown} {
		wantError(t, got, http.StatusUnauthorized, "invalid_token")
	}
	if a, b := wrong.header.Get("WWW-Authenticate"), unknown.header.Get("WWW-Authenticate"); a != b || a == "" {
		t.Errorf("challenges differ: %q, %q", a, b)
	}
	if got := f.do(f.request(http.MethodPatch, r.text("registration_client_uri"), "", "", "")); got.status != http.StatusMethodNotAllowed {
		t.Errorf("PATCH: %d", got.status)
	}
}

func TestReplacementRefused(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(confidential(nil))
	id := r.text("client_id")
	tests := map[string]map[string]any{
		"no client_id":          {"client_id": nil},
		"another client_id":     {"client_id": "other"},
		"registration token":    {"registration_access_token": r.text("registration_access_token")},
		"registration URI":      {"registration_client_uri": r.text("registration_client_uri")},
		"time of issue":         {"client_id_issued_at": 1},
		"expiry of secret":      {"client_secret_expires_at": 0},
		"wrong secret":          {"client_secret": "chosen"},
		"metadata not accepted": {"grant_types": []string{"password"}},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			body := confidential(map[string]any{"client_id": id})
			maps.Copy(body, change)
			put := f.sendJSON(http.MethodPut, r.text("registration_client_uri"), r.text("registration_access_token"), body)
			wantError(t, put, http.StatusBadRequest, "invalid_client_metadata")
		})
	}
	if now := f.get(r.text("registration_client_uri"), r.text("registration_access_token")); now.text("client_name") != "batch" {
		t.Errorf("a refused replacement took effect: %v", now.json)
	}
}

func TestReplacementDropsWhatIsLeftOut(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(public(nil))
	put := f.sendJSON(http.MethodPut, r.text("registration_client_uri"), r.text("registration_access_token"), map[string]any{
		"client_id": r.text("client_id"), "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none",
	})
	for _, name := range []string{"scope", "client_name", "software_id"} {
		if _, ok := put.json[name]; ok || put.status != http.StatusOK {
			t.Errorf("%s survived: %d %v", name, put.status, put.json)
		}
	}
}

func TestDeletionEndsEverythingOfTheClient(t *testing.T) {
	f := start(t, devas.Options{})
	witness := credentialsOf(f.registered(confidential(nil)))
	r := f.registered(public(nil))
	c := credentialsOf(r)
	tokens := f.codeFlow(c, nil)
	verifier, challenge := pkce()
	response, _ := f.authorize(authorization(c.id, challenge))
	for _, kind := range []string{"access_token", "refresh_token"} {
		if active := f.introspect(witness, tokens.text(kind)).json["active"]; active != true {
			t.Fatalf("%s before deletion: %v", kind, active)
		}
	}
	f.do(f.request(http.MethodDelete, r.text("registration_client_uri"), r.text("registration_access_token"), "", ""))
	for _, kind := range []string{"access_token", "refresh_token"} {
		if active := f.introspect(witness, tokens.text(kind)).json["active"]; active != false {
			t.Errorf("%s after deletion: %v", kind, active)
		}
	}
	wantError(t, f.token(c, exchange(response.Get("code"), verifier)), http.StatusUnauthorized, "invalid_client")
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}}
	wantError(t, f.token(c, refresh), http.StatusUnauthorized, "invalid_client")
}

func TestIntrospectionAndRevocation(t *testing.T) {
	f := start(t, devas.Options{})
	owner := credentialsOf(f.registered(confidential(nil)))
	other := credentialsOf(f.registered(confidential(nil)))
	token := f.clientCredentials(owner).text("access_token")
	r := f.introspect(other, token)
	if r.json["active"] != true || r.text("client_id") != owner.id || r.text("scope") != "read write" || r.text("jti") == "" {
		t.Errorf("introspected: %v", r.json)
	}
	wantError(t, f.introspect(credentials{id: owner.id}, token), http.StatusUnauthorized, "invalid_client")
	wantError(t, f.introspect(credentials{owner.id, "wrong"}, token), http.StatusUnauthorized, "invalid_client")
	if active := f.introspect(other, strings.ToUpper(token)).json["active"]; active != false {
		t.Errorf("a broken token is active: %v", active)
	}
	wantError(t, f.form("/revoke", other, url.Values{"token": {token}}), http.StatusBadRequest, "unauthorized_client")
	for range 2 {
		if got := f.form("/revoke", owner, url.Values{"token": {token}}); got.status != http.StatusOK {
			t.Errorf("revoking: %d %v", got.status, got.json)
		}
	}
	if active := f.introspect(other, token).json["active"]; active != false {
		t.Errorf("active after revocation: %v", active)
	}
}

func TestRevokedRefreshTokenEndsItsConsent(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(public(nil)))
	witness := credentialsOf(f.registered(confidential(nil)))
	tokens := f.codeFlow(c, nil)
	if got := f.form("/revoke", c, url.Values{"token": {tokens.text("refresh_token")}, "token_type_hint": {"refresh_token"}}); got.status != http.StatusOK {
		t.Fatalf("revoking: %d %v", got.status, got.json)
	}
	if active := f.introspect(witness, tokens.text("access_token")).json["active"]; active != false {
		t.Errorf("access token is active: %v", active)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}}
	wantError(t, f.token(c, form), http.StatusBadRequest, "invalid_grant")
}
