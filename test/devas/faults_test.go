// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func (f *fixture) order(fault devas.Fault) {
	f.Helper()
	if err := f.server.Order(fault); err != nil {
		f.Fatal(err)
	}
}

func TestStatusFaults(t *testing.T) {
	date := wall.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	tests := map[string]devas.Fault{
		"401":              {Status: 401},
		"403":              {Status: 403},
		"404":              {Status: 404},
		"405":              {Status: 405},
		"429 with seconds": {Status: 429, RetryAfter: "7"},
		"429 with date":    {Status: 429, RetryAfter: date},
		"500":              {Status: 500},
		"503":              {Status: 503},
		"500 after work":   {Status: 500, When: devas.After},
		"chosen error":     {Status: 400, Error: "invalid_client_metadata"},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			f := start(t, devas.Options{})
			fault.Operation, fault.Count = devas.Register, 1
			f.order(fault)
			r := f.register(public(nil))
			if r.status != fault.Status || r.text("error") == "" || r.header.Get("Retry-After") != fault.RetryAfter {
				t.Errorf("got %d %v %v", r.status, r.header, r.json)
			}
			if fault.Error != "" && r.text("error") != fault.Error {
				t.Errorf("error %q, want %q", r.text("error"), fault.Error)
			}
			if done := len(f.server.Clients()) == 1; done != (fault.When == devas.After) {
				t.Errorf("work done: %t", done)
			}
			if again := f.register(public(nil)); again.status != http.StatusCreated {
				t.Errorf("after the fault was used up: %d", again.status)
			}
			counts := f.server.Counts()[devas.Register]
			if counts[fault.Status] != 1 || counts[http.StatusCreated] != 1 {
				t.Errorf("counts: %v", counts)
			}
		})
	}
}

func TestConnectionFaults(t *testing.T) {
	kinds := map[devas.FaultKind]int{devas.FaultClose: devas.NoAnswer, devas.FaultTruncate: http.StatusOK, devas.FaultHang: devas.NoAnswer}
	for kind, status := range kinds {
		for _, when := range []devas.When{devas.Before, devas.After} {
			t.Run(string(kind)+" "+string(when), func(t *testing.T) {
				f := start(t, devas.Options{})
				f.order(devas.Fault{Operation: devas.Register, Kind: kind, When: when, Count: 1})
				if kind == devas.FaultTruncate && when == devas.After {
					status = http.StatusCreated
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if kind == devas.FaultHang {
					go f.giveUp(ctx, cancel)
				}
				r := f.jsonRequest(http.MethodPost, f.server.Issuer()+"/register", "", public(nil)).WithContext(ctx)
				_, err := f.try(r)
				if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) != (kind == devas.FaultHang) {
					t.Errorf("got error %v", err)
				}
				if kind == devas.FaultTruncate && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got error %v, want an unexpected end", err)
				}
				if done := len(f.server.Clients()) == 1; done != (when == devas.After) {
					t.Errorf("work done: %t", done)
				}
				if counts := f.server.Counts()[devas.Register]; counts[status] != 1 {
					t.Errorf("counts: %v, want one of %d", counts, status)
				}
			})
		}
	}
}

// giveUp cancels a request that is not answered, once it is counted.
func (f *fixture) giveUp(ctx context.Context, cancel context.CancelFunc) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && f.server.Counts().Total(devas.Register) == 0 {
		<-tick.C
	}
	cancel()
}

func TestLargeAnswer(t *testing.T) {
	f := start(t, devas.Options{})
	f.order(devas.Fault{Operation: devas.Register, Kind: devas.FaultLarge, When: devas.After, Count: 1})
	r := f.register(public(nil))
	if r.status != http.StatusCreated || len(r.text("padding")) < 5<<20 || r.text("client_id") == "" {
		t.Errorf("got %d with padding of %d bytes", r.status, len(r.text("padding")))
	}
	f.order(devas.Fault{Operation: devas.Discovery, Kind: devas.FaultLarge, Count: 1})
	if r := f.get(f.server.Issuer()+"/.well-known/openid-configuration", ""); len(r.text("padding")) < 5<<20 {
		t.Errorf("padding of %d bytes", len(r.text("padding")))
	}
}

func TestRedirectFault(t *testing.T) {
	f := start(t, devas.Options{})
	f.order(devas.Fault{Operation: devas.Read, Kind: devas.FaultRedirect, Location: "http://127.0.0.1:1/steal", Count: 1})
	r := f.registered(public(nil))
	got := f.get(r.text("registration_client_uri"), r.text("registration_access_token"))
	if got.status != http.StatusTemporaryRedirect || got.header.Get("Location") != "http://127.0.0.1:1/steal" {
		t.Errorf("got %d %v", got.status, got.header)
	}
}

