// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	// scopeEnter is the entry scope of the servers of the matrix.
	scopeEnter = "mcp:enter"
	// matrixLifetime is how long access tokens live there: no MCPServer may ask for less.
	matrixLifetime = 30 * time.Second
)

// toolWithheld is a tool of what is granted that is not what it was when that was looked
// at.
const toolWithheld = mcpserver.ToolVoid

// The scopes of the servers of the matrix: three to look, and one to write.
const (
	scopeInvoices = "invoices:read"
	scopeListing  = "invoices:list"
	scopeContext  = "invoices:context"
	scopePaying   = "invoices:pay"
)

// matrixScopes are they, as authorization servers have to know them.
var matrixScopes = []string{scopeEnter, scopeInvoices, scopeListing, scopeContext, scopePaying}

// holding is what a client of the matrix is given.
type holding struct {
	name   string
	scope  v1alpha1.ScopeName
	grants []v1alpha1.GrantType
	// granted and denied are a tool that it may call and one that it may not.
	granted, denied string
	// lacks is the scope of the latter.
	lacks string
	// lists are all tools that it may see.
	lists []string
}

func (h holding) refreshes() bool { return len(h.grants) > 1 }

// holdings are the kinds of registrations: one of three scopes to look for a client that
// refreshes tokens, and so asks for offline_access; and one to write and nothing else.
var holdings = []holding{
	{
		name: "one scope of three to look; refreshes tokens", scope: scopeInvoices,
		grants:  []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode, v1alpha1.GrantRefreshToken},
		granted: mcpserver.ToolRead, denied: mcpserver.ToolList, lacks: scopeListing,
		lists: []string{mcpserver.ToolRead, mcpserver.ToolFollow},
	},
	{
		name: "a scope to write and no other", scope: scopePaying,
		grants:  []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode},
		granted: mcpserver.ToolPay, denied: mcpserver.ToolRead, lacks: scopeInvoices,
		lists: []string{mcpserver.ToolPay, mcpserver.ToolFollow},
	},
}

// matrix is where clients log in: a guarded server at each authorization server.
type matrix struct {
	*boundary
	// at are the authorization servers, by what people call them.
	at    map[string]codeServer
	table *table
}

// TestMatrix has the clients that people use log in through the product at real
// authorization servers, with what was registered for them and nothing else, and holds
// docs/clients.md to what becomes of it.
func TestMatrix(t *testing.T) {
	clients := newLoginClients(t)
	w := startWorld(t)
	m := newMatrix(t, w)
	clients.installed(t)
	t.Run("log in", func(t *testing.T) {
		for _, client := range clients.all {
			for as := range m.at {
				for _, h := range holdings {
					t.Run(fmt.Sprintf("%s/%s/%s", client.name, as, h.scope), func(t *testing.T) {
						t.Parallel()
						testLogsIn(t, m, client, as, h)
					})
				}
			}
		}
	})
	m.guard.stop(t)
	t.Run("docs/clients.md", func(t *testing.T) { m.table.require(t) })
}

func newMatrix(t *testing.T, w *world) *matrix {
	t.Helper()
	b := &boundary{scene: &scene{world: w, namespace: w.namespace(t)}, guard: w.newGuard(t, "guard"), kubeconfig: w.prepareGuards(t)}
	m := &matrix{boundary: b, table: newTable(t)}
	provider := w.startOIDCProviderWith(t, matrixScopes, "RESOURCES=http://"+b.guard.address+"/",
		fmt.Sprintf("ACCESS_TOKEN_SECONDS=%d", matrixLifetime/time.Second))
	m.at = map[string]codeServer{
		"oidc-provider": {object: newAuthorizationServer("oidc-provider", provider)},
		"Keycloak":      w.administeredRealm(t, sharedKeycloak(t)),
	}
	upstream := startSample(t, mcpserver.Options{})
	var targets []string
	for _, at := range m.at {
		w.connectTo(t, at.object)
		w.create(t, m.newServer(at.object.Name))
		targets = append(targets, b.behind(at.object.Name, upstream.URL()))
	}
	b.guard.start(t, w, b.kubeconfig, targets)
	return m
}

