// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package keycloak

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// testOwnScopes registers clients by RFC 7591 with the scopes of Keycloak itself, which
// it publishes both: offline_access is a client scope that every realm has and its
// policy Allowed Client Scopes lets pass, openid is none and every client may ask for it.
func testOwnScopes(t *testing.T, server *keycloak.Server) {
	realm := server.NewRealm(t)
	realm.AllowScopes(t, keycloak.Authenticated, "files:read")
	token := realm.InitialAccessToken(t, 10)
	for scope, want := range map[string]int{
		"files:read":                       http.StatusCreated,
		"files:read offline_access":        http.StatusCreated,
		"files:read openid":                http.StatusForbidden,
		"files:read offline_access openid": http.StatusForbidden,
	} {
		body, err := json.Marshal(map[string]any{
			"client_name": "own scopes", "redirect_uris": []string{redirect}, "scope": scope, "token_endpoint_auth_method": "none",
			"grant_types": []string{"authorization_code", "refresh_token"},
		})
		if err != nil {
			t.Fatal(err)
		}
		answer := realm.Register(t, http.MethodPost, realm.RegistrationEndpoint(), token, body)
		t.Logf("%s: %d %s", scope, answer.Status, answer.Body)
		if answer.Status != want {
			t.Errorf("with the scopes %s: %d %s", scope, answer.Status, answer.Body)
		}
	}
}
