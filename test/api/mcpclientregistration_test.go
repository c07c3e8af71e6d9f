// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"
)

func TestRegistrationGrantTypes(t *testing.T) {
	loopback := set("redirectURIs", list("http://127.0.0.1/callback"))
	https := set("redirectURIs", list("https://app.example.com/callback"))
	grants := func(types ...string) edit { return set("grantTypes", list(types...)) }
	check(t, registration, []rule{
		{name: "client credentials", create: edits()},
		{name: "token exchange", create: edits(grants("TokenExchange"))},
		{name: "all of them", create: edits(grants("AuthorizationCode", "RefreshToken", "ClientCredentials", "TokenExchange"), https)},
		{name: "authorization code", create: edits(grants("AuthorizationCode"), https)},
		{name: "authorization code and refresh token", create: edits(grants("AuthorizationCode", "RefreshToken"), https)},
		{name: "authorization code without redirect URI", create: edits(grants("AuthorizationCode")), want: []string{"spec: Invalid value: redirectURIs must be given exactly when grantTypes holds AuthorizationCode, for example redirectURIs: [http://127.0.0.1/callback]"}},
		{name: "authorization code with no redirect URI in the list", create: edits(grants("AuthorizationCode"), set("redirectURIs", list[string]())), want: []string{"spec: Invalid value: redirectURIs must be given exactly when grantTypes holds AuthorizationCode, for example redirectURIs: [http://127.0.0.1/callback]"}},
		{name: "a redirect URI without authorization code", create: edits(https), want: []string{"spec: Invalid value: redirectURIs must be given exactly when grantTypes holds AuthorizationCode, for example redirectURIs: [http://127.0.0.1/callback]"}},
		{name: "a refresh token alone", create: edits(grants("RefreshToken")), want: []string{"spec: Invalid value: grantTypes with RefreshToken must also hold AuthorizationCode, for example grantTypes: [AuthorizationCode, RefreshToken]"}},
		{name: "a refresh token with client credentials", create: edits(grants("RefreshToken", "ClientCredentials")), want: []string{"spec: Invalid value: grantTypes with RefreshToken must also hold AuthorizationCode, for example grantTypes: [AuthorizationCode, RefreshToken]"}},
		{name: "none", create: edits(grants()), want: []string{"spec.grantTypes: Invalid value: 0: spec.grantTypes in body should have at least 1 items"}},
		{name: "no list", create: edits(unset("grantTypes")), want: []string{"spec.grantTypes: Required value"}},
		{name: "one twice", create: edits(grants("ClientCredentials", "ClientCredentials")), want: []string{`spec.grantTypes[1]: Duplicate value: "ClientCredentials"`}},
		{name: "implicit", create: edits(grants("Implicit")), want: []string{`spec.grantTypes[0]: Unsupported value: "Implicit": supported values: "AuthorizationCode", "RefreshToken", "ClientCredentials", "TokenExchange"`}},
		{name: "password", create: edits(grants("Password")), want: []string{`spec.grantTypes[0]: Unsupported value: "Password": supported values: "AuthorizationCode", "RefreshToken", "ClientCredentials", "TokenExchange"`}},
		{name: "in the words of OAuth", create: edits(grants("client_credentials")), want: []string{`spec.grantTypes[0]: Unsupported value: "client_credentials": supported values: "AuthorizationCode", "RefreshToken", "ClientCredentials", "TokenExchange"`}},
		{name: "five", create: edits(grants("AuthorizationCode", "RefreshToken", "ClientCredentials", "TokenExchange", "TokenExchange"), https), want: []string{"spec.grantTypes: Too many: 5: must have at most 4 items", `spec.grantTypes[4]: Duplicate value: "TokenExchange"`}},
		{name: "a native application with https", create: edits(grants("AuthorizationCode"), https, set("applicationType", "Native"))},
		{name: "a native application with loopback", create: edits(grants("AuthorizationCode"), loopback, set("applicationType", "Native"))},
		{name: "a web application with loopback", create: edits(grants("AuthorizationCode"), loopback), want: []string{"spec: Invalid value: redirectURIs of applicationType Web must be https, for example https://app.example.com/callback"}},
		{name: "an application of another type", create: edits(set("applicationType", "Mobile")), want: []string{`spec.applicationType: Unsupported value: "Mobile": supported values: "Native", "Web"`}},
		{name: "an application of no type", create: edits(unset("applicationType")), want: []string{"spec.applicationType: Required value"}},
	})
}

