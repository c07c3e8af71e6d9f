// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// builtIn are the clients that every realm has.
var builtIn = []string{"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}

// Realm is a realm of a server: an authorization server of its own.
type Realm struct {
	*Server
	Name   string
	Issuer string
}

// Client is a client as the Admin REST API represents it.
type Client = map[string]any

// NewRealm makes a realm that nobody else uses.
func (s *Server) NewRealm(t testing.TB) *Realm {
	t.Helper()
	return s.NewRealmNamed(t, "realm-"+strings.ToLower(rand.Text()[:12]))
}

// NewRealmNamed makes a realm of a name.
func (s *Server) NewRealmNamed(t testing.TB, name string) *Realm {
	t.Helper()
	s.must(t, http.MethodPost, "", map[string]any{"realm": name, "enabled": true})
	return &Realm{Server: s, Name: name, Issuer: s.URL + "/realms/" + name}
}

// Admin is Server.Admin below the realm: path begins with a slash.
func (r *Realm) Admin(t testing.TB, method, path string, body any) Answer {
	t.Helper()
	return r.Server.Admin(t, method, "/"+r.Name+path, body)
}

func (r *Realm) must(t testing.TB, method, path string, body any) Answer {
	t.Helper()
	return r.Server.must(t, method, "/"+r.Name+path, body)
}

func (r *Realm) created(t testing.TB, path string, body any) string {
	t.Helper()
	return r.Server.created(t, "/"+r.Name+path, body)
}

// Edit changes the realm's own settings.
func (r *Realm) Edit(t testing.TB, settings map[string]any) {
	t.Helper()
	r.must(t, http.MethodPut, "", settings)
}

// AddServiceAccount makes a confidential client that may use client_credentials
// and gives its account roles of the client realm-management. It returns its
// secret.
func (r *Realm) AddServiceAccount(t testing.TB, id string, roles ...string) string {
	t.Helper()
	secret := rand.Text()
	uuid := r.AddClient(t, Client{
		"clientId": id, "secret": secret, "publicClient": false, "serviceAccountsEnabled": true,
		"standardFlowEnabled": false, "directAccessGrantsEnabled": false,
	})
	r.mapRoles(t, http.MethodPost, uuid, roles)
	return secret
}

// GiveRoles gives the service account of a client roles of the client realm-management.
func (r *Realm) GiveRoles(t testing.TB, id string, roles ...string) {
	t.Helper()
	r.mapRoles(t, http.MethodPost, r.uuid(t, id), roles)
}

// TakeRoles takes them away again.
func (r *Realm) TakeRoles(t testing.TB, id string, roles ...string) {
	t.Helper()
	r.mapRoles(t, http.MethodDelete, r.uuid(t, id), roles)
}

func (r *Realm) mapRoles(t testing.TB, method, uuid string, roles []string) {
	t.Helper()
	var user, manager struct{ ID string }
	r.must(t, http.MethodGet, "/clients/"+uuid+"/service-account-user", nil).Decode(t, &user)
	manager.ID = r.uuid(t, "realm-management")
	wanted := []map[string]any{}
	for _, role := range roles {
		var found map[string]any
		r.must(t, http.MethodGet, "/clients/"+manager.ID+"/roles/"+role, nil).Decode(t, &found)
		wanted = append(wanted, found)
	}
	r.must(t, method, "/users/"+user.ID+"/role-mappings/clients/"+manager.ID, wanted)
}

// AddKubernetesIdentityProvider has the realm trust the ServiceAccount tokens of
// a cluster, under an alias.
func (r *Realm) AddKubernetesIdentityProvider(t testing.TB, alias, issuer string) {
	t.Helper()
	r.must(t, http.MethodPost, "/identity-provider/instances", map[string]any{
		"alias": alias, "providerId": "kubernetes", "enabled": true, "config": map[string]string{"issuer": issuer},
	})
}

// AddUser makes a user who can log in at once.
func (r *Realm) AddUser(t testing.TB, name, password string) {
	t.Helper()
	r.created(t, "/users", map[string]any{
		"username": name, "enabled": true, "firstName": "A", "lastName": "User",
		"email": name + "@users.example", "emailVerified": true,
		"credentials": []map[string]any{{"type": "password", "value": password, "temporary": false}},
	})
}

// AddScope makes a client scope.
func (r *Realm) AddScope(t testing.TB, name string) {
	t.Helper()
	r.created(t, "/client-scopes", map[string]any{
		"name": name, "protocol": "openid-connect", "attributes": map[string]string{"include.in.token.scope": "true"},
	})
}

// Scopes returns the names of the realm's client scopes.
func (r *Realm) Scopes(t testing.TB) []string {
	t.Helper()
	var scopes []struct{ Name string }
	r.must(t, http.MethodGet, "/client-scopes", nil).Decode(t, &scopes)
	names := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		names = append(names, scope.Name)
	}
	return names
}

