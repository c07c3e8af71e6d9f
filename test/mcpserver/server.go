// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Path is where the server speaks MCP.
const Path = "/mcp"

const headerTimeout = 10 * time.Second

var errNotLoopback = errors.New("only loopback addresses are served")

// Options are fixed for the life of a Server. The zero value is a server on a
// free port that keeps sessions and answers by event streams.
type Options struct {
	// Addr is the loopback host:port to listen on. Empty means a free port on
	// 127.0.0.1.
	Addr string
	// Stateless makes every request stand on its own, so that a client may call
	// a tool without any preparation.
	Stateless bool
	// JSON makes answers plain JSON, where nothing needs a stream.
	JSON bool
}

// Server is an MCP server that counts what reaches it. Its methods are safe for
// concurrent use.
type Server struct {
	options  Options
	handler  http.Handler
	requests atomic.Int64
	tokens   atomic.Int64
	streams  atomic.Int64

	mu       sync.Mutex
	calls    map[string]int
	followed map[string]int
	http     *http.Server
	url      string
}

// New builds a server; it does not listen yet.
func New(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", o.Addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("address %q: %w", o.Addr, errNotLoopback)
	}
	s := &Server{options: o, calls: map[string]int{}, followed: map[string]int{}}
	tools := s.newTools()
	spoken := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{
		Stateless: o.Stateless, JSONResponse: o.JSON, PropagateRequestCancellation: true,
	})
	mux := http.NewServeMux()
	mux.Handle(Path, spoken)
	s.handler = s.counted(mux)
	return s, nil
}

// counted counts requests of any path.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if r.Header.Get("Authorization") != "" {
			s.tokens.Add(1)
		}
		next.ServeHTTP(w, r)
	})
}

// Start begins to serve until the context ends.
func (s *Server) Start(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.options.Addr)
	if err != nil {
		return fmt.Errorf("listening for MCP: %w", err)
	}
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: headerTimeout}
	s.mu.Lock()
	s.http, s.url = server, "http://"+listener.Addr().String()+Path
	s.mu.Unlock()
	// How it ends is of no interest: it ends by Close.
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		return nil
	}
	return s.http.Close()
}

// URL is where MCP is spoken, known after Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// Requests is how many HTTP requests came, of any path and method.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Tokens is how many of them had an Authorization header.
func (s *Server) Tokens() int { return int(s.tokens.Load()) }

// Streams is how many calls of the slow tool are under way.
func (s *Server) Streams() int { return int(s.streams.Load()) }

// Calls is how often a tool was called.
func (s *Server) Calls(tool string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[tool]
}

func (s *Server) called(tool string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[tool]++
}

// Followed is how often the slow tool was begun under a reference.
func (s *Server) Followed(reference string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.followed[reference]
}

func (s *Server) isFollowed(reference string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followed[reference]++
}
