// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// known is a register of one server with its clients.
type known struct {
	mu       sync.Mutex
	server   guard.Server
	clients  map[string]policy.ClientEntry
	grants   []policy.GrantEntry
	age      time.Duration
	complete bool
}

func (k *known) Server(name guard.ServerName) (guard.Server, bool) {
	return k.server, name == guard.ServerName{Namespace: k.server.Namespace, Name: k.server.Name}
}

func (k *known) Denials(guard.Server, string) []policy.DenialEntry { return nil }

func (k *known) Clients(_, clientID string) []policy.ClientEntry {
	k.mu.Lock()
	defer k.mu.Unlock()
	if client, found := k.clients[clientID]; found {
		return []policy.ClientEntry{client}
	}
	return nil
}

func (k *known) Grants(client policy.ClientEntry) []policy.GrantEntry {
	var found []policy.GrantEntry
	for _, grant := range k.grants {
		if grant.Client == client.Name {
			found = append(found, grant)
		}
	}
	return found
}

func (k *known) FirstScopes(server guard.Server) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []policy.Holding
	for _, c := range k.clients {
		all = append(all, policy.Holding{Client: c, Grants: k.grants})
	}
	return policy.FirstScopes(server.ServerEntry, slices.Values(all), noon)
}

func (k *known) Age() (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.age, k.complete
}

// heard sets for how long nothing was heard, and whether all was read.
func (k *known) heard(age time.Duration, complete bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.age, k.complete = age, complete
}

func (k *known) OnChange(func(guard.Change)) {}

// change changes a client.
func (k *known) change(clientID string, with func(*policy.ClientEntry)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	client := k.clients[clientID]
	with(&client)
	k.clients[clientID] = client
}

// tokens are accepted by name, each with its scopes, or refused for a reason.
type tokens map[string]any

func (t tokens) Verify(ctx context.Context, shown guard.Presentation, q guard.TokenQuestion) (guard.Token, error) {
	raw, err := shown.Bearer()
	if err != nil {
		return guard.Token{}, err
	}
	return t.StillGood(ctx, guard.Token{}, raw, q)
}

func (t tokens) StillGood(_ context.Context, _ guard.Token, raw string, _ guard.TokenQuestion) (guard.Token, error) {
	switch found := t[raw].(type) {
	case guard.Token:
		return found, nil
	case guard.Reason:
		return guard.Token{}, &guard.TokenError{Reason: found}
	}
	return guard.Token{}, &guard.TokenError{Reason: guard.TokenMalformed}
}

// decisions are what was put on record.
type decisions struct {
	mu       sync.Mutex
	requests []guard.Request
	verdicts []guard.Verdict
}

func (d *decisions) Record(r guard.Request, v guard.Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests, d.verdicts = append(d.requests, r), append(d.verdicts, v)
}

func (d *decisions) last(t *testing.T) (guard.Request, guard.Verdict) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.requests) == 0 {
		t.Fatal("nothing was decided")
	}
	return d.requests[len(d.requests)-1], d.verdicts[len(d.verdicts)-1]
}

// ledger has a read scope, one to write and one that is tied to no tool.
func ledger() guard.Server {
	return guard.Server{
		Issuer: "https://login.example.com",
		ServerEntry: policy.ServerEntry{
			Namespace: "finance", Name: "ledger", Resource: "https://ledger.example.com/mcp", AuthorizationServer: "corporate",
			Scopes: []policy.CatalogueScope{
				{Name: "ledger:read", Tier: v1alpha1.TierRead, Tools: []string{"balance"}},
				{Name: "ledger:write", Tier: v1alpha1.TierWrite, Tools: []string{"post_entry"}},
			},
		},
	}
}

func client(name string) policy.ClientEntry {
	return policy.ClientEntry{
		Namespace: "payments", Name: name, UID: "uid-" + name, Owner: "team@example.com", ClientID: "c-" + name, EndsAt: noon.Add(time.Hour),
		Scopes: []policy.EntryScope{
			{Name: "ledger:read", Grants: []string{name + "-ledger"}}, {Name: "ledger:write", Grants: []string{name + "-ledger"}},
		},
	}
}

