// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"
)

func TestAuthorizationServerManagement(t *testing.T) {
	const one = "exactly one of the fields in [dynamicRegistration keycloak hydra metadataDocument] must be set"
	check(t, authorizationServer, []rule{
		{name: "dynamic registration", create: edits()},
		{name: "Keycloak", create: edits(unset("dynamicRegistration"), realm("mcp"))},
		{name: "Hydra", create: edits(unset("dynamicRegistration"), set("hydra.adminURL", "https://hydra.example.com"))},
		{name: "metadata documents", create: edits(unset("dynamicRegistration"), set("metadataDocument.baseURL", "https://clients.example.com"))},
		{
			name:   "none",
			create: edits(unset("dynamicRegistration")),
			want:   []string{"spec: Invalid value: " + one},
		},
		{
			name:   "two",
			create: edits(realm("mcp")),
			want:   []string{"spec: Invalid value: " + one},
		},
		{
			name: "all",
			create: edits(realm("mcp"), set("hydra.adminURL", "https://hydra.example.com"),
				set("metadataDocument.baseURL", "https://clients.example.com")),
			want: []string{"spec: Invalid value: " + one},
		},
		{name: "a trusted cluster", create: edits(unset("dynamicRegistration"), realm("mcp"), set("keycloak.kubernetesIdentityProvider", "cluster-a"))},
		{
			name: "a trusted cluster without name", create: edits(unset("dynamicRegistration"), realm("mcp"), set("keycloak.kubernetesIdentityProvider", "")),
			want: []string{`spec.keycloak.kubernetesIdentityProvider: Invalid value: "": spec.keycloak.kubernetesIdentityProvider in body should be at least 1 chars long`},
		},
		{name: "one beside another that is null", create: edits(set("keycloak", nil))},
		{name: "a realm of 255 characters", create: edits(unset("dynamicRegistration"), realm(strings.Repeat("r", 255)))},
		{
			name:   "a realm of 256 characters",
			create: edits(unset("dynamicRegistration"), realm(strings.Repeat("r", 256))),
			want:   []string{"spec.keycloak.realm: Too long: may not be more than 255 bytes"},
		},
		{
			name:   "a realm without name",
			create: edits(unset("dynamicRegistration"), realm("")),
			want:   []string{`spec.keycloak.realm: Invalid value: "": spec.keycloak.realm in body should be at least 1 chars long`},
		},
		{
			name:   "no realm",
			create: edits(unset("dynamicRegistration"), set("keycloak", map[string]any{"credentialsSecretRef": map[string]any{"name": "admin"}})),
			want:   []string{"spec.keycloak.realm: Required value"},
		},
		{
			name:   "no credentials",
			create: edits(unset("dynamicRegistration"), set("keycloak", map[string]any{"realm": "mcp"})),
			want:   []string{"spec.keycloak.credentialsSecretRef: Required value"},
		},
		{name: "an initial access token", create: edits(set("dynamicRegistration.initialAccessTokenSecretRef", map[string]any{"name": "token", "key": "token"}))},
		{
			name:   "an initial access token without key",
			create: edits(set("dynamicRegistration.initialAccessTokenSecretRef", map[string]any{"name": "token"})),
			want:   []string{"spec.dynamicRegistration.initialAccessTokenSecretRef.key: Required value"},
		},
	})
}

// realm sets a way of management through Keycloak.
func realm(name string) edit {
	return set("keycloak", map[string]any{"realm": name, "credentialsSecretRef": map[string]any{"name": "admin"}})
}

func TestAuthorizationServerIssuer(t *testing.T) {
	check(t, authorizationServer, []rule{
		{name: "of 512 characters", create: edits(set("issuer", longURL(512)))},
		{name: "of 513 characters", create: edits(set("issuer", longURL(513))), want: []string{"spec.issuer: Too long: may not be more than 512 bytes"}},
		{name: "empty", create: edits(set("issuer", "")), want: []string{`spec.issuer: Invalid value: "": issuer must be an https URL (http only for a loopback host), for example https://auth.example.com`, `spec.issuer: Invalid value: "": spec.issuer in body should be at least 1 chars long`}},
		{name: "missing", create: edits(unset("issuer")), want: []string{"spec.issuer: Required value"}},
		{name: "the same again", update: edits(set("issuer", "https://auth.example.com"))},
		{name: "another", update: edits(set("issuer", "https://other.example.com")), want: []string{`spec.issuer: Invalid value: "https://other.example.com": issuer is immutable: create another AuthorizationServer for another issuer`}},
		{name: "the same with a slash", update: edits(set("issuer", "https://auth.example.com/")), want: []string{`spec.issuer: Invalid value: "https://auth.example.com/": issuer is immutable: create another AuthorizationServer for another issuer`}},
	})
}

