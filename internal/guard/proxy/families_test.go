// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/token"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// said are claims. iss and the instants are set when a token is made.
type said map[string]any

// family is an authorization server with tokens as its documentation shows them.
type family struct {
	// page is the heading in docs/access-tokens.md under which stands what is to
	// be configured; empty where that is nothing.
	page string
	// config and audience are read there, and scope is one of those that the
	// MCPServer there lists.
	config   *v1alpha1.AccessTokens
	audience string
	scope    string
	// typ is that of the header.
	typ    string
	access said
	// opaque says that access is what the server says of it when asked.
	opaque bool
	// client and scopes are the claims that say these.
	client, scopes string
	// byDefault is what becomes of it where nothing is configured.
	byDefault guard.Reason
	// id is an ID token of the same server, and idRefused why it is refused.
	id        said
	idRefused guard.Reason
}

const entraAPI = "8f2a1c34-5b6d-4e7f-9a0b-1c2d3e4f5a6b"

var (
	entraID = said{
		"ver": "2.0", "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "aud": "6cb04018-a3f5-46a7-b995-940c78f5aef3",
		"name": "Abe Lincoln", "preferred_username": "AbeLi@microsoft.com", "oid": "00000000-0000-0000-66f3-3332eca7ea81",
		"tid": "9122040d-6c67-4c5b-b112-36a304b66dad", "nonce": "123523", "aio": "Df2UVXL1ix!lMCWMSOJBcFatzcGfvFGhjKv8q5g0x732dR5MB5BisvGQO7YWByjd8iQDLq",
	}
)

