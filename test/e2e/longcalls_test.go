// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	// lateCall is how long a call takes that begins beforeEnd of its token.
	lateCall  = 10 * time.Second
	beforeEnd = 6 * time.Second
	// longerCall is how long one takes that outlives its token whenever it begins.
	longerCall = matrixLifetime + 3*time.Second
	// opaqueIssuer is the authorization server whose tokens must be asked about.
	opaqueIssuer = "opaque"
	// mostReopened is how often SDKs try to open a stream again that has ended.
	mostReopened = 2
	// mostRefused is how often, with a pause between, others of a client are refused
	// before the client shows that its call has ended: one second, and more where the
	// machine is busy.
	mostRefused = 20
)

// officialSDKs are the clients whose long calls are tried.
var officialSDKs = []string{"TypeScript SDK 1", "TypeScript SDK 2", "Python SDK 1", "Python SDK 2"}

// patient is what they are given: a tool that takes long, and another one.
var patient = holding{
	name: "looks", scope: scopeLooks, grants: []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode, v1alpha1.GrantRefreshToken},
	granted: mcpserver.ToolRead, denied: mcpserver.ToolList, lacks: scopeMore,
}

// TestLongCalls has clients call tools that take longer than their tokens live: through
// the guard and through an Envoy that asks it, with tokens that tell and with tokens that
// must be asked about. Each call is carried out once and has its answer, and nobody logs
// in for it. One whose client is revoked ends, where the guard has hold of it.
func TestLongCalls(t *testing.T) {
	clients, envoyInstalled := newLoginClients(t), installEnvoy(t)
	w := startWorld(t)
	clients.installed(t)
	l := newLongCalls(t, w, envoyInstalled())
	var all sync.WaitGroup
	count := 0
	for _, client := range clients.all {
		if !slices.Contains(officialSDKs, client.name) {
			continue
		}
		for name, at := range l.places {
			count++
			c := &longCell{
				cell: &cell{boundary: l.boundary, holding: patient, place: at.place, client: client}, where: at,
			}
			// All at one time: each waits for the end of a token.
			all.Go(func() { t.Run(client.name+"/"+name, func(t *testing.T) { c.test(t) }) })
		}
	}
	all.Wait()
	if count != len(officialSDKs)*len(l.places) {
		t.Errorf("%d clients were tried", count)
	}
}

// longCalls are servers with a tool that takes long.
type longCalls struct {
	*boundary
	places map[string]longPlace
}

// longPlace is one of them.
type longPlace struct {
	place
	upstream *mcpserver.Server
	// asked says that an Envoy is before it, which asks the guard.
	asked bool
	// listens says that clients keep a stream open there that ends with their token.
	listens bool
}

func newLongCalls(t *testing.T, w *world, envoy string) *longCalls {
	t.Helper()
	b := &boundary{scene: &scene{world: w, namespace: w.namespace(t)}, guard: w.newGuard(t, "guard"), kubeconfig: w.prepareGuards(t)}
	l := &longCalls{boundary: b, places: map[string]longPlace{}}
	known := append(slices.Clone(scopes), scopeEnter)
	lives := []string{"RESOURCES=http://127.0.0.1:", fmt.Sprintf("ACCESS_TOKEN_SECONDS=%d", matrixLifetime/time.Second)}
	opaque := w.startFront(t, known, lives...)
	e := &envoys{boundary: b, program: envoy, checks: freeAddress(t)}
	keeping, plain := startSample(t, mcpserver.Options{}), startSample(t, mcpserver.Options{Stateless: true})
	var targets []string
	proxied := func(name string, p longPlace) {
		p.place = place{p.at, name, b.guard.resource(name), &caller{guard: b.guard, path: "/" + name}}
		l.add(t, p)
		targets = append(targets, b.behind(name, p.upstream.URL()))
	}
	for name, issuer := range map[string]string{"jwt": w.startOIDCProviderWith(t, known, lives...), opaqueIssuer: opaque.issuer} {
		at := codeServer{object: newAuthorizationServer(name, issuer)}
		w.connectTo(t, at.object)
		proxied(name+"-proxy", longPlace{place: place{at: at}, upstream: keeping, listens: true})
		if name != opaqueIssuer {
			proxied(name+"-proxy-stateless", longPlace{place: place{at: at}, upstream: plain})
		}
		way := e.before(t, name+"-envoy", hostOf(t, keeping.URL()))
		l.add(t, longPlace{place: place{at, way.server, way.endpoint(), way.caller()}, upstream: keeping, asked: true})
		targets = append(targets, b.namespace+"/"+way.server)
	}
	b.guard.start(t, w, b.kubeconfig, targets, append(opaque.arguments(t, w), "--ext-authz-bind-address="+e.checks)...)
	return l
}

// add makes the MCPServer of a place.
func (l *longCalls) add(t *testing.T, p longPlace) {
	t.Helper()
	server := newGuardedServer(l.namespace, p.server, p.at.object.Name, p.endpoint, sample(p.server, p.upstream).tools())
	server.Spec.EntryScope = scopeEnter
	server.Spec.AccessTokenLifetimeSeconds = new(int32(matrixLifetime / time.Second))
	l.create(t, server)
	l.places[p.server] = p
}

