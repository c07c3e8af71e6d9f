// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"testing"
)

var errRecorded = errors.New("recorded, not dialled")

// world records what would be dialled and answers each look-up with the next
// list of addresses.
type world struct {
	answers [][]netip.Addr
	lookups int
	dialled []string
}

func (w *world) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	w.lookups++
	if len(w.answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	next := w.answers[0]
	if len(w.answers) > 1 {
		w.answers = w.answers[1:]
	}
	return next, nil
}

func (w *world) dial(_ context.Context, _, address string) (net.Conn, error) {
	w.dialled = append(w.dialled, address)
	return nil, errRecorded
}

// ask sends one request for target through a client pinned to origin.
func (w *world) ask(t *testing.T, origin, target string, rules Rules) error {
	t.Helper()
	parsed, err := ParseOrigin(origin)
	if err != nil {
		return err
	}
	guarded := newDialer(parsed, rules, w)
	guarded.dial = w.dial
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	answer, err := newClient(parsed, Options{Origin: origin}, guarded, nil).Do(request)
	if err == nil {
		_ = answer.Body.Close()
		t.Fatal("an answer without a connection")
	}
	return err
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestT1SpellingsOfForbiddenHosts(t *testing.T) {
	for _, host := range []string{
		"127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "017700000001",
		"127.0.0.1.", "127.0.0.1..", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25eth0]", "[::]", "0", "0.0.0.0",
		"169.254.169.254", "2852039166", "0xa9.254.0251.254", "169.254.43518", "[fd00:ec2::254]",
		"[::ffff:a9fe:a9fe]", "100.100.100.200", "10.0.0.1", "012.0.0.1", "192.168.1.1",
		"１２７.０.０.１", "127。0。0。1", "ⓛocalhost", "user@127.0.0.1", "user:secret@good.example",
		"good.example@127.0.0.1", "good.example\\@127.0.0.1", "good.example#@127.0.0.1", "localhost",
		"LOCALHOST", "localhost.", "good.example%00.evil.example",
	} {
		w := &world{answers: [][]netip.Addr{addrs("127.0.0.1", "169.254.169.254", "10.0.0.1")}}
		origin := "https://" + host + "/"
		if err := w.ask(t, origin, origin, Rules{}); err == nil {
			t.Errorf("%s: no error", host)
		}
		if len(w.dialled) != 0 {
			t.Errorf("%s: dialled %v", host, w.dialled)
		}
	}
}

func TestT1OnlyTheAddressThatWasJudgedIsDialled(t *testing.T) {
	w := &world{answers: [][]netip.Addr{
		addrs("93.184.216.34"), addrs("127.0.0.1"), addrs("169.254.169.254", "93.184.216.35", "10.0.0.1"),
	}}
	for range 3 {
		if err := w.ask(t, "https://as.example", "https://as.example/register", Rules{}); err == nil {
			t.Fatal("no error")
		}
	}
	want := []string{"93.184.216.34:443", "93.184.216.35:443"}
	if !slices.Equal(w.dialled, want) || w.lookups != 3 {
		t.Errorf("dialled %v after %d look-ups, want %v after 3", w.dialled, w.lookups, want)
	}
}

func TestT3OtherOriginsAreRefusedBeforeDialling(t *testing.T) {
	for _, target := range []string{
		"http://as.example/x", "https://as.example:8443/x", "https://as.example./x",
		"https://evil.example/x", "https://as.example@evil.example/x", "https://user@as.example/x",
		"https://as.example.evil.example/", "https:as.example/x", "//as.example/x", "/x",
		"https://as.example:0443/x", "https://as.example:https/x", "ftp://as.example/x",
	} {
		w := &world{answers: [][]netip.Addr{addrs("93.184.216.34")}}
		if err := w.ask(t, "https://as.example", target, Rules{}); err == nil {
			t.Errorf("%s: no error", target)
		}
		if w.lookups != 0 || len(w.dialled) != 0 {
			t.Errorf("%s: looked up %d times, dialled %v", target, w.lookups, w.dialled)
		}
	}
}

func TestTheOriginIsComparedAsBrowsersDo(t *testing.T) {
	origin, err := ParseOrigin("HTTPS://AS.Example/tenant")
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]bool{
		"https://as.example/": true, "https://as.example:443/a?b#c": true, "https://AS.EXAMPLE": true,
		"https://as.example:": true, "http://as.example:443": false, "https://as.example:80": false,
	} {
		parsed, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if origin.Includes(parsed) != want {
			t.Errorf("%s: want %t", raw, want)
		}
	}
	for raw, want := range map[string]string{
		"https://AS.example:443/x": "https://as.example", "https://as.example:8443": "https://as.example:8443",
		"https://[2606::1]/x": "https://[2606::1]", "http://127.0.0.1:8080": "http://127.0.0.1:8080",
	} {
		if got, err := ParseOrigin(raw); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", raw, got, err)
		}
	}
	w := &world{answers: [][]netip.Addr{addrs("93.184.216.34")}}
	if err := w.ask(t, "https://AS.Example", "https://AS.Example/x", Rules{}); !errors.Is(err, errRecorded) {
		t.Errorf("an origin in capitals is not dialled: %v", err)
	}
}

func TestPlainHTTPIsForLoopbackOnly(t *testing.T) {
	for raw, want := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost:8080": true,
		"http://as.example": false, "http://10.0.0.1": false, "https://10.0.0.1": true,
		"https://as.example:99999": false, "https://as.example:0": false, "": false, "as.example": false,
	} {
		if _, err := ParseOrigin(raw); (err == nil) != want {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