func TestAuthorizationServerLimits(t *testing.T) {
	check(t, authorizationServer, []rule{
		{name: "requestsPerSecond at its least", create: edits(set("requestsPerSecond", int64(1)))},
		{name: "requestsPerSecond at its most", create: edits(set("requestsPerSecond", int64(100000)))},
		{name: "requestsPerSecond below", create: edits(set("requestsPerSecond", int64(0))), want: []string{"spec.requestsPerSecond: Invalid value: 0: spec.requestsPerSecond in body should be greater than or equal to 1"}},
		{name: "requestsPerSecond above", create: edits(set("requestsPerSecond", int64(100001))), want: []string{"spec.requestsPerSecond: Invalid value: 100001: spec.requestsPerSecond in body should be less than or equal to 100000"}},
		{name: "maxInFlight at its least", create: edits(set("maxInFlight", int64(1)))},
		{name: "maxInFlight at its most", create: edits(set("maxInFlight", int64(1024)))},
		{name: "maxInFlight below", create: edits(set("maxInFlight", int64(0))), want: []string{"spec.maxInFlight: Invalid value: 0: spec.maxInFlight in body should be greater than or equal to 1"}},
		{name: "maxInFlight above", create: edits(set("maxInFlight", int64(1025))), want: []string{"spec.maxInFlight: Invalid value: 1025: spec.maxInFlight in body should be less than or equal to 1024"}},
		{name: "driftCheckSeconds at its least", create: edits(set("driftCheckSeconds", int64(60)))},
		{name: "driftCheckSeconds at its most", create: edits(set("driftCheckSeconds", int64(604800)))},
		{name: "driftCheckSeconds below", create: edits(set("driftCheckSeconds", int64(59))), want: []string{"spec.driftCheckSeconds: Invalid value: 59: spec.driftCheckSeconds in body should be greater than or equal to 60"}},
		{name: "driftCheckSeconds above", create: edits(set("driftCheckSeconds", int64(604801))), want: []string{"spec.driftCheckSeconds: Invalid value: 604801: spec.driftCheckSeconds in body should be less than or equal to 604800"}},
		{name: "driftCheckSeconds as text", create: edits(set("driftCheckSeconds", "60")), want: []string{`spec.driftCheckSeconds: Invalid value: "string": spec.driftCheckSeconds in body must be of type integer: "string"`}},
		{name: "caBundle in base64", create: edits(set("caBundle", "LS0tLS1CRUdJTg=="))},
		{name: "caBundle as plain PEM", create: edits(set("caBundle", "-----BEGIN CERTIFICATE-----")), want: []string{`spec.caBundle: Invalid value: "-----BEGIN CERTIFICATE-----": spec.caBundle in body must be of type byte: "-----BEGIN CERTIFICATE-----"`}},
		{name: "caBundle as a list", create: edits(set("caBundle", list("x"))), want: []string{`spec.caBundle: Invalid value: "string": invalid data, expected string, got []interface {} evaluating rule: caBundle must be base64 text, for example what base64 -w0 prints of a PEM file`}},
		{name: "caBundle as a list of numbers", create: edits(set("caBundle", list(int64(65)))), want: []string{`spec.caBundle: Invalid value: "string": invalid data, expected string, got []interface {} evaluating rule: caBundle must be base64 text, for example what base64 -w0 prints of a PEM file`}},
		{name: "caBundle at its longest", create: edits(set("caBundle", strings.Repeat("A", 262144)))},
	})
}

