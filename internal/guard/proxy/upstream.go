// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// said are the texts of failures to reach a server, for those who call it. None
// says where it is.
var said = map[guard.Failure]string{
	guard.Unreachable:    "the MCP server cannot be reached, and nothing was sent to it: try again later, and if it lasts, tell those who run the server",
	guard.ConnectTimeout: "the MCP server did not take a connection in time, and nothing was sent to it: try again later, and if it lasts, tell those who run the server",
	guard.Untrusted:      "the MCP server's TLS cannot be trusted, and nothing was sent to it: tell those who run the server",
	guard.BrokenOff:      "the MCP server ended the connection before it answered: the request may have been carried out",
}

// failureOf tells what kind of failure an error of the transport is. What is not
// known for one before anything was sent is BrokenOff.
func failureOf(err error) guard.Failure {
	operation, isOperation := errors.AsType[*net.OpError](err)
	dialling := isOperation && operation.Op == "dial"
	timeout, ok := errors.AsType[net.Error](err)
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case ok && timeout.Timeout() && (dialling || !isOperation):
		return guard.ConnectTimeout
	case dialling:
		return guard.Unreachable
	case unverified, noTLS, unknown:
		return guard.Untrusted
	}
	return guard.BrokenOff
}

// causeOf is an error for the log: without any URL, and without anything that the
// upstream said.
func causeOf(err error) string {
	_, isNet := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return ""
	case isNet, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errSent), failureOf(err).Away():
		return describe(err)
	}
	return "the answer is not HTTP, or was broken off"
}

// repeatTime is how long a failure of one kind is not said again in the log.
const repeatTime = time.Minute

// upstreamState is how a server did last.
type upstreamState struct {
	// away is why it cannot be reached; nil while it can.
	away atomic.Pointer[guard.Failure]
	mu   sync.Mutex
	// lines are when failures were logged last, and how many were not since.
	lines map[guard.Failure]logged
}

type logged struct {
	at      time.Time
	omitted int
}

// due reports whether a failure is to be logged now, and how many like it were not.
func (s *upstreamState) due(f guard.Failure, now time.Time) (due bool, omitted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, before := s.lines[f]
	if before && now.Sub(last.at) < repeatTime {
		last.omitted++
		s.lines[f] = last
		return false, 0
	}
	if s.lines == nil {
		s.lines = map[guard.Failure]logged{}
	}
	s.lines[f] = logged{at: now}
	return true, last.omitted
}

// fails counts a failure and logs it, unless the like was logged a short while
// ago. more are further pairs for the log.
func (p *Proxy) fails(r *route, f guard.Failure, text string, cause error, more ...any) {
	p.failed(r.Server, f)
	if f.Away() {
		r.state.away.Store(&f)
	}
	due, omitted := r.state.due(f, p.clock.Now())
	log := p.log.WithValues("server", r.Server.String(), "kind", string(f))
	log.V(1).Info("The upstream's answer was not passed", "reason", text, "cause", describe(cause))
	if !due {
		return
	}
	pairs := append([]any{"upstream", address(r.Upstream), "reason", text, "cause", causeOf(cause), "omitted", omitted}, more...)
	log.Info("The MCP server gave no answer that can be passed on", pairs...)
}

// answers notes that a server can be reached, and which HTTP it speaks.
func (p *Proxy) answers(r *route, response *http.Response) {
	if http1 := response.ProtoMajor == 1; r.http1.Load() != http1 {
		r.http1.Store(http1)
	}
	if r.state.away.Load() != nil && r.state.away.Swap(nil) != nil {
		p.log.Info("The MCP server can be reached again", "server", r.Server.String())
	}
}

// Away are the servers that could not be reached when they were last called, each
// with the reason.
func (p *Proxy) Away() []string {
	var away []string
	for _, r := range p.routes {
		if f := r.state.away.Load(); f != nil {
			away = append(away, fmt.Sprintf("%s: %s", r.Server, *f))
		}
	}
	return away
}

// address is a URL without what could be a secret of it.
func address(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// usable answers for an upstream whose answer is not one for the client: a
// redirect, or a refusal of the guard itself.
func (x *exchange) usable(ctx context.Context, response *http.Response) bool {
	status := response.StatusCode
	switch {
	case status < http.StatusOK || status >= 300 && status < 400:
		x.redirected(ctx, response)
	case !x.route.PassToken && challenged(response):
		x.fail(ctx, guard.Unauthenticated, fmt.Sprintf("the MCP server refused the guard's request (%d): it wants credentials of its own, which the guard does not have. "+
			"The token of the client was in order, and another one would not help: tell those who run the server", status), nil)
	default:
		return true
	}
	return false
}

// challenged says that an upstream asks for credentials. A client would take that
// for a word about its token.
func challenged(response *http.Response) bool {
	return response.StatusCode == http.StatusUnauthorized ||
		response.StatusCode == http.StatusForbidden && response.Header["Www-Authenticate"] != nil
}

// redirected answers that the upstream sends the guard elsewhere. Where to is for
// the log; the client is told only if it is the slash, which it usually is.
func (x *exchange) redirected(ctx context.Context, response *http.Response) {
	text := fmt.Sprintf("the MCP server answered with a redirect or an upgrade (%d), which the guard neither follows nor passes on", response.StatusCode)
	where := ""
	if to, err := response.Location(); err == nil {
		where = address(to)
		from := *x.route.Upstream
		if to.Host == from.Host && to.Path != from.Path && strings.TrimSuffix(to.Path, "/") == strings.TrimSuffix(from.Path, "/") {
			text += ": its URL differs in the slash at the end, and whoever runs the guard corrects it in --server"
		}
	}
	x.fail(ctx, guard.Redirected, text, nil, "location", where)
}
