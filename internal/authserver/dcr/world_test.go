// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

const (
	issuerPath   = "/tenant"
	initialToken = "initial-token"
)

// world is an authorization server as RFC 7591 and RFC 7592 describe it, with
// switches. It keeps every request.
type world struct {
	*httptest.Server

	between  *contract.Intermediary
	mu       sync.Mutex
	clients  map[string]*registered
	faults   map[contract.Operation][]contract.Fault
	requests []seen
	rotate   bool
	alter    func(authserver.ClientMetadata) authserver.ClientMetadata
	// metadata and answer change documents before they are sent.
	metadata func(map[string]any)
	answer   func(map[string]any)
	// token, if set, answers the token endpoint.
	token http.HandlerFunc
	// audience is the only one accepted in assertions.
	audience string
	// onlyOpenID leaves out the well-known place of RFC 8414.
	onlyOpenID bool
	// openID, if set, answers the well-known place of OpenID.
	openID http.HandlerFunc
	// number counts clients in place of naming them.
	number bool
}

type registered struct {
	members       map[string]any
	secret, token string
}

type seen struct {
	method, path, authorization, remote string
	header                              http.Header
	transferEncoding                    []string
	body                                []byte
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{clients: map[string]*registered{}, faults: map[contract.Operation][]contract.Fault{}}
	w.between = &contract.Intermediary{Next: w, StepOf: w.stepOf}
	w.Server = httptest.NewServer(w.between)
	t.Cleanup(w.Close)
	return w
}

func (w *world) issuer() string { return w.URL + issuerPath }