var families = map[string]family{
	"Okta, a custom authorization server": {
		page: "Okta", scope: "invoices.read", client: "cid", scopes: "scp", byDefault: guard.TokenMalformed,
		access: said{
			"ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "aud": "api://default", "sub": "00ujmkLgagxeRrAg20g3",
			"cid": "nmdP1fcyvdVO11AL7ECm", "uid": "00ujmkLgagxeRrAg20g3", "scp": []string{"openid", "email", "invoices.read"},
			"auth_time": 1467145094,
		},
		id: said{
			"sub": "00uid4BxXw6I6TV4m0g3", "name": "John Doe", "email": "john.doe@example.com", "ver": 1, "aud": "uAaunofWkaDJxukCFeBx",
			"jti": "ID.4eAWJOCMB3SX8XewDfVR", "amr": []string{"pwd"}, "idp": "00ok1u7AsAkrwdZL3z0g3", "nonce": "UBGW",
			"preferred_username": "john.doe@example.com", "auth_time": 1449624026, "at_hash": "cpqKfdQA5eH891Ff5oJr_Q",
		},
		idRefused: guard.TokenKind,
	},
	"Okta, asked": {
		page: "Okta", scope: "invoices.read", opaque: true, client: "client_id", scopes: "scope",
		byDefault: guard.TokenAudience,
		access: said{
			"active": true, "token_type": "Bearer", "scope": "openid invoices.read", "client_id": "a9VpZDRCeFh3Nkk2VdYa",
			"username": "john.doe@example.com", "sub": "john.doe@example.com", "aud": "api://default",
			"jti": "AT.7P4KlczBYVcWLkxduEuKeZfeiNYkZIC9uGJ28Cc-YaI", "uid": "00uid4BxXw6I6TV4m0g3",
		},
	},
	"Entra ID, version 1.0, for a user": {
		page: "Entra ID, version 1.0", scope: "Invoices.Read", typ: "JWT", client: "appid", scopes: "scp",
		byDefault: guard.TokenMalformed,
		access: said{
			"aud": "api://" + entraAPI, "acr": "1", "aio": "AXQAi/8IAAAAFm+E/QTG+gFnVxLjWdw8K+61AGrSOuMMF6ebaMj7", "amr": []string{"pwd", "mfa"},
			"appid": "00001111-aaaa-2222-bbbb-3333cccc4444", "appidacr": "0", "family_name": "Williams", "given_name": "Isaiah",
			"ipaddr": "127.0.0.1", "name": "Isaiah Williams", "oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", "rh": "0.AR8A2sK1qP3mF0e",
			"scp": "Invoices.Read", "roles": []string{"Invoices.Approver"}, "sub": "HKZpfaHyWadeOouYlitjrI", "tid": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
			"unique_name": "isaiah@example.com", "upn": "isaiah@example.com", "uti": "5xQ0aL3nEkm7Rb9YtCvPAA", "ver": "1.0",
		},
		id: entraID, idRefused: guard.TokenMalformed,
	},
	"Entra ID, version 1.0, for an application": {
		page: "Entra ID, version 1.0", scope: "Invoices.Read.All", typ: "JWT", client: "appid", scopes: "roles",
		byDefault: guard.TokenMalformed,
		access: said{
			"aud": "api://" + entraAPI, "aio": "E2ZgYBCrs6htYuG73vd97faIfe4VAA==", "appid": "27ad23b0-54a1-4668-8c00-ff2b7e9cd7eb", "appidacr": "1",
			"idp": "https://sts.windows.net/311ca363-cc76-4086-93a7-94f6b8f4ae2a/", "idtyp": "app", "oid": "91cd7dcc-2d71-479e-a437-f0a957ef896c",
			"rh": "0.AUoAY6McMXbMhkCTp5T2uPSuKgMAAAAAAAAAwAAAAAAAAACJAAA.", "roles": []string{"Invoices.Read.All"},
			"sub": "91cd7dcc-2d71-479e-a437-f0a957ef896c", "tid": "311ca363-cc76-4086-93a7-94f6b8f4ae2a", "uti": "6tkUj2oDYk2m3nKcqrt2Ag", "ver": "1.0",
		},
	},
	"Entra ID, version 2.0, for a user": {
		page: "Entra ID, version 2.0", scope: "Invoices.Read", typ: "JWT", client: "azp", scopes: "scp", byDefault: guard.TokenAudience,
		access: said{
			"aud": entraAPI, "aio": "E2ZgYPjBv8Rk6bSVn1mM7oyLZ9dHAA==", "azp": "b41d9e6f-0a83-4c25-91d7-5e8a4f60b3c2", "azpacr": "0",
			"name": "Alice Example", "oid": "3f9b2e10-7c4d-4a1b-9e8f-2d5c6b7a8e90", "preferred_username": "alice@example.com",
			"rh": "0.AR8A2sK1qP3mF0eZbT1xUvQ9c0Zg1nAaBcdEfGhIjKlMnOpQrSt.", "roles": []string{"Invoices.Approver"}, "scp": "Invoices.Read",
			"sub": "HKZpfaHyWadeOouYlitjrI", "tid": "6c1e0b7a-2d3f-4a5b-8c9d-0e1f2a3b4c5d", "uti": "5xQ0aL3nEkm7Rb9YtCvPAA", "ver": "2.0",
		},
		id: entraID, idRefused: guard.TokenMalformed,
	},
	"Entra ID, version 2.0, for an application": {
		page: "Entra ID, version 2.0", scope: "Invoices.Read.All", typ: "JWT", client: "azp", scopes: "roles", byDefault: guard.TokenAudience,
		access: said{
			"aud": entraAPI, "aio": "k2RgYNDW+nl2ucdDVvv8Ik3Pc3UsSmuMD1S51RUozP9Rb5qd+xQA", "azp": "f2b24498-3c66-46cd-9a61-92acb473b959",
			"azpacr": "1", "oid": "99f268b3-61d1-4536-bfd5-85f426e2146f", "rh": "1.AREApJh_vYXSgkKIneLd7SzgtfSbOtCAuJNHkm-Vu1znSne2AQARAA.",
			"roles": []string{"Invoices.Read.All"}, "sub": "99f268b3-61d1-4536-bfd5-85f426e2146f", "tid": "6c1e0b7a-2d3f-4a5b-8c9d-0e1f2a3b4c5d",
			"uti": "u1TnRc8ca062Otegxw1eAA", "ver": "2.0", "xms_ftd": "6GV3Fo3zqLYcRXidCxeF67AEtuoaRaCrIosJCrS7IyEBc3dlZGVuYy1kc21z",
		},
	},
	"Amazon Cognito": {
		page: "Amazon Cognito", scope: "invoices/read", client: "client_id", scopes: "scope", byDefault: guard.TokenAudience,
		access: said{
			"sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "device_key": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": []string{"testgroup"},
			"version": 2, "client_id": "xxxxxxxxxxxxexample", "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
			"event_id": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "token_use": "access", "scope": "phone openid profile invoices/read email",
			"auth_time": 1676313851, "jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "username": "my-test-user",
		},
		id: said{
			"sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": []string{"test-group-a"}, "email_verified": true,
			"cognito:username": "my-test-user", "nonce": "abcdefg", "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "aud": "xxxxxxxxxxxxexample",
			"event_id": "64f513be-32db-42b0-b78e-b02127b4f463", "token_use": "id", "auth_time": 1676312777,
			"jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "email": "my-test-user@example.com", "at_hash": "ExampleExampleExample0",
		},
		idRefused: guard.TokenKind,
	},
	"Auth0": {
		scope: "read:invoices", typ: "JWT", client: "azp", scopes: "scope", byDefault: guard.ReasonAllowed,
		access: said{
			"sub": "auth0|123456", "aud": []string{resource, "https://my-domain.auth0.com/userinfo"}, "azp": "my_client_id",
			"scope": "openid profile read:invoices", "my_custom_claim": "my_custom_value",
		},
		id: said{
			"sub": "auth0|123456", "aud": "my_client_id", "name": "Jane Doe", "given_name": "Jane", "family_name": "Doe", "gender": "female",
			"birthdate": "0000-10-31", "email": "janedoe@example.com", "picture": "https://example.com/janedoe/me.jpg",
		},
		idRefused: guard.TokenMalformed,
	},
	"Auth0, the profile of RFC 9068": {
		scope: "read:invoices", typ: "at+jwt", client: "client_id", scopes: "scope", byDefault: guard.ReasonAllowed,
		access: said{
			"sub": "auth0|123456", "aud": []string{resource, "https://my-domain.auth0.com/userinfo"}, "client_id": "my_client_id",
			"jti": "73WakrfVbNJBaAmhQtEeDv", "scope": "openid profile read:invoices", "my_custom_claim": "my_custom_value",
		},
	},
	"Keycloak, for a user": {
		scope: "invoices:read", typ: "JWT", client: "azp", scopes: "scope", byDefault: guard.ReasonAllowed,
		access: said{
			"auth_time": 1693808936, "jti": "e1ac2e55-a655-464b-9039-6874c52398e3", "aud": []string{resource, "account"},
			"sub": "fd8fc3d3-0a39-41f7-9468-45926f658e41", "typ": "Bearer", "azp": "curl-rp", "session_state": "c09af47f-db7c-4013-bff6-60b78b959786",
			"acr": "0", "realm_access": said{"roles": []string{"offline_access", "uma_authorization"}},
			"resource_access": said{"account": said{"roles": []string{"manage-account", "view-profile"}}},
			"scope":           "openid profile invoices:read email", "sid": "c09af47f-db7c-4013-bff6-60b78b959786", "email_verified": true,
			"preferred_username": "guest", "given_name": "", "family_name": "", "email": "guest@example.com",
		},
		id: said{
			"auth_time": 1693808936, "jti": "d3558e96-175c-4ffc-8515-73197e5185b7", "aud": "curl-rp", "sub": "fd8fc3d3-0a39-41f7-9468-45926f658e41",
			"typ": "ID", "azp": "curl-rp", "session_state": "c09af47f-db7c-4013-bff6-60b78b959786", "at_hash": "UbB146Lw2fEcOkrltOo3uQ", "acr": "0",
			"sid": "c09af47f-db7c-4013-bff6-60b78b959786", "email_verified": true, "preferred_username": "guest", "email": "guest@example.com",
		},
		idRefused: guard.TokenKind,
	},
	"Keycloak, for a service account": {
		scope: "invoices:read", typ: "JWT", client: "azp", scopes: "scope", byDefault: guard.ReasonAllowed,
		access: said{
			"jti": "f73a4a37-9550-4f88-97ef-345abee06f15", "aud": resource, "sub": "7ddaf89f-69eb-4ecf-a9ca-acba11211986", "typ": "Bearer",
			"azp": "backend", "acr": "1", "allowed-origins": []string{"/*"}, "realm_access": said{"roles": []string{"offline_access"}},
			"scope": "email profile invoices:read", "clientHost": "192.168.107.192", "email_verified": false,
			"preferred_username": "service-account-backend", "clientAddress": "192.168.107.192", "client_id": "backend",
		},
	},
	"Ory Hydra, JWTs": {
		scope: "invoices:read", typ: "JWT", client: "client_id", scopes: "scp", byDefault: guard.ReasonAllowed,
		access: said{
			"aud": []string{resource}, "client_id": "46eec92b-2f63-4bd7-9c9a-2a3c1f7b7f2e", "ext": said{}, "jti": "3d7bbd4e-5b0f-4d45-9a28-2a6f3b5a3a35",
			"scp": []string{"invoices:read", "offline"}, "sub": "foo@bar.com",
		},
		id: said{
			"acr": "0", "at_hash": "v8-mh3JxSlkCq4YFTxJ8fQ", "aud": []string{"46eec92b-2f63-4bd7-9c9a-2a3c1f7b7f2e"}, "auth_time": 1643450958,
			"jti": "f5a7a5f0-3f1e-4ac7-9e3a-4b7f9d9e8f3a", "nonce": "lrpzvlsvqbcshogfbwkhdrzy", "rat": 1643450950,
			"sid": "1bbf3c5e-2c0e-4a35-8a2b-6d2d5f7f0b9e", "sub": "foo@bar.com",
		},
		idRefused: guard.TokenKind,
	},
	"Ory Hydra, opaque": {
		scope: "invoices:read", opaque: true, client: "client_id", scopes: "scope", byDefault: guard.ReasonAllowed,
		access: said{
			"active": true, "aud": []string{resource}, "client_id": "some-consumer", "sub": "some-consumer", "scope": "invoices:read",
			"token_type": "Bearer", "token_use": "access_token",
		},
		id: said{
			"active": true, "aud": []string{resource}, "client_id": "some-consumer", "sub": "some-consumer", "scope": "invoices:read",
			"token_type": "Bearer", "token_use": "refresh_token",
		},
		idRefused: guard.TokenKind,
	},
	"oidc-provider": {
		scope: "invoices:read", typ: "at+jwt", client: "client_id", scopes: "scope", byDefault: guard.ReasonAllowed,
		access: said{
			"jti": "vHrtAAVQmJRkDrqyJkTLyKWFyYj3n2HkGJ2jsd4mbEW", "sub": "23121d3c-84df-44ac-b458-3d63a9a05497", "scope": "invoices:read",
			"client_id": "foo", "aud": resource,
		},
		id:        said{"sub": "23121d3c-84df-44ac-b458-3d63a9a05497", "nonce": "foobar", "at_hash": "xsZZrUssMXjL3FBlzoSh2g", "aud": "foo"},
		idRefused: guard.TokenKind,
	},
}

