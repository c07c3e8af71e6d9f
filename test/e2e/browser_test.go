// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
)

// callbackPath is the path of the redirect URI of native clients.
const callbackPath = "/callback"

// browser is a user's browser and, on the same machine, the native client that
// listens for the redirect on a port of its own (RFC 8252 §7.3).
type browser struct {
	party
	client   *http.Client
	endpoint string
	redirect string
	arrived  chan url.Values
}

func newBrowser(t *testing.T, p party) *browser {
	t.Helper()
	b := &browser{party: p, arrived: make(chan url.Values, 1)}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == callbackPath {
			b.arrived <- r.URL.Query()
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(listener.Close)
	b.redirect = listener.URL + callbackPath
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.client = &http.Client{Jar: jar}
	var metadata struct {
		AuthorizationEndpoint string `json:"authorization_endpoint"`
	}
	getJSON(t.Context(), t, p.issuer+"/.well-known/openid-configuration", &metadata)
	b.endpoint = metadata.AuthorizationEndpoint
	return b
}

// newVerifier makes a code verifier and its S256 challenge (RFC 7636 §4).
func newVerifier() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	digest := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(digest[:])
}

// authorize goes through the authorization endpoint and returns what arrived at
// the redirect URI: a code or an error.
func (b *browser) authorize(t *testing.T, pkce url.Values) url.Values {
	t.Helper()
	query := url.Values{
		"response_type": {"code"}, "client_id": {b.id}, "redirect_uri": {b.redirect}, "state": {rand.Text()},
		"scope": {b.scope}, "resource": {b.resources},
	}
	maps.Copy(query, pkce)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.endpoint+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case arrived := <-b.arrived:
		if arrived.Get("state") != query.Get("state") {
			t.Errorf("state %q came back as %q", query.Get("state"), arrived.Get("state"))
		}
		return arrived
	default:
		t.Fatalf("nothing arrived at the redirect URI: the browser ended at %s with %s", response.Request.URL.Path, response.Status)
		return nil
	}
}

// code gets a code for a challenge.
func (b *browser) code(t *testing.T, challenge string) string {
	t.Helper()
	arrived := b.authorize(t, url.Values{"code_challenge": {challenge}, "code_challenge_method": {"S256"}})
	if arrived.Get("code") == "" {
		t.Fatalf("no code: %s: %s", arrived.Get("error"), arrived.Get("error_description"))
	}
	return arrived.Get("code")
}

// redeem gives a code back for tokens. An empty verifier is not sent.
func (b *browser) redeem(t *testing.T, code, verifier string) reply {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {b.redirect}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return b.request(t, form)
}
