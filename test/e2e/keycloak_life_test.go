// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// barrier is a proxy before Keycloak that lets nothing be deleted while it is
// closed.
type barrier struct {
	*httptest.Server
	closed  atomic.Bool
	stopped atomic.Int32
}

func newBarrier(t *testing.T, server *keycloak.Server) *barrier {
	t.Helper()
	upstream, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := &barrier{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
	b.Server = httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && b.closed.Load() {
			b.stopped.Add(1)
			response.WriteHeader(http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(response, r)
	}))
	t.Cleanup(b.Close)
	return b
}

// testTwoPhases has deletions fail: the client is of no use nevertheless, since
// an instant that the status names, and stays so until the deletion is proven.
func testTwoPhases(t *testing.T, w *world, server *keycloak.Server) {
	g := NewWithT(t)
	at, b := w.administeredVenue(t, server), newBarrier(t, server)
	realm := at.realm(server)
	at.object.Spec.Keycloak.BaseURL = b.URL
	w.connectTo(t, at.object)
	s := at.scene(t, w)
	reg, p := s.registered(t, "robot", v1alpha1.AuthMethodClientSecretBasic)

	b.closed.Store(true)
	s.remove(t, s.newGrant("robot", "robot"))
	g.Eventually(b.stopped.Load, patience, often).Should(BeNumerically(">", 1))
	g.Expect(p.standing(t)()).To(Equal("invalid_client"))
	g.Expect(realm.Client(t, p.id)).To(HaveKeyWithValue("enabled", false))
	g.Eventually(func() *metav1.Time {
		s.ready(t, reg)()
		if reg.Status.Revocation == nil {
			return nil
		}
		return reg.Status.Revocation.RevokedAtASAt
	}, patience, often).ShouldNot(BeNil(), "since when the client is of no use")
	at1 := reg.Status.Revocation.RevokedAtASAt.Time
	g.Expect(reg.Status.Revocation.VerifiedAt).To(BeNil())
	g.Expect(condition(reg, v1alpha1.ConditionRegistered)).To(Equal("Unknown/" + v1alpha1.ReasonUnavailable))

	b.closed.Store(false)
	s.requireRevoked(t, reg, p, v1alpha1.ReasonNoGrantInForce, v1alpha1.CauseNoGrantInForce)
	g.Expect(reg.Status.Revocation.RevokedAtASAt.Time).To(BeTemporally("==", at1))
	g.Expect(realm.Client(t, p.id)).To(BeNil())
}

// testLateCredentials creates the AuthorizationServer before the Secret that it
// names.
func testLateCredentials(t *testing.T, w *world, server *keycloak.Server) {
	g := NewWithT(t)
	at := w.administeredVenue(t, server)
	var early corev1.Secret
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: operatorNamespace, Name: at.object.Name}, &early); err != nil {
		t.Fatal(err)
	}
	late := early.Name + "-late"
	at.object.Spec.Keycloak.CredentialsSecretRef.Name = late
	w.create(t, at.object)
	g.Eventually(w.ready(t, at.object), patience, often).Should(Equal("False/" + v1alpha1.ReasonCredentialsMissing))
	w.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: late}, Data: early.Data})
	g.Eventually(w.ready(t, at.object), patience, often).Should(Equal("True/Ready"))
	at.scene(t, w).registered(t, "robot", v1alpha1.AuthMethodClientSecretBasic)
}

func (v venue) realm(server *keycloak.Server) *keycloak.Realm {
	return &keycloak.Realm{Server: server, Name: v.object.Name, Issuer: v.object.Spec.Issuer}
}

