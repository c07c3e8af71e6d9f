// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func TestMetadataIsServed(t *testing.T) {
	w := newWorld(t, fine)
	for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"} {
		got := w.do(w.request(http.MethodGet, path, "", "Authorization", ""))
		var document oauthex.ProtectedResourceMetadata
		if err := json.Unmarshal([]byte(got.body), &document); err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: %+v, %v", path, got, err)
		}
		if document.Resource != resource || len(document.AuthorizationServers) != 1 || document.AuthorizationServers[0] != issuer ||
			strings.Join(document.BearerMethodsSupported, " ") != "header" || len(document.ScopesSupported) == 0 {
			t.Errorf("%s: %s", path, got.body)
		}
		if got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	if got := w.do(w.request(http.MethodOptions, "/.well-known/oauth-protected-resource/mcp", "")); got.status != http.StatusNoContent {
		t.Errorf("OPTIONS: %+v", got)
	}
	if got := w.do(w.request(http.MethodPost, "/.well-known/oauth-protected-resource/mcp", "{}")); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %+v", got)
	}
	for _, path := range []string{"/.well-known/oauth-protected-resource/other", "/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resourcex", "/.well-known/oauth-authorization-server"} {
		if got := w.do(w.request(http.MethodGet, path, "")); got.status != http.StatusNotFound {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if len(w.passed()) > 0 {
		t.Errorf("the upstream had %+v", w.passed())
	}
}

func TestServersThatAreNotKnown(t *testing.T) {
	w := newWorld(t, fine)
	w.register.change(guard.Change{}, func() { delete(w.register.servers, calc) })
	for _, r := range []*http.Request{w.request(http.MethodPost, "/mcp", addCall), w.request(http.MethodGet, "/.well-known/oauth-protected-resource/mcp", "")} {
		if got := w.do(r); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
			t.Errorf("%+v", got)
		}
	}
	w = newWorld(t, fine, func(o *proxy.Options) { o.Routes[0].Path = "/mcp" })
	w.register.change(guard.Change{}, func() { delete(w.register.servers, calc) })
	w.refused(w.post(addCall), http.StatusServiceUnavailable, guard.ServerUnknown)
}

func TestAResourceThatMovesIsFollowed(t *testing.T) {
	w := newWorld(t, fine, func(o *proxy.Options) { o.Routes[0].PassToken = true })
	move := func(to string) {
		w.register.change(guard.Change{}, func() {
			server := w.register.servers[calc]
			server.Resource = to
			w.register.servers[calc] = server
		})
	}
	move("https://mcp.example.com/elsewhere")
	if got := w.post(addCall); got.status != http.StatusNotFound {
		t.Errorf("the old path: %+v", got)
	}
	if got := w.do(w.request(http.MethodPost, "/elsewhere", addCall)); got.status != http.StatusUnauthorized {
		t.Errorf("the new path, with a token for the old resource: %+v", got)
	}
	move(resource)
	if got := w.post(addCall); got.status != http.StatusOK {
		t.Errorf("back: %+v", got)
	}
}