// longCell is a client at one of these servers.
type longCell struct {
	*cell
	where longPlace
}

func (c *longCell) test(t *testing.T) {
	c.register(t, c.client.name+"-"+c.server)
	if !c.logsIn(t) || !c.callsGranted(t) {
		t.Fatal("it gets no token for the tool")
	}
	c.callsOthers(t, true)
	if c.row.others != "error that names what to ask for" {
		t.Errorf("what was not granted: %s", c.row.others)
	}
	c.outlivesTokens(t)
	c.goesOn(t)
	c.isRevokedDuringCall(t)
}

// follow are the arguments of a call that takes so long, and is known by a reference.
func (c *longCell) follow(reference string, lasts, interval time.Duration) map[string]any {
	return map[string]any{
		"steps": int(lasts / interval), "interval": int(interval / time.Millisecond), "reference": c.reg.Name + " " + reference,
	}
}

// requireOnce holds that a call was carried out once, and has its answer.
func (c *longCell) requireOnce(t *testing.T, reference string, answer nodeAnswer) {
	t.Helper()
	if !answer.OK || !strings.HasPrefix(answer.Text, "followed for ") {
		t.Errorf("the call %s: %q %s", reference, answer.Text, answer.Message)
	}
	if times := c.where.upstream.Followed(c.reg.Name + " " + reference); times != 1 {
		t.Errorf("the call %s was carried out %d times", reference, times)
	}
}

