// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// route is a Route with what was found out about its server.
type route struct {
	Route
	hosts []hostPort
	found atomic.Pointer[place]
	// http1 says that the upstream is known to speak HTTP/1.1.
	http1 atomic.Bool
	state upstreamState
}

// place is where a resource is: its path, and that of its metadata.
type place struct{ resource, path, metadata string }

// hostPort is a host in lower case; port is empty for any.
type hostPort struct{ host, port string }

func newRoute(r Route) *route {
	added := &route{Route: r}
	added.http1.Store(r.Upstream != nil && r.Upstream.Scheme == "http")
	for _, host := range r.Hosts {
		added.hosts = append(added.hosts, splitHost(host))
	}
	return added
}

func splitHost(text string) hostPort {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), ""
	}
	return hostPort{host: strings.TrimSuffix(strings.ToLower(host), "."), port: port}
}

// check says what is wrong with a route.
func (r *route) check() error {
	switch {
	case r.Server.Namespace == "" || r.Server.Name == "":
		return errors.New("it needs the MCPServer's namespace and name")
	case r.Path != "" && !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, "?# "):
		return errors.New("its path is not an escaped absolute path")
	case strings.HasPrefix(r.Path, metadataRoot):
		return errors.New("its path is that of protected resource metadata")
	case slices.ContainsFunc(r.hosts, func(h hostPort) bool { return h.host == "" }):
		return errors.New("one of its hosts is empty")
	}
	return checkUpstream(r.Upstream)
}

var schemes = map[string]bool{"http": true, "https": true, schemeH2C: true}

// schemeH2C is that of an upstream with HTTP/2 without TLS.
const schemeH2C = "h2c"

func checkUpstream(upstream *url.URL) error {
	switch {
	case upstream == nil || upstream.Host == "" || !schemes[upstream.Scheme]:
		return errors.New("its upstream is not an http, https or h2c URL with a host")
	case upstream.User != nil || upstream.Fragment != "":
		return errors.New("its upstream has a user or a fragment")
	}
	return nil
}

// collides says that two routes always answer for the same.
func (r *route) collides(other *route) bool {
	if r.Path != other.Path || r.Path == "" && r.Server != other.Server {
		return false
	}
	if len(r.hosts) == 0 || len(other.hosts) == 0 {
		return true
	}
	return slices.ContainsFunc(r.hosts, func(h hostPort) bool {
		return slices.ContainsFunc(other.hosts, h.meets)
	})
}

// meets says that a host is, or may be, another.
func (h hostPort) meets(other hostPort) bool {
	return h.host == other.host && (h.port == other.port || h.port == "" || other.port == "")
}

func (r *route) answersFor(host hostPort) bool {
	return len(r.hosts) == 0 || slices.ContainsFunc(r.hosts, func(h hostPort) bool {
		return h.host == host.host && (h.port == "" || h.port == host.port)
	})
}

// locate finds the resource of the route's server; known is false where the
// register has no such server, or one whose resource is no URL.
func (r *route) locate(register guard.Register) (server guard.Server, at place, known bool) {
	server, known = register.Server(r.Server)
	if !known {
		return server, at, false
	}
	if found := r.found.Load(); found != nil && found.resource == server.Resource {
		return server, *found, true
	}
	parsed, err := url.Parse(server.Resource)
	if err != nil || parsed.Host == "" {
		return server, at, false
	}
	at = place{resource: server.Resource, path: parsed.EscapedPath()}
	at.metadata, _, _ = strings.Cut(guard.MetadataPath(server.Resource), "?")
	if at.path == "" {
		at.path = "/"
	}
	r.found.Store(&at)
	return server, at, true
}

// match finds the one route for a host and path. Of several for one path it is
// the one whose resource has the host. status is 0 when there is one; else 404
// for none, 421 for several, and 503 where a server is not known that might be
// it.
func (p *Proxy) match(r *http.Request, path string) (found *route, status int) {
	host, status := splitHost(r.Host), http.StatusNotFound
	var all, named []*route
	for _, candidate := range p.routes {
		if !candidate.answersFor(host) {
			continue
		}
		server, place, known := candidate.locate(p.register)
		at := cmp.Or(candidate.Path, place.path)
		switch {
		case !known && candidate.Path == "":
			status = http.StatusServiceUnavailable
		case at == path:
			all = append(all, candidate)
			if resourceHost(server.Resource).meets(host) {
				named = append(named, candidate)
			}
		}
	}
	if len(all) > 1 {
		all, status = named, http.StatusMisdirectedRequest
	}
	if len(all) == 1 {
		return all[0], 0
	}
	return nil, status
}

// resourceHost is the host that clients know a resource by.
func resourceHost(resource string) hostPort {
	parsed, err := url.Parse(resource)
	if err != nil {
		return hostPort{}
	}
	return splitHost(parsed.Host)
}

// pathOf is the path of a request as it was sent; ok is false for a target that
// has none.
func pathOf(r *http.Request) (path string, ok bool) {
	path, _, _ = strings.Cut(r.RequestURI, "?")
	return path, strings.HasPrefix(path, "/")
}
