// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

const (
	resource   = "https://mcp.example/mcp"
	keySetPath = "/keys"
	askPath    = "/introspect"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is an issuer that can be told what to answer, a clock and a Verifier.
type world struct {
	t      testing.TB
	issuer string
	clock  *testingclock.FakePassiveClock

	mu       sync.Mutex
	answers  map[string]http.HandlerFunc
	requests map[string]int
	key      *ecdsa.PrivateKey
	*Verifier
}

func newWorld(t testing.TB, change func(issuer string, o *Options)) *world {
	t.Helper()
	w := &world{t: t, clock: testingclock.NewFakePassiveClock(noon), requests: map[string]int{}, key: ecKey(t)}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.issuer = server.URL
	w.answers = map[string]http.HandlerFunc{
		wellKnownOAuth: says(map[string]any{
			"issuer": w.issuer, "jwks_uri": w.issuer + keySetPath, "introspection_endpoint": w.issuer + askPath,
		}),
		keySetPath: says(setOf(public("k1", w.key))),
	}
	options := Options{Clock: w.clock}
	if change != nil {
		change(w.issuer, &options)
	}
	verifier, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	w.Verifier = verifier
	return w
}

// introspecting configures a world that asks.
func introspecting(asked Introspection) func(string, *Options) {
	return func(issuer string, o *Options) {
		asked.ClientID, asked.ClientSecret = "guard", authserver.NewSecret("s3cret")
		o.Introspection = map[string]Introspection{issuer: asked}
	}
}

func (w *world) ServeHTTP(response http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.requests[r.URL.Path]++
	answer := w.answers[r.URL.Path]
	w.mu.Unlock()
	if answer == nil {
		http.NotFound(response, r)
		return
	}
	answer(response, r)
}

// serve has a path answered; nil means not found.
func (w *world) serve(path string, answer http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[path] = answer
}

func (w *world) count(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[path]
}

// goAway has every request end in an error of the server.
func (w *world) goAway() (comeBack func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := maps.Clone(w.answers)
	for path := range w.answers {
		w.answers[path] = status(http.StatusServiceUnavailable)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.answers = before
	}
}

func (w *world) after(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

func (w *world) ask(raw string) (guard.Token, error) {
	w.t.Helper()
	got, err := w.Verify(w.t.Context(), shown(raw), guard.TokenQuestion{Issuer: w.issuer, Audience: resource})
	if failure, ok := errors.AsType[*guard.TokenError](err); err != nil && (!ok || failure.Reason == "") {
		w.t.Fatalf("not a *guard.TokenError: %v", err)
	}
	if err != nil && len(raw) > 20 && strings.Contains(err.Error(), raw[len(raw)-10:]) {
		w.t.Errorf("the error holds the token: %v", err)
	}
	return got, err
}

// shown is a token as bearer tokens are shown.
func shown(raw string) guard.Presentation {
	return guard.Presentation{Scheme: guard.SchemeBearer, Token: raw, Method: http.MethodPost, URL: resource}
}

// expect says that a token is accepted, or refused for a reason.
func (w *world) expect(when, raw string, want guard.Reason) {
	w.t.Helper()
	_, err := w.ask(raw)
	if got := reasonOf(err); got != want {
		w.t.Errorf("%s: %s (%v), want %s", when, got, err, want)
	}
}

// eventually is expect for what happens behind.
func (w *world) eventually(when, raw string, want guard.Reason) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := w.ask(raw)
		if reasonOf(err) == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("%s: still %s, want %s", when, reasonOf(err), want)
		}
	}
}

func reasonOf(err error) guard.Reason {
	failure, ok := errors.AsType[*guard.TokenError](err)
	if !ok {
		return guard.ReasonAllowed
	}
	return failure.Reason
}

// claim returns the claims of a good token, changed.
func (w *world) claim(changes map[string]any) map[string]any {
	made := map[string]any{
		"iss": w.issuer, "aud": resource, "client_id": "agent", "sub": "alice", "jti": "t-1", "scope": "read write",
		"exp": noon.Add(time.Hour).Unix(), "iat": noon.Unix(), "nbf": noon.Unix(),
	}
	for name, value := range changes {
		if value == nil {
			delete(made, name)
			continue
		}
		made[name] = value
	}
	return made
}

// good is a token that is accepted until changes make it another.
func (w *world) good(changes map[string]any) string {
	w.t.Helper()
	return sign(w.t, jose.ES256, jose.JSONWebKey{Key: w.key, KeyID: "k1"}, "at+jwt", asJSON(w.t, w.claim(changes)))
}

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, kind string, payload []byte) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if kind != "" {
		options.WithType(jose.ContentType(kind))
	}
	return signWith(t, algorithm, key, options, payload)
}

func signWith(t testing.TB, algorithm jose.SignatureAlgorithm, key any, options *jose.SignerOptions, payload []byte) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// unsigned is a token with a header of one's own and no signature.
func unsigned(header string, payload []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(id string, key *ecdsa.PrivateKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: id, Use: "sig", Algorithm: "ES256"}
}

func setOf(keys ...jose.JSONWebKey) jose.JSONWebKeySet { return jose.JSONWebKeySet{Keys: keys} }

func asJSON(t testing.TB, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func says(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(value); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}