func TestRegistrationRedirectURIs(t *testing.T) {
	uri := func(i int) string { return fmt.Sprintf("https://app.example.com/%d", i) }
	check(t, desktop, []rule{
		{name: "32", create: edits(set("redirectURIs", many(32, uri)))},
		{name: "33", create: edits(set("redirectURIs", many(33, uri))), want: []string{"spec.redirectURIs: Too many: 33: must have at most 32 items"}},
		{name: "one twice", create: edits(set("redirectURIs", list(uri(1), uri(1)))), want: []string{`spec.redirectURIs[1]: Duplicate value: "https://app.example.com/1"`}},
		{name: "of 512 characters", create: edits(set("redirectURIs", list(longURL(512))))},
		{name: "of 513 characters", create: edits(set("redirectURIs", list(longURL(513)))), want: []string{"spec.redirectURIs[0]: Too long: may not be more than 512 bytes"}},
		{name: "32 of 512 characters", create: edits(set("redirectURIs", many(32, func(i int) string { return longURL(480 + i) })))},
		{name: "empty", create: edits(set("redirectURIs", list(""))), want: []string{`spec.redirectURIs[0]: Invalid value: "": a redirect URI must be an https URL (http only for a loopback host) or of a private-use scheme (RFC 8252 section 7.1), for example http://127.0.0.1/callback or com.example.app:/callback`, `spec.redirectURIs[0]: Invalid value: "": spec.redirectURIs[0] in body should be at least 1 chars long`}},
		{name: "only the second is bad", create: edits(set("redirectURIs", list(uri(1), "http://app.example.com/"))), want: []string{`spec.redirectURIs[1]: Invalid value: "http://app.example.com/": a redirect URI must be an https URL (http only for a loopback host) or of a private-use scheme (RFC 8252 section 7.1), for example http://127.0.0.1/callback or com.example.app:/callback`}},
		{name: "of a private-use scheme", create: edits(set("redirectURIs", list("com.example.app:/callback", "cursor://anysphere.cursor-mcp/oauth/callback")))},
		{name: "of a scheme that browsers act on", create: edits(set("redirectURIs", list("javascript:/alert(1)"))), want: []string{`spec.redirectURIs[0]: Invalid value: "javascript:/alert(1)": a redirect URI must be an https URL (http only for a loopback host) or of a private-use scheme (RFC 8252 section 7.1), for example http://127.0.0.1/callback or com.example.app:/callback`}},
		{name: "of no scheme of its own", create: edits(set("redirectURIs", list("com.example.app:callback"))), want: []string{`spec.redirectURIs[0]: Invalid value: "com.example.app:callback": a redirect URI must be an https URL (http only for a loopback host) or of a private-use scheme (RFC 8252 section 7.1), for example http://127.0.0.1/callback or com.example.app:/callback`}},
	})
}

