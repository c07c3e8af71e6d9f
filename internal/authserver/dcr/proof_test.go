// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

func answerWith(status int, kind, challenge, body string) contract.Stance {
	header := map[string]string{}
	if kind != "" {
		header["Content-Type"] = kind
	}
	if challenge != "" {
		header["WWW-Authenticate"] = challenge
	}
	return contract.Stance{Status: status, Header: header, Body: body}
}

func jwtOf(end time.Time) authserver.Secret {
	claims := fmt.Sprintf(`{"exp":%d}`, end.Unix())
	return authserver.NewSecret("e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln")
}

// TestWhatARefusalProvesAfterADeletion tells the answers of a management endpoint
// apart: gone is what they prove of a client that no token endpoint can be asked
// about, denied what is left of that where the token endpoint knows the client.
func TestWhatARefusalProvesAfterADeletion(t *testing.T) {
	const asJSON = "application/json"
	for name, c := range map[string]struct {
		answer       contract.Stance
		token        authserver.Secret
		uncertain    bool
		gone, denied bool
	}{
		"invalid_token":              {answer: answerWith(401, asJSON, "", `{"error":"invalid_token"}`), gone: true},
		"a sentence":                 {answer: answerWith(401, asJSON, "", `{"error":"The request could not be authorized"}`), gone: true},
		"404":                        {answer: answerWith(404, asJSON, "", `{"error":"not_found"}`), gone: true},
		"410":                        {answer: answerWith(410, asJSON, "", `{"error":"gone"}`), gone: true},
		"a challenge with an error":  {answer: answerWith(401, "", `Bearer error="invalid_token"`, ""), gone: true},
		"a bare challenge":           {answer: answerWith(401, "", "Bearer", ""), gone: true, denied: true},
		"a token that may be old":    {answer: answerWith(401, asJSON, "", `{"error":"invalid_token"}`), uncertain: true, gone: true, denied: true},
		"a generic description":      {answer: answerWith(401, asJSON, "", `{"error":"invalid_token","error_description":"The access token is expired, revoked, malformed"}`), gone: true},
		"a token of tomorrow":        {answer: answerWith(401, asJSON, "", `{"error":"invalid_token"}`), token: jwtOf(time.Now().Add(time.Hour)), gone: true},
		"an expired token":           {answer: answerWith(401, asJSON, "", `{"error":"invalid_token","error_description":"The access token expired"}`), denied: true},
		"expired, in the challenge":  {answer: answerWith(401, "", `Bearer error="invalid_token", error_description="token has EXPIRED"`, ""), denied: true},
		"a token of yesterday":       {answer: answerWith(401, asJSON, "", `{"error":"invalid_token"}`), token: jwtOf(time.Now().Add(-time.Hour)), denied: true},
		"a challenge of a page":      {answer: answerWith(401, "text/html", `Basic realm="x"`, "<html>"), denied: true},
		"forbidden":                  {answer: answerWith(403, asJSON, "", `{"error":"access_denied"}`), denied: true},
		"JSON of another resource":   {answer: answerWith(401, asJSON, `Bearer realm="https://other.example"`, `{"error":"invalid_token"}`), denied: true},
		"an answer without an error": {answer: answerWith(404, asJSON, "", `{"message":"not found"}`), denied: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			server := w.connect(t)
			client, err := server.Register(t.Context(), contract.Wish())
			if err != nil {
				t.Fatal(err)
			}
			handle := contract.HandleOf(t, server, client)
			handle.Deleted, handle.Uncertain = true, c.uncertain
			if !c.token.IsZero() {
				handle.ManagementToken = c.token
			}
			mute := handle
			mute.TokenEndpoint = ""
			w.stand(&c.answer, false, contract.Find, contract.Revoke)
			_, found, err := server.Find(t.Context(), mute)
			if gone := err == nil && !found; gone != c.gone {
				t.Errorf("nobody to ask: gone %t, want %t (%v)", gone, c.gone, err)
			}
			_, found, err = server.Find(t.Context(), handle)
			if denied := err != nil; denied != c.denied || found {
				t.Errorf("the token endpoint knows the client: denied %t, want %t (%v)", denied, c.denied, err)
			}
			w.remove(client.ID)
			if _, found, err = server.Find(t.Context(), handle); err != nil || found {
				t.Errorf("the token endpoint does not know the client: %t, %v", found, err)
			}
		})
	}
}

func TestADeletionThatAPageAcceptedIsNone(t *testing.T) {
	for name, stance := range map[string]contract.Stance{
		"a page": answerWith(200, "text/html", "", "<html>"), "a text": answerWith(200, "text/plain", "", "OK"),
		"a list": answerWith(200, "application/json", "", "[]"), "accepted for later": answerWith(202, "", "", ""),
	} {
		w := newWorld(t)
		server := w.connect(t)
		client, err := server.Register(t.Context(), contract.Wish())
		if err != nil {
			t.Fatal(err)
		}
		handle := contract.HandleOf(t, server, client)
		w.stand(&stance, false, contract.Revoke)
		failure := wantKind(t, server.Revoke(t.Context(), handle), authserver.Unavailable)
		if !failure.MaybeApplied {
			t.Errorf("%s: nobody knows what was done behind it", name)
		}
		w.stand(nil, false)
		end(t, w, server, handle)
	}
}

