// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const issuer = "https://auth.example.com"

// Tokens that the world knows.
const (
	rightToken = "right-token"
	otherToken = "other-token"
)

// request is what arrived at the server.
type request struct {
	method, path, rpc, revision, session, authorization string
}

// world is an MCP server at /mcp that does what a test says.
type world struct {
	*httptest.Server
	// naked lets calls without a token in; lax takes any token.
	naked, lax bool
	// refuse answers calls without a token in place of a challenge.
	refuse http.HandlerFunc
	// challenge is the value of WWW-Authenticate.
	challenge func(w *world) string
	// metadata is served at each place.
	metadata map[string]http.HandlerFunc
	// sessions says that it speaks only the revision with sessions.
	sessions bool
	// streams has it answer by streams.
	streams bool
	// pages are the tools, by page, as JSON.
	pages []string

	mu       sync.Mutex
	requests []request
}

// newWorld is a server that does everything right.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{pages: []string{`{"name":"get","inputSchema":{"type":"object"}}`}}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	w.challenge = func(w *world) string {
		return `Bearer resource_metadata="` + w.URL + wellKnown + `/mcp", scope="a"`
	}
	w.metadata = map[string]http.HandlerFunc{wellKnown + "/mcp": w.says(nil)}
	return w
}

func (w *world) resource() string { return w.URL + "/mcp" }

// says is the handler of the metadata, with these members changed.
func (w *world) says(change map[string]any) http.HandlerFunc {
	members := map[string]any{
		"resource": w.resource(), "authorization_servers": []string{"https://other.example.com", issuer}, "scopes_supported": []string{"files:read"},
	}
	maps.Copy(members, change)
	raw, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return answers(http.StatusOK, jsonType, string(raw))
}

func answers(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	var message struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			Cursor string `json:"cursor"`
		} `json:"params"`
	}
	_ = json.NewDecoder(r.Body).Decode(&message) // there is none in a GET
	authorization := r.Header.Get("Authorization")
	w.mu.Lock()
	w.requests = append(w.requests, request{r.Method, r.URL.Path, message.Method, r.Header.Get("Mcp-Protocol-Version"), r.Header.Get(sessionHeader), authorization})
	w.mu.Unlock()
	handler, isMetadata := w.metadata[r.URL.Path]
	known := authorization == "Bearer "+rightToken || w.naked || w.lax && authorization != ""
	switch {
	case isMetadata:
		handler(rw, r)
	case r.URL.Path != "/mcp":
		http.NotFound(rw, r)
	case !known && w.refuse != nil:
		w.refuse(rw, r)
	case !known:
		if challenge := w.challenge(w); challenge != "" {
			rw.Header().Set("WWW-Authenticate", challenge)
		}
		rw.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodDelete:
	case w.sessions && r.Header.Get("Mcp-Protocol-Version") == stateless,
		!w.sessions && message.Method == methodInitialize && !w.naked,
		w.sessions && message.Method != methodInitialize && r.Header.Get(sessionHeader) != "session-1":
		rw.WriteHeader(http.StatusBadRequest)
	default:
		w.result(rw, message.Method, message.Params.Cursor)
	}
}

func (w *world) result(rw http.ResponseWriter, method, cursor string) {
	var result string
	switch method {
	case methodInitialize:
		rw.Header().Set(sessionHeader, "session-1")
		result = `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"w","version":"1"}}`
	case methodTools:
		page := 0
		if cursor != "" {
			page, _ = strconv.Atoi(cursor) // the cursors are the world's own
		}
		next := ""
		if page+1 < len(w.pages) {
			next = fmt.Sprintf(`,"nextCursor":"%d"`, page+1)
		}
		result = `{"tools":[` + w.pages[page] + `]` + next + `}`
	default:
		rw.WriteHeader(http.StatusAccepted)
		return
	}
	message := `{"jsonrpc":"2.0","id":1,"result":` + result + `}`
	if w.streams {
		answers(http.StatusOK, streamType, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\ndata: "+message+"\n\n")(rw, nil)
		return
	}
	answers(http.StatusOK, jsonType, message)(rw, nil)
}

// seen are the requests, in order.
func (w *world) seen() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

// ask asks the world without a client.
func (w *world) ask(t *testing.T) policy.ProbeFacts {
	t.Helper()
	return New(Options{Timeout: 10 * time.Second}).Ask(t.Context(), Question{Resource: w.resource(), Loopback: true})
}

// office lends tokens: the right one for the resource, and one of the audience
// other for none.
type office struct {
	w *world
	// other are the facts about the other token.
	other authserver.TokenFacts
	// err is given in place of the right one, and otherErr of the other.
	err, otherErr error
}

func (o office) borrow(_ context.Context, resource string, use func(authserver.Secret, authserver.TokenFacts) error) error {
	switch {
	case resource == o.w.resource() && o.err == nil:
		return use(authserver.NewSecret(rightToken), authserver.TokenFacts{Readable: true, Audience: []string{resource}})
	case resource == "" && o.otherErr == nil:
		return use(authserver.NewSecret(otherToken), o.other)
	case resource == "":
		return o.otherErr
	}
	return o.err
}

// askBy asks the world with a client.
func (w *world) askBy(t *testing.T, o office) policy.ProbeFacts {
	t.Helper()
	o.w = w
	return New(Options{Timeout: 10 * time.Second}).Ask(t.Context(), Question{Resource: w.resource(), Loopback: true, Borrow: o.borrow})
}

// rpc are the methods of the calls, with "!" where they had a token.
func (w *world) rpc() string {
	var calls []string
	for _, r := range w.seen() {
		name := r.rpc
		if name == "" {
			name = r.method
		}
		if r.authorization != "" {
			name += "!"
		}
		calls = append(calls, name)
	}
	return strings.Join(calls, " ")
}
