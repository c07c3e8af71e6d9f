// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issuer signs access tokens (RFC 9068) and publishes its key.
type issuer struct {
	url    string
	signer jose.Signer
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		encode(w, map[string]any{"issuer": i.url, "jwks_uri": i.url + "/jwks", "token_endpoint": i.url + "/token"})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		encode(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: string(jose.ES256), Use: "sig"}}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "k")
	if i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options); err != nil {
		t.Fatal(err)
	}
	return i
}

// token is an access token of a client for a resource.
func (i *issuer) token(t *testing.T, clientID, resource, scope string) string {
	t.Helper()
	now := time.Now()
	token, err := jwt.Signed(i.signer).Claims(jwt.Claims{
		Issuer: i.url, Subject: clientID, Audience: jwt.Audience{resource}, ID: clientID + "-1",
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
	}).Claims(map[string]any{"client_id": clientID, "scope": scope}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
