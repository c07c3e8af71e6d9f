// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// world is a register, an issuer and a record in memory.
type world struct {
	mu       sync.Mutex
	age      time.Duration
	complete bool
	read     int
	server   *Server
	client   policy.ClientEntry
	denials  []policy.DenialEntry
	grant    policy.GrantEntry
	token    Token
	refused  Reason
	verified int
	shown    int
	changed  func(Change)
	recorded []Reason
	clock    *clocktesting.FakeClock
}

var (
	testServer = ServerName{Namespace: "tools", Name: "invoices"}
	testNow    = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
)

func newWorld() *world {
	return &world{
		clock: clocktesting.NewFakeClock(testNow), complete: true,
		server: &Server{Issuer: "https://as.example.com", ServerEntry: policy.ServerEntry{
			Namespace: "tools", Name: "invoices", Resource: "https://mcp.example.com/invoices", AuthorizationServer: "main",
			Scopes: []policy.CatalogueScope{
				{Name: "invoices:read", Tier: "Read", Tools: []string{"read_invoice"}},
				{Name: "invoices:pay", Tier: "Elevated", Tools: []string{"pay_invoice"}},
			},
		}},
		client: policy.ClientEntry{
			Namespace: "agents", Name: "bot", Owner: "team", ClientID: "c1", EndsAt: testNow.Add(time.Hour),
			Scopes: []policy.EntryScope{{Name: "invoices:read", Grants: []string{"g"}}},
		},
		grant: policy.GrantEntry{
			Namespace: "agents", Name: "g", Client: "bot", ServerNamespace: "tools", Server: "invoices",
			Scopes: []string{"invoices:read"}, EndsAt: testNow.Add(time.Hour), InForce: true,
		},
		token: Token{Issuer: "https://as.example.com", ClientID: "c1", Scopes: []string{"invoices:read"}, ExpiresAt: testNow.Add(10 * time.Minute)},
	}
}

func (w *world) Server(name ServerName) (Server, bool) {
	if w.server == nil || name != testServer {
		return Server{}, false
	}
	return *w.server, true
}

func (w *world) Denials(Server, string) []policy.DenialEntry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.denials
}

func (w *world) Clients(as, id string) []policy.ClientEntry {
	w.mu.Lock()
	defer w.mu.Unlock()
	if as != "main" || id != w.client.ClientID {
		return nil
	}
	return []policy.ClientEntry{w.client}
}

func (w *world) Grants(policy.ClientEntry) []policy.GrantEntry {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read++
	return []policy.GrantEntry{w.grant}
}

func (w *world) FirstScopes(server Server) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	only := []policy.Holding{{Client: w.client, Grants: []policy.GrantEntry{w.grant}}}
	return policy.FirstScopes(server.ServerEntry, slices.Values(only), w.clock.Now())
}

func (w *world) Age() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.age, w.complete
}

func (w *world) OnChange(changed func(Change)) { w.changed = changed }

func (w *world) Verify(ctx context.Context, shown Presentation, q TokenQuestion) (Token, error) {
	raw, err := shown.Bearer()
	if err != nil {
		return Token{}, err
	}
	w.mu.Lock()
	w.shown++
	w.mu.Unlock()
	return w.StillGood(ctx, Token{}, raw, q)
}

func (w *world) StillGood(_ context.Context, _ Token, raw string, q TokenQuestion) (Token, error) {
	if raw != "abc" {
		return Token{}, &TokenError{Reason: TokenMalformed}
	}
	if q.Issuer != "https://as.example.com" || q.Audience != "https://mcp.example.com/invoices" {
		return Token{}, &TokenError{Reason: TokenAudience}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verified++
	if w.refused != "" {
		return Token{}, &TokenError{Reason: w.refused, Err: errors.New("why")}
	}
	return w.token, nil
}

// asked is how many tokens were verified.
func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verified
}

