// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func TestCodeFlowIssuesVerifiableToken(t *testing.T) {
	f := start(t, devas.Options{AccessTokenLifetime: 120 * time.Second})
	c := credentialsOf(f.registered(public(nil)))
	tokens := f.codeFlow(c, url.Values{"resource": {resource}, "scope": {"read"}})
	if tokens.status != http.StatusOK || tokens.json["expires_in"] != 120.0 || tokens.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("tokens: %d %v", tokens.status, tokens.json)
	}
	got := f.verified(tokens.text("access_token"))
	if life := got.Expiry.Time().Sub(got.IssuedAt.Time()).Round(10 * time.Second); life != 120*time.Second || got.ID == "" {
		t.Errorf("lifetime %s, jti %q", life, got.ID)
	}
	want := accessClaims{ClientID: c.id, Scope: "read"}
	want.Issuer, want.Subject, want.Audience = f.server.Issuer(), "dev", jwt.Audience{resource}
	want.ID, want.Expiry, want.IssuedAt, want.NotBefore = got.ID, got.Expiry, got.IssuedAt, got.NotBefore
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestCodeFlowOfConfidentialClientWithOpenID(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(public(map[string]any{"token_endpoint_auth_method": "client_secret_basic", "scope": "openid read"})))
	tokens := f.codeFlow(c, url.Values{"nonce": {"n1"}, "resource": {resource}})
	parsed, err := jwt.ParseSigned(tokens.text("id_token"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("%v: %v", err, tokens.json)
	}
	var claims struct {
		jwt.Claims
		Nonce string `json:"nonce"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Nonce != "n1" || claims.Subject != "dev" || !slices.Equal(claims.Audience, []string{c.id}) {
		t.Errorf("identity token: %+v", claims)
	}
}

func TestCodeFlowWithOAuth2Library(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(public(nil)))
	config := oauth2.Config{
		ClientID: c.id, RedirectURL: redirect, Scopes: []string{"read"},
		Endpoint: oauth2.Endpoint{TokenURL: f.server.Issuer() + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	response, _ := f.authorize(authorization(c.id, oauth2.S256ChallengeFromVerifier(verifier)))
	token, err := config.Exchange(t.Context(), response.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if response.Get("state") != "s1" || f.verified(token.AccessToken).Scope != "read write" {
		t.Errorf("state %q, claims %+v", response.Get("state"), f.verified(token.AccessToken))
	}
}

func TestAuthorizationRequestRefused(t *testing.T) {
	f := start(t, devas.Options{})
	id := f.registered(public(nil)).text("client_id")
	machine := f.registered(confidential(nil)).text("client_id")
	tests := map[string]struct {
		change url.Values
		code   string // of an error redirect; empty means no redirect at all
	}{
		"no challenge":              {url.Values{"code_challenge": nil, "code_challenge_method": nil}, "invalid_request"},
		"plain challenge":           {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"challenge without method":  {url.Values{"code_challenge_method": nil}, "invalid_request"},
		"unregistered scope":        {url.Values{"scope": {"read admin"}}, "invalid_scope"},
		"resource with fragment":    {url.Values{"resource": {resource + "#x"}}, "invalid_target"},
		"relative resource":         {url.Values{"resource": {"mcp"}}, "invalid_target"},
		"implicit response type":    {url.Values{"response_type": {"token"}}, "unauthorized_client"},
		"unknown client":            {url.Values{"client_id": {"nobody"}}, ""},
		"unregistered redirect URI": {url.Values{"redirect_uri": {"http://127.0.0.1:7777/other"}}, ""},
		"loopback by another name":  {url.Values{"redirect_uri": {"http://localhost:7777/callback"}}, ""},
		"client of another grant":   {url.Values{"client_id": {machine}}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, challenge := pkce()
			params := authorization(id, challenge)
			maps.Copy(params, test.change)
			response, r := f.authorize(params)
			if test.code == "" && r.status != http.StatusBadRequest || response.Get("error") != test.code || response.Get("code") != "" {
				t.Errorf("got %d %v, want error %q", r.status, response, test.code)
			}
		})
	}
}

func TestRedirectURIPortVariesForNativeAppsOnly(t *testing.T) {
	f := start(t, devas.Options{})
	native := f.registered(public(nil)).text("client_id")
	web := f.registered(public(map[string]any{"application_type": "web"})).text("client_id")
	_, challenge := pkce()
	for id, want := range map[string]int{native: http.StatusFound, web: http.StatusBadRequest} {
		params := authorization(id, challenge)
		params.Set("redirect_uri", "http://127.0.0.1:40123/callback")
		if _, r := f.authorize(params); r.status != want {
			t.Errorf("client %s: got %d, want %d", id, r.status, want)
		}
	}
}

func TestCodeExchangeRefused(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(public(nil)))
	other := credentialsOf(f.registered(public(nil)))
	tests := map[string]struct {
		as     credentials
		change url.Values
		code   string
	}{
		"wrong verifier":       {c, url.Values{"code_verifier": {"wrong"}}, "invalid_grant"},
		"no verifier":          {c, url.Values{"code_verifier": nil}, "invalid_request"},
		"made-up code":         {c, url.Values{"code": {"made-up"}}, "invalid_grant"},
		"code of another":      {other, nil, "invalid_grant"},
		"another redirect URI": {c, url.Values{"redirect_uri": {"http://127.0.0.1:1/callback"}}, "invalid_grant"},
		"another resource":     {c, url.Values{"resource": {"https://else.example.com"}}, "invalid_target"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			verifier, challenge := pkce()
			params := authorization(c.id, challenge)
			params.Set("resource", resource)
			response, _ := f.authorize(params)
			form := exchange(response.Get("code"), verifier)
			maps.Copy(form, test.change)
			wantError(t, f.token(test.as, form), http.StatusBadRequest, test.code)
		})
	}
}

func TestReplayedCodeEndsItsTokens(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(public(nil)))
	witness := credentialsOf(f.registered(confidential(nil)))
	verifier, challenge := pkce()
	response, _ := f.authorize(authorization(c.id, challenge))
	form := exchange(response.Get("code"), verifier)
	tokens := f.token(c, form)
	if active := f.introspect(witness, tokens.text("access_token")).json["active"]; active != true {
		t.Fatalf("active before the replay: %v", active)
	}
	wantError(t, f.token(c, form), http.StatusBadRequest, "invalid_grant")
	if active := f.introspect(witness, tokens.text("access_token")).json["active"]; active != false {
		t.Errorf("active after the replay: %v", active)
	}
}

func TestRefreshTokenRotates(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(public(nil)))
	first := f.codeFlow(c, url.Values{"resource": {resource}}).text("refresh_token")
	refresh := func(token, scope string) reply {
		return f.token(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "scope": {scope}})
	}
	second := refresh(first, "read")
	if claims := f.verified(second.text("access_token")); claims.Scope != "read" || !slices.Equal(claims.Audience, []string{resource}) {
		t.Errorf("claims: %+v", claims)
	}
	wantError(t, refresh(second.text("refresh_token"), "admin"), http.StatusBadRequest, "invalid_scope")
	wantError(t, refresh(first, "read"), http.StatusBadRequest, "invalid_grant")
	wantError(t, refresh(second.text("refresh_token"), "read"), http.StatusBadRequest, "invalid_grant")
}

func TestRefreshLosesScopesTheClientLost(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(public(nil))
	c := credentialsOf(r)
	tokens := f.codeFlow(c, nil)
	put := f.sendJSON(http.MethodPut, r.text("registration_client_uri"), r.text("registration_access_token"),
		public(map[string]any{"client_id": c.id, "scope": "read"}))
	if put.status != http.StatusOK {
		t.Fatalf("replacing: %d %v", put.status, put.json)
	}
	next := f.token(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}})
	if scope := f.verified(next.text("access_token")).Scope; scope != "read" {
		t.Errorf("scope %q", scope)
	}
}

func TestClientCredentialsWithSecret(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(confidential(nil)))
	config := clientcredentials.Config{
		ClientID: c.id, ClientSecret: c.secret, TokenURL: f.server.Issuer() + "/token", AuthStyle: oauth2.AuthStyleInHeader,
		EndpointParams: url.Values{"resource": {resource, "https://two.example.com"}},
	}
	token, err := config.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims := f.verified(token.AccessToken)
	if !slices.Equal(claims.Audience, []string{resource, "https://two.example.com"}) || claims.Scope != "read write" || claims.Subject != c.id {
		t.Errorf("claims: %+v", claims)
	}
}

func TestClientWithoutScopeMayAskForAny(t *testing.T) {
	f := start(t, devas.Options{})
	c := credentialsOf(f.registered(confidential(map[string]any{"scope": nil})))
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"anything"}}
	if scope := f.verified(f.token(c, form).text("access_token")).Scope; scope != "anything" {
		t.Errorf("scope %q", scope)
	}
	form.Del("scope")
	if scope := f.verified(f.token(c, form).text("access_token")).Scope; scope != "" {
		t.Errorf("scope %q though none was asked for", scope)
	}
}

// keyPair is a client's key and the jwks to register it with.
func keyPair(t *testing.T) (*ecdsa.PrivateKey, jose.JSONWebKeySet) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
}

func assertion(t *testing.T, key *ecdsa.PrivateKey, id, audience string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := wall.Now()
	out, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: id, Subject: id, Audience: jwt.Audience{audience}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestClientCredentialsWithPrivateKey(t *testing.T) {
	f := start(t, devas.Options{})
	key, jwks := keyPair(t)
	wrong, _ := keyPair(t)
	id := f.registered(confidential(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks})).text("client_id")
	tests := map[string]struct {
		assertion string
		status    int
	}{
		"issuer as audience":         {assertion(t, key, id, f.server.Issuer()), http.StatusOK},
		"token endpoint as audience": {assertion(t, key, id, f.server.Issuer()+"/token"), http.StatusOK},
		"foreign audience":           {assertion(t, key, id, "https://else.example.com"), http.StatusUnauthorized},
		"wrong key":                  {assertion(t, wrong, id, f.server.Issuer()), http.StatusUnauthorized},
		"unknown client":             {assertion(t, key, "nobody", f.server.Issuer()), http.StatusUnauthorized},
		"no assertion":               {"", http.StatusUnauthorized},
		"not a token":                {"junk", http.StatusUnauthorized},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}}
			if test.assertion != "" {
				form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
				form.Set("client_assertion", test.assertion)
			}
			r := f.token(credentials{id: id}, form)
			if r.status != test.status || r.status != http.StatusOK && r.text("error") != "invalid_client" {
				t.Errorf("got %d %v, want %d", r.status, r.json, test.status)
			}
		})
	}
}

func TestTokenEndpointTellsLiveClientsFromGoneOnes(t *testing.T) {
	f := start(t, devas.Options{})
	pub := credentialsOf(f.registered(public(nil)))
	secret := credentialsOf(f.registered(public(map[string]any{"token_endpoint_auth_method": "client_secret_basic"})))
	machine := credentialsOf(f.registered(confidential(nil)))
	tests := map[string]struct {
		as     credentials
		status int
		code   string
	}{
		"unknown public client":       {credentials{id: "nobody"}, http.StatusUnauthorized, "invalid_client"},
		"unknown confidential client": {credentials{"nobody", "x"}, http.StatusUnauthorized, "invalid_client"},
		"wrong secret":                {credentials{secret.id, "x"}, http.StatusUnauthorized, "invalid_client"},
		"missing secret":              {credentials{id: secret.id}, http.StatusUnauthorized, "invalid_client"},
		"known public client":         {pub, http.StatusBadRequest, "invalid_grant"},
		"known confidential client":   {secret, http.StatusBadRequest, "invalid_grant"},
		"client without that grant":   {machine, http.StatusBadRequest, "unauthorized_client"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := f.token(test.as, exchange("made-up", "made-up"))
			wantError(t, r, test.status, test.code)
			if challenge := r.header.Get("WWW-Authenticate"); (challenge != "") != (test.status == http.StatusUnauthorized) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}
