// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// TokenReading is how access tokens of an authorization server are read. The
// zero value reads them as RFC 9068 has them.
type TokenReading struct {
	// ClientIDClaims name the client, the one that counts first; empty means
	// client_id and azp.
	ClientIDClaims []string
	// ScopeClaims hold scopes, the one that counts first; empty means scope and
	// scp.
	ScopeClaims []string
	// ScopePrefix says that a token without aud is for the server whose audience
	// one of its scopes begins with.
	ScopePrefix bool
}

var (
	usualClientIDClaims = []string{"client_id", "azp"}
	usualScopeClaims    = []string{"scope", "scp"}
)

// TokensOf is how tokens of an authorization server are read; nil is one of which
// nothing is known. What is not known here is read as if it were left out.
func TokensOf(as *v1alpha1.AuthorizationServer) TokenReading {
	if as == nil || as.Spec.AccessTokens == nil {
		return TokenReading{}
	}
	said := as.Spec.AccessTokens
	return TokenReading{
		ClientIDClaims: claimNames(said.ClientIDClaims), ScopeClaims: claimNames(said.ScopeClaims),
		ScopePrefix: said.AudienceSource == v1alpha1.AudienceSourceScopePrefix,
	}
}

func claimNames(said []v1alpha1.ClaimName) []string {
	var names []string
	for _, name := range said {
		names = append(names, string(name))
	}
	return names
}

// ClientID are the claims that name the client, the one that counts first.
func (r TokenReading) ClientID() []string {
	if len(r.ClientIDClaims) == 0 {
		return usualClientIDClaims
	}
	return r.ClientIDClaims
}

// Scope are the claims that hold scopes, the one that counts first.
func (r TokenReading) Scope() []string {
	if len(r.ScopeClaims) == 0 {
		return usualScopeClaims
	}
	return r.ScopeClaims
}

// Equal says that two readings are the same.
func (r TokenReading) Equal(other TokenReading) bool {
	return r.ScopePrefix == other.ScopePrefix &&
		slices.Equal(r.ClientID(), other.ClientID()) && slices.Equal(r.Scope(), other.Scope())
}

// IsFor says that a token with these aud, nil where it has none, and scopes is
// for an audience. What comes after the last slash of a scope is its own name, so
// that no audience is taken for another that it begins with.
func (r TokenReading) IsFor(audience string, aud, scopes []string) bool {
	switch {
	case audience == "":
		return false
	case aud != nil || !r.ScopePrefix:
		return slices.Contains(aud, audience)
	}
	return slices.ContainsFunc(scopes, func(scope string) bool {
		at := strings.LastIndexByte(scope, '/')
		return at >= 0 && at < len(scope)-1 && scope[:at] == audience
	})
}

// IsForThese says that a token that was examined is for some audiences and for no
// other.
func (r TokenReading) IsForThese(audiences []string, facts authserver.TokenFacts) bool {
	foreign := func(audience string) bool { return !slices.Contains(audiences, audience) }
	return !slices.ContainsFunc(facts.Audience, foreign) && slices.ContainsFunc(audiences, func(audience string) bool {
		return r.IsFor(audience, facts.Audience, facts.Scopes)
	})
}

// AudienceOf is what tokens for a server hold in aud.
func AudienceOf(server *v1alpha1.MCPServer) string {
	return cmp.Or(server.Spec.Audience, server.Spec.Resource)
}

// IssuerEntry is an AuthorizationServer as the boundary keeps it.
type IssuerEntry struct {
	// Issuer is the issuer identifier (RFC 8414 §2).
	Issuer string
	// Tokens is how its tokens are read.
	Tokens TokenReading
}

// IssuerOf reads an authorization server.
func IssuerOf(as *v1alpha1.AuthorizationServer) IssuerEntry {
	return IssuerEntry{Issuer: as.Spec.Issuer, Tokens: TokensOf(as)}
}