func (w *world) Record(_ Request, v Verdict) { w.recorded = append(w.recorded, v.Reason) }

func (w *world) change(f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	w.changed(Change{AuthorizationServer: "main", ClientID: "c1"})
}

func (w *world) engine() *Engine {
	return New(Options{Register: w, Tokens: w, Recorder: w, Clock: w.clock, MaxStaleness: time.Minute, Namespace: "guards"})
}

func call(tool string) Request {
	return asking(Message{Kind: Call, Method: "tools/call", ID: "1", Tool: tool})
}

// asking is a request with a good token.
func asking(m Message) Request {
	return Request{
		Server: testServer, Authorization: []string{"Bearer abc"}, Method: "POST", URL: "https://mcp.example.com/invoices", Message: m,
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const metadata = `resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/invoices"`
	for _, test := range []struct {
		name      string
		change    func(*world, *Request)
		reason    Reason
		status    int
		challenge []string
	}{
		{"all is right", func(*world, *Request) {}, ReasonAllowed, 0, nil},
		{"there is no token", func(_ *world, r *Request) { r.Authorization = nil }, TokenMissing, 401, []string{metadata, `scope="invoices:read"`}},
		{"it is no bearer token", func(_ *world, r *Request) { r.Authorization = []string{"Basic abc"} }, TokenMissing, 401, []string{metadata}},
		{"the header is empty", func(_ *world, r *Request) { r.Authorization = []string{"Bearer "} }, TokenMalformed, 401, []string{`error="invalid_token"`}},
		{"two tokens in one header", func(_ *world, r *Request) { r.Authorization = []string{"Bearer a, Bearer b"} }, TokenMalformed, 401, []string{`error="invalid_token"`}},
		{"two headers", func(_ *world, r *Request) { r.Authorization = []string{"Bearer a", "Bearer b"} }, TokenAmbiguous, 400, []string{`error="invalid_request"`}},
		{"a token in the query too", func(_ *world, r *Request) { r.URL += "?access_token=abc" }, TokenAmbiguous, 400, []string{`error="invalid_request"`}},
		{"the scheme is DPoP", func(_ *world, r *Request) { r.Authorization = []string{"DPoP abc"} }, TokenBound, 401, []string{metadata, `error="invalid_token"`, "sender-constrained tokens"}},
		{"the scheme is DPoP, in other case", func(_ *world, r *Request) { r.Authorization = []string{"dpop abc"} }, TokenBound, 401, []string{metadata}},
		{"the scheme is DPoP, with a proof", func(_ *world, r *Request) {
			r.Authorization, r.Proof = []string{"DPoP abc"}, []string{"e30.e30.AA"}
		}, TokenBound, 401, []string{metadata}},
		{"a proof beside a bearer token", func(_ *world, r *Request) { r.Proof = []string{"e30.e30.AA"} }, TokenBound, 401, []string{`error="invalid_token"`, "sender-constrained tokens"}},
		{"an empty proof beside a bearer token", func(_ *world, r *Request) { r.Proof = []string{""} }, TokenBound, 401, nil},
		{"a proof without a token", func(_ *world, r *Request) { r.Authorization, r.Proof = nil, []string{"e30.e30.AA"} }, TokenMissing, 401, []string{metadata}},
		{"the scheme is DPoP, without a token", func(_ *world, r *Request) { r.Authorization = []string{"DPoP"} }, TokenMissing, 401, []string{metadata}},
		{"a scheme that begins as DPoP", func(_ *world, r *Request) { r.Authorization = []string{"DPoPx abc"} }, TokenMissing, 401, []string{metadata}},
		{"by both schemes", func(_ *world, r *Request) { r.Authorization = []string{"DPoP abc", "Bearer abc"} }, TokenAmbiguous, 400, nil},
		{"the method is not known", func(_ *world, r *Request) { r.Method = "" }, TokenUnverifiable, 503, nil},
		{"the URL is not known", func(_ *world, r *Request) { r.URL = "" }, TokenUnverifiable, 503, nil},
		{"the scheme is in other case", func(_ *world, r *Request) { r.Authorization = []string{"bearer abc"} }, ReasonAllowed, 0, nil},
		{"the token is refused", func(w *world, _ *Request) { w.refused = TokenExpired }, TokenExpired, 401, []string{`error="invalid_token"`, metadata}},
		{"the issuer does not answer", func(w *world, _ *Request) { w.refused = TokenUnverifiable }, TokenUnverifiable, 503, nil},
		{"the client is not known", func(w *world, _ *Request) { w.token.ClientID = "c2" }, Reason(policy.RefusedUnknownClient), 401, []string{`error="invalid_token"`}},
		{"the client was revoked", func(w *world, _ *Request) { w.client.Left = policy.RefusedRevoked }, Reason(policy.RefusedRevoked), 401, []string{`error="invalid_token"`}},
		{"the token lacks the scope", func(w *world, _ *Request) { w.token.Scopes = nil }, Reason(policy.RefusedScopeMissing), 403, []string{`error="insufficient_scope"`, `scope="invoices:read"`, metadata}},
		{"the token has other scopes", func(w *world, _ *Request) { w.token.Scopes = []string{"openid", `a"b`, "é", "files:read"} }, Reason(policy.RefusedScopeMissing), 403, []string{`error="insufficient_scope"`, `scope="openid files:read invoices:read"`}},
		{"no grant gives the tool", func(_ *world, r *Request) { r.Message.Tool = "pay_invoice" }, Reason(policy.RefusedNoGrant), 200, nil},
		{"the tool is not known", func(_ *world, r *Request) { r.Message.Tool = "x" }, Reason(policy.RefusedToolUnknown), 200, nil},
		{"the tool is withheld", func(w *world, _ *Request) {
			w.server.WithholdChanged, w.grant.ChangedTools = true, []string{"read_invoice"}
		}, Reason(policy.RefusedReviewRequired), 200, nil},
		{"no grant gives the tool, and nobody waits for an answer", func(_ *world, r *Request) { r.Message.Tool, r.Message.ID = "pay_invoice", "" }, Reason(policy.RefusedNoGrant), 403, nil},
		{"no grant gives the tool, and the id is none", func(_ *world, r *Request) { r.Message.Tool, r.Message.ID = "pay_invoice", "{}" }, Reason(policy.RefusedNoGrant), 403, nil},
		{"no grant is in force, for a stream", func(w *world, r *Request) { w.grant.InForce, r.Message = false, Message{Kind: Listen} }, Reason(policy.RefusedNoGrant), 403, nil},
		{"no grant is in force, for the answer to the server", func(w *world, r *Request) { w.grant.InForce, r.Message = false, Message{Kind: Answer, ID: "1"} }, Reason(policy.RefusedNoGrant), 403, nil},
		{"no grant is in force, for the end of a session", func(w *world, r *Request) { w.grant.InForce, r.Message = false, Message{Kind: End} }, Reason(policy.RefusedNoGrant), 403, nil},
		{"resources need a scope of their own", func(_ *world, r *Request) { r.Message = Message{Kind: Call, Method: "resources/read", ID: `"a"`} }, Reason(policy.RefusedNoGrant), 200, nil},
		{"a method that nobody knows too", func(_ *world, r *Request) { r.Message = Message{Kind: Call, Method: "tools/callx"} }, Reason(policy.RefusedNoGrant), 403, nil},
		{"initialize needs any scope", func(_ *world, r *Request) { r.Message = Message{Kind: Call, Method: "initialize"} }, ReasonAllowed, 0, nil},
		{"so does a stream", func(_ *world, r *Request) { r.Message = Message{Kind: Listen} }, ReasonAllowed, 0, nil},
		{"the request cannot be read", func(_ *world, r *Request) {
			r.Message = Message{Fault: &Fault{Status: 400, Code: -32600, Reason: RequestBatch, Text: "no batches"}}
		}, RequestBatch, 400, nil},
		{"nor can it without a token", func(_ *world, r *Request) {
			r.Authorization, r.Message = nil, Message{Fault: &Fault{Status: 400, Code: -32600, Reason: RequestBatch, Text: "no batches"}}
		}, TokenMissing, 401, []string{metadata}},
		{"the register is as old as it may be", func(w *world, _ *Request) { w.age = time.Minute }, ReasonAllowed, 0, nil},
		{"the register is too old", func(w *world, _ *Request) { w.age = time.Minute + 1 }, RegisterStale, 503, nil},
		{"the register is not complete", func(w *world, _ *Request) { w.complete = false }, RegisterStale, 503, nil},
		{"the server is guarded from elsewhere", func(w *world, _ *Request) { w.server.GuardedFrom = []string{"other"} }, GuardNotNamed, 503, nil},
		{"the server is guarded from here", func(w *world, _ *Request) { w.server.GuardedFrom = []string{"other", "guards"} }, ReasonAllowed, 0, nil},
		{"the server is not known", func(w *world, _ *Request) { w.server = nil }, ServerUnknown, 503, nil},
	} {
		w, r := newWorld(), call("read_invoice")
		test.change(w, &r)
		v := w.engine().Decide(t.Context(), r)
		if v.Reason != test.reason || v.Status != test.status || v.Allowed() != (test.reason == ReasonAllowed) {
			t.Errorf("%s: %s with %d, want %s with %d", test.name, v.Reason, v.Status, test.reason, test.status)
		}
		for _, part := range test.challenge {
			if !strings.Contains(v.Challenge, part) {
				t.Errorf("%s: the challenge %q lacks %s", test.name, v.Challenge, part)
			}
		}
		challenged := v.Status == http.StatusUnauthorized || v.Reason == Reason(policy.RefusedScopeMissing) || v.Reason == TokenAmbiguous
		if challenged != strings.HasPrefix(v.Challenge, "Bearer ") || strings.Contains(v.Challenge, "insufficient_scope") != (v.Reason == Reason(policy.RefusedScopeMissing)) {
			t.Errorf("%s: status %d with the challenge %q", test.name, v.Status, v.Challenge)
		}
		if !v.Allowed() && v.Text == "" {
			t.Errorf("%s: says nothing", test.name)
		}
		if !slices.Equal(w.recorded, []Reason{test.reason}) {
			t.Errorf("%s: on record is %q", test.name, w.recorded)
		}
	}
}

// Every reason has words and a status of its own choosing.
func TestReasonsAreExplained(t *testing.T) {
	t.Parallel()
	for _, reason := range Reasons() {
		ofRequest := strings.HasPrefix(string(reason), "Request")
		if reason == ReasonAllowed || ofRequest || reason == RegisterStale || reason == ServerUnknown || reason == GuardNotNamed {
			continue // Faults and verdicts without a server bring their own.
		}
		if texts[reason] == "" {
			t.Errorf("%s has no words", reason)
		}
		if status := reason.status(); status < 400 {
			t.Errorf("%s has the status %d", reason, status)
		}
	}
	for _, reason := range Reasons() {
		bringsOwn := reason == ReasonAllowed || strings.HasPrefix(string(reason), "Request")
		if code := reason.Code(); (code < -32019 || code > -32010) != bringsOwn {
			t.Errorf("%s has the code %d", reason, code)
		}
	}
}

// A list of tools is cut down with one question to the register, however many there are.
func TestAListAsksTheRegisterOnce(t *testing.T) {
	t.Parallel()
	for _, tools := range []int{0, 1, 2000} {
		w := newWorld()
		e := w.engine()
		v := e.Decide(t.Context(), asking(Message{Kind: Call, Method: "tools/list"}))
		before := w.read
		callable := e.Callable(v)
		for i := range tools {
			if !callable("read_invoice") || callable(fmt.Sprint("tool-", i)) {
				t.Fatalf("of %d tools the wrong ones are listed", tools)
			}
		}
		if asked := w.read - before; asked != 1 {
			t.Errorf("%d tools: asked %d times", tools, asked)
		}
	}
}

func TestCallable(t *testing.T) {
	t.Parallel()
	w := newWorld()
	e := w.engine()
	v := e.Decide(t.Context(), asking(Message{Kind: Call, Method: "tools/list"}))
	callable := e.Callable(v)
	for tool, want := range map[string]bool{"read_invoice": true, "pay_invoice": false, "unheard_of": false, "": false} {
		if callable(tool) != want {
			t.Errorf("%q: %v", tool, !want)
		}
	}
	w.server.EntryScope, w.token.Scopes = "mcp:enter", []string{"mcp:enter"}
	w.client.Scopes = append(w.client.Scopes, policy.EntryScope{Name: "mcp:enter", Grants: []string{"g"}})
	v = e.Decide(t.Context(), asking(Message{Kind: Call, Method: "tools/list"}))
	if callable = e.Callable(v); !v.Allowed() || !callable("read_invoice") || callable("pay_invoice") {
		t.Error("with a token that has only the entry scope, the list does not show what was granted")
	}
	w.server.Prober = "bot"
	w.client.Namespace, w.grant.Namespace = "tools", "tools"
	v = e.Decide(t.Context(), asking(Message{Kind: Call, Method: "tools/list"}))
	if !e.Callable(v)("pay_invoice") {
		t.Error("the client of the probe does not see every tool")
	}
	if v := e.Decide(t.Context(), call("pay_invoice")); v.Allowed() {
		t.Error("the client of the probe may call what it sees")
	}
}

// What is under way ends with what allowed it.
func TestHold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*world)
	}{
		{"the client is revoked", func(w *world) { w.change(func() { w.client.Left = policy.RefusedRevoked }) }},
		{"the client gets another id", func(w *world) { w.change(func() { w.client.ClientID = "c2" }) }},
		{"the grant ends", func(w *world) { w.change(func() { w.grant.InForce = false }) }},
		{"the client expires", func(w *world) {
			w.change(func() { w.client.EndsAt = testNow.Add(time.Minute) })
			w.clock.Step(time.Minute)
		}},
		{"the token of a stream expires", func(w *world) { w.clock.Step(10 * time.Minute) }},
		{"the register grows old", func(w *world) { w.mu.Lock(); w.age = 2 * time.Minute; w.mu.Unlock(); w.clock.Step(time.Second) }},
	} {
		w := newWorld()
		e := w.engine()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); e.Run(ctx) }()
		for !w.clock.HasWaiters() {
			time.Sleep(time.Millisecond)
		}
		r := call("read_invoice")
		if test.name == "the token of a stream expires" {
			r = listen
		}
		held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
		w.change(func() { w.client.Owner = "another" })
		if held.Err() != nil {
			t.Errorf("%s: it ended before", test.name)
		}
		test.end(w)
		select {
		case <-held.Done():
		case <-time.After(time.Minute):
			t.Errorf("%s: it goes on", test.name)
		}
		if !errors.Is(context.Cause(held), ErrEnded) {
			t.Errorf("%s: ended with %v", test.name, context.Cause(held))
		}
		release()
		release()
		if e.Open() != 0 {
			t.Errorf("%s: %d are under way", test.name, e.Open())
		}
		cancel()
		<-done
	}
}