// AddClient makes a client and returns its internal id.
func (r *Realm) AddClient(t testing.TB, client Client) string {
	t.Helper()
	return r.created(t, "/clients", client)
}

// AddClients makes n clients at once, whose ids are the prefix and a number,
// after the likeness of one; the zero Client is a public one.
func (r *Realm) AddClients(t testing.TB, n int, prefix string, like Client) []string {
	t.Helper()
	clients, ids := make([]Client, 0, n), make([]string, 0, n)
	for i := range n {
		id := fmt.Sprintf("%s%05d", prefix, i)
		ids = append(ids, id)
		client := Client{"name": id, "publicClient": true, "redirectUris": []string{"https://" + prefix + ".example/cb"}}
		if like != nil {
			client = maps.Clone(like)
			delete(client, "id")
			delete(client, "access")
		}
		client["clientId"] = id
		clients = append(clients, client)
	}
	// The time that one import takes grows with the square of what it holds.
	for batch := range slices.Chunk(clients, 10) {
		r.must(t, http.MethodPost, "/partialImport", map[string]any{"ifResourceExists": "FAIL", "clients": batch})
	}
	return ids
}

// Client reads a client; nil if there is none.
func (r *Realm) Client(t testing.TB, id string) Client {
	t.Helper()
	var found []Client
	r.must(t, http.MethodGet, "/clients?clientId="+url.QueryEscape(id), nil).Decode(t, &found)
	for _, client := range found {
		if client["clientId"] == id {
			return client
		}
	}
	return nil
}

// EditClient changes a client, as an administrator would.
func (r *Realm) EditClient(t testing.TB, id string, changes Client) {
	t.Helper()
	changes["clientId"] = id
	r.must(t, http.MethodPut, "/clients/"+r.uuid(t, id), changes)
}

// AssignScope gives a client a client scope, by default or when it asks for it.
func (r *Realm) AssignScope(t testing.TB, id, scope string, byDefault bool) {
	t.Helper()
	var scopes []struct{ ID, Name string }
	r.must(t, http.MethodGet, "/client-scopes", nil).Decode(t, &scopes)
	kind := "/optional-client-scopes/"
	if byDefault {
		kind = "/default-client-scopes/"
	}
	for _, known := range scopes {
		if known.Name == scope {
			r.must(t, http.MethodPut, "/clients/"+r.uuid(t, id)+kind+known.ID, nil)
			return
		}
	}
	t.Fatalf("there is no client scope %s", scope)
}

// DeleteClient deletes a client, as an administrator would.
func (r *Realm) DeleteClient(t testing.TB, id string) {
	t.Helper()
	r.must(t, http.MethodDelete, "/clients/"+r.uuid(t, id), nil)
}

// DeleteClients deletes every client but the built-in ones and those named.
func (r *Realm) DeleteClients(t testing.TB, but ...string) {
	t.Helper()
	for _, id := range r.ClientIDs(t) {
		if !slices.Contains(but, id) {
			r.DeleteClient(t, id)
		}
	}
}

// ClientIDs returns the ids of all clients but the built-in ones, in order.
func (r *Realm) ClientIDs(t testing.TB) []string {
	t.Helper()
	const size = 500
	ids := []string{}
	for first := 0; ; first += size {
		var page []struct{ ClientID string }
		r.must(t, http.MethodGet, fmt.Sprintf("/clients?first=%d&max=%d", first, size), nil).Decode(t, &page)
		for _, client := range page {
			if !slices.Contains(builtIn, client.ClientID) {
				ids = append(ids, client.ClientID)
			}
		}
		if len(page) < size {
			slices.Sort(ids)
			return ids
		}
	}
}

func (r *Realm) uuid(t testing.TB, id string) string {
	t.Helper()
	client := r.Client(t, id)
	if client == nil {
		t.Fatalf("there is no client %s", id)
	}
	uuid, _ := client["id"].(string)
	return uuid
}

// TokenEndpoint is the realm's token endpoint.
func (r *Realm) TokenEndpoint() string { return r.Issuer + "/protocol/openid-connect/token" }

// Token asks the token endpoint. With a secret the client introduces itself by
// client_secret_basic.
func (r *Realm) Token(t testing.TB, clientID, secret string, form url.Values) TokenAnswer {
	t.Helper()
	header := http.Header{"Content-Type": {formType}}
	if secret == "" {
		form.Set("client_id", clientID)
	} else {
		pair := url.QueryEscape(clientID) + ":" + url.QueryEscape(secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	answer := r.send(t, http.MethodPost, r.TokenEndpoint(), header, []byte(form.Encode()))
	token := TokenAnswer{Status: answer.Status}
	answer.Decode(t, &token)
	return token
}
