// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var _ op.Client = opClient{}

// opClient shows a record to the engine.
type opClient struct {
	*record
}

func (c opClient) GetID() string                        { return c.id }
func (c opClient) RedirectURIs() []string               { return c.metadata.RedirectURIs }
func (c opClient) PostLogoutRedirectURIs() []string     { return nil }
func (c opClient) AuthMethod() oidc.AuthMethod          { return oidc.AuthMethod(c.metadata.AuthMethod) }
func (c opClient) LoginURL(string) string               { return "" }
func (c opClient) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (c opClient) IDTokenLifetime() time.Duration       { return defaultAccessTokenLifetime }
func (c opClient) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c opClient) ClockSkew() time.Duration             { return 0 }

// DevMode lets the engine accept http redirect URIs; registration has
// refused all but those on loopback.
func (c opClient) DevMode() bool { return true }

func (c opClient) ApplicationType() op.ApplicationType {
	if c.native() {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c opClient) ResponseTypes() []oidc.ResponseType {
	return convert[oidc.ResponseType](c.metadata.ResponseTypes)
}

func (c opClient) GrantTypes() []oidc.GrantType {
	return convert[oidc.GrantType](c.metadata.GrantTypes)
}

func (c opClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

func (c opClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// IsScopeAllowed keeps every scope, because the engine drops others in
// silence; authorize refuses them with invalid_scope instead. The empty
// scope stands for "none" and is dropped.
func (c opClient) IsScopeAllowed(scope string) bool { return scope != "" }

func convert[T ~string](in []string) []T {
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = T(v)
	}
	return out
}
