// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// staleHandle registers a client and returns its handle with a management
// token that is no longer right.
func staleHandle(t *testing.T, server *Server, wish authserver.ClientMetadata) authserver.Handle {
	t.Helper()
	client, err := server.Register(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	handle.ManagementToken = authserver.NewSecret("stale")
	return handle
}

func keyPair(t *testing.T, key any, public any, kid string) (private authserver.Secret, jwks string) {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: kid, Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	return authserver.NewSecret(string(block)), string(encoded)
}

func TestT19TheWitnessOfAPrivateKey(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pairs := map[string][2]any{
		"EC": {curve, &curve.PublicKey}, "Ed25519": {edwards, public}, "RSA": {modulus, &modulus.PublicKey},
	}
	for name, pair := range pairs {
		for _, audience := range []string{"", "/token"} {
			t.Run(name+" "+audience, func(t *testing.T) {
				w := newWorld(t)
				server := w.connect(t)
				w.audience = w.issuer() + audience
				private, jwks := keyPair(t, pair[0], pair[1], "key-1")
				wish := contract.Confidential()
				wish.AuthMethod, wish.JWKS = methodKey, jwks
				handle := staleHandle(t, server, wish)
				wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
				handle.PrivateKey, handle.KeyID = private, "key-1"
				wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
				w.remove(handle.ClientID)
				handle.Uncertain = true
				wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
				handle.Uncertain = false
				if err := server.Revoke(t.Context(), handle); err != nil {
					t.Errorf("a client that is gone: %v", err)
				}
				handle.PrivateKey = authserver.NewSecret("no key")
				wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
			})
		}
	}
}

func TestT19AnAssertionProvesNothingWhenTheClocksDiffer(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	private, jwks := keyPair(t, curve, &curve.PublicKey, "")
	wish := contract.Confidential()
	wish.AuthMethod, wish.JWKS = methodKey, jwks
	server := w.connect(t)
	handle := staleHandle(t, server, wish)
	handle.PrivateKey = private
	w.remove(handle.ClientID)
	server.options.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
}

func TestT19ASecretIsTriedInBothEncodings(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	handle := staleHandle(t, server, contract.Confidential())
	for _, raw := range []bool{false, true} {
		w.token = func(response http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			code := "invalid_client"
			if password == map[bool]string{false: "a%2Bb", true: "a+b"}[raw] {
				code = "invalid_grant"
			}
			reply(response, http.StatusBadRequest, map[string]any{"error": code})
		}
		handle.ClientSecret = authserver.NewSecret("a+b")
		wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
	}
}

func TestT20WhatTheTokenEndpointSays(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   string
		absent bool
		kind   authserver.Kind
	}{
		"400 invalid_client":         {400, "invalid_client", true, 0},
		"401 invalid_client":         {401, "invalid_client", true, 0},
		"400 invalid_grant":          {400, "invalid_grant", false, authserver.Unauthorized},
		"400 unauthorized_client":    {400, "unauthorized_client", false, authserver.Unauthorized},
		"400 unsupported_grant_type": {400, "unsupported_grant_type", false, authserver.Unauthorized},
		"400 invalid_request":        {400, "invalid_request", false, authserver.Unauthorized},
		"200":                        {200, "", false, authserver.Unavailable},
		"200 that says invalid":      {200, "invalid_client", false, authserver.Unavailable},
		"400 with an unknown code":   {400, "client_not_found", false, authserver.Unavailable},
		"401 without a code":         {401, "", false, authserver.Unavailable},
		"403 invalid_client":         {403, "invalid_client", false, authserver.Unavailable},
		"404":                        {404, "invalid_client", false, authserver.Unavailable},
		"302":                        {302, "invalid_client", false, authserver.Unavailable},
		"500 invalid_client":         {500, "invalid_client", false, authserver.Unavailable},
		"503 that asks to be let be": {503, "invalid_client", false, authserver.Unavailable},
		"429 that asks to be let be": {429, "invalid_client", false, authserver.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			server := w.connect(t)
			handle := staleHandle(t, server, contract.Wish())
			w.token = func(response http.ResponseWriter, _ *http.Request) {
				response.Header().Set("Retry-After", "5")
				reply(response, c.status, map[string]any{"error": c.code})
			}
			_, found, findErr := server.Find(t.Context(), handle)
			for _, err := range []error{findErr, server.Revoke(t.Context(), handle)} {
				if c.absent {
					if err != nil || found {
						t.Errorf("found %t, %v", found, err)
					}
					continue
				}
				failure := wantKind(t, err, c.kind)
				if failure.MaybeApplied || (c.status == 429 || c.status == 503) != (failure.RetryAfter > 0) {
					t.Errorf("%+v", failure)
				}
			}
		})
	}
}

func wantKind(t *testing.T, err error, kind authserver.Kind) *authserver.Error {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	failure, ok := err.(*authserver.Error) //nolint:errorlint // the adapter returns this very type
	if !ok || failure.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind)
	}
	return failure
}

func TestT20ThePublicWitnessNeedsNoSecret(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	handle := staleHandle(t, server, contract.Wish())
	handle.Uncertain = true
	wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
	w.remove(handle.ClientID)
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Error(err)
	}
	handle.TokenEndpoint = ""
	wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
	handle.Deleted = true
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Errorf("after an accepted deletion: %v", err)
	}
}

func TestT20ForbiddenIsNoProofEvenAfterADeletion(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	handle.Deleted = true
	w.fail(contract.Find, contract.Fault{Status: 403})
	_, _, err = server.Find(t.Context(), handle)
	wantError(t, err, authserver.Unauthorized, "")
}

func TestT19TheMadeUpCodeDiffersEachTime(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	handle := staleHandle(t, server, contract.Wish())
	bodies := map[string]bool{}
	for range 3 {
		wantError(t, server.Revoke(t.Context(), handle), authserver.Unauthorized, "invalid_token")
	}
	for _, r := range w.sent("POST", "/token") {
		bodies[string(r.body)] = true
		if r.authorization != "" {
			t.Error("a public client has no credential to send")
		}
	}
	if len(bodies) != 3 {
		t.Errorf("%d different requests", len(bodies))
	}
}
