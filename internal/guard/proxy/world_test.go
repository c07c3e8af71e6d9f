// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	issuer   = "https://as.example.com"
	resource = "https://mcp.example.com/mcp"
)

var calc = guard.ServerName{Namespace: "team", Name: "calc"}

// register is a register in memory.
type register struct {
	mu      sync.Mutex
	servers map[guard.ServerName]guard.Server
	clients map[string]policy.ClientEntry
	grants  []policy.GrantEntry
	stale   bool
	changed []func(guard.Change)
	// missed is which question about a server has no answer, counted down; 0 is none.
	missed int
}

func (r *register) Server(name guard.ServerName) (guard.Server, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	server, known := r.servers[name]
	if r.missed--; r.missed == 0 {
		return guard.Server{}, false
	}
	return server, known
}

func (r *register) Denials(guard.Server, string) []policy.DenialEntry { return nil }

func (r *register) Clients(_, clientID string) []policy.ClientEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if client, known := r.clients[clientID]; known {
		return []policy.ClientEntry{client}
	}
	return nil
}

func (r *register) Grants(client policy.ClientEntry) []policy.GrantEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.grants), func(g policy.GrantEntry) bool {
		return g.Namespace != client.Namespace || g.Client != client.Name
	})
}

func (r *register) FirstScopes(server guard.Server) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []policy.Holding
	for _, c := range r.clients {
		all = append(all, policy.Holding{Client: c, Grants: r.grants})
	}
	return policy.FirstScopes(server.ServerEntry, slices.Values(all), time.Now())
}

func (r *register) Age() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return 0, !r.stale
}

func (r *register) OnChange(changed func(guard.Change)) { r.changed = append(r.changed, changed) }

// change changes the register and says so, as a watch would.
func (r *register) change(c guard.Change, change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	for _, changed := range r.changed {
		changed(c)
	}
}

// revoke is what the deletion of a registration does.
func (r *register) revoke(clientID string) {
	r.change(guard.Change{AuthorizationServer: "as", ClientID: clientID}, func() {
		client := r.clients[clientID]
		client.Left = policy.RefusedRevoked
		r.clients[clientID] = client
	})
}

// add registers a client with a grant of scopes.
func (r *register) add(clientID string, scopes ...string) {
	entry := policy.ClientEntry{
		Namespace: "team", Name: clientID, UID: clientID, Owner: "owner", ClientID: clientID, EndsAt: time.Now().Add(time.Hour),
	}
	for _, scope := range scopes {
		entry.Scopes = append(entry.Scopes, policy.EntryScope{Name: scope, Grants: []string{clientID}})
	}
	r.clients[clientID] = entry
	r.grants = append(r.grants, policy.GrantEntry{
		Namespace: "team", Name: clientID, Client: clientID, ServerNamespace: "team", Server: "calc",
		Scopes: scopes, EndsAt: time.Now().Add(time.Hour), InForce: true,
	})
}

// tokens knows tokens by heart.
type tokens map[string]guard.Token

func (k tokens) Verify(ctx context.Context, shown guard.Presentation, q guard.TokenQuestion) (guard.Token, error) {
	raw, err := shown.Bearer()
	if err != nil {
		return guard.Token{}, err
	}
	return k.StillGood(ctx, guard.Token{}, raw, q)
}

func (k tokens) StillGood(_ context.Context, _ guard.Token, raw string, q guard.TokenQuestion) (guard.Token, error) {
	token, known := k[raw]
	if !known || q.Issuer != issuer || q.Audience != resource {
		return guard.Token{}, &guard.TokenError{Reason: guard.TokenSignature}
	}
	return token, nil
}

// records keeps what was decided.
type records struct {
	mu  sync.Mutex
	all []guard.Reason
}

func (r *records) Record(_ guard.Request, v guard.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, v.Reason)
}

// had says that something was decided for a reason, by whichever request of a
// client that makes several at one time.
func (r *records) had(reason guard.Reason) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.all, reason)
}

func (r *records) last() guard.Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return ""
	}
	return r.all[len(r.all)-1]
}

// seen is a request as the upstream had it.
type seen struct {
	method, target, host string
	header               http.Header
	body                 string
}

// world is a guard in front of an upstream.
type world struct {
	t        *testing.T
	register *register
	records  *records
	front    *httptest.Server
	mu       sync.Mutex
	requests []seen
	added    []time.Duration
}

// newWorld puts a guard in front of a handler. alter changes the options.
func newWorld(t *testing.T, upstream http.HandlerFunc, alter ...func(*proxy.Options)) *world {
	t.Helper()
	return newWorldBy(t, upstream, guard.Options{Clock: clock.RealClock{}}, alter...)
}

