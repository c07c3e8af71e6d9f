// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/extauthz"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
)

// asked is a request as a client sends it. What is left out is that of a call of a tool
// by the client one.
type asked struct {
	method, target, body string
	// headers are names and values, added to those of token and session; a name may be
	// there more than once.
	headers []string
	// token is the one of the header Authorization, if that is not among headers.
	token, session string
	// answer is the status with which the server answers.
	answer int
}

// noToken is the token of a request without one.
const noToken = "none"

// outcome is what became of a request.
type outcome struct {
	status    int
	challenge string
	body      string
	// lost are the headers, of those that the client sent, that the server does not get.
	lost string
}

// front is a way by which requests come to a guard.
type front interface {
	send(t *testing.T, a asked) outcome
}

// frontNames are the fronts: ext_authz may be told the headers as they came, or with the
// values of each joined.
var frontNames = []string{"proxy", "ext_authz", "ext_authz, joined"}

// newFront makes a guard of its own with one front.
func newFront(t *testing.T, name string) front {
	t.Helper()
	return newFrontBy(t, name, guard.Options{})
}

// newFrontBy is newFront with bounds of its engine.
func newFrontBy(t *testing.T, name string, o guard.Options) front {
	t.Helper()
	k := newKnown()
	o.Register, o.Tokens, o.Recorder, o.Clock, o.MaxStaleness = k, k, k, clock.RealClock{}, time.Minute
	engine := guard.New(o)
	if name == "proxy" {
		return newProxyFront(t, k, engine)
	}
	return newCheckFront(t, k, engine, name == "ext_authz")
}

// sent are the headers of a request, and its body.
func (a asked) sent() (headers []string, body string) {
	headers = []string{"accept", "application/json, text/event-stream"}
	names := ""
	for i := 0; i < len(a.headers); i += 2 {
		names += " " + strings.ToLower(a.headers[i])
	}
	if token := a.token; token != noToken && !strings.Contains(names, " authorization") {
		headers = append(headers, "authorization", "Bearer "+token)
	}
	if a.session != "" {
		headers = append(headers, "mcp-session-id", a.session)
	}
	if a.method == http.MethodPost && !strings.Contains(names, " content-type") {
		headers = append(headers, "content-type", "application/json")
	}
	return append(headers, a.headers...), a.body
}

// proxied is the proxy in front of a server.
type proxied struct {
	client *http.Client
	url    string
	mu     sync.Mutex
	// passed is the header of the last request that the server had.
	passed http.Header
	answer int
	// waits has a request that is to wait come, and then go on.
	waits chan struct{}
}