// A denial ends what is under way, and nothing that the register says of the
// client helps, until it has ended itself.
func TestADenialGoesBeforeTheRegister(t *testing.T) {
	t.Parallel()
	w := newWorld()
	e := w.engine()
	r := call("read_invoice")
	held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
	defer release()
	w.change(func() { w.denials = []policy.DenialEntry{{Name: "incident", EndsAt: testNow.Add(time.Minute)}} })
	if !errors.Is(context.Cause(held), ErrEnded) {
		t.Errorf("it goes on: %v", context.Cause(held))
	}
	v := e.Decide(t.Context(), r)
	if v.Reason != Reason(policy.RefusedDenied) || v.Status != 401 || v.Decision.Client.Name != "bot" || e.Callable(v)("read_invoice") {
		t.Errorf("got %+v", v)
	}
	w.change(func() { w.client.ClientID = "another" })
	if v := e.Decide(t.Context(), r); v.Reason != Reason(policy.RefusedDenied) || v.Decision.Client.Name != "" {
		t.Errorf("a client that is not on the register: got %+v", v)
	}
	w.change(func() { w.client.ClientID = "c1" })
	w.clock.Step(time.Minute)
	if v := e.Decide(t.Context(), r); !v.Allowed() {
		t.Errorf("after its end: got %+v", v)
	}
}