// newWorldBy is newWorld by another clock, and by other tokens than those that are
// known by heart.
func newWorldBy(t *testing.T, upstream http.HandlerFunc, by guard.Options, alter ...func(*proxy.Options)) *world {
	t.Helper()
	w := &world{t: t, records: &records{}, register: &register{
		clients: map[string]policy.ClientEntry{},
		servers: map[guard.ServerName]guard.Server{calc: {Issuer: issuer, ServerEntry: policy.ServerEntry{
			Namespace: "team", Name: "calc", Resource: resource, AuthorizationServer: "as", EntryScope: "calc:enter",
			Scopes: []policy.CatalogueScope{
				{Name: "calc:add", Tools: []string{"add"}}, {Name: "calc:erase", Tools: []string{"erase"}}, {Name: "calc:any"},
			},
		}}},
	}}
	w.register.add("reader", "calc:add")
	w.register.add("other", "calc:add", "calc:any")
	w.register.add("third", "calc:erase")
	known := tokens{}
	for _, id := range slices.Collect(maps.Keys(w.register.clients)) {
		known["token-of-"+id] = guard.Token{Issuer: issuer, ClientID: id, Subject: "sub", Scopes: []string{"calc:add", "calc:erase", "calc:any"}}
	}
	back := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		w.requests = append(w.requests, seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), string(body)})
		w.mu.Unlock()
		upstream(rw, r)
	}))
	t.Cleanup(back.Close)
	address, err := url.Parse(back.URL + "/inner")
	if err != nil {
		t.Fatal(err)
	}
	by.Register, by.Recorder, by.MaxStaleness = w.register, w.records, time.Minute
	if by.Tokens == nil {
		by.Tokens = known
	}
	options := proxy.Options{
		Register: w.register, Clock: by.Clock, Log: testr.New(t), Engine: guard.New(by), IdleTimeout: 4 * time.Second,
		Routes: []proxy.Route{{Server: calc, Upstream: address}},
		Observe: func(_ guard.ServerName, added time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.added = append(w.added, added)
		},
	}
	for _, change := range alter {
		change(&options)
	}
	handler, err := proxy.New(options)
	if err != nil {
		t.Fatal(err)
	}
	w.front = httptest.NewUnstartedServer(nil)
	w.front.Config = proxy.NewServer(handler)
	w.front.Start()
	t.Cleanup(w.front.Close)
	return w
}

// passed are the requests that the upstream had.
func (w *world) passed() []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

// observed checks that one request was observed, to add something to it but no more
// than all that it took. It is observed when it has been answered.
func (w *world) observed(took time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
		w.mu.Lock()
		added := slices.Clone(w.added)
		w.mu.Unlock()
		switch {
		case len(added) == 1 && added[0] > 0 && added[0] <= took:
			return
		case len(added) > 0 || time.Now().After(end):
			w.t.Errorf("observed %v in %s", added, took)
			return
		}
	}
}

// answer is an answer of the guard.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the JSON-RPC error code of an answer.
func (a answer) code() int {
	var read struct{ Error struct{ Code int } }
	if json.Unmarshal([]byte(a.body), &read) != nil {
		return 0
	}
	return read.Error.Code
}

// request builds a request of the client "reader"; pairs are headers, and one
// that is empty is left out.
func (w *world) request(method, target, body string, pairs ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.front.URL+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer token-of-reader")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Del(pairs[i])
		if pairs[i+1] != "" {
			r.Header.Set(pairs[i], pairs[i+1])
		}
	}
	return r
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	}
	response, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func (w *world) post(body string, pairs ...string) answer {
	w.t.Helper()
	return w.do(w.request(http.MethodPost, "/mcp", body, pairs...))
}

// refusedInAnswer checks that an answer is a refusal that no token helps against: a
// JSON-RPC error for the request, with the status of success and nothing that
// sends a client for a token. The upstream knows nothing of it.
func (w *world) refusedInAnswer(a answer, reason guard.Reason) {
	w.t.Helper()
	w.refused(a, http.StatusOK, reason)
	var said struct {
		ID     string
		Result json.RawMessage
		Error  struct{ Data struct{ Reason guard.Reason } }
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || said.ID != "q-1" || said.Result != nil || said.Error.Data.Reason != reason || a.code() != reason.Code() {
		w.t.Errorf("no refusal: %v, %s", err, a.body)
	}
	if challenge, there := a.header["Www-Authenticate"]; there {
		w.t.Errorf("a challenge: %s", challenge)
	}
}

// refused checks that an answer is a refusal that the upstream knows nothing of.
func (w *world) refused(a answer, status int, reason guard.Reason) {
	w.t.Helper()
	if a.status != status || w.records.last() != reason {
		w.t.Errorf("status %d for %s, want %d for %s: %s", a.status, w.records.last(), status, reason, a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(a.body)) {
		w.t.Errorf("a refusal of another form: %v %s", a.header, a.body)
	}
	if passed := w.passed(); len(passed) > 0 {
		w.t.Errorf("the upstream had it: %+v", passed)
	}
}

func call(method, params string) string {
	return `{"jsonrpc":"2.0","id":"q-1","method":"` + method + `","params":` + params + `}`
}

var (
	addCall   = call("tools/call", `{"name":"add","arguments":{"a":1}}`)
	eraseCall = call("tools/call", `{"name":"erase"}`)
	listCall  = call("tools/list", `{}`)
)

// answers is an upstream that always answers the same.
func answers(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

var fine = answers("application/json", `{"jsonrpc":"2.0","id":"q-1","result":{}}`)
