// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func open(t *testing.T, handler http.HandlerFunc, options Options) (*Exchange, string) {
	t.Helper()
	world := httptest.NewServer(handler)
	t.Cleanup(world.Close)
	options.Now = time.Now
	made, err := New(world.URL+"/base", options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	return made, world.URL
}

func kindOf(t *testing.T, err error) *authserver.Error {
	t.Helper()
	var failure *authserver.Error
	if !errors.As(err, &failure) {
		t.Fatalf("not an *authserver.Error: %v", err)
	}
	return failure
}

func TestEveryStatusIsAnAnswerWithItsHeaders(t *testing.T) {
	e, url := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/clients/7")
		w.Header().Set("Link", "</clients?page_token=2>; rel=\"next\"")
		status := http.StatusNoContent
		if r.Method == http.MethodGet {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}, Options{})
	for method, want := range map[string]int{http.MethodDelete: 204, http.MethodGet: 404} {
		got, err := e.Send(t.Context(), Call{Op: "testing", Method: method, URL: url + "/base/clients"})
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != want || got.Header.Get("Location") != "/clients/7" || got.Header.Get("Link") == "" || got.Header.Get("Date") == "" {
			t.Errorf("%s: %d, %v", method, got.Status, got.Header)
		}
	}
}

func TestT3ACredentialGoesToItsOriginOnly(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	sent := 0
	e, url := open(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/stolen", http.StatusTemporaryRedirect)
	}, Options{Sent: func(string) { sent++ }})
	secret := Bearer(authserver.NewSecret("admin-token"))
	call := Call{Op: "testing", Method: http.MethodPost, URL: other.URL + "/x", Authorization: secret, Effect: true}
	_, err := e.Send(t.Context(), call)
	if failure := kindOf(t, err); failure.Code != CodeAddressRefused || failure.MaybeApplied || sent != 0 {
		t.Errorf("another origin: %v, %d sent", err, sent)
	}
	call.URL = url + "/x"
	got, err := e.Send(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if failure := e.Classify(call, got); failure.Code != CodeRedirectRefused || !failure.MaybeApplied {
		t.Errorf("a redirect: %v", failure)
	}
	if reached {
		t.Error("the other origin was contacted")
	}
	if !e.Ours(url+"/anything") || e.Ours(other.URL) || e.Ours(url+"/x#y") || e.Ours("/x") || e.Ours("http://[::1") {
		t.Error("Ours is wrong")
	}
}

func TestExchangesShareOneRate(t *testing.T) {
	limiter := NewLimiter(1)
	handler := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	one, oneURL := open(t, handler, Options{Limiter: limiter})
	two, twoURL := open(t, handler, Options{Limiter: limiter})
	if _, err := one.Send(t.Context(), Call{Op: "testing", Method: http.MethodGet, URL: oneURL}); err != nil {
		t.Fatal(err)
	}
	// On a machine that stood still for a second there is room for another one.
	var err error
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = two.Send(ctx, Call{Op: "testing", Method: http.MethodPost, URL: twoURL, Effect: true})
		if cancel(); err != nil {
			break
		}
	}
	if failure := kindOf(t, err); failure.Code != CodeRateLimited || !failure.Unsent || failure.MaybeApplied {
		t.Errorf("%v", err)
	}
}

func TestUselessAnswersSayWhy(t *testing.T) {
	e, url := open(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<20+1)))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		default:
			_, _ = w.Write([]byte("[]"))
		}
	}, Options{})
	for path, want := range map[string]string{"/large": CodeTooLarge, "/cut": "", "/list": CodeUndecodable} {
		call := Call{Op: "testing", Method: http.MethodPost, URL: url + path, Effect: true}
		got, err := e.Send(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		_, wrong := DecodeObject(got.Body)
		failure := Useless(call, got, wrong)
		if failure.Kind != authserver.Unavailable || failure.Code != want || !failure.MaybeApplied {
			t.Errorf("%s: %v", path, failure)
		}
	}
}

func TestBasesThatCannotBeUsed(t *testing.T) {
	for _, base := range []string{
		"", "as.example", "http://as.example", "https://as.example?x=1", "https://as.example#x",
		"https://user:secret@as.example", "https://2130706433", "https://as.example?",
	} {
		_, err := New(base, Options{Now: time.Now})
		if failure := kindOf(t, err); failure.Kind != authserver.Rejected || failure.Code != CodeInvalidConfig {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestCredentialsAreEncoded(t *testing.T) {
	if got := Bearer(authserver.Secret{}); got != "" {
		t.Errorf("an empty token gives %q", got)
	}
	request := &http.Request{Header: http.Header{"Authorization": {Basic("a:b", authserver.NewSecret("c d+e"))}}}
	if user, password, ok := request.BasicAuth(); !ok || user != "a%3Ab" || password != "c+d%2Be" {
		t.Errorf("%q %q %t", user, password, ok)
	}
	request.Header.Set("Authorization", PlainBasic("a", "b+c"))
	if user, password, ok := request.BasicAuth(); !ok || user != "a" || password != "b+c" {
		t.Errorf("%q %q %t", user, password, ok)
	}
}
