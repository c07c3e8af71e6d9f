// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// streamBound is how soon the streams of a client end after it was deleted, which
// by themselves would go on for minutes.
const streamBound = 20 * time.Second

// upstream is an MCP server behind a guard, and which of its tools is for what.
type upstream struct {
	// name is that of the MCPServer.
	name, url string
	// looks and follows need the scope to look, acts the elevated one; more needs
	// one that nobody is granted, and no scope leads to stray.
	looks, follows, acts, more, stray string
	// arguments are by tool.
	arguments map[string]map[string]any
}

// tools are those that each scope leads to.
func (u upstream) tools() map[v1alpha1.ScopeName][]string {
	return map[v1alpha1.ScopeName][]string{scopeLooks: {u.looks, u.follows}, scopeActs: {u.acts}, scopeMore: {u.more}}
}

// sample is a server made with the Go SDK.
func sample(name string, server *mcpserver.Server) upstream {
	one := map[string]any{"number": "INV-7"}
	return upstream{
		name: name, url: server.URL(),
		looks: mcpserver.ToolRead, follows: mcpserver.ToolFollow, acts: mcpserver.ToolPay, more: mcpserver.ToolList, stray: mcpserver.ToolVoid,
		arguments: map[string]map[string]any{
			mcpserver.ToolRead: one, mcpserver.ToolPay: one, mcpserver.ToolVoid: one, mcpserver.ToolList: {}, mcpserver.ToolFollow: {},
		},
	}
}

// everything is the server that exercises everything in MCP.
func everything(url string) upstream {
	return upstream{
		name: "everything", url: url,
		looks: "echo", follows: "trigger-long-running-operation", acts: "get-env", more: "get-sum", stray: "get-tiny-image",
		arguments: map[string]map[string]any{
			"echo": {"message": "INV-7"}, "get-env": {}, "get-sum": {"a": 1, "b": 2}, "get-tiny-image": {},
			"trigger-long-running-operation": {"duration": 300, "steps": 3000},
		},
	}
}

func startSample(t *testing.T, o mcpserver.Options) *mcpserver.Server {
	t.Helper()
	server, err := mcpserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return server
}

// boundary is a scene whose servers are behind a guard.
type boundary struct {
	*scene
	guard      *guard
	kubeconfig string
	// provider is the authorization server of the scene.
	provider *devas.Server
}

// newBoundary makes a namespace, and a guard that is not started yet.
func newBoundary(t *testing.T, w *world) *boundary {
	t.Helper()
	server := w.startDevAS(t)
	w.connect(t, "devas", server.Issuer())
	return &boundary{
		scene: &scene{world: w, as: "devas", namespace: w.namespace(t)}, guard: w.newGuard(t, "guard"), provider: server,
		kubeconfig: w.prepareGuards(t),
	}
}

// behind is the argument by which a guard stands in front of a server.
func (b *boundary) behind(server, url string) string { return b.namespace + "/" + server + "=" + url }

// TestGuard has the official clients call servers of different make through the
// guard: what is allowed, what needs a further scope, what is refused, and what
// becomes of streams.
func TestGuard(t *testing.T) {
	installed := installPackages(t, clientsFolder)
	w := startWorld(t)
	b := newBoundary(t, w)
	installed()
	attacked := newAttacked(t, b)
	upstreams := []upstream{
		sample("with-sessions", startSample(t, mcpserver.Options{})),
		sample("without-sessions", startSample(t, mcpserver.Options{Stateless: true})),
		everything(startEverything(t)),
	}
	accountable := newAccountable(t, b, upstreams[1])
	provided := newProvided(t, b, upstreams[1])
	targets := append(attacked.targets(), accountable.target, provided.target)
	for _, u := range upstreams {
		w.create(t, newGuardedServer(b.namespace, u.name, b.as, b.guard.resource(u.name), u.tools()))
		targets = append(targets, b.behind(u.name, u.url))
	}
	b.guard.start(t, w, b.kubeconfig, targets)
	// The group ends when all that runs side by side has ended.
	t.Run("side by side", func(t *testing.T) {
		// Those that wait for longest come first.
		t.Run("deniedAt tells when every guard had it", func(t *testing.T) { t.Parallel(); testDeniedAt(t, b) })
		t.Run("the record of calls tells who, what and why", func(t *testing.T) { t.Parallel(); testAccountable(t, b, accountable) })
		for _, u := range upstreams {
			for name, dial := range map[string]dialer{"go": dialGo, "typescript": dialNode("sdk"), "typescript-next": dialNode("client")} {
				t.Run(name+" calls "+u.name, func(t *testing.T) {
					t.Parallel()
					testUser(t, b, u, name, dial)
				})
			}
		}
		for _, u := range []upstream{upstreams[0], upstreams[2]} {
			t.Run("the inspector calls "+u.name, func(t *testing.T) {
				t.Parallel()
				testInspector(t, b, u)
			})
		}
		for _, u := range upstreams[1:] {
			t.Run("the clients step up by themselves at "+u.name, func(t *testing.T) {
				t.Parallel()
				testStepsUp(t, b, u)
			})
		}
		t.Run("tokens of oidc-provider", func(t *testing.T) { t.Parallel(); testProvided(t, b, provided) })
		t.Run("every attack is refused", func(t *testing.T) { t.Parallel(); testAttacks(t, b, attacked) })
	})
	page := b.guard.page(t)
	b.guard.stop(t)
	t.Run("the record of calls is complete", func(t *testing.T) { testVerifies(t, b.guard.audit, "1 chain") })
	t.Run("no token and no argument is shown", func(t *testing.T) { testNothingIsShown(t, b, page) })
}

