// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

const page = "https://app.example.com"

// newPages is a guard that lets the pages of one origin call.
func newPages(t *testing.T, upstream http.HandlerFunc) *world {
	t.Helper()
	return newWorldBy(t, upstream, guard.Options{Clock: clock.RealClock{}, Origins: []string{page}})
}

// readable checks that a page of an origin can read an answer, with what it needs
// of its header.
func (w *world) readable(name string, a answer, origin string) {
	w.t.Helper()
	if got := a.header.Values("Access-Control-Allow-Origin"); !slices.Equal(got, []string{origin}) {
		w.t.Errorf("%s: may be read by %q: %+v", name, got, a)
	}
	if vary := a.header.Values("Vary"); !slices.Contains(vary, "Origin") || len(a.header.Values("Access-Control-Allow-Credentials")) > 0 {
		w.t.Errorf("%s: %v", name, a.header)
	}
	exposed := a.header.Values("Access-Control-Expose-Headers")
	for _, needed := range []string{"WWW-Authenticate", "Mcp-Session-Id", "MCP-Protocol-Version", "Retry-After"} {
		if len(exposed) != 1 || !strings.Contains(exposed[0], needed) {
			w.t.Errorf("%s: %s is not exposed by %q", name, needed, exposed)
		}
	}
}

// A browser asks first, without a token, and is answered without the upstream.
func TestPreflightsAreAnswered(t *testing.T) {
	w := newPages(t, fine)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		got := w.do(w.request(http.MethodOptions, "/mcp", "", "Authorization", "", "Origin", page, "Access-Control-Request-Method", method,
			"Access-Control-Request-Headers", "authorization,content-type,mcp-param-my_key,mcp-method, Mcp-Param-Region,x-other,mcp-param-a b"))
		w.readable("preflight", got, page)
		if got.status != http.StatusNoContent || got.body != "" || !strings.Contains(got.header.Get("Access-Control-Allow-Methods"), method) || got.header.Get("Access-Control-Max-Age") == "" {
			t.Errorf("%s: %+v", method, got)
		}
		allowed := strings.Split(strings.ToLower(got.header.Get("Access-Control-Allow-Headers")), ", ")
		for _, name := range []string{"authorization", "content-type", "accept", "mcp-session-id", "mcp-protocol-version", "last-event-id", "mcp-method", "mcp-name", "mcp-param-my_key", "mcp-param-region"} {
			if !slices.Contains(allowed, name) {
				t.Errorf("%s is not allowed: %q", name, allowed)
			}
		}
		if slices.Contains(allowed, "x-other") || slices.ContainsFunc(allowed, func(name string) bool { return strings.Contains(name, " ") }) {
			t.Errorf("allowed %q", allowed)
		}
	}
	if got := w.do(w.request(http.MethodOptions, "/mcp", "", "Origin", page)); got.status != http.StatusMethodNotAllowed {
		t.Errorf("no preflight: %+v", got)
	}
	got := w.do(w.request(http.MethodOptions, "/mcp", "", "Authorization", "", "Origin", "https://evil.example.com", "Access-Control-Request-Method", "POST"))
	w.refused(got, http.StatusForbidden, guard.OriginNotAllowed)
	if len(w.passed()) > 0 {
		t.Errorf("the upstream had %+v", w.passed())
	}
}

// A page can read whatever the guard or the upstream answers, and no header is
// there twice.
func TestEveryAnswerToAPageCanBeRead(t *testing.T) {
	status := http.StatusOK
	w := newPages(t, func(rw http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
			if r.Header.Get(name) != "" {
				t.Errorf("the upstream had %s", name)
			}
		}
		rw.Header().Set("Access-Control-Allow-Origin", "*")
		rw.Header().Set("Access-Control-Allow-Credentials", "true")
		rw.Header().Set("Access-Control-Expose-Headers", "X-Own")
		rw.Header().Set("Vary", "Accept")
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(fullList))
	})
	said := []string{"Origin", page, "Sec-Fetch-Site", "cross-site"}
	got := w.post(addCall, said...)
	w.readable("an answer", got, page)
	if got.status != http.StatusOK || !slices.Contains(got.header.Values("Vary"), "Accept") {
		t.Errorf("%+v", got)
	}
	w.readable("a list", w.post(listCall, said...), page)
	got = w.post(addCall, append(said, "Authorization", "")...)
	w.readable("a challenge", got, page)
	if got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("Www-Authenticate"), `scope="calc:enter"`) {
		t.Errorf("%+v", got)
	}
	got = w.post(eraseCall, said...)
	w.readable("a refusal in an answer", got, page)
	if got.status != http.StatusOK || got.code() != -32012 {
		t.Errorf("%+v", got)
	}
	status = http.StatusTemporaryRedirect
	w.readable("a failure", w.post(addCall, said...), page)
	w.readable("no route", w.do(w.request(http.MethodPost, "/other", addCall, said...)), page)
	w.register.change(guard.Change{}, func() { w.register.stale = true })
	w.readable("a guard that knows nothing", w.post(addCall, said...), page)
	metadata := w.do(w.request(http.MethodGet, "/.well-known/oauth-protected-resource/mcp", "", "Origin", "https://evil.example.com"))
	if metadata.status != http.StatusOK || metadata.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("metadata is public: %+v", metadata)
	}
}

