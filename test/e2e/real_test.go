// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// realServer is a real authorization server behind a proxy.
type realServer struct {
	venue

	between *between
	// named are the ids of the clients there of a name.
	named func(t *testing.T, name string) []string
	// keys are the names by which the proxy knows a client.
	keys func(t *testing.T, id string) []string
	// ownIDs says that the operator chooses ids: nothing is made twice by a
	// request that is sent again.
	ownIDs bool
}

// registering is the step by which a client begins.
var registering = []contract.Operation{contract.Register}

// ending are the steps by which a client ends.
var ending = []contract.Operation{contract.Replace, contract.Revoke, contract.Find, contract.Token}

// realServers are the real authorization servers, each behind a proxy, whose clients
// are looked after every minute. Further scopes are those that they know beside the
// usual ones.
func (w *world) realServers(t *testing.T, further ...string) map[string]*realServer {
	t.Helper()
	server := sharedKeycloak(t)
	all := map[string]*realServer{
		"oidc-provider":         w.realOIDCProvider(t, further),
		"keycloak":              w.realAdministered(t, server),
		"keycloak-registration": w.realRegistering(t, server, further),
	}
	for name, r := range all {
		r.object.Name = "real-" + name
		r.object.Spec.DriftCheckSeconds = new(int32(driftSeconds))
		w.connectTo(t, r.object)
	}
	return all
}

func (w *world) realOIDCProvider(t *testing.T, further []string) *realServer {
	t.Helper()
	b := newBetween(t)
	address := w.startOIDCProviderWith(t, slices.Concat(scopes, further), "ISSUER="+b.URL)
	b.leadsTo(t, address)
	r := &realServer{venue: venue{codeServer: codeServer{object: newAuthorizationServer("", b.URL)}}, between: b, keys: itself}
	r.named = func(t *testing.T, name string) []string {
		t.Helper()
		return b.alive(t, address, name)
	}
	return r
}

// isNamed says that a client has a name, apart from its mark and, where it is very
// long, from what was cut off.
func isNamed(client, name string) bool {
	plain, _, _ := strings.Cut(client, " [")
	return plain == name || len(plain) > 200 && strings.HasPrefix(name, plain)
}

// itself is for servers where the id of a client is all.
func itself(_ *testing.T, id string) []string { return []string{id} }

// alive are the clients of a name that the server itself still knows, asked for
// behind the proxy. It changes no token there.
func (b *between) alive(t *testing.T, address, name string) []string {
	t.Helper()
	b.mu.Lock()
	var asked []managedClient
	for _, client := range b.managed {
		if isNamed(client.Name, name) {
			asked = append(asked, client)
		}
	}
	b.mu.Unlock()
	var ids []string
	for _, client := range asked {
		uri, err := url.Parse(client.URI)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+uri.RequestURI(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+client.Token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		switch response.StatusCode {
		case http.StatusOK:
			ids = append(ids, client.ID)
		case http.StatusUnauthorized:
		default:
			t.Errorf("client %s: the server answers %s", client.ID, response.Status)
		}
	}
	return ids
}

func (w *world) realAdministered(t *testing.T, server *keycloak.Server) *realServer {
	t.Helper()
	b := newBetween(t)
	b.leadsTo(t, server.URL)
	at := w.administeredVenue(t, server)
	realm := at.realm(server)
	at.object.Spec.Keycloak.BaseURL = b.URL
	return &realServer{
		venue: at, between: b, ownIDs: true,
		named: func(t *testing.T, name string) []string { t.Helper(); return clientsNamed(t, realm, name) },
		keys: func(t *testing.T, id string) []string {
			t.Helper()
			return []string{id, fmt.Sprint(realm.Client(t, id)["id"])}
		},
	}
}

func (w *world) realRegistering(t *testing.T, server *keycloak.Server, further []string) *realServer {
	t.Helper()
	b := newBetween(t)
	b.leadsTo(t, server.URL)
	at := w.registeringVenue(t, server)
	realm := at.realm(server)
	realm.Edit(t, map[string]any{"attributes": map[string]string{"frontendUrl": b.URL}})
	realm.AllowScopes(t, keycloak.Authenticated, slices.Concat(scopes, further)...)
	at.object.Spec.Issuer = b.URL + "/realms/" + realm.Name
	// The one of the venue is for a hundred clients.
	token := realm.InitialAccessToken(t, 1000)
	w.seen.keep(token, "initial access token")
	w.keepSecret(t, realm.Name+"-more", map[string]string{"token": token})
	at.object.Spec.DynamicRegistration.InitialAccessTokenSecretRef.Name = realm.Name + "-more"
	return &realServer{
		venue: at, between: b, keys: itself,
		named: func(t *testing.T, name string) []string { t.Helper(); return clientsNamed(t, realm, name) },
	}
}

// clientsNamed are the ids of the clients of a realm that have a name, whatever
// their mark.
func clientsNamed(t *testing.T, realm *keycloak.Realm, name string) []string {
	t.Helper()
	var all []struct{ ClientID, Name string }
	realm.Admin(t, http.MethodGet, "/clients?max=1000", nil).Decode(t, &all)
	var ids []string
	for _, client := range all {
		if isNamed(client.Name, name) {
			ids = append(ids, client.ClientID)
		}
	}
	return ids
}

// realScene is a namespace at a real server.
type realScene struct {
	*scene
	*realServer
}

func (r *realServer) stage(t *testing.T, w *world) *realScene {
	t.Helper()
	return &realScene{r.venue.scene(t, w), r}
}

// mixed are registrations of all methods in turn, which have their client. Their
// names, and those of their clients, are found nowhere else.
func (r *realScene) mixed(t *testing.T, prefix string, count int) []*leaver {
	t.Helper()
	var all []*leaver
	for i := range count {
		reg := r.newRegistration(fmt.Sprintf("%s-%s-%d", r.namespace, prefix, i), methods[i%len(methods)])
		r.create(t, reg, r.newGrant(reg.Name, reg.Name, "files:read"))
		all = append(all, &leaver{reg: reg})
	}
	for _, v := range all {
		v.party = r.waitReady(t, v.reg)
		v.keys = r.keys(t, v.party.id)
	}
	return all
}

// leaver is a registration with its client.
type leaver struct {
	reg   *v1alpha1.MCPClientRegistration
	party party
	keys  []string
}

// decided waits until it is decided what becomes of a registration, and says it in
// short.
func (w *world) decided(t *testing.T, reg *v1alpha1.MCPClientRegistration) string {
	t.Helper()
	var said string
	NewWithT(t).Eventually(func() bool {
		said = w.ready(t, reg)()
		ready := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.ObservedGeneration == reg.Generation && ready.Status != "Unknown" &&
			ready.Reason != v1alpha1.ReasonRevoking && ready.Reason != v1alpha1.ReasonRegistrationPending
	}, patience, often).Should(BeTrue(), func() string { return fmt.Sprintf("%s: %+v", reg.Name, reg.Status) })
	return said
}

// ends deletes a registration, and holds that at the server nothing is left of it,
// and that it was registered there once at most.
func (r *realScene) ends(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	r.remove(t, reg)
	r.requireGone(t, reg)
	r.requireNothingLeft(t, reg)
}

func (r *realScene) requireNothingLeft(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	if left := r.named(t, reg.Spec.ClientName); len(left) != 0 {
		t.Errorf("%s: the clients %v are left at the server", reg.Name, left)
	}
	if made, _ := r.between.registered(reg.Spec.ClientName); made > 1 {
		t.Errorf("%s has had %d clients", reg.Name, made)
	}
}
