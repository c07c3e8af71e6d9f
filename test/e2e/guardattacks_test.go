// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// attacked is a server of its own whose requests are counted, one that answers
// with redirects, and an authorization server that signs what it is told to.
type attacked struct {
	*boundary
	forger   *forger
	server   *mcpserver.Server
	upstream upstream
	// leading counts the requests at where the redirect leads.
	leading     *atomic.Int64
	redirecting string
}

const (
	victim     = "victim"
	redirector = "redirector"
)

func newAttacked(t *testing.T, b *boundary) *attacked {
	t.Helper()
	a := &attacked{
		boundary: b, forger: b.startForger(t), leading: &atomic.Int64{},
		server: startSample(t, mcpserver.Options{Stateless: true, JSON: true}),
	}
	a.upstream = sample(victim, a.server)
	led := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { a.leading.Add(1) }))
	t.Cleanup(led.Close)
	redirects := httptest.NewServer(http.RedirectHandler(led.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirects.Close)
	a.redirecting = redirects.URL
	b.connect(t, "forger", a.forger.url)
	for _, name := range []string{victim, redirector} {
		b.create(t, newGuardedServer(b.namespace, name, "forger", b.guard.resource(name), a.upstream.tools()))
	}
	return a
}

func (a *attacked) targets() []string {
	return []string{a.behind(victim, a.upstream.url), a.behind(redirector, a.redirecting)}
}

// attack is a request that must not reach the server.
type attack struct {
	name    string
	request *http.Request
	// status is inAnswer where the refusal is a response to the request. It was 403
	// once.
	status int
	// reason is on record; empty where nothing is, because no server was asked for.
	reason string
}

// testAttacks makes the calls of the table, one after the other: each is refused,
// nothing of it reaches the server, and the record says why.
func testAttacks(t *testing.T, b *boundary, a *attacked) {
	id := a.admitted(t, "attacker", scopeLooks)
	c := &caller{guard: b.guard, path: "/" + victim}
	resource := b.guard.resource(victim)
	good := a.forger.token(id, resource, scopeLooks)
	call := func(token string) *http.Request {
		return c.request(t, callOf(t, a.upstream.looks, a.upstream.arguments[a.upstream.looks]), token)
	}
	NewWithT(t).Eventually(func() int { return c.send(t, call(a.forger.sign(t, good))).status }, patience, often).
		Should(Equal(http.StatusOK), "what the attacks are variations of is not allowed itself")
	attacks := a.ofTokens(t, good, call)
	attacks = append(attacks, a.ofRequests(t, c, a.forger.sign(t, good), call)...)
	attacks = append(attacks, a.ofGrants(t, good, call)...)
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			g := NewWithT(t)
			before := a.server.Requests()
			said := c.send(t, attack.request)
			g.Expect(said.status).To(Equal(attack.status), said.body)
			g.Expect(a.server.Requests()).To(Equal(before), "the server saw something of it")
			if attack.reason == "" {
				return
			}
			g.Expect(said.reason).To(Equal(attack.reason), said.body)
			told := b.guard.told(t, said.trace)
			g.Expect(told.Data.Verdict).To(Equal("Refused"))
			g.Expect(told.Data.Reason).To(Equal(attack.reason))
			g.Expect(told.Data.Server).To(Equal(b.namespace + "/" + victim))
			if said.status == inAnswer {
				g.Expect(said.challenge).To(BeEmpty())
			}
			if said.status == http.StatusUnauthorized {
				g.Expect(said.challenge).To(And(HavePrefix("Bearer "), ContainSubstring(metadataOf(resource))))
			}
		})
	}
	a.leaving(t, c, call)
	t.Run("raw bytes", func(t *testing.T) { testRawAttacks(t, a, a.forger.sign(t, a.forger.token(id, resource, scopeLooks))) })
	t.Run("a redirect of the server is not followed", func(t *testing.T) { testRedirect(t, a, id) })
	NewWithT(t).Expect(a.server.Tokens()).To(BeZero(), "the server was shown a token")
}

// admitted makes a client with a grant of each scope, and returns its id.
func (a *attacked) admitted(t *testing.T, name string, scopes ...v1alpha1.ScopeName) string {
	t.Helper()
	reg := a.newRegistration(name, v1alpha1.AuthMethodClientSecretBasic)
	reg.Spec.AuthorizationServerRef.Name = "forger"
	a.create(t, reg)
	for i, scope := range scopes {
		for _, server := range []string{victim, redirector} {
			a.create(t, a.grantAt(server, fmt.Sprintf("%s-%s-%d", name, server, i), name, scope))
		}
	}
	NewWithT(t).Eventually(a.effective(t, reg), patience, often).Should(HaveLen(len(scopes)))
	NewWithT(t).Eventually(a.ready(t, reg), patience, often).Should(Equal("True/Ready"))
	return reg.Status.ClientID
}

