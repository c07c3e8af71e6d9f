// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// oidcScopes are the scopes of an authorization server itself that clients may be
// registered with, and by which capability the server says that it has them.
var oidcScopes = []struct {
	scope      v1alpha1.OIDCScope
	capability v1alpha1.Capability
}{
	{v1alpha1.OIDCScopeOfflineAccess, v1alpha1.CapabilityOfflineAccess},
	{v1alpha1.OIDCScopeOpenID, v1alpha1.CapabilityOpenID},
}

// isOIDCScope says that a scope is one of the authorization server itself.
func isOIDCScope(name string) bool {
	for _, known := range oidcScopes {
		if name == string(known.scope) {
			return true
		}
	}
	return false
}

// WithoutOIDCScopes are those of some scopes that were granted: the others are the
// authorization server's own.
func WithoutOIDCScopes(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), isOIDCScope)
}

// withOIDCScopes adds to the scopes of a client those of the authorization server
// itself that a client which refreshes tokens asks for: many servers give a refresh
// token only to who asks for offline_access, and refuse who asks for what it is not
// registered with. openid is an ID token to the client and no token to a server, and
// Keycloak registers nobody with it: it is for the platform team to add.
func (q *inquiry) withOIDCScopes(scopes []string) []string {
	as := q.AuthorizationServer.Object
	if as == nil || !slices.Contains(q.Registration.Spec.GrantTypes, v1alpha1.GrantRefreshToken) {
		return scopes
	}
	allowed := []v1alpha1.OIDCScope{v1alpha1.OIDCScopeOfflineAccess}
	if listed := registrationPolicy(q.AuthorizationServer).AllowedOIDCScopes; listed != nil {
		allowed = *listed
	}
	for _, known := range oidcScopes {
		switch {
		case !slices.Contains(as.Status.Capabilities, known.capability), !slices.Contains(allowed, known.scope),
			known.scope == v1alpha1.OIDCScopeOpenID && q.Traits.OpenIDImplied:
		default:
			scopes = append(scopes, string(known.scope))
		}
	}
	slices.Sort(scopes)
	return scopes
}
