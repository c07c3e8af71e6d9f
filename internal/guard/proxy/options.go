// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// Options are what a Proxy is made of. Engine, Register, Routes and Clock are
// required.
type Options struct {
	Engine   *guard.Engine
	Register guard.Register
	Routes   []Route
	// MaxBody is how large a request's body may be, in bytes; 0 means
	// guard.DefaultMaxBody.
	MaxBody int64
	Clock   clock.PassiveClock
	Log     logr.Logger
	// Transport reaches the upstreams; nil means one that knows no proxy, follows
	// no redirect and leaves content codings alone.
	Transport http.RoundTripper
	// IdleTimeout is how long a connection to an upstream is kept for the next
	// request; 0 means that none is. It must be less than the upstreams keep
	// theirs, and is for nothing where Transport is set.
	IdleTimeout time.Duration
	// Failed is told of each request that an upstream gave no answer to that could
	// be passed on. nil means that nobody wants to know.
	Failed func(server guard.ServerName, f guard.Failure)
	// Observe is told what the guard added to a request that it passed: the time
	// before it went to the upstream and after the upstream answered. nil means
	// that nobody wants to know.
	Observe func(server guard.ServerName, added time.Duration)
}

// Route is where an MCPServer is reached.
type Route struct {
	Server guard.ServerName
	// Upstream is the one URL that its requests go to. The client's path is never
	// joined to it, and the client's query only where it has none itself. The
	// scheme h2c means HTTP/2 without TLS (RFC 9113 §3.3).
	Upstream *url.URL
	// Hosts are those the route answers for, with or without port; none means any.
	Hosts []string
	// Path is the escaped path it answers for; empty means that of the MCPServer's
	// resource.
	Path string
	// PassToken hands the client's token on to the upstream, and the upstream's
	// challenges to the client.
	PassToken bool
}

const (
	// maxAnswer is how large an answer, or an event of a stream, may be that is
	// filtered.
	maxAnswer = 4 << 20
	// bodyTime is how long a client may take to send a body.
	bodyTime = 30 * time.Second
	// lingerTime is how long the body of a refused request is read on.
	lingerTime = 10 * time.Second
	// lingerRate is how many bytes a second of all refused bodies together are read on,
	// by so many at a time. Who floods the guard with them waits, and not those whose
	// calls are decided about meanwhile.
	lingerRate, lingerPortion = 128 << 20, 256 << 10
	// stallTime is how long a client that may not go on may take to read what is
	// on its way.
	stallTime = time.Second
)

// New returns a Proxy, or says which route cannot be one.
func New(o Options) (*Proxy, error) {
	p := &Proxy{
		engine: o.Engine, register: o.Register, maxBody: o.MaxBody, clock: o.Clock, log: o.Log,
		transport: o.Transport, h2c: o.Transport, observe: o.Observe, rest: rate.NewLimiter(lingerRate, 4*lingerPortion),
	}
	if p.maxBody == 0 {
		p.maxBody = guard.DefaultMaxBody
	}
	if p.transport == nil {
		p.transport, p.h2c = newTransport(o.IdleTimeout), newTransport(o.IdleTimeout)
		p.h2c.(*http.Transport).Protocols = unencryptedHTTP2()
	}
	p.failed = o.Failed
	if p.failed == nil {
		p.failed = func(guard.ServerName, guard.Failure) {}
	}
	if p.observe == nil {
		p.observe = func(guard.ServerName, time.Duration) {}
	}
	if len(o.Routes) == 0 {
		return nil, errors.New("there is no route")
	}
	for _, r := range o.Routes {
		added := newRoute(r)
		if err := added.check(); err != nil {
			return nil, fmt.Errorf("route of %s: %w", r.Server, err)
		}
		for _, other := range p.routes {
			if added.collides(other) {
				return nil, fmt.Errorf("routes of %s and %s: the same host and path", other.Server, r.Server)
			}
		}
		p.routes = append(p.routes, added)
	}
	return p, nil
}

// newTransport returns the transport of the guard: http.Transport never follows
// a redirect.
func newTransport(idle time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        idle,
		DisableKeepAlives:      idle == 0,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func unencryptedHTTP2() *http.Protocols {
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	return &only
}

// NewServer returns a server for a Proxy. It has no limit for writing, because
// streams have none; the Proxy limits the time for a body itself.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            10 * time.Second,
		IdleTimeout:                  2 * time.Minute,
		MaxHeaderBytes:               64 << 10,
		DisableGeneralOptionsHandler: true,
		// What strangers do wrong is no line of the log.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}