func TestRegistrationNamedInOneDocumentOnly(t *testing.T) {
	says := func(change func(w *world, d map[string]any)) func(http.ResponseWriter, *world) {
		return func(r http.ResponseWriter, w *world) {
			d := map[string]any{"issuer": w.issuer(), "registration_endpoint": w.issuer() + "/register"}
			change(w, d)
			reply(r, 200, d)
		}
	}
	for name, c := range map[string]struct {
		second func(http.ResponseWriter, *world)
		found  bool
		kind   authserver.Kind
		code   string
	}{
		"in the second": {says(func(*world, map[string]any) {}), true, 0, ""},
		"in the second, which says the same of the rest": {says(func(w *world, d map[string]any) {
			d["token_endpoint"], d["jwks_uri"] = w.issuer()+"/token", w.issuer()+"/jwks"
		}), true, 0, ""},
		"in neither": {says(func(_ *world, d map[string]any) { delete(d, "registration_endpoint") }), false, authserver.Rejected, CodeRegistrationUnsupported},
		"of another issuer": {says(func(w *world, d map[string]any) { d["issuer"] = w.URL }),
			false, authserver.Rejected, CodeMetadataDiffers},
		"with another token endpoint": {says(func(w *world, d map[string]any) { d["token_endpoint"] = w.issuer() + "/token2" }),
			false, authserver.Rejected, CodeMetadataDiffers},
		"with another key set": {says(func(w *world, d map[string]any) { d["jwks_uri"] = w.issuer() + "/jwks2" }),
			false, authserver.Rejected, CodeMetadataDiffers},
		"at another origin": {says(func(_ *world, d map[string]any) { d["registration_endpoint"] = "https://evil.example/r" }),
			false, authserver.Rejected, CodeForeignEndpoint},
		"no second":     {func(r http.ResponseWriter, _ *world) { reply(r, 404, map[string]any{"error": "not_found"}) }, false, authserver.Rejected, CodeRegistrationUnsupported},
		"a 404 page":    {func(r http.ResponseWriter, _ *world) { http.Error(r, "nothing here", http.StatusNotFound) }, false, authserver.Rejected, CodeRegistrationUnsupported},
		"a second page": {func(r http.ResponseWriter, _ *world) { http.Error(r, "later", http.StatusBadGateway) }, false, authserver.Unavailable, ""},
		"a login page":  {func(r http.ResponseWriter, _ *world) { http.Error(r, "log in", http.StatusForbidden) }, false, authserver.Unavailable, exchange.CodeNotTheServer},
		"not for us":    {func(r http.ResponseWriter, _ *world) { reply(r, 403, map[string]any{"error": "forbidden"}) }, false, authserver.Rejected, CodeRegistrationUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.metadata = func(d map[string]any) {
				delete(d, "registration_endpoint")
				d["jwks_uri"] = w.issuer() + "/jwks"
			}
			w.openID = func(r http.ResponseWriter, _ *http.Request) { c.second(r, w) }
			_, err := w.connect(t).Register(t.Context(), contract.Wish())
			if (err == nil) != c.found {
				t.Fatal(err)
			}
			if err != nil {
				wantError(t, err, c.kind, c.code)
			}
		})
	}
}

// What the second document has beside the registration endpoint counts where the
// first does not say it.
func TestWhatTheSecondDocumentAdds(t *testing.T) {
	w := newWorld(t)
	w.metadata = func(d map[string]any) {
		delete(d, "registration_endpoint")
		delete(d, "token_endpoint")
		d["scopes_supported"] = []string{"a"}
	}
	w.openID = func(r http.ResponseWriter, _ *http.Request) {
		reply(r, 200, map[string]any{
			"issuer": w.issuer(), "registration_endpoint": w.issuer() + "/register", "token_endpoint": w.issuer() + "/token",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"}, "scopes_supported": []string{"b"},
		})
	}
	got, err := w.connect(t).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.TokenEndpoint != w.issuer()+"/token" || !slices.Equal(got.TokenEndpointAuthMethods, []string{"client_secret_post"}) || !slices.Equal(got.Scopes, []string{"a"}) {
		t.Errorf("%+v", got)
	}
}

// Whose registration endpoint it is counts wherever it is named: openid, which the
// first document may list, is then no scope to register a client with.
func TestKeycloaksEndpointInTheSecondDocument(t *testing.T) {
	w := newWorld(t)
	w.metadata = func(d map[string]any) {
		delete(d, "registration_endpoint")
		d["scopes_supported"] = []string{"openid"}
	}
	w.openID = func(r http.ResponseWriter, _ *http.Request) {
		reply(r, 200, map[string]any{
			"issuer": w.issuer(), "registration_endpoint": w.issuer() + "/clients-registrations/openid-connect",
		})
	}
	got, err := w.connect(t).Discover(t.Context())
	if err != nil || !got.OpenIDImplied {
		t.Errorf("%+v, %v", got, err)
	}
}

// The members that differ are named.
func TestTwoDocumentsThatDifferAreRefusedByName(t *testing.T) {
	w := newWorld(t)
	w.metadata = func(d map[string]any) {
		delete(d, "registration_endpoint")
		d["jwks_uri"] = w.issuer() + "/jwks"
	}
	w.openID = func(r http.ResponseWriter, _ *http.Request) {
		reply(r, 200, map[string]any{"issuer": w.issuer(), "jwks_uri": w.issuer() + "/other", "token_endpoint": w.issuer() + "/other"})
	}
	_, err := w.connect(t).Discover(t.Context())
	failure := wantError(t, err, authserver.Rejected, CodeMetadataDiffers)
	if failure.Err == nil || failure.Err.Error() != "token_endpoint, jwks_uri" {
		t.Errorf("differ in %v", failure.Err)
	}
}

func TestNoMetadataButAPage(t *testing.T) {
	w := newWorld(t)
	w.stand(&contract.Stance{Status: 404, Body: "<html>", Header: map[string]string{"Content-Type": "text/html"}}, false, contract.Discover)
	_, err := w.connect(t).Discover(t.Context())
	wantError(t, err, authserver.Unavailable, CodeMetadataNotFound)
}