func newProxyFront(t *testing.T, k *known, engine *guard.Engine) *proxied {
	t.Helper()
	p := &proxied{client: &http.Client{Transport: &http.Transport{DisableCompression: true}}, waits: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Waits") != "" {
			p.waits <- struct{}{}
			<-p.waits
		}
		p.mu.Lock()
		p.passed = r.Header.Clone()
		answer := p.answer
		p.mu.Unlock()
		if id := r.Header.Get("X-Gives"); id != "" {
			w.Header().Set("Mcp-Session-Id", id)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":{}}`)
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := proxy.New(proxy.Options{
		Engine: engine, Register: k, Clock: clock.RealClock{}, Log: logr.Discard(), MaxBody: maxBody,
		Routes: []proxy.Route{{Server: ledgerName, Upstream: address}},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(nil)
	front.Config = proxy.NewServer(handler)
	front.Start()
	t.Cleanup(front.Close)
	p.url = front.URL
	return p
}

func (p *proxied) send(t *testing.T, a asked) outcome {
	t.Helper()
	headers, body := a.sent()
	r, err := http.NewRequestWithContext(t.Context(), a.method, p.url+a.target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "ledger.example.com"
	for i := 0; i < len(headers); i += 2 {
		key := textproto.CanonicalMIMEHeaderKey(headers[i])
		r.Header[key] = append(r.Header[key], headers[i+1])
	}
	p.mu.Lock()
	p.passed, p.answer = nil, a.answer
	p.mu.Unlock()
	response, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passed == nil {
		return outcome{response.StatusCode, response.Header.Get("Www-Authenticate"), string(answer), ""}
	}
	return outcome{lost: lost(headers, func(name string) bool { return p.passed.Values(name) == nil })}
}

// lost are the names of headers that are gone.
func lost(headers []string, gone func(name string) bool) string {
	var names []string
	for i := 0; i < len(headers); i += 2 {
		if name := strings.ToLower(headers[i]); gone(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// checked is the real service of ext_authz, asked as Envoy asks.
type checked struct {
	check authv3.AuthorizationClient
	raw   bool
}

func newCheckFront(t *testing.T, k *known, engine *guard.Engine, raw bool) *checked {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(extauthz.ServerOptions(maxBody)...)
	extauthz.New(extauthz.Options{Engine: engine, Register: k, Servers: []guard.ServerName{ledgerName}, MaxBody: maxBody}).Register(server)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); server.Stop(); <-done })
	return &checked{authv3.NewAuthorizationClient(conn), raw}
}

func (c *checked) send(t *testing.T, a asked) outcome {
	t.Helper()
	headers, body := a.sent()
	r := &authv3.AttributeContext_HttpRequest{Method: a.method, Host: "ledger.example.com", Scheme: "http", Path: a.target, RawBody: []byte(body)}
	if c.raw {
		r.HeaderMap = &corev3.HeaderMap{}
		for i := 0; i < len(headers); i += 2 {
			r.HeaderMap.Headers = append(r.HeaderMap.Headers, &corev3.HeaderValue{Key: strings.ToLower(headers[i]), RawValue: []byte(headers[i+1])})
		}
	} else {
		r.Headers = map[string]string{}
		for i := 0; i < len(headers); i += 2 {
			key, value := strings.ToLower(headers[i]), strings.ToValidUTF8(headers[i+1], "\ufffd")
			if before, there := r.Headers[key]; there {
				value = before + "," + value
			}
			r.Headers[key] = value
		}
	}
	answer, err := c.check.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: r}}})
	if err != nil {
		t.Fatal(err)
	}
	if ok := answer.GetOkResponse(); ok != nil {
		return outcome{lost: lost(headers, func(name string) bool { return slices.Contains(ok.GetHeadersToRemove(), name) })}
	}
	denied := answer.GetDeniedResponse()
	got := outcome{status: int(denied.GetStatus().GetCode()), body: denied.GetBody()}
	for _, header := range denied.GetHeaders() {
		if header.GetHeader().GetKey() == "www-authenticate" {
			got.challenge = header.GetHeader().GetValue()
		}
	}
	return got
}

// reason is why a request was refused.
func (o outcome) reason() guard.Reason {
	var said struct {
		Error struct{ Data struct{ Reason guard.Reason } }
	}
	switch err := json.Unmarshal([]byte(o.body), &said); {
	case o.status == 0:
		return guard.ReasonAllowed
	case err != nil:
		return guard.Reason(fmt.Sprintf("no refusal: %s", o.body))
	}
	return said.Error.Data.Reason
}

// The two fronts are held to one table: the same request has the same outcome by each, to
// the letter of the refusal. Where it has not, the table says so, and why.
func TestTheFrontsDecideAlike(t *testing.T) {
	t.Parallel()
	for _, c := range frontCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fronts := map[string]front{}
			for _, name := range frontNames {
				fronts[name] = newFront(t, name)
			}
			for i, s := range c.steps {
				var first outcome
				for n, name := range frontNames {
					got, want, apart := fronts[name].send(t, s.asked.filled()), s.want, s.but[name]
					if apart.want != "" {
						want = apart.want
					}
					if got.reason() != want {
						t.Errorf("step %d, %s: %s, want %s: %+v", i, name, got.reason(), want, got)
					}
					if lost := strings.TrimSpace("authorization " + s.lost); got.status == 0 && got.lost != lost {
						t.Errorf("step %d, %s: the server does not get %s, want %s", i, name, got.lost, lost)
					}
					switch {
					case n == 0:
						first = got
					case apart.why != "" && got == first:
						t.Errorf("step %d, %s: no other than by the proxy, and was to be: %s", i, name, apart.why)
					case apart.why == "" && got != first:
						t.Errorf("step %d, %s: %+v\nby the proxy: %+v", i, name, got, first)
					}
				}
			}
		})
	}
}