// newServer is the MCPServer at an authorization server, under its name.
func (m *matrix) newServer(as string) *v1alpha1.MCPServer {
	server := newGuardedServer(m.namespace, as, as, m.guard.resource(as), nil)
	server.Spec.EntryScope, server.Spec.ToolChanges = scopeEnter, v1alpha1.ToolChangesWithhold
	server.Spec.AccessTokenLifetimeSeconds = new(int32(matrixLifetime / time.Second))
	server.Spec.Scopes = []v1alpha1.Scope{
		{Name: scopeInvoices, Tier: v1alpha1.TierRead, Tools: []string{mcpserver.ToolRead, mcpserver.ToolFollow, toolWithheld}},
		{Name: scopeListing, Tier: v1alpha1.TierRead, Tools: []string{mcpserver.ToolList}},
		{Name: scopeContext, Tier: v1alpha1.TierRead},
		{Name: scopePaying, Tier: v1alpha1.TierWrite, Tools: []string{mcpserver.ToolPay, mcpserver.ToolFollow, toolWithheld}},
	}
	return server
}

// mostQuoted is how much of a message the table shows.
const mostQuoted = 60

// place is a guarded server that people log in to.
type place struct {
	at codeServer
	// server is the name of the MCPServer, and endpoint its resource, where clients reach it.
	server, endpoint string
	// caller calls there without any client.
	caller *caller
}

// cell is a client at a place with a registration.
type cell struct {
	*boundary
	holding
	place
	client loginClient
	// withheld is a tool of the scope that the guard withholds; empty for none.
	withheld string
	// setting is what a person enters into the client.
	setting loginSetting
	reg     *v1alpha1.MCPClientRegistration
	screen  *screen
	user    loginUser
	// token is one of the test's own, for the scope of the registration.
	token string
	// mayRefresh says that it has a refresh token: Keycloak gives one to everybody.
	mayRefresh bool
	// row is what is seen of it.
	row row
}

// testLogsIn lives through what a client meets, from its login to its deletion.
func testLogsIn(t *testing.T, m *matrix, client loginClient, as string, h holding) {
	c := m.newCell(t, client, as, h)
	defer func() {
		if !t.Failed() {
			m.table.add(c.row)
		}
	}()
	if !c.logsIn(t) {
		return
	}
	c.listsTools(t)
	works := c.callsGranted(t)
	c.callsOthers(t, works)
	if h.refreshes() && !client.single {
		works = c.outlivesToken(t, works)
	}
	c.isRevoked(t, works)
}

// newCell has a client at an authorization server with a registration.
func (m *matrix) newCell(t *testing.T, client loginClient, as string, h holding) *cell {
	t.Helper()
	at := m.at[as]
	server := at.object.Name
	c := &cell{
		boundary: m.boundary, holding: h, client: client, withheld: toolWithheld, row: row{client: client.name, version: client.version, as: as, registration: h.name},
		place: place{at: at, server: server, endpoint: m.guard.resource(server), caller: &caller{guard: m.guard, path: "/" + server}},
	}
	c.register(t, client.name+"-"+as+"-"+strings.ReplaceAll(string(h.scope), ":", "-"))
	return c
}

// register registers the client under a name, and waits until the guard lets it: of what
// allows something it hears a little later.
func (c *cell) register(t *testing.T, name string) {
	t.Helper()
	name = strings.ToLower(strings.NewReplacer(" ", "-", ".", "-", "(--cli)", "cli").Replace(name))
	redirect := c.client.redirect(t)
	c.reg = c.newRegistration(name, v1alpha1.AuthMethodNone)
	c.reg.Spec.AuthorizationServerRef.Name, c.reg.Spec.GrantTypes = c.at.object.Name, c.grants
	c.reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{v1alpha1.RedirectURI(redirect)}
	c.create(t, c.reg, c.grantAt(c.server, name, name, c.scope))
	p := c.readyAtGuard(t, c.reg, scopeEnter, string(c.scope))
	if c.withheld != "" {
		c.withholds(t, name)
	}
	c.screen = newScreen(t, c.at.user, redirect)
	c.awaitLetIn(t, p)
	c.setting = loginSetting{endpoint: c.endpoint, clientID: p.id, redirect: redirect, browser: c.screen.url, grants: c.grants}
	c.user = c.client.start(t, c.setting)
}

