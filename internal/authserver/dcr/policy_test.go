// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// refuseAll answers everything but discovery with 403, as Keycloak does.
func refuseAll(t *testing.T, description string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/", func(response http.ResponseWriter, _ *http.Request) {
		reply(response, http.StatusForbidden, map[string]any{"error": "insufficient_scope", "error_description": description})
	})
	mux.HandleFunc(wellKnownOAuth, func(response http.ResponseWriter, _ *http.Request) {
		reply(response, http.StatusOK, map[string]any{
			"issuer": server.URL, "registration_endpoint": server.URL + "/register", "token_endpoint": server.URL + "/token",
		})
	})
	return server
}

// The texts are those of Keycloak 26.
func TestAPolicyIsToldFromABadToken(t *testing.T) {
	const policy = "Policy 'Ours' rejected request to client-registration service. Details: "
	for description, want := range map[string]authserver.Error{
		policy + "Not permitted to use specified clientScope":           {Kind: authserver.Rejected, Code: CodeScopeNotAllowed},
		policy + "It's allowed to have max 1 clients per realm":         {Kind: authserver.Rejected, Code: CodeTooManyClients},
		policy + "Host not trusted.":                                    {Kind: authserver.Rejected, Code: CodeHostNotTrusted},
		policy + "URI doesn't match any trusted host or trusted domain": {Kind: authserver.Rejected, Code: CodeURINotTrusted},
		policy + contract.Canary:                                        {Kind: authserver.Rejected, Code: CodeRefusedByPolicy},
		"Forbidden":                                                     {Kind: authserver.Unauthorized, Code: "insufficient_scope"},
		"":                                                              {Kind: authserver.Unauthorized, Code: "insufficient_scope"},
		policy + strings.Repeat("more than is read", 1<<10):             {Kind: authserver.Unauthorized, Code: "insufficient_scope"},
	} {
		refusing := refuseAll(t, description)
		server, err := New(authserver.Config{Name: "test", Issuer: refusing.URL, MaxInFlight: 1}, Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		handle := authserver.Handle{
			ClientID: "client", ManagementURI: refusing.URL + "/register/client", ManagementToken: authserver.NewSecret("token"),
		}
		_, registering := server.Register(t.Context(), contract.Wish())
		_, replacing := server.Replace(t.Context(), handle, contract.Wish())
		for op, err := range map[string]error{"Register": registering, "Replace": replacing} {
			failure := failureOf(t, err)
			if failure.Kind != want.Kind || failure.Code != want.Code || failure.MaybeApplied || strings.Contains(err.Error(), contract.Canary) {
				t.Errorf("%s, %.90q: %v", op, description, err)
			}
		}
	}
}
