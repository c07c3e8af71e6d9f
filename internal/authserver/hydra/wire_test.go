// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

func TestTheAlgorithmIsThatOfTheKeys(t *testing.T) {
	for jwks, want := range map[string]string{
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}":                                      "ES256",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\"}]}":                                      "ES384",
		"{\"keys\":[{\"kty\":\"RSA\"}]}":                                                       "RS256",
		"{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"PS256\"},{\"kty\":\"RSA\",\"alg\":\"PS256\"}]}": "PS256",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"},{\"kty\":\"EC\",\"alg\":\"ES256\"}]}":   "ES256",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"},{\"kty\":\"RSA\"}]}":                    "mixed",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"},{\"kty\":\"OKP\",\"alg\":\"EdDSA\"}]}":  "mixed",
		"[]": "wrong", "{}": "wrong", "{\"keys\":7}": "wrong", "{": "wrong",
	} {
		body, err := encode("c-1", authserver.ClientMetadata{AuthMethod: "private_key_jwt", JWKS: jwks})
		switch want {
		case "mixed", "wrong":
			if err == nil {
				t.Errorf("%s is taken", jwks)
			}
		default:
			if err != nil || !strings.Contains(string(body), "\"token_endpoint_auth_signing_alg\":\""+want+"\"") {
				t.Errorf("%s: %v, %s", jwks, err, body)
			}
		}
	}
	body, err := encode("c-1", authserver.ClientMetadata{AuthMethod: "none", JWKS: "{\"keys\":[{\"kty\":\"RSA\"}]}"})
	if err != nil || strings.Contains(string(body), "signing_alg") {
		t.Errorf("%v, %s", err, body)
	}
}

func TestWishesThatHydraCannotHoldAreNotSent(t *testing.T) {
	server, sent := scripted(t, says(200, "{}"))
	for name, change := range map[string]func(*authserver.ClientMetadata){
		"two key sets":        func(w *authserver.ClientMetadata) { w.JWKS, w.JWKSURI = "{\"keys\":[]}", "https://keys.example" },
		"half a second":       func(w *authserver.ClientMetadata) { w.TokenLifetime = 1500 * time.Millisecond },
		"a negative lifetime": func(w *authserver.ClientMetadata) { w.TokenLifetime = -time.Second },
	} {
		wish := contract.For(Traits, contract.Wish())
		change(&wish)
		_, err := server.Register(t.Context(), wish)
		if failure := wantError(t, err, authserver.Rejected, "invalid_client_metadata"); failure.MaybeApplied || len(*sent) != 0 {
			t.Errorf("%s: sent %v", name, *sent)
		}
	}
}

func TestWhatIsNotThereIsWhatHydraTakesItFor(t *testing.T) {
	client := parsed(t, "{\"client_id\":\"c-1\",\"grant_types\":null,\"response_types\":null,\"jwks\":{},\"audience\":null,\"contacts\":null,\"metadata\":null}")
	got := client.Registered
	if !slices.Equal(got.GrantTypes, []string{"authorization_code"}) || !slices.Equal(got.ResponseTypes, []string{"code"}) ||
		got.JWKS != "" || got.Audiences == nil || got.Scopes == nil || got.RedirectURIs == nil || got.TokenLifetime != 0 {
		t.Errorf("%+v", got)
	}
	got = parsed(t, "{\"client_id\":\"c-1\",\"grant_types\":[\"client_credentials\"],\"response_types\":[],\"jwks\":{\"keys\": []}}").Registered
	if len(got.ResponseTypes) != 0 || got.JWKS != "{\"keys\":[]}" {
		t.Errorf("%+v", got)
	}
}

func parsed(t *testing.T, raw string) authserver.Client {
	t.Helper()
	fields, err := exchange.DecodeObject([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	client, err := parseClient(fields)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestTheLifetimeIsTheLongestOfTheGrants(t *testing.T) {
	all := func(code, credentials, refresh string) string {
		return "{\"client_id\":\"c\",\"authorization_code_grant_access_token_lifespan\":" + code +
			",\"client_credentials_grant_access_token_lifespan\":" + credentials +
			",\"refresh_token_grant_access_token_lifespan\":" + refresh + "}"
	}
	for raw, want := range map[string]time.Duration{
		all("\"5m0s\"", "\"300s\"", "\"5m\""):     5 * time.Minute,
		all("\"5m0s\"", "\"1h0m0s\"", "\"5m0s\""): time.Hour,
		all("\"5m0s\"", "null", "\"5m0s\""):       0,
		all("\"5m0s\"", "\"\"", "\"5m0s\""):       0,
	} {
		if got := parsed(t, raw).Registered.TokenLifetime; got != want {
			t.Errorf("%s: %s", raw, got)
		}
	}
}

func FuzzParseClient(f *testing.F) {
	for _, seed := range []string{
		"{\"client_id\":\"a\"}", "{\"client_id\":\"a\",\"owner\":\"o\",\"metadata\":{\"software_id\":\"o\"}}",
		"{\"client_id\":\"a\",\"client_credentials_grant_access_token_lifespan\":\"1h\"}", "{\"client_id\":\"a\",\"jwks\":{\"keys\":[]}}",
		"{\"client_id\":\"a\r\n\"}", "null", "[]", "{\"client_id\":7}", "{\"client_id\":\"a\",\"metadata\":\"x\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fields, err := exchange.DecodeObject(raw)
		if err != nil {
			return
		}
		client, err := parseClient(fields)
		if err != nil {
			return
		}
		if client.ID == "" || strings.ContainsFunc(client.ID+client.Secret.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("id %q", client.ID)
		}
		if len(client.Registered.GrantTypes) == 0 || client.Registered.Scopes == nil {
			t.Errorf("%+v", client.Registered)
		}
		if owned(fields, authserver.Handle{}) {
			t.Error("a client of nobody is ours")
		}
	})
}
