// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// shelf serves documents over https.
type shelf struct {
	mu      sync.Mutex
	url     string
	serve   http.HandlerFunc
	fetches int
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	s.serve(w, r)
}

func (s *shelf) puts(serve http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = serve
}

func (s *shelf) fetched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// document answers with client metadata, of a public client unless over says
// otherwise, and with the headers given.
func (s *shelf) document(over map[string]any, header ...string) http.HandlerFunc {
	m := public(map[string]any{"client_id": s.url + "/client", "response_types": []string{"code"}})
	maps.Copy(m, over)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if tag := w.Header().Get("ETag"); tag != "" && r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if err := json.NewEncoder(w).Encode(m); err != nil {
			panic(err)
		}
	}
}

// withShelf is a server that fetches documents, and where they are.
func withShelf(t *testing.T) (*fixture, *shelf, credentials) {
	t.Helper()
	s := &shelf{}
	hosting := httptest.NewTLSServer(s)
	t.Cleanup(hosting.Close)
	s.url = hosting.URL
	s.serve = s.document(nil)
	return start(t, devas.Options{MetadataDocuments: hosting.Client()}), s, credentials{id: hosting.URL + "/client"}
}

func TestAClientIsWhatItsDocumentSays(t *testing.T) {
	f, s, c := withShelf(t)
	if meta := f.get(f.server.Issuer()+"/.well-known/oauth-authorization-server", ""); meta.json["client_id_metadata_document_supported"] != true {
		t.Error("discovery does not say it")
	}
	tokens := f.codeFlow(c, nil)
	if claims := f.verified(tokens.text("access_token")); claims.Scope != "read write" {
		t.Errorf("scope %q", claims.Scope)
	}
	s.puts(s.document(map[string]any{"scope": "read", "redirect_uris": []string{"https://other.example/callback"}}))
	if _, r := f.authorize(authorization(c.id, "x")); r.status != http.StatusBadRequest {
		t.Errorf("a redirect URI that is not in the document any more: %d", r.status)
	}
	refreshed := f.token(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}})
	if got := f.verified(refreshed.text("access_token")).Scope; got != "read" {
		t.Errorf("scope %q after the document lost one", got)
	}
	s.puts(http.NotFound)
	wantError(t, f.token(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshed.text("refresh_token")}}), http.StatusUnauthorized, "invalid_client")
	s.puts(s.document(nil))
	wantError(t, f.token(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshed.text("refresh_token")}}), http.StatusBadRequest, "invalid_grant")
}

func TestAMachineSignsWithTheKeyInItsDocument(t *testing.T) {
	f, s, c := withShelf(t)
	key, keys := keyPair(t)
	s.puts(s.document(map[string]any{
		"token_endpoint_auth_method": "private_key_jwt", "jwks": keys, "grant_types": []string{"client_credentials"},
		"response_types": []string{}, "redirect_uris": []string{},
	}))
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {assertion(t, key, c.id, f.server.Issuer())},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	if r := f.form("/token", credentials{}, form); r.status != http.StatusOK {
		t.Errorf("%d %v", r.status, r.json)
	}
	s.puts(http.NotFound)
	form.Set("client_assertion", assertion(t, key, c.id, f.server.Issuer()))
	wantError(t, f.form("/token", credentials{}, form), http.StatusUnauthorized, "invalid_client")
}

func TestADocumentIsCachedAsItSays(t *testing.T) {
	f, s, c := withShelf(t)
	s.puts(s.document(nil, "Cache-Control", "max-age=3600"))
	f.codeFlow(c, nil)
	s.puts(http.NotFound)
	f.codeFlow(c, nil)
	if n := s.fetched(); n != 1 {
		t.Errorf("%d fetches of a document that may be cached", n)
	}
	for _, control := range []string{"", "no-store, max-age=60", "max-age=0, must-revalidate", "max-age=x"} {
		f, s, c := withShelf(t)
		s.puts(s.document(nil, "Cache-Control", control, "ETag", `"1"`))
		f.codeFlow(c, nil)
		if n := s.fetched(); n != 2 {
			t.Errorf("%q: %d fetches, want one for each request", control, n)
		}
	}
}

func TestABadDocumentIsNoClient(t *testing.T) {
	f, s, c := withShelf(t)
	for name, serve := range map[string]http.HandlerFunc{
		"another client":  s.document(map[string]any{"client_id": c.id + "/"}),
		"no name":         s.document(map[string]any{"client_name": ""}),
		"a secret":        s.document(map[string]any{"client_secret": "x"}),
		"a shared secret": s.document(map[string]any{"token_endpoint_auth_method": "client_secret_basic"}),
		"too much":        s.document(map[string]any{"x": strings.Repeat("x", 5000)}),
		"another type":    s.document(nil, "Content-Type", "text/html"),
		"a redirect":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/client", http.StatusFound) },
		"an error":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		s.puts(serve)
		if _, r := f.authorize(authorization(c.id, "x")); r.status != http.StatusBadRequest || r.text("error") != "invalid_client" {
			t.Errorf("%s: %d %v", name, r.status, r.json)
		}
	}
	before := s.fetched()
	for _, id := range []string{s.url + "/./client", s.url + "/a/../client", s.url, s.url + "/client#a", "https://u@" + strings.TrimPrefix(c.id, "https://")} {
		if _, r := f.authorize(authorization(id, "x")); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d", id, r.status)
		}
	}
	if n := s.fetched(); n != before {
		t.Errorf("%d documents were fetched for what is no Client Identifier URL", n-before)
	}
	s.puts(s.document(nil))
	f.codeFlow(c, nil)
}

func TestDocumentsAreNotFetchedUnlessToldTo(t *testing.T) {
	f := start(t, devas.Options{})
	meta := f.get(f.server.Issuer()+"/.well-known/oauth-authorization-server", "")
	if _, said := meta.json["client_id_metadata_document_supported"]; said {
		t.Error("discovery says it")
	}
	if _, r := f.authorize(authorization("https://127.0.0.1:1/client", "x")); r.status != http.StatusBadRequest {
		t.Errorf("%d", r.status)
	}
}