func TestAuthorizationServerAccessTokens(t *testing.T) {
	const (
		name    = "must be the name of a claim in ASCII without space, quote, bracket or backslash, for example cid"
		another = " must not hold a claim of another meaning (iss, sub, aud, exp, nbf, iat, jti, cnf, act): name the claim that "
	)
	claim := func(i int) string { return fmt.Sprintf("claim-%d", i) }
	rules := []rule{
		{name: "nothing of them", create: edits(set("accessTokens", map[string]any{}))},
		{name: "all, and then others", create: edits(set("accessTokens", map[string]any{
			"clientIDClaims": list("cid", "client_id"), "scopeClaims": list("scp", "roles"), "audienceSource": "ScopePrefix",
		})), update: edits(set("accessTokens", map[string]any{"audienceSource": "AudienceClaim"}))},
		{name: "a source nobody knows", create: edits(set("accessTokens.audienceSource", "Nothing")), want: []string{
			`spec.accessTokens.audienceSource: Unsupported value: "Nothing": supported values: "AudienceClaim", "ScopePrefix"`,
		}},
	}
	for field, meaning := range map[string]string{"clientIDClaims": "identifies the client, for example cid", "scopeClaims": "holds scopes, for example scp"} {
		path := "accessTokens." + field
		rules = append(rules,
			rule{name: field + ": a URI", create: edits(set(path, list("https://example.com/client")))},
			rule{name: field + ": four", create: edits(set(path, many(4, claim)))},
			rule{name: field + ": five", create: edits(set(path, many(5, claim))), want: []string{"spec." + path + ": Too many: 5: must have at most 4 items"}},
			rule{name: field + ": none", create: edits(set(path, list[string]())), want: []string{"spec." + path + ": Invalid value: 0: spec." + path + " in body should have at least 1 items"}},
			rule{name: field + ": with a space", create: edits(set(path, list("a b"))), want: []string{"spec." + path + `[0]: Invalid value: "a b": ` + name}},
			rule{name: field + ": with a line feed", create: edits(set(path, list("a\n"))), want: []string{"spec." + path + `[0]: Invalid value: "a\n": ` + name}},
			rule{name: field + ": of 128 characters", create: edits(set(path, list(strings.Repeat("c", 128))))},
			rule{name: field + ": of 129 characters", create: edits(set(path, list(strings.Repeat("c", 129)))), want: []string{"spec." + path + "[0]: Too long: may not be more than 128 bytes"}},
		)
		for _, other := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act"} {
			rules = append(rules, rule{
				name: field + ": " + other, create: edits(set(path, list("cid", other))),
				want: []string{"spec." + path + ": Invalid value: " + field + another + meaning},
			})
		}
	}
	check(t, authorizationServer, rules)
}

func TestAuthorizationServerAllowedNamespaces(t *testing.T) {
	selector := map[string]any{"matchLabels": map[string]any{"mcp-clients": "allowed"}}
	check(t, authorizationServer, []rule{
		{name: "all", create: edits(set("allowedNamespaces.from", "All"))},
		{name: "by selector", create: edits(set("allowedNamespaces.from", "Selector"), set("allowedNamespaces.selector", selector))},
		{name: "by an empty selector", create: edits(set("allowedNamespaces.from", "Selector"), set("allowedNamespaces.selector", map[string]any{}))},
		{name: "Selector without selector", create: edits(set("allowedNamespaces.from", "Selector")), want: []string{"spec.allowedNamespaces: Invalid value: selector must be set exactly when from is Selector, for example from: Selector with selector: {matchLabels: {mcp-clients: allowed}}"}},
		{name: "a selector without Selector", create: edits(set("allowedNamespaces.from", "All"), set("allowedNamespaces.selector", selector)), want: []string{"spec.allowedNamespaces: Invalid value: selector must be set exactly when from is Selector, for example from: Selector with selector: {matchLabels: {mcp-clients: allowed}}"}},
		{name: "only its own, which it does not have", create: edits(set("allowedNamespaces.from", "Same")), want: []string{`spec.allowedNamespaces.from: Invalid value: "Same": from must be All or Selector: an AuthorizationServer has no namespace of its own, for example from: All`}},
		{name: "a word nobody knows", create: edits(set("allowedNamespaces.from", "Some")), want: []string{`spec.allowedNamespaces.from: Unsupported value: "Some": supported values: "Same", "All", "Selector"`}},
		{name: "nothing said", create: edits(set("allowedNamespaces", map[string]any{})), want: []string{"spec.allowedNamespaces.from: Required value"}},
		{
			name:   "a selector with an operator nobody knows",
			create: edits(set("allowedNamespaces.from", "Selector"), set("allowedNamespaces.selector.matchExpressions", list(map[string]any{"key": "a", "operator": "Is"}))),
			want:   []string{"spec.allowedNamespaces: Invalid value: selector.matchExpressions must have operator In or NotIn with values, or Exists or DoesNotExist without, for example {key: mcp-clients, operator: Exists}"},
		},
	})
}

