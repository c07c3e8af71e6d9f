// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package threats

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
)

// liar is a resolver that gives every name an address that may not be dialled at
// first, and that of this machine to whoever asks again.
type liar struct{ asked int }

func (l *liar) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	l.asked++
	switch {
	case !strings.EqualFold(strings.TrimSuffix(host, "."), "as.example"):
		return nil, &net.DNSError{Name: host, IsNotFound: true}
	case l.asked > 1:
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
}

// TestT2WhatWasJudgedIsWhatIsDialled spells this machine in many ways as the origin
// of an authorization server. Whatever the judgement of the URL makes of it, no
// connection comes about.
func TestT2WhatWasJudgedIsWhatIsDialled(t *testing.T) {
	var reached atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			reached.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	refused, judged := 0, 0
	for range 3000 {
		target := fmt.Sprintf("https://%s:%s/x", spelling(r), port)
		names := &liar{}
		if !visit(t, target, dialguard.Options{Resolver: names}) {
			refused++
			continue
		}
		judged++
		if origin, err := url.Parse(target); err != nil || origin.User != nil {
			t.Errorf("%q became an origin (%v)", target, err)
		}
		if names.asked > 1 {
			t.Errorf("%q was looked up %d times", target, names.asked)
		}
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("this machine was reached %d times", n)
	}
	t.Logf("%d spellings refused as URLs, %d judged by address", refused, judged)
	if refused < 100 || judged < 100 {
		t.Error("the spellings show nothing")
	}
	visit(t, "https://127.0.0.1:"+port+"/x", dialguard.Options{Rules: dialguard.Rules{Loopback: true}})
	for deadline := time.Now().Add(time.Minute); reached.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the server counts no connection: the test shows nothing")
		}
	}
}

// visit makes a client that is bound to the origin of a URL and asks for the URL.
// It says whether the URL became an origin; nothing must be answered.
func visit(t *testing.T, target string, options dialguard.Options) bool {
	t.Helper()
	options.Origin = target
	client, err := dialguard.NewClient(options)
	if err != nil {
		return false
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err == nil {
		t.Errorf("%q was answered with %s", target, answer.Status)
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return true
}

// spelling is a host as people, programs and attackers write it.
func spelling(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	host := pick("as.example", "AS.example.", "127.0.0.1", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "localhost", "LOCALHOST.",
		"[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "0", "127.0.0.1.nip.example",
		"①②⑦.0.0.1", "127。0。0。1", "[::1%25lo]", "[fe80::1%25eth0]", "0.0.0.0", "[::]")
	switch r.IntN(5) {
	case 0:
		host = pick("user@", "as.example@", "%40", "as.example%2f@", "@") + host
	case 1:
		host += pick(".", "%00", "#@as.example", "?@as.example", "\\@as.example", "%2e", "\t")
	case 2:
		at := r.IntN(len(host))
		host = host[:at] + strings.ToUpper(host[at:])
	}
	return host
}
