// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	// answerHolds is for how long the guard keeps what it was told of a token.
	answerHolds = 3 * time.Second
	// introspectionPath is where oidc-provider is asked about tokens.
	introspectionPath = "/token/introspection"
)

// TestGuardIntrospects has the guard decide about opaque tokens of a certified
// authorization server, about which it must ask (RFC 7662).
func TestGuardIntrospects(t *testing.T) {
	i := newIntrospected(t)
	reg, robot := i.client(t, "robot")
	t.Run("side by side", func(t *testing.T) {
		t.Run("a call by an opaque token is on record", func(t *testing.T) { t.Parallel(); i.testOnRecord(t, reg, robot) })
		t.Run("a scope too few is asked for", func(t *testing.T) { t.Parallel(); i.testStepUp(t, robot) })
		t.Run("tokens that are none for this server are refused", func(t *testing.T) { t.Parallel(); i.testRefused(t, robot) })
		t.Run("an answer holds for its time", func(t *testing.T) { t.Parallel(); i.testHolds(t, robot) })
		t.Run("a token that was taken back ends with the answer", func(t *testing.T) { t.Parallel(); i.testTakenBack(t, robot) })
		t.Run("a deleted client is refused with an active token", func(t *testing.T) { t.Parallel(); i.testDeleted(t) })
	})
	t.Run("no answer is no permission", func(t *testing.T) { i.testUnanswered(t, robot) })
	page := i.guard.page(t)
	i.guard.stop(t)
	t.Run("the record of calls is complete", func(t *testing.T) { testVerifies(t, i.guard.audit, "1 chain") })
	t.Run("no token is shown", func(t *testing.T) { i.testNoTokenIsShown(t, page) })
}

// introspected is a server behind a guard that asks about tokens.
type introspected struct {
	*boundary
	front    *front
	upstream upstream
	// resource has another host than the guard: oidc-provider knows one only.
	resource string
	caller   *caller
}

func newIntrospected(t *testing.T) introspected {
	t.Helper()
	w := startWorld(t)
	b := &boundary{
		scene: &scene{world: w, as: "oidc-provider", namespace: w.namespace(t)}, guard: w.newGuard(t, "guard"), kubeconfig: w.prepareGuards(t),
	}
	i := introspected{boundary: b, front: w.startFront(t, scopes), upstream: sample("opaque", startSample(t, mcpserver.Options{Stateless: true}))}
	i.resource, i.caller = "https://mcp.example.com/"+i.upstream.name, &caller{guard: b.guard, path: "/" + i.upstream.name}
	b.connect(t, b.as, i.front.issuer)
	b.create(t, newGuardedServer(b.namespace, i.upstream.name, b.as, i.resource, i.upstream.tools()))
	b.guard.start(t, w, b.kubeconfig, []string{b.behind(i.upstream.name, i.upstream.url)}, i.front.arguments(t, w)...)
	return i
}

// client makes a registration that may look and act, and waits until the guard
// lets it.
func (i introspected) client(t *testing.T, name string) (*v1alpha1.MCPClientRegistration, party) {
	t.Helper()
	reg := i.newRegistration(name, v1alpha1.AuthMethodClientSecretBasic)
	i.create(t, reg, i.grantAt(i.upstream.name, name+"-looks", name, scopeLooks), i.grantAt(i.upstream.name, name+"-acts", name, scopeActs))
	p := i.readyAtGuard(t, reg, scopeLooks, scopeActs)
	all := i.token(t, p, scopeLooks+" "+scopeActs)
	i.awaitAllowed(t, i.upstream.name, i.upstream.looks, all)
	i.awaitAllowed(t, i.upstream.name, i.upstream.acts, all)
	return reg, p
}

// token is a new access token that says nothing by itself.
func (i introspected) token(t *testing.T, p party, scope string) string {
	t.Helper()
	token := i.accessToken(t, p, i.resource, scope)
	if strings.Contains(token, ".") {
		t.Fatal("the authorization server issues tokens that are not opaque")
	}
	return token
}

// call calls a tool with a token.
func (i introspected) call(t *testing.T, tool, token string) plainAnswer {
	t.Helper()
	return i.caller.call(t, tool, i.upstream.arguments[tool], token)
}

