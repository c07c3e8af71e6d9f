// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package keycloak

import (
	"net/url"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	adapter "github.com/mcp-registrar/mcp-registrar/internal/authserver/keycloak"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// registrar is the id of the register's own client.
const registrar = "mcp-registrar"

// TestKeycloak starts one server for all of its tests. Each has a realm of its
// own.
func TestKeycloak(t *testing.T) {
	server := keycloak.Start(t)
	t.Run("contract", func(t *testing.T) { testContract(t, server) })
	for _, test := range []struct {
		name string
		run  func(*testing.T, *keycloak.Server)
	}{
		{"tokens are for the resource, short, and of the scopes asked for", testTokens},
		{"without S256 there is no code", testChallenge},
		{"a disabled client gets nothing at once", testDisabled},
		{"refresh tokens end with the client, and with its disablement", testRefresh},
		{"keys that were replaced twice are those in force", testKeys},
		{"what others add to a client is seen and taken away", testDrift},
		{"a deletion of 100 of 1000 leaves 900, and strangers alone", testMany},
		{"an account without the role proves nothing", testRoles},
		{"a client scope in use is deleted without a word", testScopeInUse},
		{"B3 5000 scopes of one tenant cost others nothing, and end", testManyScopes},
		{"dynamic registration takes offline_access and refuses openid", testOwnScopes},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, server) })
	}
}

// connect returns an adapter with the least role that it needs.
func connect(t *testing.T, realm *keycloak.Realm, roles ...string) *adapter.Server {
	t.Helper()
	secret := realm.AddServiceAccount(t, registrar, roles...)
	server, err := adapter.New(authserver.Config{
		Name: "keycloak", Method: authserver.Keycloak, Issuer: realm.Issuer, BaseURL: realm.URL, Realm: realm.Name,
		MaxInFlight: 8, AdminID: registrar, AdminPassword: authserver.NewSecret(secret), AssertionIssuer: "cluster",
	}, adapter.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// testContract empties one realm for each case. Faults cannot be ordered from
// a real server.
func testContract(t *testing.T, server *keycloak.Server) {
	realm := server.NewRealm(t)
	connected := connect(t, realm, "manage-clients")
	contract.Run(t, func(t *testing.T) contract.Subject {
		realm.DeleteClients(t, registrar)
		return contract.Subject{
			Server:   connected,
			Scopes:   func() []string { return realm.Scopes(t) },
			Live:     func() []string { return others(realm.ClientIDs(t)) },
			Remove:   func(id string) { realm.DeleteClient(t, id) },
			Stranger: func(id string) { realm.AddClient(t, keycloak.Client{"clientId": id, "name": "a stranger's"}) },
			Token: func(t *testing.T, handle authserver.Handle) bool {
				return credentials(t, realm, handle).Status == 200
			},
		}
	})
}

// others are ids without the register's own.
func others(ids []string) []string {
	list := []string{}
	for _, id := range ids {
		if id != registrar {
			list = append(list, id)
		}
	}
	return list
}

// credentials asks for a token with client_credentials.
func credentials(t *testing.T, realm *keycloak.Realm, handle authserver.Handle, scopes ...string) keycloak.TokenAnswer {
	t.Helper()
	form, secret := url.Values{}, handle.ClientSecret.Reveal()
	if !handle.PrivateKey.IsZero() {
		var err error
		if form, err = exchange.Assertion(handle, realm.Issuer, time.Now()); err != nil {
			t.Fatal(err)
		}
		secret = ""
	}
	form.Set("grant_type", "client_credentials")
	for _, scope := range scopes {
		form.Set("scope", scope)
	}
	return realm.Token(t, handle.ClientID, secret, form)
}