func TestRegistrationAuthentication(t *testing.T) {
	const public = `{"keys":[{"kty":"EC","crv":"P-256","kid":"d","x":"a","y":"b"}]}`
	keys := func(text string) []edit { return edits(set("jwks", text)) }
	check(t, registration, []rule{
		{name: "a secret", create: edits(set("tokenEndpointAuthMethod", "ClientSecretBasic"))},
		{name: "a secret in the body", create: edits(set("tokenEndpointAuthMethod", "ClientSecretPost"))},
		{name: "a secret in either place", create: edits(set("tokenEndpointAuthMethod", "ClientSecret"))},
		{name: "a method that does not exist", create: edits(set("tokenEndpointAuthMethod", "ClientSecretJWT")), want: []string{`spec.tokenEndpointAuthMethod: Unsupported value: "ClientSecretJWT": supported values: "None", "PrivateKeyJWT", "ClientSecretBasic", "ClientSecretPost", "ClientSecret"`}},
		{name: "no method", create: edits(unset("tokenEndpointAuthMethod")), want: []string{"spec.tokenEndpointAuthMethod: Required value"}},
		{name: "a public client with client credentials", create: edits(set("tokenEndpointAuthMethod", "None")), want: []string{"spec: Invalid value: a public client (tokenEndpointAuthMethod: None) has no secret and cannot use ClientCredentials or TokenExchange; use tokenEndpointAuthMethod: PrivateKeyJWT"}},
		{name: "a public client with token exchange", create: edits(set("tokenEndpointAuthMethod", "None"), set("grantTypes", list("TokenExchange"))), want: []string{"spec: Invalid value: a public client (tokenEndpointAuthMethod: None) has no secret and cannot use ClientCredentials or TokenExchange; use tokenEndpointAuthMethod: PrivateKeyJWT"}},
		{name: "a key set", create: keys(public)},
		{name: "a key set's address", create: edits(set("jwksURI", "https://app.example.com/jwks.json"))},
		{name: "a key set and an address", create: edits(set("jwks", public), set("jwksURI", "https://app.example.com/jwks.json")), want: []string{"spec: Invalid value: only one of jwks and jwksURI may be given (RFC 7591 section 2); leave out both to have the operator make a key pair"}},
		{name: "a secret in the body and a key set", create: edits(set("tokenEndpointAuthMethod", "ClientSecretPost"), set("jwks", public)), want: []string{"spec: Invalid value: jwks and jwksURI need tokenEndpointAuthMethod: PrivateKeyJWT"}},
		{name: "a secret and a key set", create: edits(set("tokenEndpointAuthMethod", "ClientSecretBasic"), set("jwks", public)), want: []string{"spec: Invalid value: jwks and jwksURI need tokenEndpointAuthMethod: PrivateKeyJWT"}},
		{name: "a secret and a key set's address", create: edits(set("tokenEndpointAuthMethod", "ClientSecretBasic"), set("jwksURI", "https://app.example.com/jwks.json")), want: []string{"spec: Invalid value: jwks and jwksURI need tokenEndpointAuthMethod: PrivateKeyJWT"}},
		{name: "an empty key set", create: keys(""), want: []string{`spec.jwks: Invalid value: "": spec.jwks in body should be at least 1 chars long`}},
		{name: "a key set of 16384 characters", create: keys(strings.Repeat("x", 16384))},
		{name: "a key set of 16385 characters", create: keys(strings.Repeat("x", 16385)), want: []string{"spec.jwks: Too long: may not be more than 16384 bytes"}},
		{name: "a private elliptic key", create: keys(`{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}]}`), want: []string{"spec: Invalid value: jwks must hold public keys only: remove the private members (d, p, q, dp, dq, qi, oth, k) and replace the key, for it is no longer secret"}},
		{name: "a private RSA key, spaced out", create: keys("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"a\",\"e\":\"AQAB\",\"p\" \n:\"c\"}]}"), want: []string{"spec: Invalid value: jwks must hold public keys only: remove the private members (d, p, q, dp, dq, qi, oth, k) and replace the key, for it is no longer secret"}},
		{name: "a shared key", create: keys(`{"keys":[{"kty":"oct","k":"c"}]}`), want: []string{"spec: Invalid value: jwks must hold public keys only: remove the private members (d, p, q, dp, dq, qi, oth, k) and replace the key, for it is no longer secret"}},
		{name: "an address of 512 characters", create: edits(set("jwksURI", longURL(512)))},
		{name: "an address of 513 characters", create: edits(set("jwksURI", longURL(513))), want: []string{"spec.jwksURI: Too long: may not be more than 512 bytes"}},
		{name: "an empty address", create: edits(set("jwksURI", "")), want: []string{`spec.jwksURI: Invalid value: "": jwksURI must be an https URL, for example https://app.example.com/jwks.json`, `spec.jwksURI: Invalid value: "": spec.jwksURI in body should be at least 1 chars long`}},
	})
}

