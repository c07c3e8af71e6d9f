// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	resource = "https://mcp.example.com/files"
	redirect = "https://app.example.com/callback"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// request is what arrived at the authorization server.
type request struct {
	method, path  string
	header        http.Header
	params        url.Values
	authorization string
}

// world is an authorization server that answers as a test says, and keeps what
// it was asked.
type world struct {
	*httptest.Server

	authorize func(w http.ResponseWriter, r *http.Request)
	token     func(w http.ResponseWriter, r *http.Request)

	mu       sync.Mutex
	requests []request
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		w.mu.Lock()
		w.requests = append(w.requests, request{
			method: r.Method, path: r.URL.Path, header: r.Header, params: r.Form, authorization: r.Header.Get("Authorization"),
		})
		w.mu.Unlock()
		switch {
		case r.URL.Path == "/authorize" && w.authorize != nil:
			w.authorize(rw, r)
		case r.URL.Path == "/token" && w.token != nil:
			w.token(rw, r)
		default:
			t.Errorf("nobody may ask for %s", r.URL.Path)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *world) asked() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

func (w *world) examiner(t *testing.T, options Options) *Examiner {
	t.Helper()
	options.Now = func() time.Time { return noon }
	e, err := New(authserver.Config{Name: "main", Issuer: w.URL}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func (w *world) challengeQuestion() authserver.ChallengeQuestion {
	return authserver.ChallengeQuestion{
		AuthorizationEndpoint: w.URL + "/authorize", ClientID: "client-1", RedirectURI: redirect,
		Scopes: []string{"files:read", "notes:read"}, Resource: resource,
	}
}
