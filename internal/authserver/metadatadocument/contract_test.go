// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
)

const base = "https://clients.example.com/mcp"

// world is a host, an adapter of it, and what both are told.
type world struct {
	host   *Host
	server *Server
	times  *times
	asked  discovery
	record *record
}

type times struct {
	mu sync.Mutex
	at time.Time
}

func (c *times) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *times) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// discovery is the metadata of an authorization server.
type discovery struct {
	metadata authserver.Metadata
	err      error
	calls    int
}

func (d *discovery) Discover(context.Context) (authserver.Metadata, error) {
	d.calls++
	return d.metadata, d.err
}

func (d *discovery) Close() {}

// record is what is on record.
type record struct {
	mu        sync.Mutex
	documents map[string]authserver.Document
	unknown   bool
	err       error
}

func (r *record) Document(_ context.Context, path string) (authserver.Document, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	document, found := r.documents[path]
	return document, found, r.err
}

func (r *record) Current() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.unknown
}

// put puts a document on record.
func (r *record) put(document authserver.Document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.documents[authserver.DocumentPath(document.ID)] = document
}

func (r *record) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.documents, authserver.DocumentPath(id))
}

// newWorld is a world without a record: what the adapter did is all there is.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		times: &times{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
		asked: discovery{metadata: authserver.Metadata{
			Issuer: "https://as.example.com", TokenEndpoint: "https://as.example.com/token", ClientIDMetadataDocument: true,
		}},
	}
	w.host = NewHost(HostOptions{Now: w.times.now})
	server, err := New(authserver.Config{BaseURL: base, CopySeconds: 60}, w.host, &w.asked)
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	return w
}

// withRecord gives the world a record.
func (w *world) withRecord() *world {
	w.record = &record{documents: map[string]authserver.Document{}}
	w.host.Attach(w.record)
	return w
}

func (w *world) live() []string {
	w.host.acts.mu.Lock()
	defer w.host.acts.mu.Unlock()
	var ids []string
	for _, done := range w.host.acts.byPath {
		if !done.withdrawn {
			ids = append(ids, done.document.ID)
		}
	}
	return ids
}

func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject {
		w := newWorld(t)
		stand := w.discover(t)
		return contract.Subject{
			Server: w.server, Live: w.live, Stand: stand,
			Remove: func(id string) { w.host.withdraw(authserver.DocumentPath(id)) },
		}
	})
}

// discover has the adapter read the metadata over HTTP, which is all that it asks
// of the authorization server, with somebody between.
func (w *world) discover(t *testing.T) func(*contract.Stance, bool, ...contract.Operation) bool {
	t.Helper()
	between := &contract.Intermediary{StepOf: func(*http.Request) contract.Operation { return contract.Discover }}
	front := httptest.NewServer(between)
	t.Cleanup(front.Close)
	between.Next = http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(out, `{"issuer":%q,"token_endpoint":%q,"client_id_metadata_document_supported":true}`, front.URL, front.URL+"/token")
	})
	discovery, err := dcr.New(authserver.Config{Issuer: front.URL}, dcr.Options{Now: time.Now, Timeout: 2 * time.Second, MetadataOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(discovery.Close)
	w.server.discovery = discovery
	return func(stance *contract.Stance, hides bool, steps ...contract.Operation) bool {
		if stance == nil {
			between.Stand(nil, false)
			return true
		}
		between.Stand(stance, hides, steps...)
		return slices.Contains(steps, contract.Discover)
	}
}