func (i introspected) testOnRecord(t *testing.T, reg *v1alpha1.MCPClientRegistration, robot party) {
	g := NewWithT(t)
	token := i.token(t, robot, scopeLooks)
	answer := i.call(t, i.upstream.looks, token)
	g.Expect(answer.status).To(Equal(http.StatusOK), answer.body)
	g.Expect(answer.body).To(ContainSubstring("INV-7"))
	told := i.guard.told(t, answer.trace)
	g.Expect(told.Type).To(Equal(auditPrefix + "call.allowed"))
	g.Expect(told.Data).To(Equal(callData{
		Server: i.namespace + "/" + i.upstream.name, Resource: i.resource, Method: "tools/call", Tool: i.upstream.looks,
		Verdict: "Allowed", Reason: "Allowed", AuthorizationServer: i.as, Issuer: i.front.issuer,
		ClientID: robot.id, TokenExpiresAt: time.Unix(i.front.says(t, token).Expires, 0).UTC(),
		Client: i.namespace + "/robot", RegistrationUID: string(reg.UID), Owner: reg.Annotations[v1alpha1.AnnotationOwner],
		Grant: "robot-looks", Basis: string(v1alpha1.BasisAutomatic), Scope: scopeLooks, TraceParent: answer.trace,
	}))
}

// testStepUp has the official client meet a tool that its token is too little for.
func (i introspected) testStepUp(t *testing.T, robot party) {
	g := NewWithT(t)
	u, endpoint := i.upstream, i.guard.resource(i.upstream.name)
	looking := dialGo(t, endpoint, i.token(t, robot, scopeLooks))
	g.Expect(looking.list(t)).To(ConsistOf(u.looks, u.follows))
	requireStepUp(t, looking.call(t, u.acts, u.arguments[u.acts]), i.resource, scopeActs)
	acting := dialGo(t, endpoint, i.token(t, robot, scopeLooks+" "+scopeActs))
	done := acting.call(t, u.acts, u.arguments[u.acts])
	g.Expect(done.allowed).To(BeTrue(), done.text)
}

func (i introspected) testRefused(t *testing.T, robot party) {
	stray := i.front.register(t, i.world, "stray")
	for name, c := range map[string]struct {
		token, reason string
		active        bool
	}{
		"a client that nobody registered": {i.token(t, stray, scopeLooks), "UnknownClient", true},
		"a token that nobody issued":      {randomToken(), "TokenInactive", false},
		"a token for another resource":    {i.accessToken(t, robot, i.resource+"-not", scopeLooks), "TokenAudience", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(i.front.says(t, c.token).Active).To(Equal(c.active), "what the authorization server says")
			refused := i.call(t, i.upstream.looks, c.token)
			g.Expect(refused.status).To(Equal(http.StatusUnauthorized), refused.body)
			g.Expect(refused.reason).To(Equal(c.reason))
			g.Expect(refused.challenge).To(ContainSubstring(`error="invalid_token"`))
			g.Expect(i.front.asked(c.token)).To(Equal(1), "how often the guard asked about it")
		})
	}
}

// testHolds calls side by side, and again and again, while the first answer holds,
// and once more when it does not. A busy machine gets further tries with new tokens.
func (i introspected) testHolds(t *testing.T, robot party) {
	g := NewWithT(t)
	var token string
	var over time.Time
	g.Eventually(func() bool {
		token = i.token(t, robot, scopeLooks)
		began := time.Now()
		i.callSideBySide(t, token, 10)
		for range 10 {
			g.Expect(i.call(t, i.upstream.looks, token).status).To(Equal(http.StatusOK))
		}
		asked := i.front.asked(token)
		over = time.Now()
		inTime := over.Before(began.Add(answerHolds))
		g.Expect(!inTime || asked == 1).To(BeTrue(), "%d questions for 20 calls in %s", asked, over.Sub(began))
		return inTime
	}, patience, often).Should(BeTrue(), "20 calls take longer than an answer holds")

	asked := i.front.asked(token)
	i.awaitRunOut(t, over)
	began := time.Now()
	for range 2 {
		again := i.call(t, i.upstream.looks, token)
		g.Expect(again.status).To(Equal(http.StatusOK))
		if again.over.Before(began.Add(answerHolds)) {
			g.Expect(i.front.asked(token)).To(Equal(asked+1), "questions once the first answer does not hold any more")
		}
	}
}

// callSideBySide makes calls that must all pass.
func (i introspected) callSideBySide(t *testing.T, token string, count int) {
	t.Helper()
	var calling errgroup.Group
	for range count {
		request := i.caller.request(t, callOf(t, i.upstream.looks, i.upstream.arguments[i.upstream.looks]), token)
		calling.Go(func() error {
			answer, err := i.caller.try(request)
			if err == nil && answer.status != http.StatusOK {
				err = fmt.Errorf("status %d: %s", answer.status, answer.body)
			}
			return err
		})
	}
	if err := calling.Wait(); err != nil {
		t.Fatal(err)
	}
}

// awaitRunOut waits until no answer holds that was given before an instant.
func (i introspected) awaitRunOut(t *testing.T, given time.Time) {
	t.Helper()
	NewWithT(t).Eventually(time.Now, patience, tick).Should(BeTemporally(">", given.Add(answerHolds)))
}