// TestFamilies has a guard before a real upstream judge what each family of
// authorization servers issues.
func TestFamilies(t *testing.T) {
	t.Parallel()
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFamilyStage(t, f)
			f = s.family
			s.expect("as configured", f.config, f.audience, f.access, guard.ReasonAllowed)
			s.expect("by default", nil, "", f.access, f.byDefault)
			s.expect("for another audience", f.config, "https://other.example.com", f.access, guard.TokenAudience)
			s.expect("of another client", f.config, f.audience, f.with(f.client, "stranger", "client_id", "stranger"), guard.Reason(policy.RefusedUnknownClient))
			s.expect("of one client by one claim and another by another", f.config, f.audience, f.torn(), s.contradicted())
			s.expect("without the scope", f.config, f.audience, f.with(f.scopes, "openid "+f.scope+".other"), guard.Reason(policy.RefusedScopeMissing))
			s.expect("bound to a key", f.config, f.audience, f.with("cnf", said{"jkt": "2HR2BW5-tan1aI6yIPHVOHwirAy4kQGWULoQHKUO0s4"}), guard.TokenBound)
			if f.id != nil {
				s.expect("an ID or refresh token", f.config, f.audience, f.id, f.idRefused)
			}
		})
	}
}

// with is the access token with other claims, by name and value.
func (f family) with(pairs ...any) said {
	changed := maps.Clone(f.access)
	for i := 0; i < len(pairs); i += 2 {
		changed[pairs[i].(string)] = pairs[i+1]
	}
	return changed
}