// connect returns an adapter for this world.
func (w *world) connect(t testing.TB) *Server {
	t.Helper()
	server, err := New(authserver.Config{
		Name: "test", Issuer: w.issuer(), MaxInFlight: 8,
		InitialAccessToken: authserver.NewSecret(initialToken),
	}, Options{Now: time.Now, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func (w *world) ServeHTTP(response http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	op, handler := w.route(r)
	w.mu.Lock()
	w.requests = append(w.requests, seen{
		r.Method, r.URL.Path, r.Header.Get("Authorization"), r.RemoteAddr, r.Header.Clone(), r.TransferEncoding, body,
	})
	var fault *contract.Fault
	if len(w.faults[op]) > 0 {
		fault = &w.faults[op][0]
		w.faults[op] = w.faults[op][1:]
	}
	w.mu.Unlock()
	if fault == nil {
		handler(response, r)
		return
	}
	if fault.AfterWork {
		handler(httptest.NewRecorder(), r)
	}
	w.disturb(response, r, *fault)
}

func (w *world) stepOf(r *http.Request) contract.Operation {
	if strings.HasSuffix(r.URL.Path, "/token") {
		return contract.Token
	}
	op, _ := w.route(r)
	return op
}

func (w *world) stand(stance *contract.Stance, hides bool, steps ...contract.Operation) bool {
	if stance == nil {
		w.between.Stand(nil, false)
	} else {
		w.between.Stand(stance, hides, steps...)
	}
	return true
}

func (w *world) route(r *http.Request) (contract.Operation, http.HandlerFunc) {
	path := strings.TrimPrefix(r.URL.Path, issuerPath)
	switch {
	case path == wellKnownOpenID && w.openID != nil:
		return contract.Discover, w.openID
	case r.URL.Path == wellKnownOAuth+issuerPath && !w.onlyOpenID, path == wellKnownOpenID:
		return contract.Discover, w.discovery
	case path == "/register" && r.Method == http.MethodPost:
		return contract.Register, w.register
	case strings.HasPrefix(path, "/register/"):
		op := map[string]contract.Operation{
			http.MethodGet: contract.Find, http.MethodPut: contract.Replace, http.MethodDelete: contract.Revoke,
		}[r.Method]
		return op, w.manage
	case path == "/token" && w.token != nil:
		return "", w.token
	case path == "/token":
		return "", w.tokens
	}
	return "", http.NotFound
}

func (w *world) disturb(response http.ResponseWriter, r *http.Request, fault contract.Fault) {
	switch fault.Form {
	case contract.Silent:
		<-r.Context().Done()
	case contract.Redirected:
		http.Redirect(response, r, "http://127.0.0.1:1/elsewhere?"+contract.Canary, fault.Status)
	case contract.Cut:
		response.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(response, "{\"client_id\": \""+contract.Canary)
	case contract.Endless:
		_, _ = io.WriteString(response, "{\"client_id\": \""+contract.Canary+strings.Repeat("x", 5<<20)+"\"}")
	case contract.Refused:
		if fault.RetryAfter > 0 && fault.AsDate {
			response.Header().Set("Retry-After", time.Now().Add(fault.RetryAfter).UTC().Format(http.TimeFormat))
		} else if fault.RetryAfter > 0 {
			response.Header().Set("Retry-After", strconv.Itoa(int(fault.RetryAfter.Seconds())))
		}
		reply(response, fault.Status, map[string]any{"error": cmp.Or(fault.Code, contract.Canary), "error_description": contract.Canary})
	}
}

func reply(response http.ResponseWriter, status int, document map[string]any) {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(status)
	_ = json.NewEncoder(response).Encode(document)
}

func (w *world) discovery(response http.ResponseWriter, _ *http.Request) {
	document := map[string]any{
		"issuer": w.issuer(), "token_endpoint": w.issuer() + "/token",
		"registration_endpoint":            w.issuer() + "/register",
		"authorization_endpoint":           w.issuer() + "/authorize",
		"code_challenge_methods_supported": []string{"S256"},
	}
	if w.metadata != nil {
		w.metadata(document)
	}
	reply(response, http.StatusOK, document)
}

func (w *world) register(response http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+initialToken {
		reply(response, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	client := &registered{token: "rat-" + rand.Text()}
	if !w.take(client, r) {
		reply(response, http.StatusBadRequest, map[string]any{"error": "invalid_client_metadata"})
		return
	}
	id := "c-" + strings.ToLower(rand.Text())
	if w.number {
		id = strconv.Itoa(len(w.clients) + 1)
	}
	if method, _ := client.members["token_endpoint_auth_method"].(string); authserver.SharedSecret(method) {
		client.secret = "secret-" + rand.Text()
	}
	client.members["client_id"] = id
	w.clients[id] = client
	document := w.describe(client)
	document["registration_access_token"] = client.token
	document["registration_client_uri"] = w.issuer() + "/register/" + id
	w.send(response, http.StatusCreated, document)
}

// take decodes and alters metadata; unlisted members are dropped.
func (w *world) take(client *registered, r *http.Request) bool {
	var wire request
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if decoder.Decode(&wire) != nil {
		return false
	}
	if w.alter != nil {
		altered := w.alter(authserver.ClientMetadata{
			Scopes: strings.Fields(wire.Scope), GrantTypes: wire.GrantTypes, RedirectURIs: wire.RedirectURIs,
		})
		wire.Scope, wire.GrantTypes, wire.RedirectURIs = strings.Join(altered.Scopes, " "), altered.GrantTypes, altered.RedirectURIs
	}
	raw, err := json.Marshal(wire)
	if err != nil {
		return false
	}
	client.members = nil
	return json.Unmarshal(raw, &client.members) == nil
}

func (w *world) describe(client *registered) map[string]any {
	document := maps.Clone(client.members)
	if client.secret != "" {
		document["client_secret"], document["client_secret_expires_at"] = client.secret, 0
	}
	return document
}

func (w *world) send(response http.ResponseWriter, status int, document map[string]any) {
	if w.answer != nil {
		w.answer(document)
	}
	if w.number {
		document["client_id"] = json.Number(fmt.Sprint(document["client_id"]))
	}
	reply(response, status, document)
}

func (w *world) manage(response http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	client := w.clients[id]
	if client == nil || r.Header.Get("Authorization") != "Bearer "+client.token {
		reply(response, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	if r.Method == http.MethodDelete {
		delete(w.clients, id)
		response.WriteHeader(http.StatusNoContent)
		return
	}
	if r.Method == http.MethodPut && (!w.take(client, r) || client.members["client_id"] != id) {
		reply(response, http.StatusBadRequest, map[string]any{"error": "invalid_client_metadata"})
		return
	}
	document := w.describe(client)
	if w.rotate {
		client.token = "rat-" + rand.Text()
		document["registration_access_token"] = client.token
	}
	w.send(response, http.StatusOK, document)
}

// tokens authenticates the client and knows no code.
func (w *world) tokens(response http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.ParseForm() != nil || !w.authenticates(r) {
		reply(response, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	complete := r.Form.Get("code") != "" && len(r.Form.Get("code_verifier")) >= 43 && r.Form.Get("redirect_uri") != ""
	code := map[bool]string{true: "invalid_grant", false: "invalid_request"}[complete]
	reply(response, http.StatusBadRequest, map[string]any{"error": code, "error_description": contract.Canary})
}

func (w *world) authenticates(r *http.Request) bool {
	id, password, basic := r.BasicAuth()
	if !basic {
		id = r.Form.Get("client_id")
	}
	client := w.clients[id]
	if client == nil {
		return false
	}
	switch client.members["token_endpoint_auth_method"] {
	case methodNone:
		return !basic
	case methodBasic:
		decoded, err := url.QueryUnescape(password)
		return basic && err == nil && decoded == client.secret
	case methodPost:
		return !basic && r.PostForm.Get("client_secret") == client.secret
	case methodKey:
		return w.verifies(r.Form.Get("client_assertion"), id, client)
	}
	return false
}

func (w *world) verifies(assertion, id string, client *registered) bool {
	raw, err := json.Marshal(client.members["jwks"])
	if err != nil {
		return false
	}
	var keys jose.JSONWebKeySet
	if json.Unmarshal(raw, &keys) != nil {
		return false
	}
	parsed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA})
	if err != nil {
		return false
	}
	var claims jwt.Claims
	if parsed.Claims(keys, &claims) != nil {
		return false
	}
	return claims.Validate(jwt.Expected{
		Issuer: id, Subject: id, AnyAudience: jwt.Audience{w.audience}, Time: time.Now(),
	}) == nil && claims.ID != ""
}

func (w *world) live() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.clients))
}

func (w *world) remove(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clients, id)
}

func (w *world) fail(op contract.Operation, fault contract.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[op] = append(w.faults[op], fault)
}

// sent returns the requests with a method whose path ends in a suffix.
func (w *world) sent(method, suffix string) []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.requests), func(r seen) bool {
		return r.method != method || !strings.HasSuffix(r.path, suffix)
	})
}