// A client that left between the decision and Hold is not missed.
func TestHoldLooksOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld()
	e := w.engine()
	r := call("read_invoice")
	v := e.Decide(t.Context(), r)
	w.change(func() { w.client.Left = policy.RefusedSuspended })
	held, release := e.Hold(t.Context(), r, v)
	defer release()
	if !errors.Is(context.Cause(held), ErrEnded) {
		t.Errorf("it goes on: %v", context.Cause(held))
	}
}

func TestMetadataURL(t *testing.T) {
	t.Parallel()
	for resource, want := range map[string]string{
		"https://mcp.example.com/invoices":     "https://mcp.example.com/.well-known/oauth-protected-resource/invoices",
		"https://mcp.example.com":              "https://mcp.example.com/.well-known/oauth-protected-resource",
		"https://mcp.example.com/":             "https://mcp.example.com/.well-known/oauth-protected-resource",
		"https://mcp.example.com:8443/a%2Fb/c": "https://mcp.example.com:8443/.well-known/oauth-protected-resource/a%2Fb/c",
		"http://127.0.0.1:3000/mcp?k=1":        "http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp?k=1",
	} {
		if got := MetadataURL(resource); got != want {
			t.Errorf("%s: %s, want %s", resource, got, want)
		}
	}
}

// A token whose time to be verified again has come goes on if it still holds.
func TestHoldVerifiesAgain(t *testing.T) {
	t.Parallel()
	for _, refused := range []Reason{"", TokenInactive, TokenUnverifiable} {
		w := newWorld()
		w.token.CheckAt = testNow.Add(5 * time.Second)
		e := w.engine()
		r := call("read_invoice")
		held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
		defer release()
		w.mu.Lock()
		w.refused, w.token.CheckAt = refused, testNow.Add(time.Minute)
		w.mu.Unlock()
		w.clock.Step(5 * time.Second)
		e.changed(Change{})
		if refused == "" {
			select {
			case <-held.Done():
				t.Errorf("a token that holds: ended with %v", context.Cause(held))
			case <-time.After(100 * time.Millisecond):
			}
			if w.mu.Lock(); w.verified != 2 || w.shown != 1 {
				t.Errorf("asked %d times, of which it was shown %d times", w.verified, w.shown)
			}
			w.mu.Unlock()
			continue
		}
		select {
		case <-held.Done():
		case <-time.After(time.Minute):
			t.Errorf("%s: it goes on", refused)
		}
	}
}