func TestRegistrationServiceAccount(t *testing.T) {
	const alone = "spec: Invalid value: serviceAccountName needs tokenEndpointAuthMethod: PrivateKeyJWT without jwks and jwksURI: the tokens of the ServiceAccount take the place of a key"
	const immutable = "spec: Invalid value: serviceAccountName is immutable: create another MCPClientRegistration"
	const notAName = "serviceAccountName must be the name of a ServiceAccount: lower-case letters, digits, - and . (RFC 1123), for example report-agent"
	check(t, registration, []rule{
		{name: "in place of a key", create: edits(set("serviceAccountName", "report-agent"))},
		{name: "of 253 characters", create: edits(set("serviceAccountName", strings.Repeat("n", 253)))},
		{name: "of 254 characters", create: edits(set("serviceAccountName", strings.Repeat("n", 254))), want: []string{"spec.serviceAccountName: Too long: may not be more than 253 bytes"}},
		{name: "empty", create: edits(set("serviceAccountName", "")), want: []string{
			`spec.serviceAccountName: Invalid value: "": ` + notAName, `spec.serviceAccountName: Invalid value: "": spec.serviceAccountName in body should be at least 1 chars long`,
		}},
		{name: "of another namespace", create: edits(set("serviceAccountName", "billing:robot")), want: []string{`spec.serviceAccountName: Invalid value: "billing:robot": ` + notAName}},
		{name: "with a secret", create: edits(set("serviceAccountName", "report-agent"), set("tokenEndpointAuthMethod", "ClientSecretBasic")), want: []string{alone}},
		{name: "with keys", create: edits(set("serviceAccountName", "report-agent"), set("jwks", `{"keys":[]}`)), want: []string{alone}},
		{name: "with the address of keys", create: edits(set("serviceAccountName", "report-agent"), set("jwksURI", "https://app.example.com/jwks.json")), want: []string{alone}},
		{name: "given later", update: edits(set("serviceAccountName", "report-agent")), want: []string{immutable}},
		{name: "left", create: edits(set("serviceAccountName", "report-agent")), update: edits(set("clientName", "Auditor"))},
		{name: "changed", create: edits(set("serviceAccountName", "report-agent")), update: edits(set("serviceAccountName", "other")), want: []string{immutable}},
		{name: "taken away", create: edits(set("serviceAccountName", "report-agent")), update: edits(unset("serviceAccountName")), want: []string{immutable}},
	})
}

