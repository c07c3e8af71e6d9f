// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const callTimeout = 10 * time.Second

// caller is an MCP client, made with the official Go SDK, that sends one token
// and remembers how it was answered last.
type caller struct {
	token   accessToken
	session *mcp.ClientSession

	mu        sync.Mutex
	status    int
	challenge string
}

// accessToken is a token as its authorization server hands it out.
type accessToken struct {
	Value string `json:"access_token"`
	Life  int    `json:"expires_in"`
	// end is when it expires.
	end time.Time
}

// RoundTrip adds the token to a request.
func (c *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+c.token.Value)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.challenge = answer.StatusCode, answer.Header.Get("WWW-Authenticate")
	return answer, nil
}

// connect begins a session with a token.
func (w *world) connect(ctx context.Context, token accessToken) (*caller, error) {
	c := &caller{token: token}
	transport := &mcp.StreamableClientTransport{
		Endpoint: w.guardURL, HTTPClient: &http.Client{Transport: c, Timeout: callTimeout}, MaxRetries: -1, DisableStandaloneSSE: true,
	}
	var err error
	c.session, err = mcp.NewClient(&mcp.Implementation{Name: "clerk", Version: "1"}, nil).Connect(ctx, transport, nil)
	return c, err
}

// list returns the names of the tools that the caller is shown.
func (c *caller) list(ctx context.Context) ([]string, error) {
	listed, err := c.session.ListTools(ctx, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

// outcome is how a call ended.
type outcome struct {
	status int
	// text is what the tool said, or the challenge of a refusal.
	text string
}

// call calls a tool. A refusal is an outcome, no error.
func (c *caller) call(ctx context.Context, tool string) (outcome, error) {
	arguments := map[string]any{"number": "INV-7"}
	result, err := c.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.challenge != "":
		return outcome{c.status, c.challenge}, nil
	case err != nil:
		return outcome{}, fmt.Errorf("calling %s: %w", tool, err)
	}
	var said []string
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			said = append(said, text.Text)
		}
	}
	return outcome{c.status, strings.Join(said, " ")}, nil
}

// close ends the session. How that goes is of no interest: a client that was
// revoked cannot end it properly.
func (c *caller) close() { _ = c.session.Close() }

// askToken asks the authorization server for a token for the guarded server,
// with the credentials that the operator wrote.
func (w *world) askToken(ctx context.Context, scopes string) (accessToken, error) {
	var secret corev1.Secret
	if err := w.client.Get(ctx, client.ObjectKey{Namespace: clerkNamespace, Name: clerk + "-mcp-client"}, &secret); err != nil {
		return accessToken{}, fmt.Errorf("reading the credentials: %w", err)
	}
	value := func(key string) string { return string(secret.Data[key]) }
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scopes}, "resource": {w.guardURL}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, value("token_endpoint"), strings.NewReader(form.Encode()))
	if err != nil {
		return accessToken{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(value("client_id")), url.QueryEscape(value("client_secret")))
	asked := time.Now()
	answer, err := (&http.Client{Timeout: callTimeout}).Do(request)
	if err != nil {
		return accessToken{}, fmt.Errorf("asking for a token: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return accessToken{}, fmt.Errorf("asking for a token: status %d", answer.StatusCode)
	}
	var token accessToken
	if err := json.NewDecoder(answer.Body).Decode(&token); err != nil {
		return accessToken{}, fmt.Errorf("reading a token: %w", err)
	}
	token.end = asked.Add(time.Duration(token.Life) * time.Second)
	return token, nil
}

// hidden are the tools of the live server that a caller is not shown.
func hidden(shown []string) int { return len(mcpserver.Tools()) - len(shown) }