func TestForeignSession(t *testing.T) {
	t.Parallel()
	w, r := newWorld(), call("read_invoice")
	r.Session = "s-1"
	e := w.engine()
	e.Answered(asking(Message{Kind: Call, Method: "initialize"}), Verdict{Token: Token{ClientID: "c2"}}, []string{"s-1"})
	if v := e.Decide(t.Context(), r); v.Reason != SessionForeign || v.Status != http.StatusNotFound || v.Challenge != "" {
		t.Errorf("answered %s with %d and %q", v.Reason, v.Status, v.Challenge)
	}
}

// What is held ends when the server's tokens come from another issuer, or are for
// another resource.
func TestHoldEndsWithTheIssuer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Server){
		"issuer":   func(s *Server) { s.Issuer = "https://other.example.com" },
		"resource": func(s *Server) { s.Resource = "https://mcp.example.com/other" },
	} {
		w, r := newWorld(), call("read_invoice")
		e := w.engine()
		held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
		change(w.server)
		w.changed(Change{})
		if !errors.Is(context.Cause(held), ErrEnded) {
			t.Errorf("with another %s it goes on", name)
		}
		release()
	}
}

// One user of a client cannot take the guard of the others, nor one client that of
// other clients. Streams, which are idle, take no place of what has an answer to come.
func TestAUserHasSoManyRequestsUnderWay(t *testing.T) {
	t.Parallel()
	const most = 3
	w, calls := newWorld(), call("read_invoice")
	listens := asking(Message{Kind: Listen})
	e := New(Options{Register: w, Tokens: w, Recorder: w, Clock: w.clock, MaxStaleness: time.Minute, Namespace: "guards", MaxRequests: most})
	as := func(subject string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.token.Subject = subject
	}
	hold := func(r Request) (release func()) {
		t.Helper()
		v := e.Decide(t.Context(), r)
		if !v.Allowed() {
			t.Fatalf("refused: %s", v.Reason)
		}
		_, release = e.Hold(t.Context(), r, v)
		return release
	}
	refused := func(what string, r Request) {
		t.Helper()
		if v := e.Decide(t.Context(), r); v.Reason != ClientBusy || v.Status != http.StatusTooManyRequests {
			t.Errorf("%s: %s with %d", what, v.Reason, v.Status)
		}
	}
	as("dana")
	var last, stream func()
	for range most {
		last, stream = hold(calls), hold(listens)
	}
	refused("one call too many", calls)
	refused("one stream too many", listens)
	last()
	refused("a stream, after a call has ended", listens)
	hold(calls)
	stream()
	hold(listens)
	for i := range mostPersons/2 - 1 {
		as(fmt.Sprintf("user-%d", i))
		for range most {
			hold(calls)
			hold(listens)
		}
	}
	as("one more")
	refused("the call of another user of a client that has all it may have", calls)
}