// ofTokens are attacks by the token.
func (a *attacked) ofTokens(t *testing.T, good forgery, call func(string) *http.Request) []attack {
	t.Helper()
	now := time.Now()
	public, err := x509.MarshalPKIXPublicKey(&a.forger.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	segment := func(value any) string {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(encoded)
	}
	other := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: newKey(t), KeyID: forgedKeyID}}
	whole := a.forger.sign(t, good)
	signed := func(claim string, value any) *http.Request { return call(a.forger.sign(t, good.with(claim, value))) }
	return []attack{
		{"no token", call(""), http.StatusUnauthorized, "TokenMissing"},
		{"garbage", call("not.a.token"), http.StatusUnauthorized, "TokenMalformed"},
		{"alg none", call(segment(map[string]string{"alg": "none", "typ": "at+jwt"}) + "." + segment(good) + "."), http.StatusUnauthorized, "TokenAlgorithm"},
		{"signed by the public key as a secret", call(signBy(t, jose.SigningKey{Algorithm: jose.HS256, Key: public}, good)), http.StatusUnauthorized, "TokenAlgorithm"},
		{"wrong key", call(signBy(t, other, good)), http.StatusUnauthorized, "TokenSignature"},
		{"a changed claim", call(strings.Split(whole, ".")[0] + "." + segment(good.with("scope", scopeActs)) + "." + strings.Split(whole, ".")[2]), http.StatusUnauthorized, "TokenSignature"},
		{"wrong issuer", signed("iss", a.forger.Issuer()), http.StatusUnauthorized, "TokenIssuer"},
		{"wrong audience", signed("aud", a.guard.resource(redirector)), http.StatusUnauthorized, "TokenAudience"},
		{"an audience that only begins alike", signed("aud", a.guard.resource(victim)+"/"), http.StatusUnauthorized, "TokenAudience"},
		{"expired", signed("exp", now.Add(-time.Second).Unix()), http.StatusUnauthorized, "TokenExpired"},
		{"not yet valid", signed("nbf", now.Add(time.Hour).Unix()), http.StatusUnauthorized, "TokenNotYetValid"},
		{"unknown client", call(a.forger.sign(t, good.with("client_id", "nobody").with("sub", "nobody"))), http.StatusUnauthorized, "UnknownClient"},
		{"no client", call(a.forger.sign(t, good.with("client_id", ""))), http.StatusUnauthorized, "TokenMalformed"},
	}
}

// ofRequests are attacks by a request with a good token.
func (a *attacked) ofRequests(t *testing.T, c *caller, token string, call func(string) *http.Request) []attack {
	t.Helper()
	with := func(change func(*http.Request)) *http.Request {
		request := call(token)
		change(request)
		return request
	}
	header := func(name, value string) *http.Request {
		return with(func(r *http.Request) { r.Header.Set(name, value) })
	}
	coded := func(text string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?=" }
	bare := call("")
	bare.URL.RawQuery = "access_token=" + token
	allowed, refused := callOf(t, a.upstream.looks, nil), callOf(t, a.upstream.acts, nil)
	large := callOf(t, a.upstream.looks, map[string]any{"number": strings.Repeat("1", 5<<20)})
	return []attack{
		{"token in the query", bare, http.StatusBadRequest, "TokenAmbiguous"},
		{"token in the query and in the header", with(func(r *http.Request) { r.URL.RawQuery = "a=b&Access%5FToken=" + token }), http.StatusBadRequest, "TokenAmbiguous"},
		{"two Authorization headers", with(func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+token) }), http.StatusBadRequest, "TokenAmbiguous"},
		{"the header names another tool than the body", header("Mcp-Name", a.upstream.acts), http.StatusBadRequest, "RequestHeaderMismatch"},
		{"the header names another method than the body", header("Mcp-Method", "tools/list"), http.StatusBadRequest, "RequestHeaderMismatch"},
		{"the header names another tool in Base64", header("Mcp-Name", coded(a.upstream.acts)), http.StatusBadRequest, "RequestHeaderMismatch"},
		{"a line break within Base64", header("Mcp-Name", coded(a.upstream.looks+"\r\nX-Injected: yes")), http.StatusBadRequest, "RequestHeaderMismatch"},
		{"the headers are missing where they are required", header("Mcp-Protocol-Version", "2026-07-28"), http.StatusBadRequest, "RequestHeaderMismatch"},
		{"oversized body", c.request(t, large, token), http.StatusRequestEntityTooLarge, "RequestTooLarge"},
		{"a batch of allowed and refused", c.request(t, "["+allowed+","+refused+"]", token), http.StatusBadRequest, "RequestBatch"},
		{"two tools in one body", c.request(t, strings.Replace(allowed, `"name":`, `"name":"`+a.upstream.acts+`","name":`, 1), token), http.StatusBadRequest, "RequestMalformed"},
		{"an upgrade", with(func(r *http.Request) { r.Header.Set("Connection", "Upgrade"); r.Header.Set("Upgrade", "websocket") }), http.StatusBadRequest, "RequestUnsupported"},
	}
}