// testRegistrationPolicies has the realm's administrator forbid what the
// operator asks for: the conditions say what the administrator must do.
func testRegistrationPolicies(t *testing.T, w *world, server *keycloak.Server) {
	at := w.registeringVenue(t, server)
	realm := at.realm(server)
	w.connectTo(t, at.object)
	s := at.scene(t, w)
	reg, p := s.registered(t, "before", v1alpha1.AuthMethodClientSecretBasic)

	realm.AllowScopes(t, keycloak.Authenticated, "files:read")
	s.create(t, s.newGrant("more", "before", "notes:read"))
	s.requireRejected(t, reg, "Allowed Client Scopes")
	if reg.Status.ClientID != p.id {
		t.Errorf("the client %s became %q", p.id, reg.Status.ClientID)
	}
	s.requireToken(t, p, p.ask(t, p.scope, p.resources), "files:read")
	second := s.newRegistration("second", v1alpha1.AuthMethodPrivateKeyJWT)
	s.create(t, second, s.newGrant("second", "second", "notes:read"))
	s.requireRejected(t, second, "Allowed Client Scopes")
	realm.AllowScopes(t, keycloak.Authenticated, scopes...)
	s.create(t, s.newGrant("second-more", "second", "files:read"))
	s.waitReady(t, second)

	limit := realm.Policies(t, keycloak.Authenticated)[0]
	limit.ID, limit.Name, limit.ProviderID = "", "Limit", "max-clients"
	limit.Config = map[string][]string{"max-clients": {"1"}}
	if answer := realm.Admin(t, http.MethodPost, "/components", limit); answer.Status != http.StatusCreated {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	third := s.newRegistration("third", v1alpha1.AuthMethodNone)
	s.create(t, third, s.newGrant("third", "third", "files:read"))
	s.requireRejected(t, third, "Max Clients Limit")
}

// requireRejected waits until a registration is refused by a policy of the
// realm, and the message names that.
func (s *scene) requireRejected(t *testing.T, reg *v1alpha1.MCPClientRegistration, policy string) {
	t.Helper()
	NewWithT(t).Eventually(s.ready(t, reg), patience, often).Should(Equal("False/" + v1alpha1.ReasonRejected))
	for _, found := range reg.Status.Conditions {
		if found.Type == v1alpha1.ConditionReady {
			NewWithT(t).Expect(found.Message).To(ContainSubstring(policy))
		}
	}
}

// watched is a realm with many clients of strangers, and two of ours that its
// administrator changes.
type watched struct {
	*scene
	realm     *keycloak.Realm
	strangers map[string]keycloak.Client
	ours      map[string]*v1alpha1.MCPClientRegistration
	before    map[string]keycloak.Client
}

// strangersAround is how many clients of strangers there are, which is more
// than an inventory names.
const strangersAround = 60

// watch prepares what a drift check will find: that takes a minute, in which
// other tests run.
func (w *world) watch(t *testing.T, server *keycloak.Server) *watched {
	t.Helper()
	g := NewWithT(t)
	at := w.administeredVenue(t, server)
	at.object.Spec.CanaryTokens, at.object.Spec.DriftCheckSeconds = new(true), new(int32(60))
	seen := &watched{
		realm: at.realm(server), ours: map[string]*v1alpha1.MCPClientRegistration{},
		before: map[string]keycloak.Client{},
	}
	seen.realm.AddClients(t, strangersAround, "stranger-", keycloak.Client{"publicClient": true})
	seen.strangers = seen.allStrangers(t)
	w.connectTo(t, at.object)
	seen.scene = at.scene(t, w)
	for name, reg := range map[string]*v1alpha1.MCPClientRegistration{
		"machine": seen.newRegistration("machine", v1alpha1.AuthMethodClientSecretBasic),
		"desktop": seen.newCodeClient("desktop", v1alpha1.AuthMethodNone),
	} {
		seen.create(t, reg, seen.newGrant(name, name, "files:read"))
		p := seen.waitReady(t, reg)
		seen.ours[name], seen.before[name] = reg, seen.realm.Client(t, p.id)
	}
	g.Eventually(w.promise(t, seen.ours["machine"], v1alpha1.ConditionTokensConform), patience, often).Should(Equal("True/" + v1alpha1.ReasonConform))
	g.Eventually(w.promise(t, seen.ours["desktop"], v1alpha1.ConditionPKCEEnforced), patience, often).Should(Equal("True/" + v1alpha1.ReasonRefused))
	for name, change := range map[string]keycloak.Client{
		"machine": {"directAccessGrantsEnabled": true, "attributes": map[string]string{"access.token.lifespan": "86400"}},
		"desktop": {"redirectUris": []string{"https://else.example.com/*"}, "attributes": map[string]string{"pkce.code.challenge.method": ""}},
	} {
		seen.realm.EditClient(t, seen.ours[name].Status.ClientID, change)
	}
	seen.realm.AddClient(t, keycloak.Client{"clientId": "lost", "attributes": map[string]string{
		"mcp-registrar.software_id": fmt.Sprintf("mcp-registrar/%s/00000000-0000-0000-0000-000000000000", w.clusterUID(t)),
	}})
	return seen
}

// allStrangers are the clients of strangers by their ids.
func (seen *watched) allStrangers(t *testing.T) map[string]keycloak.Client {
	t.Helper()
	var all []keycloak.Client
	seen.realm.Admin(t, http.MethodGet, "/clients?max=1000", nil).Decode(t, &all)
	strangers := map[string]keycloak.Client{}
	for _, client := range all {
		if id, _ := client["clientId"].(string); strings.HasPrefix(id, "stranger-") {
			strangers[id] = inOrder(client)
		}
	}
	return strangers
}

// clusterUID is how the operator tells clusters apart.
func (w *world) clusterUID(t *testing.T) types.UID {
	t.Helper()
	namespace := metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
	if err := w.Get(t.Context(), types.NamespacedName{Name: metav1.NamespaceSystem}, &namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.UID
}

// reach is what decides what a client may do, and its secret.
func reach(c keycloak.Client) keycloak.Client {
	short := keycloak.Client{}
	for _, member := range []string{
		"clientId", "enabled", "secret", "redirectUris", "directAccessGrantsEnabled", "implicitFlowEnabled",
		"attributes", "defaultClientScopes", "optionalClientScopes",
	} {
		short[member] = c[member]
	}
	return inOrder(short)
}

// inOrder sorts the lists of texts of a client: Keycloak keeps sets.
func inOrder(c keycloak.Client) keycloak.Client {
	sorted := maps.Clone(c)
	for member, value := range sorted {
		if list, ok := value.([]any); ok {
			sorted[member] = slices.SortedFunc(slices.Values(list), func(one, other any) int { return strings.Compare(fmt.Sprint(one), fmt.Sprint(other)) })
		}
	}
	return sorted
}

// testDriftRepaired waits until both clients are as before, under their ids.
func testDriftRepaired(t *testing.T, seen *watched) {
	for name, reg := range seen.ours {
		before := reach(seen.before[name])
		NewWithT(t).Eventually(func() keycloak.Client {
			return reach(seen.realm.Client(t, reg.Status.ClientID))
		}, 2*patience, 10*often).Should(Equal(before), name)
		if p := seen.waitReady(t, reg); p.id != before["clientId"] {
			t.Errorf("%s has another client: %s", name, p.id)
		}
	}
}

// testInventory holds what the status counts against what there is.
func testInventory(t *testing.T, seen *watched) {
	g := NewWithT(t)
	var as v1alpha1.AuthorizationServer
	// Every realm has six clients of its own, and this one that of the operator.
	g.Eventually(func(g Gomega) {
		g.Expect(seen.Get(t.Context(), types.NamespacedName{Name: seen.as}, &as)).To(Succeed())
		g.Expect(as.Status.Inventory).NotTo(BeNil())
		g.Expect(as.Status.Inventory.Managed).To(BeEquivalentTo(2))
		g.Expect(as.Status.Inventory.Unmanaged).To(BeEquivalentTo(strangersAround + 7))
		g.Expect(as.Status.Inventory.OrphanedClients).To(ConsistOf(HaveField("ClientID", "lost")))
	}, 2*patience, often).Should(Succeed())
	g.Expect(as.Status.Inventory.UnmanagedClients).To(HaveLen(50))
	g.Expect(seen.allStrangers(t)).To(And(HaveLen(strangersAround), Equal(seen.strangers)))
	g.Expect(seen.realm.Client(t, "lost")).NotTo(BeNil(), "an orphan is only reported")
}