func TestAuthorizationServerPolicy(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	numbered := func(i int) string { return strings.Repeat("x", i+1) }
	check(t, authorizationServer, []rule{
		{name: "empty", create: edits(set("policy", map[string]any{}))},
		{name: "maxRegistrationLifetimeSeconds at its least", create: edits(set("policy.maxRegistrationLifetimeSeconds", int64(60)))},
		{name: "maxRegistrationLifetimeSeconds at its most", create: edits(set("policy.maxRegistrationLifetimeSeconds", int64(315360000)))},
		{name: "maxRegistrationLifetimeSeconds below", create: edits(set("policy.maxRegistrationLifetimeSeconds", int64(59))), want: []string{"spec.policy.maxRegistrationLifetimeSeconds: Invalid value: 59: spec.policy.maxRegistrationLifetimeSeconds in body should be greater than or equal to 60"}},
		{name: "maxRegistrationLifetimeSeconds above", create: edits(set("policy.maxRegistrationLifetimeSeconds", int64(315360001))), want: []string{"spec.policy.maxRegistrationLifetimeSeconds: Invalid value: 315360001: spec.policy.maxRegistrationLifetimeSeconds in body should be less than or equal to 315360000"}},
		{name: "ownerPattern at its longest", create: edits(set("policy.ownerPattern", long(512)))},
		{name: "ownerPattern too long", create: edits(set("policy.ownerPattern", long(513))), want: []string{"spec.policy.ownerPattern: Too long: may not be more than 512 bytes"}},
		{name: "ownerPattern empty", create: edits(set("policy.ownerPattern", "")), want: []string{`spec.policy.ownerPattern: Invalid value: "": spec.policy.ownerPattern in body should be at least 1 chars long`}},
		{name: "every grant type", create: edits(set("policy.allowedGrantTypes", list("AuthorizationCode", "RefreshToken", "ClientCredentials", "TokenExchange")))},
		{name: "no grant type", create: edits(set("policy.allowedGrantTypes", list[string]())), want: []string{"spec.policy.allowedGrantTypes: Invalid value: 0: spec.policy.allowedGrantTypes in body should have at least 1 items"}},
		{name: "a grant type that does not exist", create: edits(set("policy.allowedGrantTypes", list("Implicit"))), want: []string{`spec.policy.allowedGrantTypes[0]: Unsupported value: "Implicit": supported values: "AuthorizationCode", "RefreshToken", "ClientCredentials", "TokenExchange"`}},
		{name: "a grant type twice", create: edits(set("policy.allowedGrantTypes", list("RefreshToken", "RefreshToken"))), want: []string{`spec.policy.allowedGrantTypes[1]: Duplicate value: "RefreshToken"`}},
		{name: "every auth method", create: edits(set("policy.allowedTokenEndpointAuthMethods", list("None", "PrivateKeyJWT", "ClientSecretBasic", "ClientSecretPost", "ClientSecret")))},
		{name: "no auth method", create: edits(set("policy.allowedTokenEndpointAuthMethods", list[string]())), want: []string{"spec.policy.allowedTokenEndpointAuthMethods: Invalid value: 0: spec.policy.allowedTokenEndpointAuthMethods in body should have at least 1 items"}},
		{name: "an auth method that does not exist", create: edits(set("policy.allowedTokenEndpointAuthMethods", list("ClientSecretJWT"))), want: []string{`spec.policy.allowedTokenEndpointAuthMethods[0]: Unsupported value: "ClientSecretJWT": supported values: "None", "PrivateKeyJWT", "ClientSecretBasic", "ClientSecretPost", "ClientSecret"`}},
		{name: "32 redirect URI patterns", create: edits(set("policy.redirectURIPatterns", many(32, numbered)))},
		{name: "33 redirect URI patterns", create: edits(set("policy.redirectURIPatterns", many(33, numbered))), want: []string{"spec.policy.redirectURIPatterns: Too many: 33: must have at most 32 items"}},
		{name: "no redirect URI pattern", create: edits(set("policy.redirectURIPatterns", list[string]())), want: []string{"spec.policy.redirectURIPatterns: Invalid value: 0: spec.policy.redirectURIPatterns in body should have at least 1 items"}},
		{name: "a redirect URI pattern that is empty", create: edits(set("policy.redirectURIPatterns", list(""))), want: []string{`spec.policy.redirectURIPatterns[0]: Invalid value: "": spec.policy.redirectURIPatterns[0] in body should be at least 1 chars long`}},
		{name: "a redirect URI pattern at its longest", create: edits(set("policy.redirectURIPatterns", list(long(512))))},
		{name: "a redirect URI pattern too long", create: edits(set("policy.redirectURIPatterns", list(long(513)))), want: []string{"spec.policy.redirectURIPatterns[0]: Too long: may not be more than 512 bytes"}},
		{name: "32 jwksURI patterns", create: edits(set("policy.jwksURIPatterns", many(32, numbered)))},
		{name: "33 jwksURI patterns", create: edits(set("policy.jwksURIPatterns", many(33, numbered))), want: []string{"spec.policy.jwksURIPatterns: Too many: 33: must have at most 32 items"}},
		{name: "no jwksURI pattern", create: edits(set("policy.jwksURIPatterns", list[string]())), want: []string{"spec.policy.jwksURIPatterns: Invalid value: 0: spec.policy.jwksURIPatterns in body should have at least 1 items"}},
		{name: "a jwksURI pattern that is empty", create: edits(set("policy.jwksURIPatterns", list(""))), want: []string{`spec.policy.jwksURIPatterns[0]: Invalid value: "": spec.policy.jwksURIPatterns[0] in body should be at least 1 chars long`}},
		{name: "a jwksURI pattern too long", create: edits(set("policy.jwksURIPatterns", list(long(513)))), want: []string{"spec.policy.jwksURIPatterns[0]: Too long: may not be more than 512 bytes"}},
	})
}