// ofGrants are calls by what is granted and what the token says.
func (a *attacked) ofGrants(t *testing.T, good forgery, call func(string) *http.Request) []attack {
	t.Helper()
	c := &caller{guard: a.guard, path: "/" + victim}
	acts := func(token string) *http.Request {
		return c.request(t, callOf(t, a.upstream.acts, a.upstream.arguments[a.upstream.acts]), token)
	}
	return []attack{
		{"scope in the token but no grant", acts(a.forger.sign(t, good.with("scope", scopeLooks+" "+scopeActs))), inAnswer, "NoGrant"},
		{"grant but no scope in the token", call(a.forger.sign(t, good.with("scope", scopeMore))), http.StatusForbidden, "ScopeMissing"},
		{"a token without scopes", call(a.forger.sign(t, good.with("scope", ""))), http.StatusForbidden, "ScopeMissing"},
		{"a tool that no scope leads to", c.request(t, callOf(t, a.upstream.stray, nil), a.forger.sign(t, good)), inAnswer, "ToolUnknown"},
		{"what is no tool", c.request(t, `{"jsonrpc":"2.0","id":1,"method":"resources/list"}`, a.forger.sign(t, good)), inAnswer, "NoGrant"},
	}
}

// departure is a client that loses what it had while its token is alive.
type departure struct {
	name   string
	leave  func(t *testing.T, name string)
	reason string
	status int
}

// leaving has clients lose what they had; each was allowed before. The
// authorization server takes its time, so that the guard is seen to act alone.
func (a *attacked) leaving(t *testing.T, c *caller, call func(string) *http.Request) {
	t.Helper()
	for _, d := range []departure{
		{"revoked", func(t *testing.T, name string) { a.deletes(t, name) }, "Revoked", http.StatusUnauthorized},
		{"suspended", func(t *testing.T, name string) {
			a.merge(t, a.newRegistration(name, v1alpha1.AuthMethodNone), `{"spec":{"state":"Suspended"}}`)
		}, "Suspended", http.StatusUnauthorized},
		{"expired", func(t *testing.T, name string) {
			a.annotate(t, a.newRegistration(name, v1alpha1.AuthMethodNone), v1alpha1.AnnotationExpiresAt, instant(time.Now()))
		}, "Expired", http.StatusUnauthorized},
		{"grant-expired", func(t *testing.T, name string) {
			a.annotate(t, a.grantAt(victim, name+"-"+victim+"-0", name), v1alpha1.AnnotationExpiresAt, instant(time.Now()))
		}, "NoGrant", inAnswer},
		{"grant-deleted", func(t *testing.T, name string) {
			if err := a.Delete(t.Context(), a.grantAt(victim, name+"-"+victim+"-0", name)); client.IgnoreNotFound(err) != nil || apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}, "NoGrant", inAnswer},
	} {
		t.Run(d.name+" while the token is alive", func(t *testing.T) {
			g := NewWithT(t)
			id := a.admitted(t, d.name, scopeLooks)
			token := a.forger.sign(t, a.forger.token(id, a.guard.resource(victim), scopeLooks))
			g.Eventually(func() int { return c.send(t, call(token)).status }, patience, often).Should(Equal(http.StatusOK))
			for _, operation := range []devas.Operation{devas.Delete, devas.Replace} {
				fault := devas.Fault{Operation: operation, ClientID: id, Kind: devas.FaultLatency, DelayMillis: slowly, Count: 1}
				if err := a.forger.Order(fault); err != nil {
					t.Fatal(err)
				}
			}
			d.leave(t, d.name)
			g.Eventually(func() int { return c.send(t, call(token)).status }, patience, tick).Should(Equal(d.status))
			// The server may see the first one, even after its refusal: it could be on
			// its way when the guard had the news.
			var before int
			g.Eventually(func() bool {
				before = a.server.Requests()
				<-time.After(20 * tick)
				return a.server.Requests() == before
			}, patience, tick).Should(BeTrue())
			said := c.send(t, call(token))
			g.Expect(said.status).To(Equal(d.status))
			g.Expect(a.server.Requests()).To(Equal(before), "the server saw something of it")
			told := a.guard.told(t, said.trace)
			g.Expect(told.Data.Reason).To(Equal(d.reason))
			g.Expect(told.Data.Client).To(Equal(a.namespace + "/" + d.name))
			g.Expect(told.Data.ClientID).To(Equal(id))
		})
	}
}

