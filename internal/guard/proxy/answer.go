// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// Media types of answers.
const (
	mediaJSON   = "application/json"
	mediaStream = "text/event-stream"
)

// answer passes the upstream's answer on, in the way that its kind demands.
func (x *exchange) answer(ctx context.Context, response *http.Response) {
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	filtered := lists(x.request.Message)
	switch {
	case filtered && encoded(response.Header):
		x.fail(ctx, guard.Unfit, "the MCP server encoded a list that the guard must read", nil)
	case media == mediaStream:
		x.stream(ctx, response, filtered)
	case filtered && media == mediaJSON:
		x.list(ctx, response)
	case filtered && response.StatusCode < 300 && !x.empty(response):
		x.fail(ctx, guard.Unfit, "the MCP server answered a list in a media type that MCP does not have", nil)
	default:
		x.copy(ctx, response)
	}
}

// lists says that the answer to a message may hold a list of tools. What a GET
// opens may repeat any answer of the session.
func lists(m guard.Message) bool {
	return m.Kind == guard.Listen || m.Kind == guard.Call && m.Method == "tools/list"
}

func encoded(header http.Header) bool {
	for _, coding := range header.Values("Content-Encoding") {
		if !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return false
}

// empty says that an answer has no body.
func (x *exchange) empty(response *http.Response) bool {
	if response.ContentLength == 0 {
		return true
	}
	n, err := io.ReadFull(response.Body, make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}

// list passes an answer with only the tools that the client may call.
func (x *exchange) list(ctx context.Context, response *http.Response) {
	x.watch.pause()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	x.watch.resume()
	switch {
	case err != nil:
		x.fail(ctx, guard.BrokenOff, "the answer of the MCP server broke off", err)
		return
	case len(raw) > maxAnswer:
		x.fail(ctx, guard.Unfit, "the MCP server's list is larger than the guard reads", nil)
		return
	}
	if len(raw) > 0 {
		if raw, err = filter(raw, x.callable()); err != nil {
			x.fail(ctx, guard.Unfit, "the MCP server's list cannot be read", err)
			return
		}
	}
	for _, name := range []string{"Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} {
		response.Header.Del(name)
	}
	response.Header.Set("Content-Length", strconv.Itoa(len(raw)))
	if x.ended(ctx) {
		x.refuseNow(ctx)
		return
	}
	x.start(response)
	x.proxy.send(x.w, raw)
}

func (x *exchange) callable() func(string) bool { return x.proxy.engine.Callable(x.verdict) }

// copy passes an answer as it is.
func (x *exchange) copy(ctx context.Context, response *http.Response) {
	buffer := make([]byte, 32<<10)
	for {
		x.watch.pause()
		n, err := response.Body.Read(buffer)
		x.watch.resume()
		if n > 0 && !x.pass(ctx, response, buffer[:n], response.ContentLength < 0) {
			return
		}
		if errors.Is(err, io.EOF) {
			x.finish(ctx, response)
			return
		}
		if err != nil {
			x.fail(ctx, guard.BrokenOff, "the answer of the MCP server broke off", err)
			return
		}
	}
}

// pass sends a part of an answer; more is false when nothing more can be sent.
func (x *exchange) pass(ctx context.Context, response *http.Response, part []byte, flush bool) (more bool) {
	if x.ended(ctx) {
		x.fail(ctx, guard.BrokenOff, "", nil)
		return false
	}
	return x.write(response, part, flush)
}

func (x *exchange) write(response *http.Response, part []byte, flush bool) (more bool) {
	x.start(response)
	if _, err := x.w.Write(part); err != nil {
		return false
	}
	return !flush || x.control.Flush() == nil
}

// finish sees that an answer without a body is passed too.
func (x *exchange) finish(ctx context.Context, response *http.Response) {
	switch {
	case x.started:
	case x.ended(ctx):
		x.refuseNow(ctx)
	default:
		x.start(response)
	}
}

// start sends the status and header of an answer, once.
func (x *exchange) start(response *http.Response) {
	if x.started {
		return
	}
	x.started = true
	header := x.w.Header()
	page := x.request.Origin != nil
	for name, values := range endToEnd(response.Header) {
		switch {
		case name == "Alt-Svc", name == "Www-Authenticate" && !x.route.PassToken:
			// The one leads around the guard; the other is about another token.
		case page && strings.HasPrefix(name, "Access-Control-"):
			// Which pages may read is the guard's to say, once.
		case name == "Vary":
			header[name] = append(header[name], values...)
		default:
			header[name] = values
		}
	}
	x.proxy.observe(x.route.Server, x.watch.total())
	x.w.WriteHeader(response.StatusCode)
}

// stream passes server-sent events, each as a whole. The answer to a list begins
// with its first event, so that there is still a status to refuse it with; other
// streams begin at once.
func (x *exchange) stream(ctx context.Context, response *http.Response, filtered bool) {
	response.Header.Del("Content-Length")
	if x.beginsAtOnce(filtered) && !x.pass(ctx, response, nil, true) {
		return
	}
	x.course = courseOf(x.request.Message)
	for events := newEvents(response.Body, maxAnswer); ; {
		x.watch.pause()
		event, err := events.next()
		x.watch.resume()
		// An event that need not be filtered is passed in parts if it is too large to
		// be kept.
		if event.part && !filtered {
			err = nil
		}
		over := errors.Is(err, io.EOF)
		if err != nil && !over {
			x.breakOff(ctx, err)
			return
		}
		if len(event.raw) > 0 && !x.passEvent(ctx, response, event, filtered) {
			return
		}
		if over {
			x.finish(ctx, response)
			return
		}
	}
}

func (x *exchange) beginsAtOnce(filtered bool) bool {
	return !filtered || x.request.Message.Kind == guard.Listen
}

// breakOff deals with a stream that has no whole event next. What was there of one
// is not passed.
func (x *exchange) breakOff(ctx context.Context, err error) {
	switch {
	case x.started && x.ended(ctx):
		x.cut(ctx)
	case errors.Is(err, errEventTooLarge):
		x.giveUp(ctx, "the MCP server's stream has an event larger than the guard reads", nil)
	default:
		x.fail(ctx, guard.BrokenOff, "the stream of the MCP server broke off", err)
	}
}

func (x *exchange) passEvent(ctx context.Context, response *http.Response, event event, filtered bool) (more bool) {
	raw := event.raw
	if filtered {
		var err error
		if raw, err = event.filter(x.callable()); err != nil {
			x.giveUp(ctx, "the MCP server's list cannot be read", err)
			return false
		}
	}
	switch ended := x.ended(ctx); {
	case ended && x.started:
		x.cut(ctx)
		return false
	case ended:
		x.refuseNow(ctx)
		return false
	}
	x.course.note(event)
	return x.write(response, raw, true)
}

// maxNesting is how deeply an answer may nest that is filtered.
const maxNesting = 1000

// readable says whether an answer can be filtered. Half a surrogate pair only
// spoils the name that it is in.
func readable(raw []byte) error {
	if err := message.Check(raw, maxNesting); err != nil && !errors.Is(err, message.ErrSurrogate) {
		return err
	}
	return nil
}