func TestRoutesOfTheSameHostAndPathAreRefused(t *testing.T) {
	upstream := func(text string) *url.URL {
		parsed, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	good := upstream("http://10.0.0.1/mcp")
	other := guard.ServerName{Namespace: "team", Name: "other"}
	for name, c := range map[string]struct {
		routes []proxy.Route
		ok     bool
	}{
		"one":                           {[]proxy.Route{{Server: calc, Upstream: good}}, true},
		"none":                          {nil, false},
		"two paths":                     {[]proxy.Route{{Server: calc, Upstream: good, Path: "/a"}, {Server: other, Upstream: good, Path: "/b"}}, true},
		"the same path":                 {[]proxy.Route{{Server: calc, Upstream: good, Path: "/a"}, {Server: other, Upstream: good, Path: "/a"}}, false},
		"the same path, two hosts":      {[]proxy.Route{{Server: calc, Upstream: good, Path: "/a", Hosts: []string{"a"}}, {Server: other, Upstream: good, Path: "/a", Hosts: []string{"b"}}}, true},
		"the same path, one host":       {[]proxy.Route{{Server: calc, Upstream: good, Path: "/a", Hosts: []string{"A."}}, {Server: other, Upstream: good, Path: "/a", Hosts: []string{"b", "a:80"}}}, false},
		"the same path, host and any":   {[]proxy.Route{{Server: calc, Upstream: good, Path: "/a", Hosts: []string{"a"}}, {Server: other, Upstream: good, Path: "/a"}}, false},
		"the same server":               {[]proxy.Route{{Server: calc, Upstream: good}, {Server: calc, Upstream: good}}, false},
		"no name":                       {[]proxy.Route{{Upstream: good}}, false},
		"no upstream":                   {[]proxy.Route{{Server: calc}}, false},
		"an upstream of another scheme": {[]proxy.Route{{Server: calc, Upstream: upstream("file:///etc")}}, false},
		"an upstream with a password":   {[]proxy.Route{{Server: calc, Upstream: upstream("http://a:b@c/")}}, false},
		"a relative path":               {[]proxy.Route{{Server: calc, Upstream: good, Path: "a"}}, false},
		"the path of metadata":          {[]proxy.Route{{Server: calc, Upstream: good, Path: "/.well-known/oauth-protected-resource"}}, false},
		"an empty host":                 {[]proxy.Route{{Server: calc, Upstream: good, Hosts: []string{""}}}, false},
	} {
		register := &register{}
		engine := guard.New(guard.Options{Register: register, Tokens: tokens{}, Recorder: &records{}, Clock: clock.RealClock{}})
		_, err := proxy.New(proxy.Options{Engine: engine, Register: register, Clock: clock.RealClock{}, Log: logr.Discard(), Routes: c.routes})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostsTellRoutesApart(t *testing.T) {
	other := guard.ServerName{Namespace: "team", Name: "other"}
	w := newWorld(t, fine, func(o *proxy.Options) {
		upstream := o.Routes[0].Upstream
		o.Routes = []proxy.Route{
			{Server: calc, Upstream: upstream, Hosts: []string{"Calc.example.com"}},
			{Server: other, Upstream: upstream, Hosts: []string{"other.example.com"}},
			{Server: guard.ServerName{Namespace: "team", Name: "twin"}, Upstream: upstream, Hosts: []string{"other.example.com:444"}, Path: "/x"},
		}
	})
	// at is the status, or the code of a refusal that is an answer.
	at := func(host, path string) int {
		r := w.request(http.MethodPost, path, addCall)
		r.Host = host
		got := w.do(r)
		if code := got.code(); got.status == http.StatusOK && code != 0 {
			return code
		}
		return got.status
	}
	w.register.change(guard.Change{}, func() {
		server := w.register.servers[calc]
		server.Name = "other"
		w.register.servers[other] = server
	})
	for _, c := range []struct {
		host, path string
		want       int
	}{
		{"calc.example.com", "/mcp", 200}, {"CALC.example.com.:8443", "/mcp", 200}, {"other.example.com", "/mcp", guard.Reason(policy.RefusedNoGrant).Code()},
		{"evil.example.com", "/mcp", 404}, {"calc.example.com", "/x", 404}, {"other.example.com:444", "/x", 503},
	} {
		if got := at(c.host, c.path); got != c.want {
			t.Errorf("%s%s: %d, want %d", c.host, c.path, got, c.want)
		}
	}
	w.register.change(guard.Change{}, func() {
		server := w.register.servers[other]
		server.Resource = "https://elsewhere.example.com/x"
		w.register.servers[other] = server
	})
	if got := at("other.example.com:444", "/x"); got != http.StatusMisdirectedRequest {
		t.Errorf("two servers at one path, neither of that host: %d", got)
	}
	w.register.change(guard.Change{}, func() {
		server := w.register.servers[other]
		server.Resource = "https://other.example.com:444/x"
		w.register.servers[other] = server
	})
	if got := at("other.example.com:444", "/x"); got != http.StatusUnauthorized {
		t.Errorf("two servers at one path, one of that host: %d", got)
	}
}