// testUser lives through what a client meets at a guard, to its deletion.
func testUser(t *testing.T, b *boundary, u upstream, name string, dial dialer) {
	g := NewWithT(t)
	endpoint := b.guard.resource(u.name)
	reg, few, all := b.client(t, u, u.name+"-"+name)
	looking := dial(t, endpoint, few)
	g.Expect(looking.list(t)).To(ConsistOf(u.looks, u.follows), "the list of tools with the scope to look")
	requireLooking(t, u, endpoint, looking)
	requireForGood(t, looking.call(t, u.stray, u.arguments[u.stray]), "no scope of the MCPServer "+b.namespace+"/"+u.name)

	acting := dial(t, endpoint, all)
	g.Expect(acting.list(t)).To(ConsistOf(u.looks, u.follows, u.acts), "the list of tools with both scopes")
	done := acting.call(t, u.acts, u.arguments[u.acts])
	g.Expect(done.allowed).To(BeTrue(), done.text)

	acting.follow(t, u.follows, u.arguments[u.follows])
	g.Consistently(acting.open, 10*often, often).Should(BeNumerically(">", 0), "no stream is open")
	deleted := b.deletes(t, reg.Name)
	g.Eventually(acting.open, patience, time.Millisecond).Should(BeZero(), "streams are open")
	took := time.Since(deleted)
	t.Logf("the streams ended %s after the deletion", took.Round(time.Millisecond))
	g.Expect(took).To(BeNumerically("<", streamBound))
	refused := looking.call(t, u.looks, u.arguments[u.looks])
	g.Expect(refused.allowed).To(BeFalse())
	g.Expect(refused.status).To(Equal(http.StatusUnauthorized), refused.text)
	g.Expect(refused.challenge).To(ContainSubstring(`error="invalid_token"`))
}

// client makes a registration that may look and act at a server, and waits until
// the guard lets it. It returns a token to look by and one for both.
func (b *boundary) client(t *testing.T, u upstream, name string) (reg *v1alpha1.MCPClientRegistration, few, all string) {
	t.Helper()
	return b.clientBy(t, u, name, v1alpha1.AuthMethodClientSecretBasic)
}

// clientBy is client with a method of its own.
func (b *boundary) clientBy(
	t *testing.T, u upstream, name string, method v1alpha1.TokenEndpointAuthMethod,
) (reg *v1alpha1.MCPClientRegistration, few, all string) {
	t.Helper()
	reg = b.newRegistration(name, method)
	b.create(t, reg, b.grantAt(u.name, name+"-looks", name, scopeLooks), b.grantAt(u.name, name+"-acts", name, scopeActs))
	p := b.readyAtGuard(t, reg, scopeLooks, scopeActs)
	resource := b.guard.resource(u.name)
	few, all = b.accessToken(t, p, resource, scopeLooks), b.accessToken(t, p, resource, scopeLooks+" "+scopeActs)
	b.awaitAllowed(t, u.name, u.looks, all)
	b.awaitAllowed(t, u.name, u.acts, all)
	return reg, few, all
}

// requireLooking has a client with the scope to look call what it allows, what
// needs a further scope, and what was not granted.
func requireLooking(t *testing.T, u upstream, endpoint string, looking mcpUser) {
	t.Helper()
	g := NewWithT(t)
	seen := looking.call(t, u.looks, u.arguments[u.looks])
	g.Expect(seen.allowed).To(BeTrue(), seen.text)
	g.Expect(seen.text).To(ContainSubstring("INV-7"))
	requireStepUp(t, looking.call(t, u.acts, u.arguments[u.acts]), endpoint, scopeActs)
	requireForGood(t, looking.call(t, u.more, u.arguments[u.more]), "the scope "+scopeMore)
	again := looking.call(t, u.looks, u.arguments[u.looks])
	g.Expect(again.allowed).To(BeTrue(), "the refusals ended the session: %s", again.text)
}

