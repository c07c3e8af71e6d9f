// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// registered is a client at a whole authorization server, and who asks there.
type registered struct {
	*Examiner

	client   authserver.Client
	metadata authserver.Metadata
}

func newRegistered(t *testing.T, server *devas.Server, wish authserver.ClientMetadata) registered {
	t.Helper()
	config := authserver.Config{Name: "main", Issuer: server.Issuer()}
	adapter, err := dcr.New(config, dcr.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(adapter.Close)
	examiner, err := New(config, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(examiner.Close)
	r := registered{Examiner: examiner}
	if r.metadata, err = adapter.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.client, err = adapter.Register(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	return r
}

func startDevAS(t *testing.T) *devas.Server {
	t.Helper()
	server, err := devas.New(devas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func TestChallengeAtTheDevelopmentServer(t *testing.T) {
	server := startDevAS(t)
	const loopback = "http://127.0.0.1/callback"
	r := newRegistered(t, server, authserver.ClientMetadata{
		Name: "desktop", ApplicationType: "native", GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"},
		RedirectURIs: []string{loopback}, Scopes: []string{"files:read"}, AuthMethod: "none",
	})
	asking := authserver.ChallengeQuestion{
		AuthorizationEndpoint: r.metadata.AuthorizationEndpoint, ClientID: r.client.ID, RedirectURI: loopback,
		Scopes: []string{"files:read"}, Resource: resource,
	}
	elsewhere, beyond, another := asking, asking, asking
	elsewhere.RedirectURI = "http://127.0.0.1/other"
	beyond.Scopes = []string{"admin"}
	another.ClientID = "nobody"
	for name, test := range map[string]struct {
		switches devas.Switches
		question authserver.ChallengeQuestion
		want     authserver.Answer
	}{
		"enforced":                    {devas.Switches{}, asking, authserver.Yes},
		"not enforced":                {devas.Switches{PKCEOptional: true}, asking, authserver.No},
		"plain accepted":              {devas.Switches{AcceptPlain: true}, asking, authserver.No},
		"a redirect URI of nobody's":  {devas.Switches{}, elsewhere, authserver.Unclear},
		"a scope that is not granted": {devas.Switches{}, beyond, authserver.Unclear},
		"a client that is not there":  {devas.Switches{}, another, authserver.Unclear},
	} {
		t.Run(name, func(t *testing.T) {
			if err := server.Set(test.switches); err != nil {
				t.Fatal(err)
			}
			if got, err := r.ChallengeRequired(t.Context(), test.question); err != nil || got != test.want {
				t.Errorf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestCanaryAtTheDevelopmentServer(t *testing.T) {
	for _, method := range []string{methodBasic, methodPost} {
		t.Run(method, func(t *testing.T) { canaryAtTheDevelopmentServer(t, method) })
	}
}

func canaryAtTheDevelopmentServer(t *testing.T, method string) {
	server := startDevAS(t)
	r := newRegistered(t, server, authserver.ClientMetadata{
		Name: "robot", ApplicationType: "web", GrantTypes: []string{"client_credentials"},
		Scopes: []string{"files:read", "notes:read"}, AuthMethod: method,
	})
	asking := authserver.TokenQuestion{
		Handle: authserver.Handle{
			ClientID: r.client.ID, TokenEndpoint: r.metadata.TokenEndpoint, AuthMethod: method, ClientSecret: r.client.Secret,
		},
		Scopes: []string{"files:read"}, Resource: resource,
	}
	for name, test := range map[string]struct {
		switches devas.Switches
		want     authserver.TokenFacts
	}{
		"as asked for": {
			devas.Switches{},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"files:read"}, Lifetime: 5 * time.Minute},
		},
		"for another": {
			devas.Switches{TokenAudience: "https://else.example.com"},
			authserver.TokenFacts{Readable: true, Audience: []string{"https://else.example.com"}, Scopes: []string{"files:read"}, Lifetime: 5 * time.Minute},
		},
		"too wide and too long": {
			devas.Switches{TokenScope: "admin", TokenLifetimeSeconds: 7200},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"files:read", "admin"}, Lifetime: 2 * time.Hour},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := server.Set(test.switches); err != nil {
				t.Fatal(err)
			}
			got, err := r.CanaryToken(t.Context(), asking)
			got.Lifetime = got.Lifetime.Round(10 * time.Second)
			if err != nil || !cmp.Equal(got, test.want) {
				t.Errorf("%v: %s", err, cmp.Diff(test.want, got))
			}
		})
	}
}
