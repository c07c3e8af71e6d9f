// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// bearer adds a token to each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func noWork(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
}

// sdkWorld is a guard in front of a server of the official SDK.
func sdkWorld(t *testing.T, options *mcp.StreamableHTTPOptions) (*world, *mcp.Server) {
	server := mcp.NewServer(&mcp.Implementation{Name: "calc", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "add"}, noWork)
	mcp.AddTool(server, &mcp.Tool{Name: "erase"}, noWork)
	server.AddPrompt(&mcp.Prompt{Name: "greet"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options)
	return newWorld(t, handler.ServeHTTP), server
}

func (w *world) connect(ctx context.Context, options *mcp.ClientOptions, as string) *mcp.ClientSession {
	w.t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, options).Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: w.front.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer("token-of-" + as)}, MaxRetries: -1,
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	// Some of these sessions are ended by the guard before their time.
	w.t.Cleanup(func() { _ = session.Close() })
	return session
}

func TestTheOfficialSDKThroughTheGuard(t *testing.T) {
	for name, options := range map[string]*mcp.StreamableHTTPOptions{
		"sessions": {}, "sessions, JSON": {JSONResponse: true}, "stateless": {Stateless: true}, "stateless, JSON": {Stateless: true, JSONResponse: true},
		"sessions with replay": {EventStore: mcp.NewMemoryEventStore(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			w, _ := sdkWorld(t, options)
			session := w.connect(ctx, nil, "reader")
			list, err := session.ListTools(ctx, nil)
			if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "add" {
				t.Fatalf("listed %+v, %v", list, err)
			}
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "add"})
			if err != nil || result.IsError || len(result.Content) != 1 {
				t.Fatalf("called %+v, %v", result, err)
			}
			if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "erase"}); err == nil || !strings.Contains(err.Error(), "kubectl get scopegrant") || !w.records.had(guard.Reason(policy.RefusedNoGrant)) {
				t.Errorf("called what is not granted: %v, %s", err, w.records.last())
			}
			// It is an error of that call, and of nothing else.
			if result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "add"}); err != nil || result.IsError {
				t.Errorf("after a refusal: %+v, %v", result, err)
			}
			calls := slices.DeleteFunc(w.passed(), func(s seen) bool { return !strings.Contains(s.body, "tools/call") })
			if len(calls) != 2 || strings.Contains(calls[0].body+calls[1].body, "erase") {
				t.Errorf("the upstream had %d calls", len(calls))
			}
		})
	}
}

func TestPromptsNeedAScopeThatIsNotTiedToTools(t *testing.T) {
	w, _ := sdkWorld(t, &mcp.StreamableHTTPOptions{Stateless: true})
	if _, err := w.connect(t.Context(), nil, "reader").GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "greet"}); err == nil {
		t.Error("a prompt was given without a scope for it")
	}
	if _, err := w.connect(t.Context(), nil, "other").GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "greet"}); err != nil {
		t.Error(err)
	}
}

func TestNotificationsComeThroughUntilTheClientIsRevoked(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, server := sdkWorld(t, &mcp.StreamableHTTPOptions{})
	told := make(chan struct{}, 100)
	session := w.connect(ctx, &mcp.ClientOptions{ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { told <- struct{}{} }}, "reader")
	for heard := false; !heard; {
		mcp.AddTool(server, &mcp.Tool{Name: "new"}, noWork)
		select {
		case <-told:
			heard = true
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("no notification came through")
		}
	}
	if list, err := session.ListTools(ctx, nil); err != nil || len(list.Tools) != 1 {
		t.Fatalf("listed %+v, %v", list, err)
	}
	w.register.revoke("reader")
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "add"}); err == nil || !w.records.had(guard.Reason(policy.RefusedRevoked)) {
		t.Errorf("a call of a revoked client: %v, %s", err, w.records.last())
	}
}
