// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// longestWait bounds how long a request waits for its turn under the
// configured rate.
const longestWait = 5 * time.Second

const formType = "application/x-www-form-urlencoded"

// call is one HTTP request.
type call struct {
	op, method, url string
	contentType     string
	authorization   string
	body            []byte
	// effect says that the request may change something at the server.
	effect bool
	// missing is the code for an endpoint that is not there or does not know
	// the method.
	missing string
}

// answer is what came back. bodyErr says that the body is not all there.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	bodyErr error
}

func (a answer) success() bool { return a.status == http.StatusOK || a.status == http.StatusCreated }

// send waits for its turn, sends a request once and reads the answer.
func (s *Server) send(ctx context.Context, c call) (answer, error) {
	if err := s.waitTurn(ctx, c.op); err != nil {
		return answer{}, err
	}
	var wrote atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true) },
	})
	request, err := c.request(traced)
	if err != nil {
		return answer{}, &authserver.Error{
			Kind: authserver.Rejected, Op: c.op, Code: CodeInvalidConfig, Err: errRequest,
		}
	}
	response, err := s.client.Do(request)
	if wrote.Load() {
		s.options.Sent(c.method)
	}
	if err != nil {
		return answer{}, unanswered(c, err, wrote.Load())
	}
	defer func() { _ = response.Body.Close() }()
	got := answer{status: response.StatusCode, header: response.Header}
	got.body, got.bodyErr = io.ReadAll(response.Body)
	return got, nil
}

func (s *Server) waitTurn(ctx context.Context, op string) error {
	bounded, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	if err := s.limiter.Wait(bounded); err != nil {
		if ctx.Err() != nil {
			return &authserver.Error{Kind: authserver.Unavailable, Op: op, Err: cause(ctx.Err())}
		}
		return &authserver.Error{
			Kind: authserver.Unavailable, Op: op, Code: CodeRateLimited,
			Unsent: true, RetryAfter: time.Second,
		}
	}
	return nil
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, c.method, c.url, c.reader())
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "mcp-registrar")
	if c.contentType != "" {
		request.Header.Set("Content-Type", c.contentType)
	}
	if c.authorization != "" {
		request.Header.Set("Authorization", c.authorization)
	}
	return request, nil
}

// reader returns the body. A GET with a management token must not be repeated
// by the transport either, because each one may use the token up: a body that
// cannot be read again, although empty, forbids it.
func (c call) reader() io.Reader {
	switch {
	case c.body != nil:
		return bytes.NewReader(c.body)
	case c.method == http.MethodGet && c.effect:
		return once{}
	}
	return nil
}

type once struct{}

// Read returns io.EOF.
func (once) Read([]byte) (int, error) { return 0, io.EOF }

func bearer(token authserver.Secret) string {
	if token.IsZero() {
		return ""
	}
	return "Bearer " + token.Reveal()
}