func TestPageFault(t *testing.T) {
	f := start(t, devas.Options{})
	for _, status := range []int{0, http.StatusNotFound} {
		f.order(devas.Fault{Operation: devas.Read, Kind: devas.FaultPage, Status: status, Count: 1})
		r := f.registered(public(nil))
		got := f.get(r.text("registration_client_uri"), r.text("registration_access_token"))
		if want := max(status, http.StatusOK); got.status != want || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			t.Errorf("got %d %v", got.status, got.header)
		}
	}
}

func TestSecretMask(t *testing.T) {
	f := start(t, devas.Options{})
	if err := f.server.Set(devas.Switches{SecretMask: "********"}); err != nil {
		t.Fatal(err)
	}
	r := f.registered(map[string]any{"token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"client_credentials"}})
	got := f.get(r.text("registration_client_uri"), r.text("registration_access_token"))
	if r.text("client_secret") == "********" || got.text("client_secret") != "********" {
		t.Errorf("registered with %q, read as %q", r.text("client_secret"), got.text("client_secret"))
	}
}

func TestLatencyFault(t *testing.T) {
	for _, when := range []devas.When{devas.Before, devas.After} {
		f := start(t, devas.Options{})
		f.order(devas.Fault{Kind: devas.FaultLatency, When: when, DelayMillis: 60, Count: 1})
		begin := wall.Now()
		f.registered(public(nil))
		if took := wall.Since(begin); took < 60*time.Millisecond {
			t.Errorf("%s: took %s", when, took)
		}
	}
}

func TestRotatedTokenLostWithItsAnswer(t *testing.T) {
	f := start(t, devas.Options{Switches: devas.Switches{RotateRegistrationToken: devas.RotateOnPut}})
	r := f.registered(confidential(nil))
	uri, token := r.text("registration_client_uri"), r.text("registration_access_token")
	f.order(devas.Fault{Operation: devas.Replace, Kind: devas.FaultClose, When: devas.After, Count: 1})
	put := f.jsonRequest(http.MethodPut, uri, token, confidential(map[string]any{"client_id": r.text("client_id"), "scope": "read"}))
	if _, err := f.try(put); err == nil {
		t.Fatal("the answer was not lost")
	}
	wantError(t, f.get(uri, token), http.StatusUnauthorized, "invalid_token")
	if clients := f.server.Clients(); len(clients) != 1 || clients[0].Scope != "read" {
		t.Errorf("clients: %+v", clients)
	}
}

func TestHangEndsWithTheServer(t *testing.T) {
	f := start(t, devas.Options{})
	f.order(devas.Fault{Kind: devas.FaultHang, Count: 1})
	result := make(chan error, 1)
	r := f.jsonRequest(http.MethodPost, f.server.Issuer()+"/register", "", public(nil))
	go func() {
		_, err := f.try(r)
		result <- err
	}()
	f.until(func() bool { return f.server.Counts().Total(devas.Register) == 1 })
	if err := f.server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil {
		t.Error("a request that hung got an answer")
	}
}

func TestFaultsMatchByOperationAndClient(t *testing.T) {
	f := start(t, devas.Options{})
	a, b := f.registered(public(nil)), f.registered(public(nil))
	read := func(r reply) int {
		return f.get(r.text("registration_client_uri"), r.text("registration_access_token")).status
	}
	f.order(devas.Fault{Operation: devas.Read, ClientID: b.text("client_id"), Status: 500})
	f.order(devas.Fault{Operation: devas.Delete, Status: 503})
	for range 3 {
		if x, y := read(a), read(b); x != 200 || y != 500 {
			t.Errorf("read a: %d, b: %d", x, y)
		}
	}
	if n := len(f.server.Faults()); n != 2 {
		t.Errorf("%d faults pending", n)
	}
	f.server.ClearFaults()
	if status := read(b); status != 200 {
		t.Errorf("after clearing: %d", status)
	}
}

func TestFaultRefused(t *testing.T) {
	f := start(t, devas.Options{})
	for name, fault := range map[string]devas.Fault{
		"no status":            {},
		"status of success":    {Status: 200},
		"unknown operation":    {Operation: "explode", Status: 500},
		"unknown kind":         {Kind: "explode"},
		"unknown time":         {Status: 500, When: "during"},
		"negative count":       {Status: 500, Count: -1},
		"redirect to nowhere":  {Kind: devas.FaultRedirect},
		"page of a redirect":   {Kind: devas.FaultPage, Status: 302},
		"latency of no length": {Kind: devas.FaultLatency},
	} {
		if err := f.server.Order(fault); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// patience bounds every wait for something that must happen.
const patience = time.Minute

// until polls a condition.
func (f *fixture) until(condition func() bool) {
	f.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-limit:
			f.Fatal("the condition never held")
		}
	}
}
