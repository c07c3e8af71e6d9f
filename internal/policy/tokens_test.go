// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func TestTokensOf(t *testing.T) {
	t.Parallel()
	of := func(said *v1alpha1.AccessTokens) TokenReading {
		return TokensOf(&v1alpha1.AuthorizationServer{Spec: v1alpha1.AuthorizationServerSpec{AccessTokens: said}})
	}
	cid := []v1alpha1.ClaimName{"cid"}
	for name, c := range map[string]struct {
		got           TokenReading
		client, scope string
		prefix        bool
	}{
		"nothing known":          {TokensOf(nil), "client_id azp", "scope scp", false},
		"nothing said":           {of(nil), "client_id azp", "scope scp", false},
		"nothing said, at last":  {of(&v1alpha1.AccessTokens{}), "client_id azp", "scope scp", false},
		"a claim of the client":  {of(&v1alpha1.AccessTokens{ClientIDClaims: cid}), "cid", "scope scp", false},
		"a claim of scopes":      {of(&v1alpha1.AccessTokens{ScopeClaims: []v1alpha1.ClaimName{"scp", "roles"}}), "client_id azp", "scp roles", false},
		"the usual source":       {of(&v1alpha1.AccessTokens{AudienceSource: v1alpha1.AudienceSourceClaim}), "client_id azp", "scope scp", false},
		"the prefix of scopes":   {of(&v1alpha1.AccessTokens{AudienceSource: v1alpha1.AudienceSourceScopePrefix}), "client_id azp", "scope scp", true},
		"a source nobody knows":  {of(&v1alpha1.AccessTokens{AudienceSource: "Anything"}), "client_id azp", "scope scp", false},
		"the reading of nothing": {TokenReading{}, "client_id azp", "scope scp", false},
	} {
		client, scope := strings.Join(c.got.ClientID(), " "), strings.Join(c.got.Scope(), " ")
		if client != c.client || scope != c.scope || c.got.ScopePrefix != c.prefix {
			t.Errorf("%s: the client in %s, scopes in %s, by prefix %t", name, client, scope, c.got.ScopePrefix)
		}
	}
	usual := TokenReading{ClientIDClaims: []string{"client_id", "azp"}, ScopeClaims: []string{"scope", "scp"}}
	if !usual.Equal(TokenReading{}) || usual.Equal(of(&v1alpha1.AccessTokens{ClientIDClaims: cid})) || usual.Equal(TokenReading{ScopePrefix: true}) {
		t.Error("readings are compared by something else than what they read")
	}
}

// A token is for one audience at most by its scopes' own names, whatever slashes
// these have.
func FuzzIsFor(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://mcp.example.com", "https://mcp.example.com/read"}, {"https://mcp.example.com/a", "https://mcp.example.com/a/read"},
		{"invoices", "invoices/read"}, {"", "/read"}, {"a", "a/"}, {"a/", "a//b"}, {"a", "ab/c"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, audience, scope string) {
		reading := TokenReading{ScopePrefix: true}
		is := reading.IsFor(audience, nil, []string{scope})
		name := strings.TrimPrefix(scope, audience+"/")
		want := audience != "" && name != scope && name != "" && !strings.Contains(name, "/")
		if is != want {
			t.Errorf("the scope %q is for %q: %t", scope, audience, is)
		}
		if (TokenReading{}).IsFor(audience, nil, []string{scope}) || reading.IsFor(audience, []string{}, []string{scope}) {
			t.Errorf("the scope %q counts where it should not", scope)
		}
	})
}

func TestIsForThese(t *testing.T) {
	t.Parallel()
	granted := []string{"https://mcp.example.com/a", "https://mcp.example.com/b"}
	byScope := TokenReading{ScopePrefix: true}
	for name, c := range map[string]struct {
		reading TokenReading
		aud     []string
		scopes  []string
		want    bool
	}{
		"one":                        {TokenReading{}, granted[1:], nil, true},
		"all":                        {byScope, granted, nil, true},
		"one and another":            {TokenReading{}, []string{granted[0], "https://other.example.com"}, nil, false},
		"none":                       {TokenReading{}, nil, []string{granted[0] + "/read"}, false},
		"an empty list":              {byScope, []string{}, []string{granted[0] + "/read"}, false},
		"by a scope":                 {byScope, nil, []string{"openid", granted[0] + "/read"}, true},
		"by no scope":                {byScope, nil, []string{"openid", "https://mcp.example.com/read"}, false},
		"another, with a good scope": {byScope, []string{"https://other.example.com"}, []string{granted[0] + "/read"}, false},
	} {
		if got := c.reading.IsForThese(granted, authserver.TokenFacts{Readable: true, Audience: c.aud, Scopes: c.scopes}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAudienceOf(t *testing.T) {
	t.Parallel()
	server := &v1alpha1.MCPServer{Spec: v1alpha1.MCPServerSpec{Resource: "https://mcp.example.com"}}
	if got := AudienceOf(server); got != "https://mcp.example.com" || ServerOf(server).TokenAudience() != got {
		t.Errorf("without one: %q", got)
	}
	server.Spec.Audience = "api://default"
	if got := AudienceOf(server); got != "api://default" || ServerOf(server).TokenAudience() != got {
		t.Errorf("with one: %q", got)
	}
}
