// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// naming adds the resource to requests to a token endpoint.
type naming struct{ resource, at string }

// RoundTrip implements http.RoundTripper.
func (n naming) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.String() != n.at || request.Method != http.MethodPost {
		return http.DefaultTransport.RoundTrip(request)
	}
	content, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(content))
	if err != nil {
		return nil, err
	}
	form.Set("resource", n.resource)
	named := request.Clone(request.Context())
	named.Body = io.NopCloser(strings.NewReader(form.Encode()))
	named.ContentLength = int64(len(form.Encode()))
	return http.DefaultTransport.RoundTrip(named)
}

// caller calls tools by plain HTTP.
type caller struct {
	guard *guard
	path  string
	http  *http.Client
}

// plainAnswer is what came of a plain call.
type plainAnswer struct {
	// status is that of HTTP, or inAnswer.
	status    int
	challenge string
	// reason is what the body says of a refusal.
	reason, body string
	// trace is the traceparent of the request.
	trace       string
	began, over time.Time
}

// inAnswer stands for the status of a refusal that no token helps against: HTTP 200
// with a JSON-RPC error. So nobody takes it for an answer of the server.
const inAnswer = -http.StatusOK

// callOf is the body of a call of a tool.
func callOf(t *testing.T, tool string, arguments map[string]any) string {
	t.Helper()
	if arguments == nil {
		arguments = map[string]any{}
	}
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// newTrace is a traceparent that no other request has.
func newTrace() string {
	var id [24]byte
	// It never fails.
	_, _ = rand.Read(id[:])
	return "00-" + hex.EncodeToString(id[:16]) + "-" + hex.EncodeToString(id[16:]) + "-01"
}

// request is a call as any client would make it.
func (c *caller) request(t *testing.T, body, token string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.guard.address+c.path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	request.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	request.Header.Set("Traceparent", newTrace())
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

// call calls a tool; the server must keep no sessions.
func (c *caller) call(t *testing.T, tool string, arguments map[string]any, token string) plainAnswer {
	t.Helper()
	return c.send(t, c.request(t, callOf(t, tool, arguments), token))
}

func (c *caller) send(t *testing.T, request *http.Request) plainAnswer {
	t.Helper()
	a, err := c.try(request)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// try sends a request; an error says that there was no answer.
func (c *caller) try(request *http.Request) (plainAnswer, error) {
	a := plainAnswer{trace: request.Header.Get("Traceparent"), began: time.Now()}
	sender := c.http
	if sender == nil {
		sender = http.DefaultClient
	}
	response, err := sender.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	a.status, a.challenge, a.body, a.over = response.StatusCode, response.Header.Get("WWW-Authenticate"), string(content), time.Now()
	a.reason = reasonIn(content)
	if a.status == http.StatusOK && a.reason != "" {
		a.status = inAnswer
	}
	return a, err
}

// reasonIn is what a refusal says for programs; empty where it says nothing.
func reasonIn(body []byte) string {
	var said struct {
		Error struct {
			Data struct{ Reason string }
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return ""
	}
	return said.Error.Data.Reason
}

// callLine is what a line of the record of calls says.
type callLine struct {
	Type    string
	Subject string
	Time    time.Time
	Data    callData
}

type callData struct {
	Server              string
	Resource            string
	Method              string
	Tool                string
	Verdict             string
	Reason              string
	AuthorizationServer string
	Issuer              string
	ClientID            string
	TokenSubject        string `json:"subject"`
	TokenID             string
	TokenExpiresAt      time.Time
	Client              string
	RegistrationUID     string
	Owner               string
	Grant               string
	Basis               string
	ApprovedBy          string
	Scope               string
	StepUp              []string
	TraceParent         string
}

// told is the one line about a request.
func (g *guard) told(t *testing.T, trace string) callLine {
	t.Helper()
	content, err := os.ReadFile(g.audit)
	if err != nil {
		t.Fatal(err)
	}
	var found []callLine
	for text := range bytes.Lines(content) {
		if !bytes.Contains(text, []byte(trace)) {
			continue
		}
		var said callLine
		if err := json.Unmarshal(text, &said); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		found = append(found, said)
	}
	NewWithT(t).Expect(found).To(HaveLen(1), "lines about the request %s", trace)
	return found[0]
}