// testTakenBack has the authorization server take a token back (RFC 7009) by which
// a stream is open: the client stays on the register.
func (i introspected) testTakenBack(t *testing.T, robot party) {
	g := NewWithT(t)
	u := i.upstream
	token := i.token(t, robot, scopeLooks)
	user := dialGo(t, i.guard.resource(u.name), token)
	user.follow(t, u.follows, u.arguments[u.follows])
	g.Expect(user.open()).To(BeNumerically(">", 0), "no stream is open")
	i.front.post(t, robot, "/token/revocation", token, nil)
	taken := time.Now()
	g.Expect(i.front.says(t, token).Active).To(BeFalse())
	g.Eventually(user.open, answerHolds+streamBound, tick).Should(BeZero(), "the stream is open")
	t.Logf("the stream ended %s after its token was taken back", time.Since(taken).Round(time.Millisecond))
	i.awaitRunOut(t, taken)
	refused := i.call(t, u.looks, token)
	g.Expect(refused.status).To(Equal(http.StatusUnauthorized), refused.body)
	g.Expect(refused.reason).To(Equal("TokenInactive"))
	other := i.call(t, u.looks, i.token(t, robot, scopeLooks))
	g.Expect(other.status).To(Equal(http.StatusOK), other.body)
}

// testDeleted deletes a registration. The authorization server forgets the client,
// and still says that its token is active.
func (i introspected) testDeleted(t *testing.T) {
	g := NewWithT(t)
	reg, p := i.client(t, "doomed")
	token := i.token(t, p, scopeLooks)
	allowed := i.call(t, i.upstream.looks, token)
	g.Expect(allowed.status).To(Equal(http.StatusOK), allowed.body)
	if _, err := i.plane.RunKubectl(t.Context(), "delete", "mcpclientregistration", "--timeout=1m", "-n", i.namespace, reg.Name); err != nil {
		t.Fatal(err)
	}
	next := i.call(t, i.upstream.looks, token)
	asked := i.front.asked(token)
	requireStruckOff(t, next)
	if next.over.Before(allowed.began.Add(answerHolds)) {
		g.Expect(asked).To(Equal(1), "the guard has an answer that says active")
	}
	g.Expect(p.standing(t)()).To(Equal("invalid_client"))
	i.awaitRunOut(t, time.Now())
	said := i.front.says(t, token)
	g.Expect(said.Active).To(BeTrue(), "what the authorization server says of a token whose client it forgot")
	g.Expect(said.ClientID).To(Equal(p.id))
	later := i.call(t, i.upstream.looks, token)
	requireStruckOff(t, later)
	g.Expect(i.front.asked(token)).To(BeNumerically(">", asked), "the guard has not asked anew")
	g.Expect(i.guard.told(t, later.trace).Data.Reason).To(Equal("UnknownClient"))
}

// requireStruckOff requires a refusal because of the register, not of the token.
func requireStruckOff(t *testing.T, refused plainAnswer) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(refused.status).To(Equal(http.StatusUnauthorized), refused.body)
	g.Expect(refused.reason).To(Or(Equal("Revoked"), Equal("UnknownClient")))
}

// testUnanswered takes the introspection endpoint away in several ways.
func (i introspected) testUnanswered(t *testing.T, robot party) {
	g := NewWithT(t)
	var known string
	g.Eventually(func() bool {
		i.front.fail(nil)
		known = i.token(t, robot, scopeLooks)
		before := i.call(t, i.upstream.looks, known)
		g.Expect(before.status).To(Equal(http.StatusOK), before.body)
		i.front.fail(cutOff)
		within := i.call(t, i.upstream.looks, known)
		inTime := within.over.Before(before.began.Add(answerHolds))
		g.Expect(!inTime || within.status == http.StatusOK).To(BeTrue(), "a token whose answer holds: %d %s", within.status, within.body)
		return inTime
	}, patience, often).Should(BeTrue(), "two calls take longer than an answer holds")
	last := time.Now()

	unknown := i.token(t, robot, scopeLooks)
	for name, how := range map[string]http.HandlerFunc{"no answer": hang, "cut off": cutOff, "an error": broken, "something else": somethingElse} {
		i.front.fail(how)
		requireUnverifiable(t, name, i.call(t, i.upstream.looks, unknown))
	}
	i.awaitRunOut(t, last)
	requireUnverifiable(t, "the answer has run out", i.call(t, i.upstream.looks, known))

	i.front.fail(nil)
	for _, token := range []string{known, unknown} {
		again := i.call(t, i.upstream.looks, token)
		g.Expect(again.status).To(Equal(http.StatusOK), again.body)
	}
}

func requireUnverifiable(t *testing.T, why string, refused plainAnswer) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(refused.status).To(Equal(http.StatusServiceUnavailable), "%s: %s", why, refused.body)
	g.Expect(refused.reason).To(Equal("TokenUnverifiable"), why)
}

