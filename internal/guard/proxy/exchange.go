// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

const headerSession = "Mcp-Session-Id"

// exchange is one allowed request with its answer.
type exchange struct {
	proxy    *Proxy
	route    *route
	w        http.ResponseWriter
	control  *http.ResponseController
	incoming *http.Request
	body     []byte
	// leave gives back the room that the body takes.
	leave   func()
	request guard.Request
	verdict guard.Verdict
	watch   stopwatch
	// passed says that the upstream may have the request, started that the client
	// has the beginning of the answer.
	passed, started bool
	course          course
}

// endWith sees to it that the client's connection ends soon after what is held
// does, even if the client does not read. The function it returns must be called
// before the handler returns, because the connection serves others then.
func (x *exchange) endWith(held context.Context) (done func()) {
	var stalled *fuse
	lit := make(chan struct{})
	stop := context.AfterFunc(held, func() {
		stalled = light(stallTime, func() { x.abort() })
		close(lit)
	})
	return func() {
		if !stop() {
			<-lit
			stalled.putOut()
		}
	}
}

// abort ends the connection so that the client cannot take what it has for the
// whole answer.
func (x *exchange) abort() { x.proxy.expire(x.control.SetWriteDeadline) }

// forward sends the request to the upstream and the answer to the client.
func (x *exchange) forward(ctx context.Context) {
	if x.ended(ctx) {
		x.refuseNow(ctx)
		return
	}
	outgoing := x.outgoing(ctx)
	x.passed = true
	x.watch.pause()
	response, err := x.transport().RoundTrip(outgoing)
	x.watch.resume()
	x.body = nil
	if err != nil {
		f := failureOf(err)
		x.fail(ctx, f, said[f], err)
		return
	}
	// An answer may last for hours: nothing of it leads to the body.
	response.Request = &http.Request{URL: outgoing.URL}
	x.leave()
	x.proxy.answers(x.route, response)
	defer func() {
		if err := response.Body.Close(); err != nil {
			x.proxy.log.V(1).Info("The upstream's answer cannot be closed", "cause", err.Error())
		}
	}()
	if !x.usable(ctx, response) {
		return
	}
	x.noteSession(response)
	x.answer(ctx, response)
}

func (x *exchange) transport() http.RoundTripper {
	if x.route.Upstream.Scheme == schemeH2C {
		return x.proxy.h2c
	}
	return x.proxy.transport
}

// outgoing is the request to the upstream: its URL, the body as it was read, and
// the client's header without what belongs to the connection or to the guard.
func (x *exchange) outgoing(ctx context.Context) *http.Request {
	in, target := x.incoming, *x.route.Upstream
	if target.Scheme == schemeH2C {
		target.Scheme = "http"
	}
	if target.RawQuery == "" {
		target.RawQuery = in.URL.RawQuery
	}
	out := (&http.Request{
		Method: in.Method, URL: &target, Host: target.Host, Header: x.outgoingHeader(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if in.Method == http.MethodPost {
		out.ContentLength = int64(len(x.body))
		out.Body, out.GetBody = x.once()
	}
	return out
}

func (x *exchange) outgoingHeader() http.Header {
	in := x.incoming
	header := endToEnd(in.Header)
	for name := range header {
		if !kept(name) {
			delete(header, name)
		}
	}
	// Nothing else can be filtered.
	header["Accept-Encoding"] = identity
	disarm(header)
	if x.route.PassToken {
		header["Authorization"] = in.Header.Values("Authorization")
	}
	if _, there := header["User-Agent"]; !there {
		// The transport would name itself.
		header["User-Agent"] = []string{""}
	}
	if client, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		header.Set("X-Forwarded-For", client)
	}
	header.Set("X-Forwarded-Host", in.Host)
	header.Set("X-Forwarded-Proto", "http")
	if in.TLS != nil {
		header.Set("X-Forwarded-Proto", "https")
	}
	return header
}

// identity is what is accepted of content codings. It is never changed.
var identity = []string{"identity"}

// kept says that a header is handed on.
func kept(name string) bool {
	return !ownHeaders[name] && !strings.HasPrefix(name, "X-Forwarded-") && !message.Misleading(name)
}

// ownHeaders are those of a request that are not handed on: the token, what the
// guard says itself, and what browsers say of pages, which the guard has judged: a server on the loopback
// interface would refuse them all.
var ownHeaders = map[string]bool{
	"Origin": true, "Sec-Fetch-Site": true, "Access-Control-Request-Method": true, "Access-Control-Request-Headers": true,
	"Authorization": true, "Accept-Encoding": true, "Expect": true, "Content-Length": true, "Host": true,
	"Forwarded": true, "X-Real-Ip": true,
}

// ofConnection are the headers of one connection (RFC 9110 §7.6.1).
var ofConnection = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// endToEnd is a copy of a header without what belongs to one connection.
func endToEnd(header http.Header) http.Header {
	kept := header.Clone()
	for _, value := range header.Values("Connection") {
		for name := range strings.SplitSeq(value, ",") {
			kept.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range ofConnection {
		kept.Del(name)
	}
	return kept
}

// fail answers that the upstream gave no answer that can be passed. What has
// begun is broken off; what was ended meanwhile is refused by what ended it. more
// are further pairs for the log.
func (x *exchange) fail(ctx context.Context, f guard.Failure, text string, cause error, more ...any) {
	ended := x.ended(ctx)
	if !ended && ctx.Err() == nil {
		x.proxy.fails(x.route, f, text, cause, more...)
	}
	switch {
	case x.started:
		x.abort()
	case ended:
		x.refuseNow(ctx)
	case ctx.Err() != nil:
		x.proxy.log.V(1).Info("The client left before its answer", "server", x.route.Server.String())
	case f == guard.ConnectTimeout:
		writeFailure(x.w, http.StatusGatewayTimeout, x.request.Message.ID, text)
	default:
		writeFailure(x.w, http.StatusBadGateway, x.request.Message.ID, text)
	}
}

// refuseNow answers a request that was ended before anything was sent.
func (x *exchange) refuseNow(ctx context.Context) { x.proxy.refuse(x.w, x.request, x.refusal(ctx)) }

// refusal is what is said of a request that was ended. The client must know where
// the upstream had it: it may have been carried out.
func (x *exchange) refusal(ctx context.Context) guard.Verdict {
	verdict := x.proxy.engine.Ended(ctx, x.request)
	if x.passed {
		verdict.Text += "; the request had been passed on before, and may have been carried out"
	}
	return verdict
}

// ended says that the client may not go on, or that nobody knows whether it may.
func (x *exchange) ended(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), guard.ErrEnded) || !x.proxy.engine.Fresh()
}

// describe is an error without any URL.
func describe(err error) string {
	if err == nil {
		return ""
	}
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		err = withURL.Err
	}
	return err.Error()
}

// noteSession has it known whose the sessions are that the server gave, or knows.
func (x *exchange) noteSession(response *http.Response) {
	if response.StatusCode < 300 {
		x.proxy.engine.Answered(x.request, x.verdict, response.Header.Values(headerSession))
	}
}
