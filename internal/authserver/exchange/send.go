// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
)

// longestWait bounds how long a request waits for its turn under the
// configured rate.
const longestWait = 5 * time.Second

// Call is one HTTP request.
type Call struct {
	// Op is what is tried, for example "registering client".
	Op string
	// Method is the HTTP method, URL the whole URL on the Exchange's origin.
	Method, URL string
	// ContentType is that of the body; empty without one.
	ContentType string
	// Accept is the type of answer that is asked for; empty means JSON.
	Accept string
	// Authorization is the header's value, as Bearer and Basic make it.
	Authorization string
	Body          []byte
	// Effect says that the request may change something at the server: an
	// answer that is lost leaves that open, and the error has MaybeApplied.
	// A request with Effect is never sent again by the transport either.
	Effect bool
	// Quoted says that the request is about one client alone: what the server says
	// of its refusal is for those whose client it is (QuoteOf).
	Quoted bool
	// Secrets are what must not come back in those words, beside what is sent.
	Secrets []authserver.Secret
	// Missing is the code for an endpoint that is not there or does not know
	// the method.
	Missing string
	// Nowhere is the code for a 404 that is not the server's: where the URL is
	// configured, it may be wrong.
	Nowhere string
	// Each takes the elements of a list one by one as they come, so that the list may
	// be longer than other answers (LongestList), and the answer has no body. What it
	// took counts only if ReadEach finds nothing wrong with the answer.
	Each func(item *Object)
}

// Answer is what came back, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// BodyErr says that the body is not all there.
	BodyErr error
	// items is how many elements Call.Each took.
	items int
}

// Success says that the status is 200 or 201.
func (a Answer) Success() bool { return a.Status == http.StatusOK || a.Status == http.StatusCreated }

// Send waits for its turn, sends a request once and reads the answer, of which
// every status is one: the error says that there was no answer.
func (e *Exchange) Send(ctx context.Context, c Call) (Answer, error) {
	if err := e.waitTurn(ctx, c.Op); err != nil {
		return Answer{}, err
	}
	var wrote atomic.Bool
	if c.Each != nil {
		ctx = dialguard.WithMaxBody(ctx, LongestList)
	}
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true) },
	})
	request, err := c.request(traced)
	if err != nil {
		return Answer{}, &authserver.Error{
			Kind: authserver.Rejected, Op: c.Op, Code: CodeInvalidConfig, Err: errRequest,
		}
	}
	response, err := e.client.Do(request)
	if wrote.Load() {
		e.options.Sent(c.Method)
	}
	if err != nil {
		return Answer{}, unanswered(c, err, wrote.Load())
	}
	defer func() { _ = response.Body.Close() }()
	got := Answer{Status: response.StatusCode, Header: response.Header}
	if c.Each != nil && got.Status == http.StatusOK {
		got.BodyErr = readItems(response.Body, func(item *Object) { got.items++; c.Each(item) })
		return got, nil
	}
	got.Body, got.BodyErr = io.ReadAll(&short{next: response.Body, left: longestAnswer})
	return got, nil
}

func (e *Exchange) waitTurn(ctx context.Context, op string) error {
	bounded, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	if err := e.options.Limiter.Wait(bounded); err != nil {
		if ctx.Err() != nil {
			return &authserver.Error{Kind: authserver.Unavailable, Op: op, Err: Cause(ctx.Err())}
		}
		return &authserver.Error{
			Kind: authserver.Unavailable, Op: op, Code: CodeRateLimited,
			Unsent: true, RetryAfter: time.Second,
		}
	}
	return nil
}

func (c Call) request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, c.Method, c.URL, c.reader())
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", cmp.Or(c.Accept, JSONType))
	request.Header.Set("User-Agent", "mcp-registrar")
	if c.ContentType != "" {
		request.Header.Set("Content-Type", c.ContentType)
	}
	if c.Authorization != "" {
		request.Header.Set("Authorization", c.Authorization)
	}
	return request, nil
}

// reader returns the body. A GET with a management token must not be repeated
// by the transport either, because each one may use the token up: a body that
// cannot be read again, although empty, forbids it.
func (c Call) reader() io.Reader {
	switch {
	case c.Body != nil:
		return bytes.NewReader(c.Body)
	case c.Method == http.MethodGet && c.Effect:
		return once{}
	}
	return nil
}

type once struct{}

// Read returns io.EOF.
func (once) Read([]byte) (int, error) { return 0, io.EOF }
