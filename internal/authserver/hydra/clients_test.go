// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func wantError(t *testing.T, err error, kind authserver.Kind, code string) *authserver.Error {
	t.Helper()
	var failure *authserver.Error
	if !errors.As(err, &failure) {
		t.Fatalf("not an *authserver.Error: %v", err)
	}
	if failure.Kind != kind || failure.Code != code {
		t.Fatalf("got %s %q (%v), want %s %q", failure.Kind, failure.Code, err, kind, code)
	}
	return failure
}

// scripted returns an adapter for an admin API that answers as a handler does,
// and what was sent there.
func scripted(t *testing.T, answer http.HandlerFunc) (*Server, *[]string) {
	t.Helper()
	sent := &[]string{}
	world := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		*sent = append(*sent, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s carries a credential", r.Method, r.URL.Path)
		}
		answer(w, r)
	}))
	t.Cleanup(world.Close)
	server, err := New(authserver.Config{Issuer: "https://as.example", BaseURL: world.URL}, Options{Now: time.Now, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, sent
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestEverythingIsSentExplicitly(t *testing.T) {
	server, sent := scripted(t, says(http.StatusCreated, "{\"client_id\":\"c-1\"}"))
	wish := contract.For(Traits, contract.Confidential())
	wish.ID, wish.Secret = "c-1", authserver.NewSecret("chosen-secret")
	if _, err := server.Register(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	body, found := strings.CutPrefix((*sent)[0], "POST /admin/clients ")
	if !found {
		t.Fatalf("sent %v", *sent)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"client_id": "c-1", "client_secret": "chosen-secret", "client_name": "weather (7f3a)",
		"redirect_uris": []any{}, "grant_types": []any{"client_credentials"}, "response_types": []any{},
		"scope": "forecast.read alerts.read", "audience": []any{"https://mcp.example.com/weather", "https://mcp.example.com/alerts"},
		"owner":                      "mcp-registrar/cluster",
		"metadata":                   map[string]any{"software_id": "mcp-registrar/cluster", "software_version": "7f3a"},
		"token_endpoint_auth_method": "client_secret_basic", "contacts": []any{"team@weather.example"},
		"authorization_code_grant_access_token_lifespan": "300s", "client_credentials_grant_access_token_lifespan": "300s",
		"refresh_token_grant_access_token_lifespan": "300s", "implicit_grant_access_token_lifespan": "300s",
		"jwt_bearer_grant_access_token_lifespan": "300s", "device_authorization_grant_access_token_lifespan": "300s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	bare, err := encode("c-1", authserver.ClientMetadata{AuthMethod: "none"})
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{
		"\"scope\":\"\"", "\"audience\":[]", "\"grant_types\":[]", "\"redirect_uris\":[]",
		"\"client_credentials_grant_access_token_lifespan\":null", "\"owner\":\"\"",
	} {
		if !strings.Contains(string(bare), member) {
			t.Errorf("%s is not in %s", member, bare)
		}
	}
	if strings.Contains(string(bare), "client_secret\"") {
		t.Errorf("a secret is in %s", bare)
	}
}

func TestOurSecretIsTheSecretWhereTheAnswerIsSilent(t *testing.T) {
	server, _ := scripted(t, says(http.StatusCreated, "{\"client_id\":\"c-1\",\"token_endpoint_auth_method\":\"client_secret_basic\"}"))
	wish := contract.For(Traits, contract.Confidential())
	wish.ID = "c-1"
	client, err := server.Register(t.Context(), wish)
	if err != nil || !client.Secret.Equal(wish.Secret) {
		t.Errorf("%v, %v", client, err)
	}
}

func TestT20A404ThatIsNotHydrasProvesNothing(t *testing.T) {
	for name, body := range map[string]string{
		"a proxy's page":       "<html>not found</html>",
		"Go's own":             "404 page not found\n",
		"nothing":              "",
		"another gateway's":    "{\"message\":\"no Route matched with those values\"}",
		"an error of no text":  "{\"error\":{\"code\":404}}",
		"an empty error":       "{\"error\":\"\"}",
		"JSON that breaks off": "{\"error\":\"Unable to locate",
		"a list":               "[]",
	} {
		t.Run(name, func(t *testing.T) {
			server, sent := scripted(t, says(http.StatusNotFound, body))
			handle := authserver.Handle{ClientID: "c-1", Owner: "us"}
			_, found, err := server.Find(t.Context(), handle)
			wantError(t, err, authserver.Unavailable, CodeAdminAPINotFound)
			if found {
				t.Error("found")
			}
			wantError(t, server.Revoke(t.Context(), handle), authserver.Unavailable, CodeAdminAPINotFound)
			_, err = server.Replace(t.Context(), handle, contract.Wish())
			wantError(t, err, authserver.Unavailable, CodeAdminAPINotFound)
			if slices.ContainsFunc(*sent, func(s string) bool { return !strings.HasPrefix(s, "GET ") }) {
				t.Errorf("sent %v", *sent)
			}
		})
	}
	server, _ := scripted(t, says(http.StatusNotFound, "{\"error\":\"Unable to locate the resource\",\"error_description\":\"\"}"))
	if _, found, err := server.Find(t.Context(), authserver.Handle{ClientID: "c-1", Owner: "us"}); err != nil || found {
		t.Errorf("found %t, %v", found, err)
	}
	_, err := server.Replace(t.Context(), authserver.Handle{ClientID: "c-1", Owner: "us"}, contract.Wish())
	wantError(t, err, authserver.Unauthorized, CodeClientNotFound)
}

func TestBothPlacesOfTheMarkMustAgree(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		ours bool
	}{
		"both":                     {"\"owner\":\"us\",\"metadata\":{\"software_id\":\"us\",\"software_version\":\"m\"}", true},
		"the owner only":           {"\"owner\":\"us\",\"metadata\":{}", false},
		"the owner and no object":  {"\"owner\":\"us\",\"metadata\":\"us\"", false},
		"the metadata only":        {"\"owner\":\"\",\"metadata\":{\"software_id\":\"us\"}", false},
		"another owner":            {"\"owner\":\"them\",\"metadata\":{\"software_id\":\"us\"}", false},
		"another software":         {"\"owner\":\"us\",\"metadata\":{\"software_id\":\"them\"}", false},
		"software of a wrong type": {"\"owner\":\"us\",\"metadata\":{\"software_id\":[\"us\"]}", false},
		"nothing":                  {"\"owner\":null,\"metadata\":null", false},
	} {
		t.Run(name, func(t *testing.T) {
			server, sent := scripted(t, says(http.StatusOK, "{\"client_id\":\"c-1\","+c.body+"}"))
			handle := authserver.Handle{ClientID: "c-1", Owner: "us"}
			client, found, err := server.Find(t.Context(), handle)
			if c.ours {
				if err != nil || !found || client.Registered.SoftwareID != "us" || client.Registered.SoftwareVersion != "m" {
					t.Errorf("found %t, %v: %+v", found, err, client)
				}
				return
			}
			wantError(t, err, authserver.Conflict, exchange.CodeForeignClient)
			wantError(t, server.Revoke(t.Context(), handle), authserver.Conflict, exchange.CodeForeignClient)
			_, err = server.Replace(t.Context(), handle, contract.Wish())
			wantError(t, err, authserver.Conflict, exchange.CodeForeignClient)
			if len(*sent) != 3 {
				t.Errorf("sent %v", *sent)
			}
		})
	}
}

func TestAnAnswerAboutAnotherClientIsAConflict(t *testing.T) {
	server, _ := scripted(t, says(http.StatusOK, "{\"client_id\":\"c-2\",\"owner\":\"us\",\"metadata\":{\"software_id\":\"us\"}}"))
	_, _, err := server.Find(t.Context(), authserver.Handle{ClientID: "c-1", Owner: "us"})
	wantError(t, err, authserver.Conflict, exchange.CodeClientMismatch)
	wish := contract.For(Traits, contract.Wish())
	_, err = server.Register(t.Context(), wish)
	if failure := wantError(t, err, authserver.Conflict, exchange.CodeClientMismatch); !failure.MaybeApplied {
		t.Error("something was registered all the same")
	}
}

func TestIDsOfAnyFormStayInTheirSegment(t *testing.T) {
	for id, want := range map[string]string{
		"a/../b": "GET /admin/clients/a%2F..%2Fb ", "a?b#c": "GET /admin/clients/a%3Fb%23c ", "ä %": "GET /admin/clients/%C3%A4%20%25 ",
	} {
		server, sent := scripted(t, says(http.StatusNotFound, "{\"error\":\"Unable to locate the resource\"}"))
		if _, found, err := server.Find(t.Context(), authserver.Handle{ClientID: id, Owner: "us"}); err != nil || found {
			t.Errorf("%q: found %t, %v", id, found, err)
		}
		if len(*sent) != 1 || (*sent)[0] != want {
			t.Errorf("%q: sent %q", id, *sent)
		}
	}
	for _, id := range []string{".", ".."} {
		server, sent := scripted(t, says(http.StatusOK, "{}"))
		wantError(t, server.Revoke(t.Context(), authserver.Handle{ClientID: id, Owner: "us"}), authserver.Rejected, CodeClientNotFound)
		if len(*sent) != 0 {
			t.Errorf("sent %v", *sent)
		}
	}
}

// operations are what the development server was asked, without discovery and
// tokens.
func operations(as *devas.Server) []devas.Operation {
	var list []devas.Operation
	for _, entry := range as.Log() {
		if entry.Operation != devas.Discovery && entry.Operation != devas.Token {
			list = append(list, entry.Operation)
		}
	}
	return list
}

func TestRevokeDeletesTheClientAndThenItsTokens(t *testing.T) {
	as := startAS(t)
	server := open(t, as, Options{})
	wish := contract.For(Traits, contract.Confidential())
	client, err := server.Register(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	as.ResetCounts()
	for range 2 {
		if err := server.Revoke(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
	}
	want := []devas.Operation{devas.Read, devas.Delete, devas.EndTokens, devas.Read, devas.EndTokens}
	if got := operations(as); !slices.Equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
}

func TestTokensThatCannotBeDeletedLeaveRevokeUndone(t *testing.T) {
	as := startAS(t)
	server := open(t, as, Options{})
	client, err := server.Register(t.Context(), contract.For(Traits, contract.Wish()))
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	for _, status := range []int{401, 404, 500} {
		if err := as.Order(devas.Fault{Operation: devas.EndTokens, Status: status, Count: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for i, kind := range []authserver.Kind{authserver.Unauthorized, authserver.Rejected, authserver.Unavailable} {
		err := server.Revoke(t.Context(), handle)
		var failure *authserver.Error
		if !errors.As(err, &failure) || failure.Kind != kind {
			t.Fatalf("%v, want %s", err, kind)
		}
		if i == 0 && !failure.MaybeApplied {
			t.Error("the client is gone all the same")
		}
	}
	if len(as.Clients()) != 0 {
		t.Error("the client lives")
	}
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Error(err)
	}
}

func TestTheAdminURLWithAndWithoutItsSegment(t *testing.T) {
	for given, want := range map[string]string{
		"https://h.example": "https://h.example", "https://h.example/": "https://h.example",
		"https://h.example/admin": "https://h.example", "https://h.example/hydra/admin/": "https://h.example/hydra",
		"https://h.example/hydra": "https://h.example/hydra",
	} {
		if got := base(given); got != want {
			t.Errorf("%s: %s", given, got)
		}
	}
	for _, config := range []authserver.Config{
		{Issuer: "https://as.example"}, {Issuer: "https://as.example", BaseURL: "http://h.example"}, {BaseURL: "https://h.example"},
		{Issuer: "https://as.example", BaseURL: "https://h.example?x"},
	} {
		_, err := New(config, Options{Now: time.Now})
		wantError(t, err, authserver.Rejected, exchange.CodeInvalidConfig)
	}
}

func TestDiscoveryIsAtTheIssuerAndCounted(t *testing.T) {
	as := startAS(t)
	sent := 0
	server := open(t, as, Options{Sent: func(string) { sent++ }})
	metadata, err := server.Discover(t.Context())
	if err != nil || metadata.Issuer != as.Issuer() || metadata.RegistrationEndpoint != "" || metadata.TokenEndpoint == "" {
		t.Fatalf("%+v, %v", metadata, err)
	}
	if _, err := server.List(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if sent != 3 {
		t.Errorf("%d requests counted: two for the metadata, one for the list", sent)
	}
}
