// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// What pages may use, of requests and of answers. The names of parameters
// (Mcp-Param-…) are added as they are asked for.
const (
	pageMethods = "GET, POST, DELETE"
	pageHeaders = "Authorization, Content-Type, Accept, Mcp-Session-Id, MCP-Protocol-Version, Last-Event-ID, Mcp-Method, Mcp-Name, Traceparent, Tracestate"
	pageExposed = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"
	// pageMaxAge is how long a browser need not ask again, in seconds; Chromium
	// takes no more.
	pageMaxAge = "7200"
)

// receivePage deals with a request that a browser sends for a page of some origin
// (the Fetch standard, §3.3); done says that it is answered. Whether the page may
// is asked first of all. The pages that may call can read every answer; route is
// nil where there is none.
func (p *Proxy) receivePage(w http.ResponseWriter, r *http.Request, route *route) (done bool) {
	var server guard.ServerName
	if route != nil {
		server = route.Server
	}
	origin := r.Header["Origin"]
	if !p.engine.Welcome(server, origin, r.Host) {
		return route != nil && p.refusePage(w, r, route)
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", origin[0])
	header.Set("Access-Control-Expose-Headers", pageExposed)
	header.Set("Vary", "Origin")
	if route == nil || r.Method != http.MethodOptions || r.Header["Access-Control-Request-Method"] == nil {
		return false
	}
	header.Set("Access-Control-Allow-Methods", pageMethods)
	header.Set("Access-Control-Allow-Headers", pageHeaders+parameters(r.Header))
	header.Set("Access-Control-Max-Age", pageMaxAge)
	header.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// refusePage refuses a page; done is false where it may call after all, because the
// register changed meanwhile.
func (p *Proxy) refusePage(w http.ResponseWriter, r *http.Request, route *route) (done bool) {
	asked := p.unread(r, route)
	v, leave := p.engine.Admit(r.Context(), asked, 0)
	defer leave()
	if v.Allowed() {
		return false
	}
	p.refuse(w, asked, v)
	return true
}

// parameter is the name of a header that repeats a parameter of a tool: a token
// (RFC 9110 §5.6.2), in the lower case of browsers.
var parameter = regexp.MustCompile("^mcp-param-[!#$%&'*+.^_`|~0-9a-z-]{1,128}$")

// maxParameters is how many of them are allowed.
const maxParameters = 64

// parameters are the headers of parameters that a browser asks for, as the rest of
// a list.
func parameters(header http.Header) string {
	var list strings.Builder
	found := 0
	for _, value := range header["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); found < maxParameters && parameter.MatchString(name) {
				found++
				list.WriteString(", " + name)
			}
		}
	}
	return list.String()
}

// unread is a request whose body was not looked at.
func (p *Proxy) unread(r *http.Request, route *route) guard.Request {
	return guard.Request{
		Server: route.Server, Origin: r.Header["Origin"], Host: r.Host, ReceivedAt: p.clock.Now(),
		Authorization: r.Header.Values("Authorization"), Proof: r.Header["Dpop"], Method: r.Method, URL: urlOf(r), TraceParent: message.TraceParent(r.Header),
		Session: r.Header.Get(headerSession),
	}
}

// urlOf is the URL by which the client came to the guard.
func urlOf(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.RequestURI()
}
