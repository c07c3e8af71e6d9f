// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// found says what Find says.
func (w *world) found(t *testing.T, handle authserver.Handle) bool {
	t.Helper()
	_, found, err := w.server.Find(t.Context(), handle)
	if err != nil {
		t.Errorf("finding: %v", err)
	}
	return found
}

func (w *world) scope(t *testing.T) string {
	t.Helper()
	body := w.ask(t, http.MethodGet, myPath).Body.String()
	_, rest, _ := strings.Cut(body, `"scope":"`)
	scope, _, _ := strings.Cut(rest, `"`)
	return scope
}

// TestTheRecordFollowsWhatWasDone goes through the life of a client, with a
// record that says each thing later than the adapter did it.
func TestTheRecordFollowsWhatWasDone(t *testing.T) {
	w := newWorld(t).withRecord()
	handle := w.register(t, wish(mine))
	if got := w.ask(t, http.MethodGet, myPath); got.Code != http.StatusOK || got.Header().Get("Cache-Control") != "max-age=0, must-revalidate" {
		t.Errorf("with nothing on record: %d %v", got.Code, got.Header())
	}
	w.times.pass(actAhead)
	w.want(t, "with nothing on record for long", myPath, http.StatusNotFound)
	if !w.found(t, handle) {
		t.Error("the client that was just registered is not found")
	}

	pending := recorded(mine)
	pending.Pending = true
	pending.Registered = authserver.ClientMetadata{}
	w.record.put(pending)
	w.want(t, "a pending record does not take it away", myPath, http.StatusOK)
	w.record.put(recorded(mine))
	w.want(t, "on record", myPath, http.StatusOK)

	reduced := wish(mine)
	reduced.Scopes = []string{"alerts.read"}
	if _, err := w.server.Replace(t.Context(), handle, reduced); err != nil {
		t.Fatal(err)
	}
	if got := w.scope(t); got != "alerts.read" {
		t.Errorf("scope %q with an older record", got)
	}
	document := recorded(mine)
	document.Registered = kept(reduced)
	w.record.put(document)

	held := document
	held.Held = true
	w.record.put(held)
	w.want(t, "a revocation that began", myPath, http.StatusNotFound)
	if !w.found(t, handle) {
		t.Error("the beginning of a revocation is taken for its end")
	}
	w.record.put(document)
	if err := w.server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(){
		"an older record":   func() { w.record.put(document) },
		"a pending record":  func() { w.record.put(pending) },
		"no record":         func() { w.record.drop(mine) },
		"an unknown record": func() { w.record.unknown = true },
	} {
		change()
		if w.found(t, handle) || w.ask(t, http.MethodGet, myPath).Code == http.StatusOK {
			t.Errorf("the revoked client is back with %s", name)
		}
	}
}

// TestWhatWasDoneCountsForAWhile: after it the record alone does.
func TestWhatWasDoneCountsForAWhile(t *testing.T) {
	w := newWorld(t).withRecord()
	handle := w.register(t, wish(mine))
	w.record.put(recorded(mine))
	other := recorded(mine)
	other.Registered.Scopes = []string{"notes.read"}
	w.record.put(other)
	w.times.pass(actLife - 1)
	if got := w.scope(t); got != "forecast.read alerts.read" {
		t.Errorf("scope %q before the time", got)
	}
	w.times.pass(1)
	if got := w.scope(t); got != "notes.read" {
		t.Errorf("scope %q after the time", got)
	}
	w.record.drop(mine)
	w.want(t, "after the record went", myPath, http.StatusNotFound)
	if w.found(t, handle) {
		t.Error("found after the record went")
	}
}

// TestAPendingClientOfAProcessThatDiedIsNotThere: what it did is gone with it,
// and the request can be carried out.
func TestAPendingClientOfAProcessThatDiedIsNotThere(t *testing.T) {
	w := newWorld(t).withRecord()
	pending := recorded(mine)
	pending.Pending = true
	w.record.put(pending)
	handle := authserver.Handle{ClientID: mine, Owner: wish(mine).SoftwareID}
	if w.found(t, handle) {
		t.Error("found")
	}
	w.register(t, wish(mine))
	w.want(t, "registered", myPath, http.StatusOK)
}

func TestWhatWasDoneIsForgotten(t *testing.T) {
	w := newWorld(t).withRecord()
	for i := range 100 {
		w.host.publish(fmt.Sprintf("/mcp/%d", i), authserver.Document{})
		w.host.withdraw("/mcp/again")
		w.times.pass(time.Second)
	}
	w.times.pass(actLife - 10*time.Second)
	w.host.withdraw("/mcp/last")
	w.host.acts.mu.Lock()
	defer w.host.acts.mu.Unlock()
	if n := len(w.host.acts.byPath); n != 9+2 {
		t.Errorf("%d acts are left", n)
	}
	if n := len(w.host.acts.order); n != 2*9+1 {
		t.Errorf("%d places in the order are left", n)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t).withRecord()
	w.host = NewHost(HostOptions{Now: w.times.now, PerSecond: 1 << 20})
	w.host.Attach(w.record)
	w.server.host = w.host
	var group sync.WaitGroup
	for i := range 8 {
		id := fmt.Sprintf("%s/mcpr-%d", base, i)
		group.Go(func() {
			for range 50 {
				handle := w.register(t, wish(id))
				w.record.put(recorded(id))
				w.want(t, id, authserver.DocumentPath(id), http.StatusOK)
				if err := w.server.Revoke(t.Context(), handle); err != nil {
					t.Error(err)
				}
				w.want(t, id, authserver.DocumentPath(id), http.StatusNotFound)
				w.record.drop(id)
			}
		})
	}
	group.Wait()
}