func TestRegistrationIdentity(t *testing.T) {
	long := func(n int) string { return strings.Repeat("n", n) }
	check(t, registration, []rule{
		{name: "nothing changed", update: edits()},
		{name: "another name, other grant types", update: edits(set("clientName", "Auditor"), set("grantTypes", list("TokenExchange")))},
		{name: "another authorization server", update: edits(set("authorizationServerRef.name", "other")), want: []string{"spec.authorizationServerRef: Invalid value: authorizationServerRef is immutable: create another MCPClientRegistration for another authorization server"}},
		{name: "another way to authenticate", update: edits(set("tokenEndpointAuthMethod", "ClientSecretBasic")), want: []string{`spec.tokenEndpointAuthMethod: Invalid value: "ClientSecretBasic": tokenEndpointAuthMethod is immutable: create another MCPClientRegistration`}},
		{name: "no authorization server", create: edits(unset("authorizationServerRef")), want: []string{"spec.authorizationServerRef: Required value"}},
		{name: "an authorization server without name", create: edits(set("authorizationServerRef.name", "")), want: []string{`spec.authorizationServerRef.name: Invalid value: "": spec.authorizationServerRef.name in body should be at least 1 chars long`}},
		{name: "an authorization server's name of 254 characters", create: edits(set("authorizationServerRef.name", long(254))), want: []string{"spec.authorizationServerRef.name: Too long: may not be more than 253 bytes"}},
		{name: "a client's name of 128 characters", create: edits(set("clientName", long(128)))},
		{name: "a client's name of 129 characters", create: edits(set("clientName", long(129))), want: []string{"spec.clientName: Too long: may not be more than 128 bytes"}},
		{name: "a client's name in another script", create: edits(set("clientName", "請求書 👩‍💻 مدقق"))},
		{name: "a client without name", create: edits(set("clientName", "")), want: []string{`spec.clientName: Invalid value: "": spec.clientName in body should be at least 1 chars long`}},
		{name: "a client's name of two lines", create: edits(set("clientName", "a\nb")), want: []string{`spec.clientName: Invalid value: "a\nb": clientName must be one line without control or text-direction characters, for example Desktop assistant`}},
		{name: "a client's name that ends a line", create: edits(set("clientName", "a\u2028b")), want: []string{`spec.clientName: Invalid value: "a\u2028b": clientName must be one line without control or text-direction characters, for example Desktop assistant`}},
		{name: "a client's name with a control character", create: edits(set("clientName", "a\u0085b")), want: []string{`spec.clientName: Invalid value: "a\u0085b": clientName must be one line without control or text-direction characters, for example Desktop assistant`}},
		{name: "a client's name that turns the text round", create: edits(set("clientName", "a\u202eb")), want: []string{`spec.clientName: Invalid value: "a\u202eb": clientName must be one line without control or text-direction characters, for example Desktop assistant`}},
		{name: "suspended", create: edits(set("state", "Suspended"))},
		{name: "active", create: edits(set("state", "Active"))},
		{name: "in a state that does not exist", create: edits(set("state", "Paused")), want: []string{`spec.state: Unsupported value: "Paused": supported values: "Active", "Suspended"`}},
		{name: "an object's name of 242 characters", create: edits(set("metadata.name", long(242)))},
		{name: "an object's name of 243 characters", create: edits(set("metadata.name", long(243))), want: []string{"<nil>: Invalid value: metadata.name is too long for the default name of the credentials Secret: at most 242 characters, or give spec.credentials.secretName"}},
		{name: "an object's name of 253 characters with a Secret's name", create: edits(set("metadata.name", long(253)), set("credentials.secretName", "short"))},
		{name: "scopes, which only a grant names", create: edits(set("scopes", list("invoices:read")))},
	})
}

