// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package mcpserver_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

func start(t *testing.T, o mcpserver.Options) *mcpserver.Server {
	t.Helper()
	server, err := mcpserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func connect(t *testing.T, server *mcpserver.Server, o *mcp.ClientOptions, revision string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: server.URL()}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestTools(t *testing.T) {
	for _, revision := range []string{"2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			server := start(t, mcpserver.Options{})
			session := connect(t, server, nil, revision)
			listed, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, tool := range listed.Tools {
				names = append(names, tool.Name)
			}
			if len(cmp.Diff(sorted(mcpserver.Tools()), sorted(names))) > 0 {
				t.Errorf("tools %v, want %v", names, mcpserver.Tools())
			}
			answer, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: mcpserver.ToolRead, Arguments: map[string]any{"number": "INV-7"}})
			if err != nil {
				t.Fatal(err)
			}
			if text := answer.Content[0].(*mcp.TextContent).Text; !strings.Contains(text, "INV-7") {
				t.Errorf("answer %q", text)
			}
			if got := server.Calls(mcpserver.ToolRead); got != 1 {
				t.Errorf("%d calls counted, want 1", got)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func sorted(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// TestFollow has the slow tool tell of its progress until its client leaves.
func TestFollow(t *testing.T) {
	server := start(t, mcpserver.Options{})
	told := make(chan struct{}, 10000)
	session := connect(t, server, &mcp.ClientOptions{
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { told <- struct{}{} },
	}, "")
	params := &mcp.CallToolParams{Name: mcpserver.ToolFollow, Arguments: map[string]any{"interval": 10, "reference": "ours"}}
	params.SetProgressToken("one")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := session.CallTool(ctx, params)
		ended <- err
	}()
	for range 3 {
		select {
		case <-told:
		case <-time.After(time.Minute):
			t.Fatal("nothing is told of progress")
		}
	}
	if server.Streams() != 1 {
		t.Errorf("%d streams, want 1", server.Streams())
	}
	if server.Followed("ours") != 1 || server.Followed("another's") != 0 {
		t.Errorf("followed %d times by its reference, and %d by another", server.Followed("ours"), server.Followed("another's"))
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the call has an answer after it was given up")
	}
	gomega.NewWithT(t).Eventually(server.Streams, time.Minute, 10*time.Millisecond).Should(gomega.BeZero(), "the tool goes on without its client")
}

// TestPlainCall is how a load tool calls: without any preparation.
func TestPlainCall(t *testing.T) {
	server := start(t, mcpserver.Options{Stateless: true, JSON: true})
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_invoice","arguments":{"number":"INV-7"}}}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	request.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	request.Header.Set("Authorization", "Bearer token")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(content), "INV-7") {
		t.Errorf("%d %s %v", answer.StatusCode, content, err)
	}
	if server.Requests() != 1 || server.Tokens() != 1 {
		t.Errorf("%d requests, %d tokens, want one each", server.Requests(), server.Tokens())
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "nonsense"} {
		if _, err := mcpserver.New(mcpserver.Options{Addr: addr}); err == nil {
			t.Errorf("%q is served", addr)
		}
	}
}
