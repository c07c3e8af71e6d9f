// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

func failureOf(t *testing.T, err error) *authserver.Error {
	t.Helper()
	var failure *authserver.Error
	if !errors.As(err, &failure) {
		t.Fatalf("not an *authserver.Error: %v", err)
	}
	return failure
}

// ready returns an adapter that has discovered, so that only the requests of a
// test follow.
func ready(t *testing.T, w *world) *Server {
	t.Helper()
	server := w.connect(t)
	if _, err := server.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server
}

func TestWhatWasNotSentWasNotApplied(t *testing.T) {
	w := newWorld(t)
	server := ready(t, w)
	w.Close()
	server.Close()
	_, err := server.Register(t.Context(), contract.Wish())
	if failure := failureOf(t, err); failure.Kind != authserver.Unavailable || failure.MaybeApplied {
		t.Errorf("connection refused: %+v", failure)
	}
	if !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("the error does not say why: %v", err)
	}
}

func TestATLSFailureIsNamedAndNothingWasApplied(t *testing.T) {
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	server, err := New(authserver.Config{Issuer: tls.URL}, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	server.metadata.Store(&authserver.Metadata{RegistrationEndpoint: tls.URL + "/register"})
	_, err = server.Register(t.Context(), contract.Wish())
	failure := failureOf(t, err)
	if failure.Kind != authserver.Unavailable || failure.MaybeApplied || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("%+v", failure)
	}
}

func TestAContextThatEndsAfterSendingLeavesItOpen(t *testing.T) {
	w := newWorld(t)
	server := ready(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	inner := w.Config.Handler
	w.Config.Handler = http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(httptest.NewRecorder(), r)
		cancel()
		<-r.Context().Done()
	})
	_, err := server.Register(ctx, contract.Wish())
	if failure := failureOf(t, err); !failure.MaybeApplied || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v", failure)
	}
	if len(w.live()) != 1 {
		t.Errorf("%d clients live", len(w.live()))
	}
}

// TestARequestIsNeverSentTwice lets a server answer one request on a
// connection and close it while the second is read: the moment at which
// transports send again on their own.
func TestARequestIsNeverSentTwice(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own listener
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var requests atomic.Int64
	go serveOnce(listener, &requests)
	issuer := "http://" + listener.Addr().String()
	server, err := New(authserver.Config{Issuer: issuer}, Options{Now: time.Now, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.metadata.Store(&authserver.Metadata{RegistrationEndpoint: issuer + "/register"})
	handle := authserver.Handle{
		ClientID: "c-1", ManagementURI: issuer + "/register/c-1", ManagementToken: authserver.NewSecret("token"),
	}
	for name, call := range map[string]func() error{
		"POST": func() error { _, err := server.Register(t.Context(), contract.Wish()); return err },
		"PUT":  func() error { _, err := server.Replace(t.Context(), handle, contract.Wish()); return err },
		"GET":  func() error { _, _, err := server.Find(t.Context(), handle); return err },
	} {
		requests.Store(0)
		if _, _, err := server.Find(t.Context(), handle); err != nil {
			t.Fatalf("%s: the first request: %v", name, err)
		}
		if failure := failureOf(t, call()); !failure.MaybeApplied {
			t.Errorf("%s: %+v", name, failure)
		}
		if n := requests.Load(); n != 2 {
			t.Errorf("%s: %d requests arrived, want 2", name, n)
		}
	}
}

// serveOnce answers the first request of each connection and closes after it
// has read the second.
func serveOnce(listener net.Listener, requests *atomic.Int64) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			reader := bufio.NewReader(conn)
			for answered := range 2 {
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				requests.Add(1)
				if answered == 0 {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"client_id\":\"c-1\"}")
				}
			}
		}()
	}
}

func TestAGETHasNoBody(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Find(t.Context(), contract.HandleOf(t, server, client)); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.sent("GET", "") {
		if len(r.body) != 0 || len(r.transferEncoding) != 0 || r.header.Get("Content-Length") != "" {
			t.Errorf("%s: body %q, %v, %v", r.path, r.body, r.transferEncoding, r.header)
		}
	}
}

func TestEveryRequestIsReported(t *testing.T) {
	w := newWorld(t)
	sent := map[string]int{}
	server, err := New(authserver.Config{Issuer: w.issuer(), InitialAccessToken: authserver.NewSecret(initialToken)},
		Options{Now: time.Now, Sent: func(method string) { sent[method]++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	for range 2 {
		if err := server.Revoke(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
	}
	// Two discoveries; the registration and one witness; two deletions.
	if sent["GET"] != 2 || sent["POST"] != 2 || sent["DELETE"] != 2 || len(w.requests) != 6 {
		t.Errorf("reported %v of %d", sent, len(w.requests))
	}
}

func TestConnectionsAreKeptAndShared(t *testing.T) {
	w := newWorld(t)
	server := ready(t, w)
	for range 50 {
		if _, err := server.Register(t.Context(), contract.Wish()); err != nil {
			t.Fatal(err)
		}
		w.fail(contract.Register, contract.Fault{Status: 429})
		if _, err := server.Register(t.Context(), contract.Wish()); err == nil {
			t.Fatal("no error")
		}
	}
	connections := map[string]bool{}
	for _, r := range w.requests {
		connections[r.remote] = true
	}
	if len(connections) != 1 {
		t.Errorf("%d connections for one request at a time", len(connections))
	}
}

func TestTheRateIsABoundOnEveryRequest(t *testing.T) {
	w := newWorld(t)
	server, err := New(authserver.Config{Issuer: w.issuer(), RequestsPerSecond: 1}, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := server.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	// On a machine that stood still for a second there is room for another one.
	sent := 0
	for err = nil; err == nil && sent < 10; sent++ {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = server.Discover(ctx)
		cancel()
	}
	failure := wantError(t, err, authserver.Unavailable, exchange.CodeRateLimited)
	if !failure.Unsent || failure.RetryAfter <= 0 || failure.MaybeApplied || len(w.requests) != sent {
		t.Errorf("%+v after %d requests", failure, len(w.requests))
	}
	if got := exchange.NewLimiter(50).Burst(); got != 5 {
		t.Errorf("a burst of %d at 50/s", got)
	}
}

type resolver []netip.Addr

func (r resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return r, nil }

func TestT1AnIssuerNameThatResolvesToLoopbackIsRefused(t *testing.T) {
	server, err := New(authserver.Config{Issuer: "https://as.example"}, Options{
		Now: time.Now, AllowPrivate: true, Resolver: resolver{netip.MustParseAddr("127.0.0.1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.Discover(t.Context())
	if failure := wantError(t, err, authserver.Unavailable, exchange.CodeAddressRefused); failure.MaybeApplied {
		t.Error("nothing was sent")
	}
}