// torn is the access token with another client by the claim that is not used.
func (f family) torn() said {
	if f.client == "client_id" {
		return f.with("azp", "stranger")
	}
	return f.with("client_id", "stranger")
}

// contradicted is what becomes of what contradicts itself: an issuer that answers
// so has said nothing.
func (f family) contradicted() guard.Reason {
	if f.opaque {
		return guard.TokenUnverifiable
	}
	return guard.TokenMalformed
}

// familyStage is a guard before an upstream, with an issuer of its own.
type familyStage struct {
	*world
	family
	issuer *httptest.Server
	key    *ecdsa.PrivateKey
	answer said
}

func newFamilyStage(t *testing.T, f family) *familyStage {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if f.audience = resource; f.page != "" {
		f.config, f.audience = documented(t, f.page, f.scope)
	}
	s := &familyStage{family: f, key: key}
	s.issuer = httptest.NewServer(s)
	t.Cleanup(s.issuer.Close)
	options := token.Options{Clock: clock.RealClock{}}
	if f.opaque {
		options.Introspection = map[string]token.Introspection{s.issuer.URL: {ClientID: "guard", ClientSecret: authserver.NewSecret("s")}}
	}
	verifier, err := token.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	s.world = newWorldBy(t, fine, guard.Options{Clock: clock.RealClock{}, Tokens: verifier})
	s.register.add(f.access[f.client].(string), f.scope)
	return s
}

