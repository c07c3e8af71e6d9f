// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package keycloak

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	adapter "github.com/mcp-registrar/mcp-registrar/internal/authserver/keycloak"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

const (
	user     = "ann"
	password = "ann's password"
	resource = "https://mcp.example.com/weather"
	bound    = 2 * time.Minute
	// redirect is where the client's redirect URI is at work: on a port of its
	// own choice (RFC 8252 §7.3).
	redirect = "http://127.0.0.1:7777/callback"
)

// scene is a realm with a user and a registered public client.
type scene struct {
	*keycloak.Realm
	server *adapter.Server
	wish   authserver.ClientMetadata
	handle authserver.Handle
}

func stage(t *testing.T, server *keycloak.Server) scene {
	t.Helper()
	s := scene{Realm: server.NewRealm(t)}
	s.AddUser(t, user, password)
	s.server = connect(t, s.Realm, "manage-clients")
	s.wish, s.handle = s.register(t, contract.Wish())
	return s
}

func (s scene) register(t *testing.T, wish authserver.ClientMetadata) (authserver.ClientMetadata, authserver.Handle) {
	t.Helper()
	wish = contract.For(adapter.Traits(authserver.Config{}), wish)
	wish.Audiences, wish.TokenLifetime = []string{resource}, bound
	client, err := s.server.Register(t.Context(), wish)
	if err != nil {
		t.Fatalf("registering: %v", err)
	}
	return wish, authserver.Handle{
		ClientID: client.ID, Owner: wish.SoftwareID, ClientSecret: client.Secret, TokenEndpoint: s.TokenEndpoint(),
	}
}

func (s scene) login(scope string) keycloak.Login {
	return keycloak.Login{ClientID: s.handle.ClientID, RedirectURI: redirect, Scope: scope}
}

func (s scene) refresh(t *testing.T, token string) keycloak.TokenAnswer {
	t.Helper()
	return s.Token(t, s.handle.ClientID, "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// wantClaims compares scopes as a set: their order means nothing (RFC 6749,
// section 3.3), and Keycloak's differs from token to token.
func wantClaims(t *testing.T, got keycloak.TokenAnswer, scope string) {
	t.Helper()
	claims := got.Claims(t)
	given, wanted := strings.Fields(claims.Scope), strings.Fields(scope)
	slices.Sort(given)
	slices.Sort(wanted)
	if !slices.Equal(claims.Audience, []string{resource}) || !slices.Equal(given, wanted) ||
		claims.Lifetime() <= 0 || claims.Lifetime() > bound || claims.Subject == "" {
		t.Errorf("a token of %+v, good for %s; want audience %s, scope %q, at most %s",
			claims, claims.Lifetime(), resource, scope, bound)
	}
}

func testTokens(t *testing.T, server *keycloak.Server) {
	s := stage(t, server)
	got := s.NewBrowser(t, user, password).CodeFlow(t, s.login("forecast.read"), "")
	wantClaims(t, got, "forecast.read")
	if got.RefreshToken == "" {
		t.Error("no refresh token")
	}
	wantClaims(t, s.refresh(t, got.RefreshToken), "forecast.read")

	for _, scope := range []string{"profile", "forecast.read admin", "offline_access"} {
		verifier, challenge := keycloak.NewVerifier()
		login := s.login(scope)
		login.Challenge, login.Method = challenge, "S256"
		if landed := s.NewBrowser(t, user, password).Authorize(t, login); landed.Query.Get("error") != "invalid_scope" {
			t.Errorf("scope %s, verifier %d: %v, status %d", scope, len(verifier), landed.Query, landed.Status)
		}
	}

	plain := contract.Wish()
	plain.GrantTypes = []string{"authorization_code"}
	_, s.handle = s.register(t, plain)
	if got := s.NewBrowser(t, user, password).CodeFlow(t, s.login("alerts.read"), ""); got.RefreshToken != "" {
		t.Error("a refresh token that nobody asked for")
	}

	_, machine := s.register(t, contract.Confidential())
	wantClaims(t, credentials(t, s.Realm, machine, "forecast.read alerts.read"), "forecast.read alerts.read")
	wantClaims(t, credentials(t, s.Realm, machine), "")
	if got := credentials(t, s.Realm, machine, "profile"); got.Status != http.StatusBadRequest {
		t.Errorf("a scope that was not granted: %d %s", got.Status, got.Error)
	}
}

func testChallenge(t *testing.T, server *keycloak.Server) {
	s := stage(t, server)
	browser := s.NewBrowser(t, user, password)
	verifier, challenge := keycloak.NewVerifier()
	for name, login := range map[string]keycloak.Login{
		"no challenge": {},
		"plain":        {Challenge: verifier, Method: "plain"},
		"no method":    {Challenge: challenge},
	} {
		login.ClientID, login.RedirectURI, login.Scope = s.handle.ClientID, redirect, "forecast.read"
		if landed := browser.Authorize(t, login); landed.Query.Get("error") != "invalid_request" || landed.Query.Get("code") != "" {
			t.Errorf("%s: %v, status %d", name, landed.Query, landed.Status)
		}
	}
	login := s.login("forecast.read")
	login.Challenge, login.Method = challenge, "S256"
	redeem := func(code, verifier string) keycloak.TokenAnswer {
		return s.Token(t, s.handle.ClientID, "", url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirect},
		})
	}
	if got := redeem(browser.Authorize(t, login).Query.Get("code"), verifier+"x"); got.Error != "invalid_grant" {
		t.Errorf("a wrong verifier: %d %s", got.Status, got.Error)
	}
	code := browser.Authorize(t, login).Query.Get("code")
	if got := redeem(code, verifier); got.Status != http.StatusOK {
		t.Fatalf("the right verifier: %d %s", got.Status, got.Error)
	}
	if got := redeem(code, verifier); got.Error != "invalid_grant" {
		t.Errorf("a code used twice: %d %s", got.Status, got.Error)
	}
}

