// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// Proxy is the handler of the guard. It may be used by several goroutines.
type Proxy struct {
	engine    *guard.Engine
	register  guard.Register
	routes    []*route
	maxBody   int64
	clock     clock.PassiveClock
	log       logr.Logger
	transport http.RoundTripper
	h2c       http.RoundTripper
	failed    func(guard.ServerName, guard.Failure)
	observe   func(guard.ServerName, time.Duration)
	// rest is how fast the rest of refused bodies is read.
	rest *rate.Limiter
}

// ServeHTTP finds the route of a request, has the request decided about, and
// passes or refuses it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := pathOf(r)
	if !ok {
		writeNoRoute(w, http.StatusNotFound)
		return
	}
	if strings.HasPrefix(path, metadataRoot) {
		p.serveMetadata(w, r, path)
		return
	}
	route, status := p.match(r, path)
	if r.Header["Origin"] != nil && p.receivePage(w, r, route) {
		return
	}
	if status != 0 {
		writeNoRoute(w, status)
		return
	}
	p.serve(w, r, route)
}

// serve decides about a request of a route. The order is: read, decide, hold,
// and only then pass.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, route *route) {
	receivedAt := p.clock.Now()
	leave, admitted := p.admit(w, r, route, receivedAt)
	if !admitted {
		p.linger(w, r)
		return
	}
	defer leave()
	body, fault := p.readBody(w, r)
	if fault != nil && fault.Reason == guard.RequestTooLarge {
		defer p.linger(w, r)
	}
	x := &exchange{proxy: p, route: route, w: w, control: http.NewResponseController(w), incoming: r, body: body, leave: leave}
	x.watch.start(p.clock)
	x.request = p.unread(r, route)
	x.request.ReceivedAt = receivedAt
	understand(&x.request, r, body, fault)
	x.verdict = p.engine.Decide(r.Context(), x.request)
	if !x.verdict.Allowed() {
		p.refuse(w, x.request, x.verdict)
		return
	}
	held, release := p.engine.Hold(r.Context(), x.request, x.verdict)
	defer release()
	defer x.endWith(held)()
	x.forward(held)
}

// admit asks whether the client may call anything, and takes room, before a body is read
// that is large, or whose size is not known. leave gives back the room.
func (p *Proxy) admit(w http.ResponseWriter, r *http.Request, route *route, receivedAt time.Time) (leave func(), ok bool) {
	if r.ContentLength >= 0 && r.ContentLength <= guard.SmallBody {
		return func() {}, true
	}
	asked := p.unread(r, route)
	asked.ReceivedAt = receivedAt
	v, leave := p.engine.Admit(r.Context(), asked, p.takes(r))
	if !v.Allowed() {
		w.Header().Set("Connection", "close")
		p.refuse(w, asked, v)
	}
	return leave, v.Allowed()
}

// linger reads on after a refusal that came before the end of the body, for a while and
// for nothing: a connection that is closed while the client still writes is reset, and takes
// the refusal with it (RFC 9112 §9.6). Who waits to be asked for the body sends none.
func (p *Proxy) linger(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.Header.Get("Expect") != "" {
		return
	}
	control := http.NewResponseController(w)
	if err := control.Flush(); err != nil {
		return
	}
	limit := light(lingerTime, func() { p.expire(control.SetReadDeadline) })
	defer limit.putOut()
	ctx, cancel := context.WithTimeout(r.Context(), lingerTime)
	defer cancel()
	var err error
	for left := 2 * p.maxBody; left > 0 && err == nil; left -= lingerPortion {
		if err = p.rest.WaitN(ctx, lingerPortion); err == nil {
			_, err = io.CopyN(io.Discard, r.Body, lingerPortion)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.log.V(1).Info("The rest of a refused body did not arrive", "cause", err.Error())
	}
}

// takes is how much memory the body of a request may take: one whose size is not known is
// read into a buffer that grows by doubling, and one that is too large is not read.
func (p *Proxy) takes(r *http.Request) int64 {
	switch size := r.ContentLength; {
	case size < 0:
		return LargestTaken(p.maxBody)
	case size > p.maxBody:
		return 0
	default:
		return size
	}
}

// LargestTaken is how many bytes of memory the largest body takes.
func LargestTaken(maxBody int64) int64 { return 2 * maxBody }

// understand reads what a request asks for, unless there is a fault.
func understand(request *guard.Request, r *http.Request, body []byte, fault *guard.Fault) {
	if fault != nil {
		request.Message.Fault = fault
		return
	}
	request.Message, request.TraceParent = message.Parse(r.Header, r.Method, body)
}

// readBody reads the body of a POST; other methods of MCP have none.
func (p *Proxy) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *guard.Fault) {
	if r.Method != http.MethodPost {
		return nil, nil
	}
	if r.ContentLength > p.maxBody {
		w.Header().Set("Connection", "close")
		return nil, tooLarge()
	}
	control := http.NewResponseController(w)
	limit := light(bodyTime, func() { p.expire(control.SetReadDeadline) })
	defer limit.putOut()
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, p.maxBody))
	var exceeded *http.MaxBytesError
	switch {
	case errors.As(err, &exceeded):
		return nil, tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, broken(http.StatusRequestTimeout, "the body did not arrive in time")
	case err != nil:
		return nil, broken(http.StatusBadRequest, "the body did not arrive as it was announced")
	}
	return body.Bytes(), nil
}

func broken(status int, text string) *guard.Fault {
	return &guard.Fault{Status: status, Code: codeInvalid, Reason: guard.RequestMalformed, Text: text}
}

// expire ends what is being read or written now. A deadline of the past does,
// whatever the clock says.
func (p *Proxy) expire(setDeadline func(time.Time) error) {
	if err := setDeadline(time.Unix(1, 0)); err != nil {
		p.log.V(1).Info("The connection cannot be ended", "cause", err.Error())
	}
}

func tooLarge() *guard.Fault {
	return &guard.Fault{
		Status: http.StatusRequestEntityTooLarge, Code: codeInvalid, Reason: guard.RequestTooLarge,
		Text: "the body is larger than the guard reads",
	}
}