func (i introspected) testNoTokenIsShown(t *testing.T, page string) {
	text := page
	for _, path := range []string{i.guard.log, i.guard.audit} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	i.seen.mu.Lock()
	defer i.seen.mu.Unlock()
	kinds := tally{}
	for _, what := range i.seen.secrets {
		kinds[what]++
	}
	if found := i.seen.find(text); found.total() > 0 || kinds["access token"] == 0 || kinds["client secret"] < 3 {
		t.Errorf("what the guard shows of %v: %v", kinds, found)
	}
}

// front is a reverse proxy in front of an authorization server, at its issuer. It
// counts the questions about each token, and can keep them from their answers.
type front struct {
	issuer string
	// behind is where the authorization server is asked without being counted.
	behind string
	// keeper is the client by which tokens are asked about.
	keeper party
	proxy  *httputil.ReverseProxy

	mu sync.Mutex
	// questions are how many there were, by token.
	questions map[string]int
	// instead answers questions; nil while nothing fails.
	instead http.HandlerFunc
}

// startFront starts oidc-provider with opaque tokens, and a proxy in front of it.
func (w *world) startFront(t *testing.T, scopes []string, environment ...string) *front {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	f := &front{issuer: "http://" + server.Listener.Addr().String(), questions: map[string]int{}}
	f.behind = w.startOIDCProviderWith(t, scopes, append([]string{"ISSUER=" + f.issuer, "ACCESS_TOKEN_FORMAT=opaque"}, environment...)...)
	behind, err := url.Parse(f.behind)
	if err != nil {
		t.Fatal(err)
	}
	f.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		// Its metadata has the host that it was asked by.
		r.Out.Host = r.In.Host
	}}
	server.Config.Handler = f
	server.Start()
	return f
}

// arguments have a guard ask about tokens, in the name of a client that is registered for
// it.
func (f *front) arguments(t *testing.T, w *world) []string {
	t.Helper()
	f.keeper = f.register(t, w, "keeper")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(f.keeper.secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"--introspection-issuer=" + f.issuer, "--introspection-client-id=" + f.keeper.id,
		"--introspection-client-secret-file=" + secret, "--introspection-cache=" + answerHolds.String(),
	}
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path != introspectionPath {
		f.proxy.ServeHTTP(w, request)
		return
	}
	content, err := io.ReadAll(request.Body)
	form, formErr := url.ParseQuery(string(content))
	if err := errors.Join(err, formErr); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.questions[form.Get("token")]++
	answer := f.instead
	f.mu.Unlock()
	if answer == nil {
		answer = f.proxy.ServeHTTP
	}
	request.Body = io.NopCloser(bytes.NewReader(content))
	answer(w, request)
}

// asked is how many questions there were about a token.
func (f *front) asked(token string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.questions[token]
}

// fail has questions answered in another way, until it is told nil.
func (f *front) fail(how http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = how
}

// hang answers nothing for as long as it is waited for.
func hang(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }

func cutOff(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func broken(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

func somethingElse(w http.ResponseWriter, _ *http.Request) {
	// Who left needs no answer.
	_, _ = io.WriteString(w, "<html>active</html>")
}

// introspection is what an authorization server says of a token (RFC 7662 §2.2).
type introspection struct {
	Active   bool
	ClientID string `json:"client_id"`
	Expires  int64  `json:"exp"`
}

// says is what the authorization server says of a token, without being counted.
func (f *front) says(t *testing.T, token string) introspection {
	t.Helper()
	var said introspection
	f.post(t, f.keeper, introspectionPath, token, &said)
	return said
}

// post sends a token to the authorization server in the name of a client.
func (f *front) post(t *testing.T, p party, path, token string, into any) {
	t.Helper()
	form := url.Values{"token": {token}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.behind+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(p.id, p.secret)
	send(t, request, http.StatusOK, into)
}

// register makes a client that is on no register.
func (f *front) register(t *testing.T, w *world, name string) party {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"client_name": name, "grant_types": []string{"client_credentials"}, "response_types": []string{}, "redirect_uris": []string{},
		"token_endpoint_auth_method": "client_secret_basic", "scope": strings.Join(scopes, " "),
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.behind+"/reg", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+w.initialToken)
	var said struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	send(t, request, http.StatusCreated, &said)
	w.seen.keep(said.Secret, "client secret")
	return party{id: said.ID, secret: said.Secret, issuer: f.issuer, tokenEndpoint: f.behind + "/token", method: "client_secret_basic"}
}

// send sends a request, requires a status, and reads the answer where it is for
// something.
func send(t *testing.T, request *http.Request, status int, into any) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil || response.StatusCode != status {
		t.Fatalf("%s: %d %s (%v)", request.URL, response.StatusCode, content, err)
	}
}
