// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"net/http"
	"net/url"
	"testing"
)

// The kinds of dynamic client registration that have policies of their own.
const (
	Anonymous     = "anonymous"
	Authenticated = "authenticated"
)

const policyType = "org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy"

// RegistrationEndpoint is the realm's registration endpoint.
func (r *Realm) RegistrationEndpoint() string {
	return r.Issuer + "/clients-registrations/openid-connect"
}

// InitialAccessToken makes a token that registers up to count clients.
func (r *Realm) InitialAccessToken(t testing.TB, count int) string {
	t.Helper()
	var made struct{ Token string }
	r.must(t, http.MethodPost, "/clients-initial-access", map[string]any{"count": count, "expiration": 3600}).Decode(t, &made)
	return made.Token
}

// Policy is a client registration policy.
type Policy struct {
	ID           string              `json:"id,omitempty"`
	Name         string              `json:"name"`
	ProviderID   string              `json:"providerId"`
	ProviderType string              `json:"providerType"`
	ParentID     string              `json:"parentId"`
	SubType      string              `json:"subType"`
	Config       map[string][]string `json:"config"`
}

// Policies returns the client registration policies of a kind.
func (r *Realm) Policies(t testing.TB, kind string) []Policy {
	t.Helper()
	var all, wanted []Policy
	r.must(t, http.MethodGet, "/components?type="+url.QueryEscape(policyType), nil).Decode(t, &all)
	for _, policy := range all {
		if policy.SubType == kind {
			wanted = append(wanted, policy)
		}
	}
	return wanted
}

// SetPolicy changes a setting of the policies of a kind that a provider makes:
// "allowed-client-templates", "trusted-hosts", "max-clients"…
func (r *Realm) SetPolicy(t testing.TB, kind, provider, setting string, values ...string) {
	t.Helper()
	for _, policy := range r.Policies(t, kind) {
		if policy.ProviderID == provider {
			policy.Config[setting] = values
			r.must(t, http.MethodPut, "/components/"+policy.ID, policy)
			return
		}
	}
	t.Fatalf("there is no policy %s for %s registration", provider, kind)
}

// AllowScopes makes client scopes that are not there yet, and lets clients
// register with them and with no others beside the realm's own defaults.
func (r *Realm) AllowScopes(t testing.TB, kind string, scopes ...string) {
	t.Helper()
	known := map[string]bool{}
	for _, name := range r.Scopes(t) {
		known[name] = true
	}
	for _, scope := range scopes {
		if !known[scope] {
			r.AddScope(t, scope)
		}
	}
	r.SetPolicy(t, kind, "allowed-client-templates", "allowed-client-scopes", scopes...)
}

// Register sends a registration, or with PUT, GET and DELETE a management
// request, with a token; the answer may have any status.
func (r *Realm) Register(t testing.TB, method, target, token string, body []byte) Answer {
	t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	return r.send(t, method, target, header, body)
}
