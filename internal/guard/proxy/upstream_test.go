// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
)

// told keeps what is counted and logged of failures.
type told struct {
	mu    sync.Mutex
	kinds []guard.Failure
	lines []string
}

func (f *told) options(o *proxy.Options) {
	o.Failed = func(_ guard.ServerName, kind guard.Failure) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.kinds = append(f.kinds, kind)
	}
	o.Log = funcr.New(func(_, line string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.lines = append(f.lines, line)
	}, funcr.Options{})
}

// A server that cannot be called is said to the client, counted each time and
// logged once.
func TestFailuresOfTheUpstreamAreTold(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/mcp"}
	listener.Close()
	secured := httptest.NewTLSServer(fine)
	t.Cleanup(secured.Close)
	untrusted, err := url.Parse(secured.URL)
	if err != nil {
		t.Fatal(err)
	}
	says := func(status int, pairs ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				w.Header().Set(pairs[i], pairs[i+1])
			}
			w.WriteHeader(status)
		}
	}
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		at       *url.URL
		kind     guard.Failure
		text     string
		log      string
	}{
		"refused":            {fine, refused, guard.Unreachable, "nothing was sent", "connection refused"},
		"untrusted":          {fine, untrusted, guard.Untrusted, "TLS", "certificate"},
		"no TLS":             {fine, &url.URL{Scheme: "https"}, guard.Untrusted, "TLS", "TLS handshake"},
		"broken off":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, guard.BrokenOff, "may have been carried out", "EOF"},
		"a slash":            {says(307, "Location", "/inner/?token=secret"), nil, guard.Redirected, "slash", "/inner/"},
		"a login":            {says(302, "Location", "https://login.example.com/secret"), nil, guard.Redirected, "redirect", "login.example.com"},
		"its own 401":        {says(401), nil, guard.Unauthenticated, "another one would not help", "401"},
		"its own 403":        {says(403, "Www-Authenticate", "Bearer"), nil, guard.Unauthenticated, "403", "403"},
		"a list of no media": {answers("text/plain", fullList), nil, guard.Unfit, "media type", "media type"},
	} {
		t.Run(name, func(t *testing.T) {
			var failed told
			w := newWorld(t, c.upstream, failed.options, func(o *proxy.Options) {
				if c.at != nil {
					u := *c.at
					if u.Host == "" {
						u.Host = o.Routes[0].Upstream.Host
					}
					o.Routes[0].Upstream = &u
				}
			})
			for range 3 {
				got := w.post(listCall)
				if got.status != http.StatusBadGateway || got.code() != -32603 || !strings.Contains(got.body, c.text) || !strings.Contains(got.body, `"id":"q-1"`) ||
					strings.Contains(got.body, "127.0.0.1") || strings.Contains(got.body, "secret") || got.header.Get("Www-Authenticate")+got.header.Get("Location") != "" {
					t.Errorf("%+v", got)
				}
			}
			failed.mu.Lock()
			defer failed.mu.Unlock()
			if !slices.Equal(failed.kinds, []guard.Failure{c.kind, c.kind, c.kind}) {
				t.Errorf("counted %q", failed.kinds)
			}
			if len(failed.lines) != 1 || !strings.Contains(failed.lines[0], string(c.kind)) || !strings.Contains(failed.lines[0], c.log) || strings.Contains(failed.lines[0], "token=") {
				t.Errorf("logged %q", failed.lines)
			}
		})
	}
}

// What a server says of the call itself is not changed.
func TestErrorsOfTheServerItselfPass(t *testing.T) {
	const failure = `{"jsonrpc":"2.0","id":"q-1","error":{"code":-32602,"message":"Unauthorized"}}`
	for _, status := range []int{200, 400, 403, 404, 429, 500, 502, 503} {
		var failed told
		w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(status)
			fmt.Fprint(rw, failure)
		}, failed.options)
		if got := w.post(addCall); got.status != status || got.body != failure || len(failed.kinds)+len(failed.lines) > 0 {
			t.Errorf("%d: %+v, %v", status, got, failed.kinds)
		}
	}
}

// A server that is away is named until it can be reached again.
func TestAServerThatIsAwayIsNamed(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var failed told
	var front *proxy.Proxy
	w := newWorld(t, fine, failed.options, at(&url.URL{Scheme: "http", Host: address, Path: "/mcp"}), func(o *proxy.Options) {
		if front, err = proxy.New(*o); err != nil {
			t.Fatal(err)
		}
	})
	w.front.Config.Handler = front
	if away := front.Away(); len(away) > 0 {
		t.Errorf("before a call: %q", away)
	}
	w.post(addCall)
	if away := front.Away(); len(away) != 1 || away[0] != "team/calc: Unreachable" {
		t.Errorf("away: %q", away)
	}
	if listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", address); err != nil {
		t.Fatal(err)
	}
	back := httptest.NewUnstartedServer(fine)
	back.Listener.Close()
	back.Listener = listener
	back.Start()
	t.Cleanup(back.Close)
	if got := w.post(addCall); got.status != http.StatusOK || len(front.Away()) > 0 {
		t.Errorf("back: %+v, %q", got, front.Away())
	}
	if len(failed.lines) != 2 || !strings.Contains(failed.lines[1], "again") {
		t.Errorf("logged %q", failed.lines)
	}
}
