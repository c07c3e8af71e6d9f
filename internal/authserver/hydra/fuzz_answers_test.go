// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// FuzzAnswers puts an answer of any form in the place of the admin API's. Only a
// 404 with an error says that a client is gone, and only what carries our mark is
// deleted.
func FuzzAnswers(f *testing.F) {
	for _, s := range contract.Stances() {
		f.Add(uint16(s.Status), s.Header["Content-Type"], []byte(s.Body), s.Cut)
	}
	for _, member := range odd {
		if len(member) < 1000 {
			f.Add(uint16(200), "application/json", []byte(`{"client_id":"c-1","owner":"us","metadata":{"software_id":"us"},`+member+`}`), false)
		}
	}
	f.Add(uint16(404), "application/json", []byte(`{"error":"Unable to locate the resource"}`), false)
	var stance contract.Stance
	var deleted bool
	world := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/c-1") {
			deleted = true
		}
		stance.ServeHTTP(w, r)
	}))
	f.Cleanup(world.Close)
	server, err := New(authserver.Config{Issuer: "https://as.example", BaseURL: world.URL}, Options{Now: time.Now, Timeout: 2 * time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, status uint16, kind string, body []byte, cut bool) {
		stance = contract.Drawn(status, map[string]string{"Content-Type": kind}, body, cut)
		deleted = false
		handle := authserver.Handle{ClientID: "c-1", Owner: "us"}
		// A name may be written with escapes.
		says := func(name string) bool {
			return strings.Contains(string(body), name) || strings.Contains(string(body), `\u`)
		}
		refusal := stance.Status == http.StatusNotFound && !cut && says("error")
		if _, found, err := server.Find(t.Context(), handle); err == nil && !found && !refusal {
			t.Error("a client is proven gone")
		}
		err := server.Revoke(t.Context(), handle)
		if deleted && !says("software_id") {
			t.Error("a client without our mark is deleted")
		}
		if err == nil && !deleted && !refusal {
			t.Error("nothing was deleted, and no error says so")
		}
		wish := contract.Wish()
		wish.ID = "c-1"
		if client, err := server.Register(t.Context(), wish); err == nil && client.ID != "c-1" {
			t.Errorf("registered %q", client.ID)
		}
	})
}