// documented reads what the page has be configured, as an API server does that
// takes no unknown field.
func documented(t *testing.T, heading, scope string) (*v1alpha1.AccessTokens, string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "access-tokens.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n### "+heading+"\n")
	_, block, there := strings.Cut(section, "```yaml\n")
	block, _, closed := strings.Cut(block, "```")
	first, second, both := strings.Cut(block, "---\n")
	if !found || !there || !closed || !both {
		t.Fatalf("the page has no two objects under %s", heading)
	}
	var as v1alpha1.AuthorizationServer
	var server v1alpha1.MCPServer
	if err := errors.Join(yaml.UnmarshalStrict([]byte(first), &as), yaml.UnmarshalStrict([]byte(second), &server)); err != nil {
		t.Fatal(err)
	}
	if server.Spec.AuthorizationServerRef.Name != as.Name || !slices.ContainsFunc(server.Spec.Scopes, func(s v1alpha1.Scope) bool { return string(s.Name) == scope }) {
		t.Errorf("the MCPServer under %s is of %s and lists %v", heading, server.Spec.AuthorizationServerRef.Name, server.Spec.Scopes)
	}
	return as.Spec.AccessTokens, policy.AudienceOf(&server)
}

// ServeHTTP is the issuer.
func (s *familyStage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = said{"issuer": s.issuer.URL, "jwks_uri": s.issuer.URL + "/keys", "introspection_endpoint": s.issuer.URL + "/introspect"}
	case "/keys":
		answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
	case "/introspect":
		answer = s.answer
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// expect shows a token to a guard that reads it by a configuration.
func (s *familyStage) expect(when string, config *v1alpha1.AccessTokens, audience string, token said, want guard.Reason) {
	s.t.Helper()
	as := &v1alpha1.AuthorizationServer{Spec: v1alpha1.AuthorizationServerSpec{Issuer: s.issuer.URL, AccessTokens: config}}
	entry := policy.IssuerOf(as)
	s.register.change(guard.Change{}, func() {
		s.register.servers[calc] = guard.Server{Issuer: entry.Issuer, Tokens: entry.Tokens, ServerEntry: policy.ServerEntry{
			Namespace: "team", Name: "calc", Resource: resource, Audience: audience, AuthorizationServer: "as",
			Scopes: []policy.CatalogueScope{{Name: s.scope, Tools: []string{"add"}}},
		}}
	})
	before := len(s.passed())
	got := s.post(addCall, "Authorization", "Bearer "+s.issue(when, token))
	if reason := s.records.last(); reason != want {
		s.t.Errorf("%s: %s (%d), want %s: %s", when, reason, got.status, want, got.body)
	}
	if passed := len(s.passed()) > before; passed != (want == guard.ReasonAllowed) {
		s.t.Errorf("%s: reached the server: %t", when, passed)
	}
}

// issue signs a token, or has it known where it is asked about; when makes each
// opaque one another.
func (s *familyStage) issue(when string, claims said) string {
	s.t.Helper()
	now := time.Now().Unix()
	claims = maps.Clone(claims)
	claims["iss"], claims["exp"], claims["iat"], claims["nbf"] = s.issuer.URL, now+300, now, now
	if s.family.opaque {
		s.answer = claims
		return "opaque-" + strings.ReplaceAll(when, " ", "-")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	options := &jose.SignerOptions{}
	if s.typ != "" {
		options.WithType(jose.ContentType(s.typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: "k1"}}, options)
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}
