// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/record"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/register"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/token"
)

const (
	guardedPath  = "/guarded"
	maxStaleness = 30 * time.Second
)

// front is a guard in front of one MCPServer, put together as cmd/guard does.
type front struct {
	url  string
	http *http.Client
	end  func()
	mu   sync.Mutex
	said []string
}

// log keeps what the guard says last.
func (f *front) log() logr.Logger {
	return funcr.New(func(_, args string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.said = append(f.said[max(0, len(f.said)-20):], time.Now().Format("15:04:05.000 ")+args[:min(len(args), 500)])
	}, funcr.Options{})
}

// newFront starts a guard. It is there for one server, at a path of its own,
// whatever the resource of the server is.
func (w *world) newFront(ctx context.Context, name string) (*front, error) {
	server, now := guard.ServerName{Namespace: teamNamespace, Name: name}, clock.RealClock{}
	f := &front{http: &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}}
	known, err := register.New(unhurried(w.plane.Config), register.Options{
		Servers: []guard.ServerName{server}, Namespaces: []string{teamNamespace}, Clock: now,
		Identity: name, LeaseNamespace: guardNamespace, MaxStaleness: maxStaleness, Log: f.log(),
	})
	if err != nil {
		return nil, err
	}
	tokens, err := token.New(token.Options{Clock: now})
	if err != nil {
		return nil, err
	}
	recorder, err := record.New(record.Options{Registerer: prometheus.NewRegistry(), Clock: now})
	if err != nil {
		return nil, err
	}
	engine := guard.New(guard.Options{
		Register: known, Tokens: tokens, Recorder: recorder, Clock: now, MaxStaleness: maxStaleness, Namespace: guardNamespace,
	})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	target, err := url.Parse(upstream.URL)
	if err != nil {
		return nil, err
	}
	handler, err := proxy.New(proxy.Options{
		Engine: engine, Register: known, Clock: now, Log: f.log(),
		Routes: []proxy.Route{{Server: server, Upstream: target, Path: guardedPath}},
	})
	if err != nil {
		return nil, err
	}
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = proxy.NewServer(handler)
	listening.Start()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { _ = known.Run(ctx) })
	done.Go(func() { engine.Run(ctx) })
	f.url = listening.URL + guardedPath
	f.end = func() {
		f.http.CloseIdleConnections()
		listening.Close()
		upstream.Close()
		cancel()
		done.Wait()
		tokens.Close()
	}
	return f, nil
}

// ask sends what needs nothing but a client in good standing with some scope, and
// returns whether it reached the server, and how it was answered. A refusal that no
// token helps against is an error in an answer with HTTP 200.
func (f *front) ask(ctx context.Context, bearer string) (passed bool, said string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		return false, "", err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	answer, err := f.http.Do(r)
	if err != nil {
		return false, "", fmt.Errorf("asking the guard: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	return answer.StatusCode < http.StatusBadRequest && !refuses(body), fmt.Sprintf("%d %s", answer.StatusCode, body), err
}

// refuses says that a body is a JSON-RPC error. What cannot be read is no proof that
// the server was kept from the request.
func refuses(body []byte) bool {
	var read struct {
		Error *struct{ Code int } `json:"error"`
	}
	return json.Unmarshal(body, &read) == nil && read.Error != nil
}
