// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func TestRestartKeepsPortAndState(t *testing.T) {
	f := start(t, devas.Options{})
	issuer := f.server.Issuer()
	r := f.registered(confidential(nil))
	uri, token := r.text("registration_client_uri"), r.text("registration_access_token")
	access := f.clientCredentials(credentialsOf(r)).text("access_token")
	for range 3 {
		if err := f.server.Stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.try(f.request(http.MethodGet, uri, token, "", "")); err == nil {
			t.Fatal("a stopped server answered")
		}
		if err := f.server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.server.Issuer() != issuer {
		t.Errorf("issuer changed to %s", f.server.Issuer())
	}
	if got := f.get(uri, token); got.status != http.StatusOK {
		t.Errorf("reading after restarts: %d", got.status)
	}
	if active := f.introspect(credentialsOf(r), access).json["active"]; active != true {
		t.Errorf("token active after restarts: %v", active)
	}
}

func TestStartTwiceAndAfterClose(t *testing.T) {
	f := start(t, devas.Options{})
	if err := f.server.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	if err := f.server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.server.Start(t.Context()); err == nil {
		t.Error("started after Close")
	}
}

func TestServerEndsWithItsContext(t *testing.T) {
	server, err := devas.New(devas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, server: server, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	cancel()
	f.until(func() bool {
		_, err := f.try(f.request(http.MethodGet, server.Issuer()+openIDPath, "", "", ""))
		return err != nil
	})
}

func TestOnlyLoopback(t *testing.T) {
	for _, o := range []devas.Options{
		{Addr: "0.0.0.0:0"}, {AdminAddr: "192.0.2.1:0"}, {Addr: "example.com:80"}, {Addr: ":0"}, {AccessTokenLifetime: -1},
	} {
		if _, err := devas.New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

func TestAdminOrdersFaults(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(public(nil))
	f.admin(http.MethodPost, "/faults", devas.Fault{Operation: devas.Read, Status: 500, Count: 1}, http.StatusNoContent)
	if got := f.get(r.text("registration_client_uri"), r.text("registration_access_token")); got.status != 500 {
		t.Errorf("the fault ordered had no effect: %d", got.status)
	}
	f.admin(http.MethodPost, "/faults", devas.Fault{Status: 500}, http.StatusNoContent)
	f.admin(http.MethodDelete, "/faults", nil, http.StatusNoContent)
	if n := len(f.server.Faults()); n != 0 {
		t.Errorf("%d faults after clearing", n)
	}
}

func TestAdminChangesSwitches(t *testing.T) {
	begin := devas.Switches{HideS256: true}
	f := start(t, devas.Options{Switches: begin})
	f.admin(http.MethodPost, "/switches", map[string]any{"extraScope": "admin"}, http.StatusNoContent)
	f.admin(http.MethodPost, "/switches", map[string]any{"rotateRegistrationToken": "put"}, http.StatusNoContent)
	f.admin(http.MethodPost, "/switches", map[string]any{"rotateRegistrationToken": "x"}, http.StatusBadRequest)
	want := devas.Switches{HideS256: true, ExtraScope: "admin", RotateRegistrationToken: devas.RotateOnPut}
	if got := f.server.Switches(); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	f.admin(http.MethodDelete, "/switches", nil, http.StatusNoContent)
	if got := f.server.Switches(); !cmp.Equal(got, begin) {
		t.Error(cmp.Diff(begin, got))
	}
}

func TestAdminActsOnClients(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(public(nil))
	path := "/clients/" + r.text("client_id")
	f.admin(http.MethodPatch, path, map[string]any{"scope": "read admin"}, http.StatusNoContent)
	read := f.get(r.text("registration_client_uri"), r.text("registration_access_token"))
	wantFields(t, read, map[string]string{"scope": "read admin", "client_name": "reader"})
	f.admin(http.MethodPatch, path, map[string]any{"grant_types": []string{"password"}}, http.StatusBadRequest)
	f.admin(http.MethodDelete, path, nil, http.StatusNoContent)
	f.admin(http.MethodDelete, path, nil, http.StatusNotFound)
	if deleted := f.server.Deleted(); !cmp.Equal(deleted, []string{r.text("client_id")}) {
		t.Errorf("deleted: %v", deleted)
	}
}

func (f *fixture) admin(method, path string, body any, want int) {
	f.Helper()
	if got := f.sendJSON(method, f.server.AdminURL()+path, "", body); got.status != want {
		f.Fatalf("%s %s: %d %v, want %d", method, path, got.status, got.json, want)
	}
}

func TestAdminCountsAndRestart(t *testing.T) {
	f := start(t, devas.Options{})
	admin := f.server.AdminURL()
	f.registered(public(nil))
	counts := f.get(admin+"/counts", "")
	if want := map[string]any{"register": map[string]any{"201": 1.0}}; !cmp.Equal(counts.json["counts"], any(want)) || counts.json["maxInFlight"] != 1.0 {
		t.Errorf("counts: %v", counts.json)
	}
	f.do(f.request(http.MethodDelete, admin+"/counts", "", "", ""))
	if len(f.server.Counts()) != 0 || len(f.server.Log()) != 0 || f.server.MaxInFlight() != 0 {
		t.Errorf("after the reset: %v %v", f.server.Counts(), f.server.Log())
	}
	f.do(f.request(http.MethodPost, admin+"/stop", "", "", ""))
	if _, err := f.try(f.request(http.MethodGet, f.server.Issuer()+openIDPath, "", "", "")); err == nil {
		t.Error("answered though stopped")
	}
	if got := f.do(f.request(http.MethodPost, admin+"/start", "", "", "")); got.status != http.StatusNoContent {
		t.Fatalf("starting: %d %v", got.status, got.json)
	}
	if got := f.get(f.server.Issuer()+openIDPath, ""); got.status != http.StatusOK {
		t.Errorf("after the start: %d", got.status)
	}
}

func TestAdminSurfaceIsApart(t *testing.T) {
	f := start(t, devas.Options{})
	for _, path := range []string{"/clients", "/counts", "/faults", "/switches"} {
		if r := f.get(f.server.Issuer()+path, ""); r.status != http.StatusNotFound {
			t.Errorf("%s on the issuer's origin: %d", path, r.status)
		}
	}
	r := f.jsonRequest(http.MethodPost, f.server.AdminURL()+"/faults", "", devas.Fault{Status: 500})
	r.Header.Set("Origin", "https://page.example.com")
	if got := f.do(r); got.status != http.StatusForbidden {
		t.Errorf("from a web page: %d", got.status)
	}
	if got := f.sendJSON(http.MethodPost, f.server.AdminURL()+"/faults", "", map[string]any{"statsu": 500}); got.status != http.StatusBadRequest {
		t.Errorf("misspelt order: %d", got.status)
	}
}

func TestLogKeepsOrder(t *testing.T) {
	f := start(t, devas.Options{})
	r := f.registered(confidential(nil))
	c := credentialsOf(r)
	f.clientCredentials(c)
	f.do(f.request(http.MethodDelete, r.text("registration_client_uri"), r.text("registration_access_token"), "", ""))
	type line struct {
		Operation devas.Operation
		ClientID  string
		Status    int
	}
	var got []line
	var last time.Time
	for _, e := range f.server.Log() {
		if e.Time.Before(last) {
			t.Errorf("%s is before %s", e.Time, last)
		}
		last = e.Time
		got = append(got, line{e.Operation, e.ClientID, e.Status})
	}
	want := []line{{devas.Register, c.id, 201}, {devas.Token, c.id, 200}, {devas.Delete, c.id, 204}}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	const workers, each = 16, 125
	f := start(t, devas.Options{})
	f.http.Transport = &http.Transport{MaxIdleConnsPerHost: workers}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range each {
				if err := f.registerAndDelete(i%2 != 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	counts, deleted := f.server.Counts(), workers*(each/2)
	want := devas.Counters{devas.Register: {201: workers * each}, devas.Delete: {204: deleted}}
	if !cmp.Equal(counts, want) {
		t.Error(cmp.Diff(want, counts))
	}
	if len(f.server.Deleted()) != deleted || len(f.server.Clients()) != workers*each-deleted {
		t.Errorf("%d live, %d deleted", len(f.server.Clients()), len(f.server.Deleted()))
	}
	if n := f.server.MaxInFlight(); n < 1 || n > workers {
		t.Errorf("%d requests in flight", n)
	}
}

// registerAndDelete may be called by many goroutines at once.
func (f *fixture) registerAndDelete(deleting bool) error {
	r, err := f.try(f.jsonRequest(http.MethodPost, f.server.Issuer()+"/register", "", confidential(nil)))
	if err != nil || !deleting {
		return err
	}
	_, err = f.try(f.request(http.MethodDelete, r.text("registration_client_uri"), r.text("registration_access_token"), "", ""))
	return err
}

func BenchmarkRegister(b *testing.B) {
	const body = `{"client_name":"n","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"read"}`
	server, err := devas.New(devas.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	f := &fixture{server: server, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.Issuer()+"/register", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			if got, err := f.try(r); err != nil || got.status != http.StatusCreated {
				b.Errorf("%d %v", got.status, err)
				return
			}
		}
	})
}
