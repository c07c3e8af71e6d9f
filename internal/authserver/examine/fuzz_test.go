// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// FuzzToken holds that whatever a token endpoint answers, the facts are within
// bounds and fit to be shown.
func FuzzToken(f *testing.F) {
	at := noon.Unix()
	for _, claims := range []map[string]any{
		{"aud": resource, "scope": "a b", "iat": at, "exp": at + 300},
		{"aud": []string{"a", "b"}, "scp": []string{"a"}, "exp": 1e12},
		{"aud": nil, "iat": -1, "exp": "x"}, {},
	} {
		f.Add([]byte(body(map[string]any{"access_token": token(claims), "token_type": "Bearer", "expires_in": 300})))
	}
	for _, seed := range []string{
		"{\"access_token\":\"a\\/b\",\"token_type\":\"Bearer\",\"scope\":\"x\"}",
		"{\"access_token\":\"\\u0061\",\"token_type\":\"b\",\"expires_in\":1e400}",
		"{\"access_token\":\"a.b.c\",\"token_type\":\"b\",\"expires_in\":9e15}",
		"{\"access_token\":\"a\",\"access_token\":\"\",\"token_type\":\"b\"}",
		"{\"access_token\":\"", "{\"access_token\":{}}", "null", "[]", "", "\xff", strings.Repeat("{\"a\":", 100),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		facts, err := readToken(raw, authserver.TokenQuestion{Scopes: []string{"asked"}}, noon)
		if err != nil {
			return
		}
		if facts.Lifetime < 0 || facts.Lifetime > longestLife {
			t.Errorf("lives for %s", facts.Lifetime)
		}
		if facts.Audience != nil && !facts.Readable {
			t.Error("an audience of a token that nobody can read")
		}
		if facts.Scopes == nil {
			t.Error("no scopes at all")
		}
		for _, text := range append(facts.Audience, facts.Scopes...) {
			if !printable(text, exchange.LongToken) {
				t.Errorf("%q is not printable", text)
			}
		}
	})
}

// FuzzLocation holds that a redirect counts as a refusal only at the redirect
// URI, with the state of the request, or on the issuer's own origin.
func FuzzLocation(f *testing.F) {
	e, err := New(authserver.Config{Issuer: "https://as.example"}, Options{Now: func() time.Time { return noon }})
	if err != nil {
		f.Fatal(err)
	}
	try, ok := e.newAttempt(authserver.ChallengeQuestion{
		AuthorizationEndpoint: "https://as.example/authorize", ClientID: "c", RedirectURI: redirect,
	})
	if !ok {
		f.Fatal("the question cannot be asked")
	}
	q := asked{attempt: try, state: "STATE", ours: e.exchange.Ours}
	for _, seed := range []string{
		redirect + "?error=invalid_request&state=STATE", redirect + "?code=c", redirect + "#code=c",
		"https://app.example.com.evil/callback?error=invalid_request&state=STATE",
		"https://app.example.com@evil.example/callback?error=invalid_request&state=STATE",
		"https://as.example/error?error=invalid_request", "//as.example/error", "//App.eXAmple.Com/callback#code=0", "/error", "?error=x",
		"https:/\\app.example.com/callback", "https://[::1", "%", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, location string) {
		said := q.judge(exchange.Answer{Status: http.StatusFound, Header: http.Header{"Location": {location}}})
		if said != refused && said != admitted {
			return
		}
		// A reference is relative to where it was answered (RFC 9110 §10.2.2).
		target, err := try.endpoint.Parse(location)
		if err != nil || target.User != nil {
			t.Fatalf("%q is no way to refuse", location)
		}
		if strings.EqualFold(target.Hostname(), "as.example") {
			return
		}
		if !strings.EqualFold(target.Hostname(), "app.example.com") || target.Scheme != "https" || target.EscapedPath() != "/callback" {
			t.Errorf("%q counts as the redirect URI", location)
		}
	})
}