// outlivesTokens has a call be under way for longer than its token lives, and one begin
// shortly before the end of the token and end after it. One tells of its progress, the
// other says nothing until its answer.
func (c *longCell) outlivesTokens(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	passed := c.guard.allowed(t, c.reg.Status.ClientID, c.granted)
	end := passed[len(passed)-1].Data.TokenExpiresAt
	before := len(c.screen.seen())
	if begun := c.user.does(t, "begin", mcpserver.ToolFollow, c.follow("longer", longerCall, 100*time.Millisecond)); !begun.OK {
		t.Fatalf("the call that is longer than the token does not begin: %s", begun.Message)
	}
	if time.Until(end) < beforeEnd {
		t.Fatalf("the token ends in %s, before anything was tried", time.Until(end))
	}
	<-time.After(time.Until(end.Add(-beforeEnd)))
	began := time.Now()
	c.requireOnce(t, "late", c.user.does(t, "call", mcpserver.ToolFollow, c.follow("late", lateCall, lateCall)))
	t.Logf("the call begun %s before the end of the token took %s", end.Sub(began).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	c.requireOnce(t, "longer", c.user.does(t, "end", "", nil))
	c.requireQuiet(t, end, c.screen.seen()[before:])
	var ends []time.Time
	for _, line := range c.guard.allowed(t, c.reg.Status.ClientID, mcpserver.ToolFollow) {
		ends = append(ends, line.Data.TokenExpiresAt)
	}
	g.Expect(ends).To(Equal([]time.Time{end, end}), "the ends of the tokens that the calls were made with")
	g.Expect(time.Now()).To(BeTemporally(">", end), "the calls ended before the token did")
}

// requireQuiet holds that no browser opens for calls that outlive their token. One may open
// for the stream that a client keeps open beside, which ends with the token, where the
// client has no refresh token or does not use it.
func (c *longCell) requireQuiet(t *testing.T, end time.Time, openings []opening) {
	t.Helper()
	mayOpen := c.where.listens && (!c.mayRefresh || c.client.impatient)
	for _, o := range openings {
		if !mayOpen || o.at.Before(end) {
			t.Errorf("the browser opened during the calls, %s after the end of the token", o.at.Sub(end))
		}
	}
	if len(openings) > mostReopened {
		t.Errorf("the browser opened %d times", len(openings))
	}
	if len(openings) > 0 {
		t.Logf("the browser opened %d times for the stream that ended with the token", len(openings))
	}
}

// goesOn calls once the token has expired. At a server without sessions one SDK then logs in
// for the entry scope alone, and what is asked for beside it ends its session. Where there
// are sessions the guard asks for what the client had in this one, behind an Envoy too.
func (c *longCell) goesOn(t *testing.T) {
	t.Helper()
	answer, openings := c.opens(c.calls(t, c.granted))
	t.Logf("with an expired token: %d openings %q %q", len(openings), answer.Text, answer.Message)
	if c.client.name == "Python SDK 1" && !c.where.listens && !c.where.asked {
		if answer.OK || !strings.Contains(answer.Message, "403 Forbidden") {
			t.Errorf("the session goes on after a second login: %q %q", answer.Text, answer.Message)
		}
		c.user = c.client.start(t, c.setting)
		answer.OK = c.logsIn(t) && c.callsGranted(t)
	}
	if !answer.OK {
		t.Fatalf("after the end of its token the client does not go on: %s", answer.Message)
	}
}

// isRevokedDuringCall deletes the registration while a call is under way. The guard ends
// the call, with the reason; an Envoy lets it have its answer. In any case the call is not
// made again, and the next one is refused.
func (c *longCell) isRevokedDuringCall(t *testing.T) {
	t.Helper()
	c.awaitLetIn(t, newParty(t, c.secret(t, c.reg.Status.SecretName)))
	lasts := 10 * time.Minute
	if c.where.asked {
		lasts = lateCall
	}
	if begun := c.user.does(t, "begin", mcpserver.ToolFollow, c.follow("revoked", lasts, 100*time.Millisecond)); !begun.OK {
		t.Fatalf("the call does not begin: %s", begun.Message)
	}
	ended := make(chan struct{})
	others := c.refusals(t, ended)
	deleted := c.deletes(t, c.reg.Name)
	answer := c.user.does(t, "end", "", nil)
	felt := time.Now()
	close(ended)
	refused := <-others
	if len(refused) == 0 {
		t.Fatal("another call of the client was never refused")
	}
	t.Logf("refused %s after the deletion (%s), felt %s after it: %q", refused[0].over.Sub(deleted).Round(time.Millisecond), refused[0].reason,
		felt.Sub(deleted).Round(time.Millisecond), answer.Message)
	NewWithT(t).Expect(refused[0].reason).To(BeElementOf("Revoked", "NoGrant", "UnknownClient"), refused[0].body)
	if c.where.asked {
		c.requireOnce(t, "revoked", answer)
		if !refused[0].over.Before(felt) {
			t.Errorf("the call ended before another one was refused")
		}
	} else {
		c.requireFelt(t, answer, slices.IndexFunc(append(refused, plainAnswer{over: felt}), func(a plainAnswer) bool { return !a.over.Before(felt) }))
	}
	c.isRefusedAfterwards(t)
}

// isRefusedAfterwards calls with what the client has from before, once the authorization
// server has forgotten the client. Of an opaque token of a person, oidc-provider cannot say
// anything then: what the guard was told of it before is known for answerHolds, and the call
// behind the Envoy took longer.
func (c *longCell) isRefusedAfterwards(t *testing.T) {
	t.Helper()
	c.requireGone(t, c.reg)
	answer, openings := c.opens(c.calls(t, c.granted))
	t.Logf("afterwards: %+v %q", openings, answer.Message)
	if times := c.where.upstream.Followed(c.reg.Name + " revoked"); answer.OK || times != 1 {
		t.Errorf("after the revocation a call gives %q, and the long one was carried out %d times", answer.Text, times)
	}
	for _, o := range openings {
		if o.shown == "" {
			t.Errorf("after the revocation somebody logs in: %+v", o)
		}
	}
	if c.where.asked && c.at.object.Name == opaqueIssuer {
		NewWithT(t).Expect(answer.Message).To(Or(ContainSubstring("the token cannot be verified now"), ContainSubstring("503 Service Unavailable")))
	}
}

// requireFelt holds that a client shows why its call ended, and that it does so at once:
// before others of it were refused many times.
func (c *longCell) requireFelt(t *testing.T, answer nodeAnswer, refused int) {
	t.Helper()
	if answer.OK || !strings.Contains(answer.Message, "the client was revoked") && !strings.Contains(answer.Message, "no ScopeGrant in force") {
		t.Errorf("the call ended with %q %q, without the reason", answer.Text, answer.Message)
	}
	if refused > mostRefused {
		t.Errorf("%d other calls were refused before the call ended", refused)
	}
}

// refusals makes calls by a token of the client, one after the other, until it is told to
// stop and was refused, and gives the refusals.
func (c *longCell) refusals(t *testing.T, stop <-chan struct{}) <-chan []plainAnswer {
	t.Helper()
	request := c.caller.request(t, callOf(t, c.granted, map[string]any{"number": "INV-7"}), c.token)
	given := make(chan []plainAnswer, 1)
	go func() {
		var refused []plainAnswer
		defer func() { given <- refused }()
		for until := time.Now().Add(patience); time.Now().Before(until); <-time.After(often) {
			again := request.Clone(request.Context())
			body, err := request.GetBody()
			if err != nil {
				t.Error(err)
				return
			}
			again.Body = body
			answer, err := c.caller.try(again)
			if err != nil {
				t.Errorf("another call of the client: %v", err)
				return
			}
			if answer.status == http.StatusUnauthorized || answer.status == inAnswer {
				refused = append(refused, answer)
			}
			select {
			case <-stop:
				if len(refused) > 0 {
					return
				}
			default:
			}
		}
	}()
	return given
}

// allowed are the calls of a tool by a client that were let pass, as they are on record.
func (g *guard) allowed(t *testing.T, clientID, tool string) []callLine {
	t.Helper()
	content, err := os.ReadFile(g.audit)
	if err != nil {
		t.Fatal(err)
	}
	var found []callLine
	for text := range bytes.Lines(content) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break // It is being written.
		}
		var said callLine
		if err := json.Unmarshal(text, &said); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if said.Data.ClientID == clientID && said.Data.Tool == tool && said.Data.Reason == "Allowed" {
			found = append(found, said)
		}
	}
	return found
}
