// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// wished is a representation as Keycloak would return it.
func wished(t testing.TB, wish authserver.ClientMetadata) representation {
	t.Helper()
	r, err := (&Server{config: trusting}).operation("testing").represent(wish.ID, wish)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// trusting is a realm with an identity provider for the cluster's tokens.
var trusting = authserver.Config{AssertionIssuer: "cluster"}

func TestAWishComesBackAsItWas(t *testing.T) {
	for _, wish := range []authserver.ClientMetadata{
		contract.Wish(), contract.Confidential(), contract.Keyed(contract.NewKey(t), contract.NewKey(t)),
		contract.Asserted(Traits(trusting), "system:serviceaccount:weather:forecaster"),
	} {
		wish = contract.For(Traits(trusting), wish)
		wish.GrantTypes = append(slices.Clone(wish.GrantTypes), grantExchange)
		got := wished(t, wish).client()
		if !got.Secret.Equal(wish.Secret) || got.ID != wish.ID || got.Disabled {
			t.Errorf("%+v", got)
		}
		want := wish
		want.Secret = authserver.Secret{}
		want.RedirectURIs = append([]string{}, want.RedirectURIs...)
		if !reflect.DeepEqual(got.Registered, want) {
			t.Errorf("came back as %+v\nwant %+v", got.Registered, want)
		}
	}
}

// TestWhateverWidensAClientIsSeen changes one thing at a time.
func TestWhateverWidensAClientIsSeen(t *testing.T) {
	wish := contract.For(Traits(authserver.Config{}), contract.Wish())
	for name, change := range map[string]func(*representation){
		"PKCE":            func(r *representation) { r.Attributes[attributeChallenge] = "plain" },
		"implicit":        func(r *representation) { r.ImplicitFlow = true },
		"password":        func(r *representation) { r.DirectGrants = true },
		"service account": func(r *representation) { r.ServiceAccount = true },
		"token exchange":  func(r *representation) { r.Attributes[attributeExchange] = "true" },
		"device":          func(r *representation) { r.Attributes["oauth2.device.authorization.grant.enabled"] = "true" },
		"full scope":      func(r *representation) { r.FullScope = true },
		"consent":         func(r *representation) { r.Consent = false },
		"default scope":   func(r *representation) { r.DefaultScopes = []string{"forecast.read"} },
		"optional scope":  func(r *representation) { r.OptionalScopes = append(r.OptionalScopes, "admin") },
		"redirect URI":    func(r *representation) { r.RedirectURIs = append(r.RedirectURIs, "/*") },
		"audience":        func(r *representation) { r.ProtocolMappers = append(r.ProtocolMappers, mappers([]string{"other"})[1]) },
		"audience of a client": func(r *representation) {
			r.ProtocolMappers = append(r.ProtocolMappers, mapper{Mapper: mapperAudience, Config: map[string]string{"included.client.audience": "x"}})
		},
		"mapper": func(r *representation) {
			r.ProtocolMappers = append(r.ProtocolMappers, mapper{Mapper: "oidc-hardcoded-role-mapper"})
		},
		"longer tokens":  func(r *representation) { r.Attributes[attributeTokenLifespan] = "86400" },
		"endless tokens": func(r *representation) { r.Attributes[attributeTokenLifespan] = "-1" },
		"the realm's":    func(r *representation) { delete(r.Attributes, attributeTokenLifespan) },
		"another method": func(r *representation) { r.Public, r.Authenticator = false, "client-x509" },
		"with a key":     func(r *representation) { r.Public, r.Authenticator = false, authenticatorKey },
		"with another's tokens": func(r *representation) {
			r.Public, r.Authenticator = false, authenticatorFederated
			r.Attributes[attributeAssertionIssuer], r.Attributes[attributeAssertionSubject] = "cluster", "mallory"
		},
		"another's tokens, not taken": func(r *representation) {
			r.Attributes[attributeAssertionIssuer], r.Attributes[attributeAssertionSubject] = "cluster", "mallory"
		},
		"keys of another": func(r *representation) {
			r.Attributes[attributeUseKeys], r.Attributes[attributeKeys] = "true", `{"keys":[]}`
		},
		"a key's address": func(r *representation) {
			r.Attributes[attributeUseKeysURL], r.Attributes[attributeKeysURL] = "true", "https://x.example"
		},
	} {
		before, after := wished(t, wish), wished(t, wish)
		change(&after)
		if reflect.DeepEqual(before.client().Registered, after.client().Registered) {
			t.Errorf("%s is not seen", name)
		}
	}
	signing := contract.For(Traits(trusting), contract.Keyed(contract.NewKey(t)))
	for name, change := range map[string]func(*representation){
		"that nobody's tokens are taken": func(r *representation) { r.Authenticator = authenticatorFederated },
		"a certificate in place of keys": func(r *representation) {
			r.Attributes[attributeUseKeys], r.Attributes["jwt.credential.certificate"] = "false", "MIIB"
		},
	} {
		changed := wished(t, signing)
		change(&changed)
		if changed.client().Registered.AuthMethod == signing.AuthMethod {
			t.Errorf("%s is not seen", name)
		}
	}
	tolerated := wished(t, wish)
	tolerated.DefaultScopes = []string{serviceAccountScope}
	if got := tolerated.client().Registered; !slices.Equal(got.Scopes, wish.Scopes) {
		t.Errorf("scopes %v", got.Scopes)
	}
}

// FuzzClients holds that no answer can break the reading of clients, and that
// what is read is within bounds.
func FuzzClients(f *testing.F) {
	wish := contract.For(Traits(authserver.Config{}), contract.Wish())
	whole, err := json.Marshal([]representation{wished(f, wish)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`[{"clientId":"x","attributes":{"access.token.lifespan":"99999999999999999999","mcp-registrar.contacts":"["}}]`))
	f.Add([]byte(`[{"clientId":"x","attributes":null,"protocolMappers":[{"config":null}],"redirectUris":[null]}]`))
	f.Add([]byte(`{"error":"HTTP 403 Forbidden"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var clients []representation
		if _, err := exchange.DecodeList(raw); err != nil || json.Unmarshal(raw, &clients) != nil {
			return
		}
		for _, client := range clients {
			got := client.client()
			if got.Registered.TokenLifetime < 0 || got.Registered.TokenLifetime > longestLifespan*time.Second {
				t.Errorf("a lifetime of %s", got.Registered.TokenLifetime)
			}
			if got.Registered.Scopes == nil || got.Registered.GrantTypes == nil || got.Registered.Audiences == nil {
				t.Error("a list that does not say that it is empty")
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(cursor{First: 100, Seen: []string{"a", "b"}}.text())
	f.Add("eyJmaXJzdCI6LTF9")
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := readCursor(text); err == nil && at.First < 0 {
			t.Errorf("a place before the beginning: %d", at.First)
		}
	})
}

func FuzzSkew(f *testing.F) {
	f.Add("e30.eyJpYXQiOjE3OTU0MDg4MDh9.x")
	f.Add("a.b.c")
	f.Fuzz(func(_ *testing.T, token string) { skew(token, time.Unix(1795408808, 0)) })
}