func TestRegistrationCredentials(t *testing.T) {
	long := func(n int) string { return strings.Repeat("n", n) }
	key := func(i int) string { return fmt.Sprintf("key-%d", i) }
	label := func(key, value string) []edit { return edits(set("credentials.labels", map[string]any{key: value})) }
	annotation := func(key, value string) []edit {
		return edits(set("credentials.annotations", map[string]any{key: value}))
	}
	number := func(n int) map[string]any {
		pairs := map[string]any{}
		for i := range n {
			pairs[key(i)] = "x"
		}
		return pairs
	}
	check(t, registration, []rule{
		{name: "nothing said", create: edits(set("credentials", map[string]any{}))},
		{name: "a Secret's name", create: edits(set("credentials.secretName", "auditor-oauth.v1"))},
		{name: "a Secret's name of 253 characters", create: edits(set("credentials.secretName", long(253)))},
		{name: "a Secret's name of 254 characters", create: edits(set("credentials.secretName", long(254))), want: []string{"spec.credentials.secretName: Too long: may not be more than 253 bytes"}},
		{name: "a Secret's name that is empty", create: edits(set("credentials.secretName", "")), want: []string{`spec.credentials.secretName: Invalid value: "": secretName must be the name of a Secret: lower-case letters, digits, - and . (RFC 1123), for example desktop-oauth`, `spec.credentials.secretName: Invalid value: "": spec.credentials.secretName in body should be at least 1 chars long`}},
		{name: "a Secret's name in upper case", create: edits(set("credentials.secretName", "Auditor")), want: []string{`spec.credentials.secretName: Invalid value: "Auditor": secretName must be the name of a Secret: lower-case letters, digits, - and . (RFC 1123), for example desktop-oauth`}},
		{name: "a Secret's name with two dots", create: edits(set("credentials.secretName", "a..b")), want: []string{`spec.credentials.secretName: Invalid value: "a..b": secretName must be the name of a Secret: lower-case letters, digits, - and . (RFC 1123), for example desktop-oauth`}},
		{name: "a Secret's name with a slash", create: edits(set("credentials.secretName", "other/auditor")), want: []string{`spec.credentials.secretName: Invalid value: "other/auditor": secretName must be the name of a Secret: lower-case letters, digits, - and . (RFC 1123), for example desktop-oauth`}},

		{name: "a label", create: label("team", "payments")},
		{name: "a label with prefix", create: label("example.com/team", "a-b_c.D9")},
		{name: "a label without value", create: label("team", "")},
		{name: "a label of the operator", create: label("mcp-registrar.dev/registration-uid", "x"), want: []string{"spec.credentials.labels: Invalid value: labels must not use mcp-registrar.dev/ or app.kubernetes.io/managed-by: the operator sets those, for example labels: {team: payments}"}},
		{name: "the label that marks what is managed", create: label("app.kubernetes.io/managed-by", "x"), want: []string{"spec.credentials.labels: Invalid value: labels must not use mcp-registrar.dev/ or app.kubernetes.io/managed-by: the operator sets those, for example labels: {team: payments}"}},
		{name: "a label's key with a space", create: label("the team", "x"), want: []string{"spec.credentials.labels: Invalid value: labels must have keys that Kubernetes accepts, for example labels: {team: payments}"}},
		{name: "a label's value of 63 characters", create: label("team", long(63))},
		{name: "a label's value of 64 characters", create: label("team", long(64)), want: []string{"spec.credentials.labels: Invalid value: labels must have values of at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit, for example labels: {team: payments}"}},
		{name: "a label's value with a space", create: label("team", "the payments"), want: []string{"spec.credentials.labels: Invalid value: labels must have values of at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit, for example labels: {team: payments}"}},
		{name: "a label's value that begins with a dash", create: label("team", "-payments"), want: []string{"spec.credentials.labels: Invalid value: labels must have values of at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit, for example labels: {team: payments}"}},
		{name: "a label's value that ends with a dot", create: label("team", "payments."), want: []string{"spec.credentials.labels: Invalid value: labels must have values of at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit, for example labels: {team: payments}"}},
		{name: "12 labels", create: edits(set("credentials.labels", number(12)))},
		{name: "13 labels", create: edits(set("credentials.labels", number(13))), want: []string{"spec.credentials.labels: Too many: 13: must have at most 12 items"}},

		{name: "an annotation", create: annotation("Reloader.example.com/match", "true")},
		{name: "an annotation of the operator", create: annotation("mcp-registrar.dev/release", "x"), want: []string{"spec.credentials.annotations: Invalid value: annotations must not use mcp-registrar.dev/: the operator sets those, for example annotations: {reloader.example.com/match: 'true'}"}},
		{name: "an annotation's key with a space", create: annotation("the match", "x"), want: []string{"spec.credentials.annotations: Invalid value: annotations must have keys that Kubernetes accepts, for example annotations: {reloader.example.com/match: 'true'}"}},
		{name: "an annotation's value of 4096 characters", create: annotation("match", long(4096))},
		{name: "an annotation's value of 4097 characters", create: annotation("match", long(4097)), want: []string{"spec.credentials.annotations: Invalid value: annotations must have values of at most 4096 characters, for example annotations: {reloader.example.com/match: 'true'}"}},
		{name: "32 annotations", create: edits(set("credentials.annotations", number(32)))},
		{name: "33 annotations", create: edits(set("credentials.annotations", number(33))), want: []string{"spec.credentials.annotations: Too many: 33: must have at most 32 items"}},
	})
}
