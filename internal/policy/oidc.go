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

// usualOIDCScopes are those that clients are registered with where the policy says
// nothing of them: what refresh tokens need. openid leads to the identity of users, which
// nobody granted, and some servers refuse to register it.
var usualOIDCScopes = []v1alpha1.OIDCScope{v1alpha1.OIDCScopeOfflineAccess}

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
// registered with.
func (q *inquiry) withOIDCScopes(scopes []string) []string {
	as := q.AuthorizationServer.Object
	if as == nil || !slices.Contains(q.Registration.Spec.GrantTypes, v1alpha1.GrantRefreshToken) {
		return scopes
	}
	allowed := registrationPolicy(q.AuthorizationServer).AllowedOIDCScopes
	if allowed == nil {
		allowed = &usualOIDCScopes
	}
	for _, known := range oidcScopes {
		switch {
		case !slices.Contains(as.Status.Capabilities, known.capability) && !q.has(string(known.scope)),
			!slices.Contains(*allowed, known.scope),
			known.scope == v1alpha1.OIDCScopeOpenID && q.Traits.OpenIDImplied:
		default:
			scopes = append(scopes, string(known.scope))
		}
	}
	slices.Sort(scopes)
	return scopes
}

// has says that the client has a scope already, and was not seen without it since. A
// server that says in its metadata now that it has a scope, now that it does not, as
// two nodes behind one address do, is no reason to change every client each time.
func (q *inquiry) has(scope string) bool {
	if !q.Record.Live() || !slices.Contains(q.Record.Client.Registered.Scopes, scope) {
		return false
	}
	switch said := q.Observed.Client.Registered.Scopes; {
	case q.Observed.Looked && q.Observed.Is == Absent:
		return false
	case q.Observed.Looked && q.Observed.Is == Present && said != nil:
		return slices.Contains(said, scope)
	}
	return true
}