func testDisabled(t *testing.T, server *keycloak.Server) {
	s := stage(t, server)
	_, machine := s.register(t, contract.Confidential())
	if got := credentials(t, s.Realm, machine); got.Status != http.StatusOK {
		t.Fatalf("before: %d %s", got.Status, got.Error)
	}
	for _, handle := range []authserver.Handle{machine, s.handle} {
		if err := s.server.Disable(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
	}
	if got := credentials(t, s.Realm, machine); got.Status != http.StatusUnauthorized {
		t.Errorf("client_credentials: %d %s", got.Status, got.Error)
	}
	_, challenge := keycloak.NewVerifier()
	login := s.login("forecast.read")
	login.Challenge, login.Method = challenge, "S256"
	landed := s.NewBrowser(t, user, password).Authorize(t, login)
	if landed.Query != nil || landed.Status != http.StatusBadRequest {
		t.Errorf("the authorization endpoint: %v, status %d", landed.Query, landed.Status)
	}
}

// testRefresh also holds that notBefore of the realm does not hide that of the
// client.
func testRefresh(t *testing.T, server *keycloak.Server) {
	s := stage(t, server)
	s.Edit(t, map[string]any{"notBefore": time.Now().Add(-time.Hour).Unix()})
	browser := s.NewBrowser(t, user, password)
	token := browser.CodeFlow(t, s.login("forecast.read"), "").RefreshToken
	if err := s.server.Disable(t.Context(), s.handle); err != nil {
		t.Fatal(err)
	}
	if got := s.refresh(t, token); got.Status != http.StatusUnauthorized {
		t.Errorf("disabled: %d %s", got.Status, got.Error)
	}
	s.wish.Secret = authserver.Secret{}
	if client, err := s.server.Replace(t.Context(), s.handle, s.wish); err != nil || client.Disabled {
		t.Fatalf("enabling it again: disabled %t, %v", client.Disabled, err)
	}
	if got := s.refresh(t, token); got.Error != "invalid_grant" {
		t.Errorf("a token of the time before lives again: %d %s", got.Status, got.Error)
	}

	token = browser.CodeFlow(t, s.login("forecast.read"), "").RefreshToken
	if err := s.server.Revoke(t.Context(), s.handle); err != nil {
		t.Fatal(err)
	}
	if got := s.refresh(t, token); got.Error != "invalid_client" {
		t.Errorf("revoked: %d %s", got.Status, got.Error)
	}
	if _, found, err := s.server.Find(t.Context(), s.handle); found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	if _, err := s.server.Register(t.Context(), s.wish); err != nil {
		t.Fatal(err)
	}
	if got := s.refresh(t, token); got.Error != "invalid_grant" {
		t.Errorf("a new client of the same id: %d %s", got.Status, got.Error)
	}
}

// testDrift changes what widens a client, one after the other.
func testDrift(t *testing.T, server *keycloak.Server) {
	s := stage(t, server)
	hardcoded := []map[string]any{{
		"name": "more", "protocol": "openid-connect", "protocolMapper": "oidc-hardcoded-claim-mapper",
		"config": map[string]string{"claim.name": "scope", "claim.value": "admin", "access.token.claim": "true"},
	}}
	attribute := func(name, value string) keycloak.Client {
		return keycloak.Client{"attributes": map[string]string{name: value}}
	}
	for name, change := range map[string]func(){
		"redirect URI": func() { s.EditClient(t, s.handle.ClientID, keycloak.Client{"redirectUris": []string{"*"}}) },
		"no PKCE":      func() { s.EditClient(t, s.handle.ClientID, attribute("pkce.code.challenge.method", "")) },
		"password":     func() { s.EditClient(t, s.handle.ClientID, keycloak.Client{"directAccessGrantsEnabled": true}) },
		"implicit":     func() { s.EditClient(t, s.handle.ClientID, keycloak.Client{"implicitFlowEnabled": true}) },
		"every role":   func() { s.EditClient(t, s.handle.ClientID, keycloak.Client{"fullScopeAllowed": true}) },
		"no consent":   func() { s.EditClient(t, s.handle.ClientID, keycloak.Client{"consentRequired": false}) },
		"device": func() {
			s.EditClient(t, s.handle.ClientID, attribute("oauth2.device.authorization.grant.enabled", "true"))
		},
		"long tokens":    func() { s.EditClient(t, s.handle.ClientID, attribute("access.token.lifespan", "86400")) },
		"the realm's":    func() { s.EditClient(t, s.handle.ClientID, attribute("access.token.lifespan", "")) },
		"mapper":         func() { s.EditClient(t, s.handle.ClientID, keycloak.Client{"protocolMappers": hardcoded}) },
		"optional scope": func() { s.AssignScope(t, s.handle.ClientID, "offline_access", false) },
		"default scope":  func() { s.AssignScope(t, s.handle.ClientID, "roles", true) },
	} {
		change()
		if found := s.find(t); sameReach(found, s.wish) {
			t.Errorf("%s: not seen: %+v", name, found)
		}
		s.wish.Secret = authserver.Secret{}
		replaced, err := s.server.Replace(t.Context(), s.handle, s.wish)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !sameReach(replaced.Registered, s.wish) {
			t.Errorf("%s: still %+v", name, replaced.Registered)
		}
	}
	wantClaims(t, s.NewBrowser(t, user, password).CodeFlow(t, s.login("forecast.read"), ""), "forecast.read")
}

func (s scene) find(t *testing.T) authserver.ClientMetadata {
	t.Helper()
	client, found, err := s.server.Find(t.Context(), s.handle)
	if err != nil || !found {
		t.Fatalf("found %t, %v", found, err)
	}
	return client.Registered
}

// sameReach compares what decides what a client may do.
func sameReach(got, want authserver.ClientMetadata) bool {
	reach := func(m authserver.ClientMetadata) string {
		var lines []string
		for _, list := range [][]string{m.Scopes, m.GrantTypes, m.ResponseTypes, m.RedirectURIs, m.Audiences} {
			lines = append(lines, strings.Join(slices.Sorted(slices.Values(list)), ", "))
		}
		return strings.Join(append(lines, m.AuthMethod, m.TokenLifetime.String()), "\n")
	}
	return reach(got) == reach(want)
}

func testRoles(t *testing.T, server *keycloak.Server) {
	s := stage(t, server)
	for _, roles := range [][]string{{}, {"query-clients"}, {"view-clients"}, {"create-client", "query-clients"}} {
		s.DeleteClients(t, s.handle.ClientID)
		weak := connect(t, s.Realm, roles...)
		missing := s.handle
		missing.ClientID = "mcpr-never-registered"
		_, found, err := weak.Find(t.Context(), missing)
		sees := slices.Contains(roles, "view-clients")
		if found || sees != (err == nil) {
			t.Errorf("%v: looking for what is not there: found %t, %v", roles, found, err)
		}
		if _, err := weak.List(t.Context(), ""); sees != (err == nil) {
			t.Errorf("%v: listing: %v", roles, err)
		}
		for what, err := range map[string]error{
			"access":  weak.CheckAccess(t.Context()),
			"disable": weak.Disable(t.Context(), s.handle), "revoke": weak.Revoke(t.Context(), s.handle),
		} {
			if code(err) != adapter.CodeMissingRole {
				t.Errorf("%v: %s: %v", roles, what, err)
			}
		}
	}
	if s.Client(t, s.handle.ClientID) == nil {
		t.Error("the client is gone")
	}
}