// withholds has the status of the grant say that a tool changed, as it does when the probe
// finds that. No server of the matrix is probed, so that the operator leaves it.
func (c *cell) withholds(t *testing.T, grant string) {
	t.Helper()
	given := c.grantAt(c.server, grant, grant, c.scope)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(given), given); err != nil {
		t.Fatal(err)
	}
	before := given.DeepCopy()
	given.Status.ChangedTools = []string{c.withheld}
	if err := c.Status().Patch(t.Context(), given, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// awaitLetIn waits until the guard lets the client call by a token of the test's own.
func (c *cell) awaitLetIn(t *testing.T, p party) {
	t.Helper()
	p.scope, p.resources = scopeEnter+" "+string(c.scope), c.endpoint
	v := newVisitor(t, p, c.screen.redirect, c.at.user)
	verifier, challenge := newVerifier()
	answer := v.redeem(t, v.code(t, s256(challenge)), verifier)
	if answer.AccessToken == "" {
		t.Fatalf("no token: %d %s", answer.Status, answer.Error)
	}
	c.token = answer.AccessToken
	NewWithT(t).Eventually(func() string { return c.caller.call(t, c.granted, nil, c.token).reason }, patience, often).Should(BeEmpty())
}

// opens does something, and says how often the browser opened for it.
func (c *cell) opens(act func() nodeAnswer) (answer nodeAnswer, openings []opening) {
	before := len(c.screen.seen())
	answer = act()
	return answer, c.screen.seen()[before:]
}

func (c *cell) calls(t *testing.T, tool string) func() nodeAnswer {
	return func() nodeAnswer {
		return c.user.does(t, "call", tool, map[string]any{"number": "INV-7"})
	}
}

// logsIn connects: the client finds the authorization server by the guard's challenge,
// and asks for the entry scope.
func (c *cell) logsIn(t *testing.T) (works bool) {
	t.Helper()
	answer, openings := c.opens(func() nodeAnswer { return c.user.does(t, "connect", "", nil) })
	if len(openings) != 1 {
		t.Fatalf("the login: the browser opened %+v, the client shows %q", openings, answer.Message)
	}
	t.Logf("it asked for %q, and shows %q", openings[0].scopes, answer.Message)
	asksForMore := slices.Contains(openings[0].scopes, "offline_access") && !c.refreshes() && openings[0].failure == "invalid_scope"
	c.mayRefresh = c.row.as == "Keycloak" || slices.Contains(openings[0].scopes, "offline_access")
	switch {
	case answer.OK:
		c.row.login = "yes" + c.client.notes["login"]
	case asksForMore:
		c.row.login = "no: asks for `offline_access` (1)"
	default:
		t.Fatalf("the login fails: %s", answer.Message)
	}
	return answer.OK
}

// listsTools holds that what was granted is shown, and nothing else.
func (c *cell) listsTools(t *testing.T) {
	t.Helper()
	answer := c.user.does(t, "list", "", nil)
	NewWithT(t).Expect(answer.Tools).To(ConsistOf(c.lists), "the list of tools: %s", answer.Message)
	c.row.list = "what was granted"
}

// callsGranted calls a tool that the token lacks the scope for.
func (c *cell) callsGranted(t *testing.T) (works bool) {
	t.Helper()
	answer, openings := c.opens(c.calls(t, c.granted))
	t.Logf("the step-up: %+v %q %q", openings, answer.Text, answer.Message)
	switch {
	case !answer.OK:
		c.row.call = "no" + c.client.notes["call"]
	case len(openings) > 0:
		c.row.call = "yes, the browser opens again" + c.client.notes["login"]
	default:
		c.row.call = "yes"
	}
	return answer.OK
}

// callsOthers calls what no login helps against: the call fails with what to ask for, no
// browser opens, and the session goes on.
func (c *cell) callsOthers(t *testing.T, works bool) {
	t.Helper()
	shown := true
	refused := map[string]string{c.denied: "the scope " + c.lacks, "no_such_tool": "no scope of the MCPServer"}
	if c.withheld != "" {
		refused[c.withheld] = "the tool changed since"
	}
	for tool, says := range refused {
		answer, openings := c.opens(c.calls(t, tool))
		t.Logf("%s: %q", tool, answer.Message)
		if answer.OK || len(openings) > 0 && !c.client.single {
			t.Errorf("%s was called: %+v %q", tool, openings, answer.Text)
		}
		shown = shown && strings.Contains(answer.Message, says)
	}
	c.row.others = "error that names what to ask for"
	if !shown {
		c.row.others = "error without the reason"
	}
	answer := c.user.does(t, "list", "", nil)
	if works {
		answer = c.calls(t, c.granted)()
	}
	if !answer.OK {
		t.Errorf("the refusals ended the session: %s", answer.Message)
	}
}

// outlivesToken calls when the access token has expired.
func (c *cell) outlivesToken(t *testing.T, works bool) (goesOn bool) {
	t.Helper()
	call := c.calls(t, c.granted)
	if !works {
		call = func() nodeAnswer { return c.user.does(t, "list", "", nil) }
	}
	// Whatever token the client has, it has got before now. A client may find out between
	// the calls that it has expired, where its stream ends.
	answer, openings := c.opens(func() nodeAnswer {
		time.Sleep(matrixLifetime + time.Second)
		return call()
	})
	t.Logf("with an expired token: %+v %q", openings, answer.Message)
	// What the client had is asked for at once, though some log in for their stream and for
	// the call.
	for _, o := range openings {
		if !slices.Contains(o.scopes, string(c.scope)) {
			t.Errorf("it logs in again for %q, and will have to for %s", o.scopes, c.scope)
		}
	}
	switch {
	case !answer.OK:
		c.row.expiry = "no" + c.client.notes["expiry"]
	case c.client.impatient && c.mayRefresh:
		c.row.expiry = "refreshes, or the browser opens again (5)"
	case len(openings) > 0:
		c.row.expiry = "the browser opens again"
	default:
		c.row.expiry = "refreshes"
	}
	return works && answer.OK
}

// isRevoked deletes the registration while a tool is at work.
func (c *cell) isRevoked(t *testing.T, works bool) {
	t.Helper()
	if works && !c.client.single {
		c.endsDuringCall(t)
	} else {
		c.deletes(t, c.reg.Name)
	}
	// The guard ends it first; what follows is when the authorization server has, too.
	c.requireGone(t, c.reg)
	act := c.calls(t, c.granted)
	if !works {
		act = func() nodeAnswer { return c.user.does(t, "list", "", nil) }
	}
	answer, openings := c.opens(act)
	t.Logf("afterwards: %+v %q", openings, answer.Message)
	if answer.OK {
		t.Errorf("a call after the revocation: %s", answer.Text)
	}
	switch {
	case len(openings) > 0 && openings[0].shown == "":
		t.Errorf("after the revocation somebody logs in: %+v", openings)
	case c.client.streaming && works:
		c.row.after = "the browser opens, and the authorization server refuses, or error (6)"
	case len(openings) > 0:
		c.row.after = "the browser opens, and the authorization server refuses"
	case len(answer.Message) < mostQuoted:
		c.row.after = fmt.Sprintf("error: “%s”", answer.Message)
	default:
		c.row.after = "error"
	}
}

// endsDuringCall deletes the registration while a tool tells of its progress.
func (c *cell) endsDuringCall(t *testing.T) {
	t.Helper()
	begun := c.user.does(t, "begin", mcpserver.ToolFollow, map[string]any{"interval": 50})
	if !begun.OK {
		t.Fatalf("the long tool does not begin: %s", begun.Message)
	}
	deleted := c.deletes(t, c.reg.Name)
	answer := c.user.does(t, "end", "", nil)
	took := time.Since(deleted)
	t.Logf("the call ended after %s: %q", took.Round(time.Millisecond), answer.Message)
	if answer.OK || took > streamBound {
		t.Errorf("the call ended after %s with %q", took, answer.Text)
	}
	c.row.revoked = "the call fails at once, without the reason"
	// The guard may hear first that the grant is in force no more.
	if strings.Contains(answer.Message, "the client was revoked") || strings.Contains(answer.Message, "no ScopeGrant in force") {
		c.row.revoked = "the call fails at once with the reason"
	}
}