// slowly is how many milliseconds an authorization server takes that is not to be
// what a guard hears from: nearly as long as the operator waits for an answer.
const slowly = 9000

// merge patches an object.
func (w *world) merge(t *testing.T, object client.Object, patch string) {
	t.Helper()
	if err := w.Patch(t.Context(), object, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// tick is between two tries where every millisecond counts.
const tick = 5 * time.Millisecond

// testRawAttacks sends what no HTTP client would: paths that lead elsewhere, and
// line breaks where there must be none.
func testRawAttacks(t *testing.T, a *attacked, token string) {
	body := callOf(t, a.upstream.looks, a.upstream.arguments[a.upstream.looks])
	common := "Host: " + a.guard.address + "\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n" +
		"Accept: application/json, text/event-stream\r\nConnection: close\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	for name, raw := range map[string]string{
		"200 the request itself":              "POST /victim HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 up from the path":                "POST /victim/../admin HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 up and back":                     "POST /victim/../victim HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 up in escapes":                   "POST /victim/%2e%2e/admin HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 an escaped slash":                "POST /victim%2F..%2Fadmin HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 a backslash":                     "POST /victim\\..\\admin HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 two slashes":                     "POST //victim HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 below the path":                  "POST /victim/mcp HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 the path of the server itself":   "POST /mcp HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 a whole URL":                     "POST http://127.0.0.1:1/victim HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"404 a line break in escapes":         "POST /victim%0d%0aX-Injected:%20yes HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"400 a carriage return in the path":   "POST /victim\rX HTTP/1.1\r\n" + common + length + "\r\n" + body,
		"400 a carriage return in a header":   "POST /victim HTTP/1.1\r\n" + common + "X-A: b\rAuthorization: Bearer c\r\n" + length + "\r\n" + body,
		"400 a folded header":                 "POST /victim HTTP/1.1\r\n" + common + length + " folded: yes\r\n\r\n" + body,
		"400 two lengths":                     "POST /victim HTTP/1.1\r\n" + common + length + "Content-Length: 1\r\n\r\n" + body,
		"400 a space before a header's colon": "POST /victim HTTP/1.1\r\n" + common + "Content-Length : 1\r\n" + length + "\r\n" + body,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := a.server.Requests()
			status := raw3(t, a.guard.address, raw)
			g.Expect(status).To(Equal(name[:3]))
			if status == "200" {
				before++
			}
			g.Expect(a.server.Requests()).To(Equal(before), "requests at the server")
		})
	}
}

// raw3 sends bytes and returns the three digits of the first answer's status,
// after the guard has ended the connection.
func raw3(t *testing.T, address, request string) string {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if len(answer) < 12 {
		t.Fatalf("no answer: %q %v", answer, err)
	}
	return string(answer[9:12])
}

// testRedirect has the server answer with a redirect, which must lead nobody
// anywhere.
func testRedirect(t *testing.T, a *attacked, id string) {
	g := NewWithT(t)
	c := &caller{guard: a.guard, path: "/" + redirector}
	token := a.forger.sign(t, a.forger.token(id, a.guard.resource(redirector), scopeLooks))
	said := c.call(t, a.upstream.looks, a.upstream.arguments[a.upstream.looks], token)
	g.Expect(said.status).To(Equal(http.StatusBadGateway), said.body)
	g.Expect(a.leading.Load()).To(BeZero(), "the redirect was followed")
	g.Expect(a.guard.told(t, said.trace).Data.Reason).To(Equal("Allowed"))
}
