// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// newRealm makes a realm of Keycloak with a person who can log in.
func newRealm(t *testing.T, server *keycloak.Server) (*keycloak.Realm, account) {
	t.Helper()
	realm, person := server.NewRealm(t), account{name: "dana", password: randomToken()}
	realm.AddUser(t, person.name, person.password)
	return realm, person
}

// registeringRealm is a realm with dynamic registration.
func (w *world) registeringRealm(t *testing.T, server *keycloak.Server) (*keycloak.Realm, codeServer) {
	t.Helper()
	realm, person := newRealm(t, server)
	realm.AllowScopes(t, keycloak.Authenticated, scopes...)
	token := realm.InitialAccessToken(t, 100)
	w.keepSecret(t, realm.Name, map[string]string{"token": token})
	w.seen.keep(token, "initial access token")
	object := newAuthorizationServer(realm.Name, realm.Issuer)
	object.Spec.DynamicRegistration.InitialAccessTokenSecretRef = &v1alpha1.SecretKeyReference{Name: realm.Name, Key: "token"}
	return realm, codeServer{object: object, refreshes: true, user: person}
}

// administeredRealm is a realm whose clients are managed by its admin API.
func (w *world) administeredRealm(t *testing.T, server *keycloak.Server) codeServer {
	t.Helper()
	realm, person := newRealm(t, server)
	password := realm.AddServiceAccount(t, release, "manage-clients", "view-clients")
	w.keepSecret(t, realm.Name, map[string]string{"client-id": release, "client-secret": password})
	w.seen.keep(password, "client secret")
	object := newAuthorizationServer(realm.Name, realm.Issuer)
	object.Spec.DynamicRegistration = nil
	object.Spec.Keycloak = &v1alpha1.KeycloakManagement{
		Realm: realm.Name, CredentialsSecretRef: v1alpha1.LocalSecretReference{Name: realm.Name},
	}
	return codeServer{object: object, refreshes: true, user: person}
}

// keepSecret puts a Secret into the operator's namespace.
func (w *world) keepSecret(t *testing.T, name string, data map[string]string) {
	t.Helper()
	w.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}, StringData: data,
	})
}

// enforcePKCE has a realm demand S256 of every client, as its administrator
// would: a client policy with the executor pkce-enforcer.
func enforcePKCE(t *testing.T, realm *keycloak.Realm) {
	t.Helper()
	for _, step := range []struct {
		path string
		body any
	}{
		{"/client-policies/profiles", map[string]any{"profiles": []any{map[string]any{
			"name": "pkce", "executors": []any{map[string]any{
				"executor": "pkce-enforcer", "configuration": map[string]any{"auto-configure": true},
			}},
		}}}},
		{"/client-policies/policies", map[string]any{"policies": []any{map[string]any{
			"name": "pkce", "enabled": true, "profiles": []string{"pkce"},
			"conditions": []any{map[string]any{"condition": "any-client", "configuration": map[string]any{}}},
		}}}},
	} {
		if answer := realm.Admin(t, http.MethodPut, step.path, step.body); answer.Status != http.StatusNoContent {
			t.Fatalf("%s: %d %s", step.path, answer.Status, answer.Body)
		}
	}
}