// testInspector is the same, in few calls, with a client that shows less.
func testInspector(t *testing.T, b *boundary, u upstream) {
	g := NewWithT(t)
	endpoint := b.guard.resource(u.name)
	reg, few, all := b.client(t, u, u.name+"-inspector")
	looking, acting := dialInspector(endpoint, few), dialInspector(endpoint, all)
	g.Expect(looking.list(t)).To(ConsistOf(u.looks, u.follows), "the list of tools with the scope to look")
	requireLooking(t, u, endpoint, looking)
	done := acting.call(t, u.acts, u.arguments[u.acts])
	g.Expect(done.allowed).To(BeTrue(), done.text)
	b.deletes(t, reg.Name)
	g.Eventually(func() bool { return acting.call(t, u.looks, u.arguments[u.looks]).allowed }, patience, often).Should(BeFalse())
}

// readyAtGuard waits until a registration has these scopes, and all that gave
// them is Ready.
func (b *boundary) readyAtGuard(t *testing.T, reg *v1alpha1.MCPClientRegistration, scopes ...string) party {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(b.effective(t, reg), patience, often).Should(ConsistOf(scopes))
	p := b.waitReady(t, reg)
	for _, scope := range reg.Status.Scopes {
		for _, name := range scope.Grants {
			g.Eventually(b.ready(t, b.grantAt("", name, reg.Name)), patience, often).Should(Equal("True/Ready"), name)
		}
	}
	return p
}

// awaitAllowed waits until the guard lets a tool be called by a token: of what
// allows something it may hear a little later than others do.
func (b *boundary) awaitAllowed(t *testing.T, server, tool, token string) {
	t.Helper()
	c := &caller{guard: b.guard, path: "/" + server}
	NewWithT(t).Eventually(func() string { return c.call(t, tool, nil, token).reason }, patience, often).Should(BeEmpty())
}

// requireStepUp holds a refusal for want of a scope against RFC 6750 §3.1 and RFC
// 9728 §5.1: 403 with the scopes to ask for, which are that of the token, to look,
// and the missing one.
func requireStepUp(t *testing.T, refused outcome, resource string, scope v1alpha1.ScopeName) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(refused.allowed).To(BeFalse(), refused.text)
	if refused.status == 0 {
		// What the client shows is the body.
		g.Expect(refused.text).To(And(ContainSubstring(`"reason":"ScopeMissing"`), ContainSubstring(string(scope))))
		return
	}
	g.Expect(refused.status).To(Equal(http.StatusForbidden), refused.text)
	challenges, err := oauthex.ParseWWWAuthenticate([]string{refused.challenge})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(challenges).To(HaveLen(1), refused.challenge)
	g.Expect(challenges[0].Scheme).To(Equal("bearer"))
	params := challenges[0].Params
	g.Expect(params["error"]).To(Equal("insufficient_scope"))
	g.Expect(strings.Fields(params["scope"])).To(ConsistOf(scopeLooks, string(scope)))
	g.Expect(params["resource_metadata"]).To(Equal(metadataOf(resource)))
}

// requireForGood checks a refusal that no token helps against: the call fails with
// what the guard says, no status sends the client for a token, and it is shown.
func requireForGood(t *testing.T, refused outcome, says string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(refused.allowed).To(BeFalse(), refused.text)
	g.Expect(refused.status).To(BeZero(), "a status beside %s", refused.text)
	g.Expect(refused.challenge).To(BeEmpty())
	g.Expect(refused.text).To(ContainSubstring(says))
}

// metadataOf is where the metadata of a resource is (RFC 9728 §3.1).
func metadataOf(resource string) string {
	scheme, rest, _ := strings.Cut(resource, "://")
	host, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + host + "/.well-known/oauth-protected-resource/" + path
}

// testStepsUp leaves all to the clients: they find the authorization server by
// the guard's challenge, get a token, and a better one when the guard asks for it.
// One SDK always asks for all that the client may have.
func testStepsUp(t *testing.T, b *boundary, u upstream) {
	endpoint := b.guard.resource(u.name)
	for generation, first := range map[string][]string{
		"go": {u.looks, u.follows}, "client": {u.looks, u.follows}, "sdk": {u.looks, u.follows, u.acts},
	} {
		t.Run(generation, func(t *testing.T) {
			g := NewWithT(t)
			// Where a server takes secrets in both places, the Go SDK sends them in the
			// body.
			method := v1alpha1.AuthMethodClientSecretBasic
			if generation == "go" {
				method = v1alpha1.AuthMethodClientSecretPost
			}
			reg, _, _ := b.clientBy(t, u, fmt.Sprintf("%s-steps-up-%s", u.name, generation), method)
			p := newParty(t, b.secret(t, reg.Status.SecretName))
			var user mcpUser
			if generation == "go" {
				user = dialGoBy(t, endpoint, &line{}, newGoHandler(t, b.provider.Issuer(), endpoint, p))
			} else {
				user = dialNodeBy(t, generation, endpoint, "CLIENT_ID="+p.id, "CLIENT_SECRET="+p.secret, "ISSUER="+b.provider.Issuer())
			}
			g.Expect(user.list(t)).To(ConsistOf(first))
			done := user.call(t, u.acts, u.arguments[u.acts])
			g.Expect(done.allowed).To(BeTrue(), done.text)
			g.Expect(user.list(t)).To(ContainElement(u.acts))
			refused := user.call(t, u.more, u.arguments[u.more])
			g.Expect(refused.allowed).To(BeFalse(), refused.text)
		})
	}
}