// So many requests of a user are under way at most, where it is known how long they are.
func TestTheFrontsCountWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]apart{
		"proxy": {want: guard.ClientBusy}, "ext_authz": {guard.ReasonAllowed, endless}, "ext_authz, joined": {guard.ReasonAllowed, endless},
	} {
		f := newFrontBy(t, name, guard.Options{MaxRequests: 1})
		ended := make(chan outcome, 1)
		go func() { ended <- f.send(t, asked{headers: []string{"x-waits", "1"}}.filled()) }()
		if p, ok := f.(*proxied); ok {
			select {
			case <-p.waits:
			case got := <-ended:
				t.Fatalf("%s: the first: %s", name, got.reason())
			}
		} else {
			ended <- <-ended
		}
		if got := f.send(t, asked{}.filled()); got.reason() != second.want {
			t.Errorf("%s: %s, want %s (%s)", name, got.reason(), second.want, second.why)
		}
		if p, ok := f.(*proxied); ok {
			p.waits <- struct{}{}
		}
		if got := <-ended; got.reason() != guard.ReasonAllowed {
			t.Errorf("%s: the first: %s", name, got.reason())
		}
	}
}

// filled is the request with what was left out.
func (a asked) filled() asked {
	if a.method == "" {
		a.method = http.MethodPost
	}
	if a.target == "" {
		a.target = "/mcp"
	}
	if a.body == "" && a.method == http.MethodPost {
		a.body = callOf("balance")
	}
	if a.token == "" {
		a.token = "one"
	}
	if a.answer == 0 {
		a.answer = http.StatusOK
	}
	return a
}

func callOf(tool string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

// large is a call with a body of some size.
func large(size int) string {
	body := callOf("balance")
	return strings.Replace(body, `{}`, `{"x":"`+string(bytes.Repeat([]byte("x"), size-len(body)-len(`"x":""`)))+`"}`, 1)
}

// crowded is a call with as many members as a body of some size can have.
func crowded(size int) string {
	var members strings.Builder
	for i := 0; members.Len() < size-150; i++ {
		fmt.Fprintf(&members, `"%x":1,`, i)
	}
	return strings.Replace(callOf("balance"), `{}`, `{`+members.String()+`"end":1}`, 1)
}

// Of very many requests, hundreds at a time, with a session of another client or subject
// none passes, by either form of ext_authz, and who has the session goes on.
func TestAForeignSessionInACrowd(t *testing.T) {
	t.Parallel()
	const many, atOnce = 10_000, 500
	for _, name := range []string{"ext_authz", "ext_authz, joined"} {
		f := newFront(t, name)
		if got := f.send(t, asked{session: "s-1"}.filled()); got.reason() != guard.ReasonAllowed {
			t.Fatalf("%s: whose it is: %s", name, got.reason())
		}
		var mu sync.Mutex
		became := map[string]int{}
		var all sync.WaitGroup
		for worker := range atOnce {
			all.Go(func() {
				for i := worker; i < many; i += atOnce {
					token := []string{"two", "one/dana", "one"}[i%3]
					got := f.send(t, asked{token: token, session: "s-1"}.filled()).reason()
					mu.Lock()
					became[fmt.Sprint(token, " ", got)]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		want := map[string]int{
			fmt.Sprint("two ", guard.SessionForeign): (many + 2) / 3, fmt.Sprint("one/dana ", guard.SessionForeign): (many + 1) / 3,
			fmt.Sprint("one ", guard.ReasonAllowed): many / 3,
		}
		if !maps.Equal(became, want) {
			t.Errorf("%s: %v, want %v", name, became, want)
		}
	}
}
