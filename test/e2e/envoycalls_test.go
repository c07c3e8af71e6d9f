// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// longest is how long a stream lasts at most in the Envoy of these tests.
const longest = 10 * time.Second

// envoyCalled is a server behind an Envoy that asks the guard.
type envoyCalled struct {
	*way
	upstream upstream
}

func (e *envoys) newCalled(t *testing.T) *envoyCalled {
	t.Helper()
	u := sample("called", startSample(t, mcpserver.Options{}))
	v := e.before(t, u.name, hostOf(t, u.url), "max_stream_duration: 900s", "max_stream_duration: "+longest.String())
	e.create(t, newGuardedServer(e.namespace, u.name, e.as, v.resource, u.tools()))
	return &envoyCalled{way: v, upstream: u}
}

// caller calls by plain HTTP through the Envoy.
func (v *way) caller() *caller {
	return &caller{guard: &guard{address: v.porter.Listener.Addr().String()}, path: v.path}
}

// testEnvoy lives through what a client meets at an Envoy that asks the guard.
func testEnvoy(t *testing.T, b *boundary, e *envoyCalled) {
	reg, p := e.client(t, b, "at-envoy", scopeLooks, scopeActs)
	few, all := b.accessToken(t, p, e.resource, scopeLooks), b.accessToken(t, p, e.resource, scopeLooks+" "+scopeActs)
	e.await(t, e.upstream.looks, all)
	t.Run("calls are allowed and refused", func(t *testing.T) { testEnvoyUser(t, e, few, all) })
	t.Run("a client logs in and steps up by itself", func(t *testing.T) {
		g := NewWithT(t)
		user := dialGoBy(t, e.endpoint(), &line{}, newGoHandler(t, b.provider.Issuer(), e.endpoint(), p))
		done := user.call(t, e.upstream.acts, e.upstream.arguments[e.upstream.acts])
		g.Expect(done.allowed).To(BeTrue(), done.text)
	})
	t.Run("requests", func(t *testing.T) { testEnvoyRequests(t, e, all) })
	t.Run("an allowed call is on record", func(t *testing.T) {
		g := NewWithT(t)
		answer := e.caller().call(t, e.upstream.looks, e.upstream.arguments[e.upstream.looks], all)
		said := b.guard.told(t, answer.trace).Data
		g.Expect([]string{said.Reason, said.Resource, said.Tool, said.ClientID}).To(Equal([]string{"Allowed", e.resource, e.upstream.looks, p.id}))
	})
	t.Run("a deletion refuses, and streams end by the clock of Envoy", func(t *testing.T) { testEnvoyStreams(t, b, e, reg, all) })
}

func testEnvoyUser(t *testing.T, e *envoyCalled, few, all string) {
	g, u := NewWithT(t), e.upstream
	looking := dialGo(t, e.endpoint(), few)
	// The answer does not come by the guard.
	g.Expect(looking.list(t)).To(ConsistOf(mcpserver.Tools()))
	requireLooking(t, u, e.endpoint(), looking)
	requireForGood(t, looking.call(t, u.stray, u.arguments[u.stray]), "no scope of the MCPServer")
	acting := dialGo(t, e.endpoint(), all)
	done := acting.call(t, u.acts, u.arguments[u.acts])
	g.Expect(done.allowed).To(BeTrue(), done.text)
}

// testEnvoyRequests sends what is answered without the server.
func testEnvoyRequests(t *testing.T, e *envoyCalled, token string) {
	c := e.caller()
	body := callOf(t, e.upstream.looks, e.upstream.arguments[e.upstream.looks])
	for name, of := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
		reason string
	}{
		"no token":                     {body, func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized, "TokenMissing"},
		"two tokens":                   {body, func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+token) }, http.StatusBadRequest, "TokenAmbiguous"},
		"a proof that nobody checks":   {body, func(r *http.Request) { r.Header.Set("DPoP", "e30.e30.AA") }, http.StatusUnauthorized, "TokenBound"},
		"a foreign page":               {body, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.com") }, http.StatusForbidden, "OriginNotAllowed"},
		"another method in the header": {body, func(r *http.Request) { r.Header.Set("Mcp-Method", "tools/list") }, http.StatusBadRequest, "RequestHeaderMismatch"},
		"too long":                     {strings.Replace(body, "}", strings.Repeat(" ", 1<<20)+"}", 1), func(*http.Request) {}, http.StatusRequestEntityTooLarge, ""},
		"a slash that is escaped":      {body, func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/mcp/", "/mcp%2f" }, http.StatusBadRequest, ""},
		"another path":                 {body, func(r *http.Request) { r.URL.Path = "/metrics" }, http.StatusNotFound, ""},
		"another host":                 {body, func(r *http.Request) { r.Host = "evil.example.com" }, http.StatusNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			request := c.request(t, of.body, token)
			of.change(request)
			answer := c.send(t, request)
			g.Expect(answer.status).To(Equal(of.status), answer.body)
			g.Expect(answer.reason).To(Equal(of.reason))
			if of.status == http.StatusUnauthorized {
				g.Expect(answer.challenge).To(ContainSubstring(`resource_metadata="` + metadataOf(e.resource) + `"`))
			}
		})
	}
	t.Run("metadata", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, metadataOf(e.endpoint()), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer := c.send(t, request)
		var said struct{ Resource string }
		if err := json.Unmarshal([]byte(answer.body), &said); err != nil || answer.status != http.StatusOK || said.Resource != e.resource {
			t.Errorf("the metadata is %d %s: %v", answer.status, answer.body, err)
		}
	})
}

// testEnvoyStreams deletes a client that has a stream open: it is refused from then
// on, and the stream goes on for as long as Envoy lets it.
func testEnvoyStreams(t *testing.T, b *boundary, e *envoyCalled, reg *v1alpha1.MCPClientRegistration, token string) {
	g, u := NewWithT(t), e.upstream
	began := time.Now()
	user := dialGo(t, e.endpoint(), token)
	user.follow(t, u.follows, u.arguments[u.follows])
	b.deletes(t, reg.Name)
	g.Eventually(func() int { return e.caller().call(t, u.looks, u.arguments[u.looks], token).status }, patience, often).
		Should(Equal(http.StatusUnauthorized))
	g.Expect(user.open()).To(BeNumerically(">", 0), "%s after it began, no stream is open", time.Since(began))
	g.Eventually(user.open, patience, often).Should(BeZero())
	g.Expect(time.Since(began)).To(BeNumerically("~", longest, longest/2), "when the streams ended")
}

// testGuardAway holds that an Envoy that gets no answer of the guard lets nothing
// pass, and says that it is not the client's fault.
func testGuardAway(t *testing.T, v *way) {
	answer := v.caller().call(t, plainTool, nil, "")
	NewWithT(t).Expect(answer.status).To(Equal(http.StatusServiceUnavailable), answer.body)
}