// Without Origin nothing is changed: what the upstream says of pages is passed.
func TestClientsThatAreNoBrowsersSeeNoDifference(t *testing.T) {
	w := newPages(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", "*")
		rw.Header().Set("Vary", "Accept")
		fine(rw, r)
	})
	for _, host := range []string{"calc.team.svc", "calc.team.svc.cluster.local:8080", "10.0.0.1:8080", "localhost:9000", "mcp.example.com"} {
		r := w.request(http.MethodPost, "/mcp", addCall)
		r.Host = host
		got := w.do(r)
		if got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "*" || !slices.Equal(got.header.Values("Vary"), []string{"Accept"}) || got.header.Get("Access-Control-Expose-Headers") != "" {
			t.Errorf("%s: %+v", host, got)
		}
	}
}

// Pages of other origins are refused before anything else is looked at, by
// whatever name they came here. What the conformance scenario
// dns-rebinding-protection sends is among it.
func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	w := newPages(t, fine)
	own := strings.TrimPrefix(w.front.URL, "http://")
	for _, c := range []struct {
		host, origin string
		ok           bool
	}{
		{own, page, true}, {"mcp.example.com", "https://mcp.example.com", true}, {"mcp.team.svc:8080", "https://mcp.example.com", true},
		{own, "http://" + own, true}, {"localhost:8080", "http://localhost:8080", true}, {"[::1]:8080", "http://[::1]:8080", true},
		{"evil.example.com", "http://evil.example.com", false}, {own, "https://evil.example.com", false}, {own, "null", false},
		{own, "http://localhost:1", false}, {"localhost.evil.example.com", "http://localhost.evil.example.com", false},
		{"127.0.0.1.evil.example.com", "http://127.0.0.1.evil.example.com", false}, {own, "http://mcp.example.com", false}, {own, "https://mcp.example.com:8443", false},
		{own, page + ".evil.example.com", false}, {own, page + "/", false}, {own, "https://APP.example.com", false}, {own, "mcp.example.com", false},
	} {
		before := len(w.passed())
		r := w.request(http.MethodPost, "/mcp", addCall, "Origin", c.origin)
		r.Host = c.host
		got := w.do(r)
		if c.ok {
			w.readable(c.origin, got, c.origin)
		}
		refused := got.status == http.StatusForbidden && w.records.last() == guard.OriginNotAllowed && got.code() == -32019 && len(w.passed()) == before &&
			got.header.Get("Access-Control-Allow-Origin") == "" && got.header.Get("Www-Authenticate") == "" && !strings.Contains(got.body, `"id"`)
		if c.ok && got.status != http.StatusOK || !c.ok && !refused {
			t.Errorf("%s at %s: %+v for %s", c.origin, c.host, got, w.records.last())
		}
	}
	for name, r := range map[string]*http.Request{
		"without a token": w.request(http.MethodPost, "/mcp", addCall, "Authorization", "", "Origin", "https://evil.example.com"),
		"a stream":        w.request(http.MethodGet, "/mcp", "", "Origin", "https://evil.example.com"),
		"a batch":         w.request(http.MethodPost, "/mcp", "["+addCall+"]", "Origin", "https://evil.example.com"),
	} {
		if got := w.do(r); got.status != http.StatusForbidden || w.records.last() != guard.OriginNotAllowed {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r := w.request(http.MethodPost, "/mcp", addCall, "Origin", page)
	r.Header.Add("Origin", page)
	if got := w.do(r); got.status != http.StatusForbidden {
		t.Errorf("two origins: %+v", got)
	}
	r = w.request(http.MethodPost, "/mcp", addCall)
	r.Header["Origin"] = []string{""}
	if got := w.do(r); got.status != http.StatusForbidden {
		t.Errorf("an empty origin: %+v", got)
	}
}

// A server that is replaced while a page asks for it is there or not, and whoever asks
// gets an answer.
func TestPagesOfAServerThatIsReplaced(t *testing.T) {
	w := newPages(t, fine)
	for missed := range 8 {
		w.register.change(guard.Change{}, func() { w.register.missed = missed + 1 })
		got := w.do(w.request(http.MethodPost, "/mcp", addCall, "Origin", "https://mcp.example.com"))
		if got.status != http.StatusOK && got.status != http.StatusForbidden && got.status != http.StatusServiceUnavailable {
			t.Errorf("question %d: %+v", missed+1, got)
		}
	}
}