// newGoHandler is the Go SDK's handler of client credentials. It asks for a token
// without naming the resource (RFC 8707), which is added here.
func newGoHandler(t *testing.T, issuer, resource string, p party) *extauth.ClientCredentialsHandler {
	t.Helper()
	handler, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{
		Credentials: &oauthex.ClientCredentials{
			ClientID: p.id, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: p.secret}, Issuer: issuer,
		},
		HTTPClient: &http.Client{Transport: naming{resource: resource, at: p.tokenEndpoint}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// provided is a server whose tokens come from oidc-provider.
type provided struct {
	as, resource, path, target string
	upstream                   upstream
}

// newProvided makes a server at the certified authorization server, which knows
// resources of one host only: clients find it at another name than its own.
func newProvided(t *testing.T, b *boundary, u upstream) provided {
	t.Helper()
	p := provided{as: "oidc-provider", path: "provided", upstream: u}
	p.resource = "https://mcp.example.com/" + p.path
	b.connect(t, p.as, b.startOIDCProvider(t))
	b.create(t, newGuardedServer(b.namespace, p.path, p.as, p.resource, u.tools()))
	p.target = b.behind(p.path, u.url)
	return p
}

func testProvided(t *testing.T, b *boundary, p provided) {
	g := NewWithT(t)
	reg := b.newRegistration("provided", v1alpha1.AuthMethodClientSecretBasic)
	reg.Spec.AuthorizationServerRef.Name = p.as
	b.create(t, reg, b.grantAt(p.path, "provided-looks", reg.Name, scopeLooks), b.grantAt(p.path, "provided-acts", reg.Name, scopeActs))
	party := b.readyAtGuard(t, reg, scopeLooks, scopeActs)
	u, endpoint := p.upstream, b.guard.resource(p.path)
	all := b.accessToken(t, party, p.resource, scopeLooks+" "+scopeActs)
	b.awaitAllowed(t, p.path, u.looks, all)
	b.awaitAllowed(t, p.path, u.acts, all)
	user := dialGo(t, endpoint, b.accessToken(t, party, p.resource, scopeLooks))
	g.Expect(user.list(t)).To(ConsistOf(u.looks, u.follows))
	seen := user.call(t, u.looks, u.arguments[u.looks])
	g.Expect(seen.allowed).To(BeTrue(), seen.text)
	requireStepUp(t, user.call(t, u.acts, u.arguments[u.acts]), p.resource, scopeActs)
	acting := dialGo(t, endpoint, b.accessToken(t, party, p.resource, scopeActs))
	done := acting.call(t, u.acts, u.arguments[u.acts])
	g.Expect(done.allowed).To(BeTrue(), done.text)
	foreign := b.accessToken(t, party, "https://mcp.example.com/another", scopeLooks)
	refused := (&caller{guard: b.guard, path: "/" + p.path}).call(t, u.looks, u.arguments[u.looks], foreign)
	g.Expect(refused.status).To(Equal(http.StatusUnauthorized))
	g.Expect(refused.reason).To(Equal("TokenAudience"))
	b.deletes(t, reg.Name)
	g.Eventually(func() bool { return user.call(t, u.looks, u.arguments[u.looks]).allowed }, patience, often).Should(BeFalse())
}

// testNothingIsShown looks for what is secret in all that guards and the manager
// show: credentials, tokens, and what tools were called with.
func testNothingIsShown(t *testing.T, b *boundary, page string) {
	b.seen.mu.Lock()
	found := b.seen.find(page)
	b.seen.mu.Unlock()
	if found.total() > 0 || !strings.Contains(page, "mcp_guard_calls_total") {
		t.Errorf("the metrics of the guard: %v in %d bytes", found, len(page))
	}
	if !slices.Contains(b.seen.logs, b.guard.audit) {
		t.Fatal("the record of calls is not looked at")
	}
	// The search wants to have seen every kind of secret.
	key := b.newRegistration("with-key", v1alpha1.AuthMethodPrivateKeyJWT)
	b.create(t, key, b.grantAt("everything", "with-key", key.Name, scopeLooks))
	b.waitReady(t, key)
	testNoSecretIsShown(t, b.world, "access token", "signature of an access token", "argument")
}