// Who may call nothing is told before the message is read, and that is on record.
func TestAdmit(t *testing.T) {
	t.Parallel()
	for want, change := range map[Reason]func(*world, *Request){
		ReasonAllowed:                       func(*world, *Request) {},
		TokenMissing:                        func(_ *world, r *Request) { r.Authorization = nil },
		Reason(policy.RefusedRevoked):       func(w *world, _ *Request) { w.client.Left = policy.RefusedRevoked },
		Reason(policy.RefusedExpired):       func(w *world, _ *Request) { w.client.EndsAt = testNow },
		Reason(policy.RefusedUnknownClient): func(w *world, _ *Request) { w.token.ClientID = "c2" },
		Reason(policy.RefusedDenied): func(w *world, _ *Request) {
			w.denials = []policy.DenialEntry{{Name: "d", AuthorizationServer: "main", ClientID: "c1"}}
		},
	} {
		w, r := newWorld(), call("")
		change(w, &r)
		v, leave := w.engine().Admit(t.Context(), r, 1)
		leave()
		if v.Reason != want || v.Allowed() == (len(w.recorded) == 1) {
			t.Errorf("%s, on record %q, want %s", v.Reason, w.recorded, want)
		}
	}
	// A grant is a question for later: it depends on what is called.
	w := newWorld()
	w.grant.InForce = false
	if v, leave := w.engine().Admit(t.Context(), call("read_invoice"), 1); !v.Allowed() {
		t.Errorf("refused as %s", v.Reason)
	} else {
		leave()
	}
}