func grant(client string, scopes ...string) policy.GrantEntry {
	return policy.GrantEntry{
		Namespace: "payments", Name: client + "-ledger", Client: client, ServerNamespace: "finance", Server: "ledger", Scopes: scopes,
		Basis: v1alpha1.BasisAutomatic, EndsAt: noon.Add(time.Hour), InForce: true,
	}
}

func token(client string, scopes ...string) guard.Token {
	return guard.Token{Issuer: "https://login.example.com", ClientID: "c-" + client, Scopes: scopes, ExpiresAt: noon.Add(15 * time.Minute)}
}

// setup is a service behind a real connection.
type setup struct {
	register  *known
	engine    *guard.Engine
	decisions *decisions
	check     authv3.AuthorizationClient
	conn      *grpc.ClientConn
}

func newSetup(t *testing.T, with func(*Options)) *setup {
	t.Helper()
	return newSetupBy(t, func(*guard.Options) {}, with)
}

// newSetupBy is newSetup with another engine.
func newSetupBy(t *testing.T, by func(*guard.Options), with func(*Options)) *setup {
	t.Helper()
	s := &setup{decisions: &decisions{}, register: &known{server: ledger(), complete: true, clients: map[string]policy.ClientEntry{}}}
	for _, name := range []string{"agent", "ungranted", "revoked", "suspended", "expired", "lapsed"} {
		s.register.clients["c-"+name] = client(name)
	}
	s.register.change("c-revoked", func(c *policy.ClientEntry) { c.Left = policy.RefusedRevoked })
	s.register.change("c-suspended", func(c *policy.ClientEntry) { c.Left = policy.RefusedSuspended })
	s.register.change("c-expired", func(c *policy.ClientEntry) { c.EndsAt = noon })
	lapsed := grant("lapsed", "ledger:read")
	lapsed.EndsAt = noon
	s.register.grants = []policy.GrantEntry{grant("agent", "ledger:read", "ledger:write"), lapsed}
	all := tokens{
		"good": token("agent", "ledger:read"), "other": token("nobody", "ledger:read"),
		"none": guard.TokenAlgorithm, "key": guard.TokenSignature, "issuer": guard.TokenIssuer, "audience": guard.TokenAudience,
		"old": guard.TokenExpired, "early": guard.TokenNotYetValid, "unverifiable": guard.TokenUnverifiable,
	}
	for _, name := range []string{"ungranted", "revoked", "suspended", "expired", "lapsed"} {
		all[name] = token(name, "ledger:read")
	}
	fake := clocktesting.NewFakeClock(noon)
	decides := guard.Options{Register: s.register, Tokens: all, Recorder: s.decisions, Clock: fake, MaxStaleness: time.Minute, Origins: []string{"https://app.example.com"}}
	by(&decides)
	s.engine = guard.New(decides)
	o := Options{Engine: s.engine, Register: s.register, Clock: fake, Servers: []guard.ServerName{{Namespace: "finance", Name: "ledger"}}}
	if with != nil {
		with(&o)
	}
	s.serve(t, New(o))
	return s
}

// serve serves on a free port of the loopback and connects to it.
func (s *setup) serve(t *testing.T, service *Service) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(ServerOptions(guard.DefaultMaxBody)...)
	service.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	s.check = authv3.NewAuthorizationClient(s.conn)
	t.Cleanup(func() {
		if err := s.conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		// It may be stopped before it has begun.
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
}

// post is a call of a tool with a token, as Envoy describes it.
func post(raw, tool string) *authv3.AttributeContext_HttpRequest {
	return &authv3.AttributeContext_HttpRequest{
		Method: "POST", Host: "ledger.example.com", Path: "/mcp", Scheme: "https",
		Headers: map[string]string{
			":authority": "ledger.example.com", ":method": "POST", "authorization": "Bearer " + raw, "content-type": "application/json",
			"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25", "x-envoy-auth-partial-body": "false",
		},
		RawBody: []byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`),
	}
}

// ask sends a check.
func (s *setup) ask(t *testing.T, asked *authv3.AttributeContext_HttpRequest, extensions map[string]string) *authv3.CheckResponse {
	t.Helper()
	answer, err := s.check.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: asked}, ContextExtensions: extensions,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
