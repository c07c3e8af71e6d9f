// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// accessCase is a way in which the operator's account at a realm of Keycloak lacks
// access from the start.
type accessCase struct {
	name, reason string
	// says is part of the remedy, code what Keycloak itself was understood to say.
	says, code string
	// roles are those of the account; bend changes the object and its Secret.
	roles []string
	bend  func(as *v1alpha1.AuthorizationServer, secret map[string]string)
	heal  func(t *testing.T, w *world, realm *keycloak.Realm, as *v1alpha1.AuthorizationServer, password string)
}

// correct puts the right credentials into the Secret.
func correct(t *testing.T, w *world, _ *keycloak.Realm, as *v1alpha1.AuthorizationServer, password string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: as.Spec.Keycloak.CredentialsSecretRef.Name}}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
		t.Fatal(err)
	}
	secret.StringData = map[string]string{"client-id": release, "client-secret": password}
	if err := w.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
}

var accessCases = []accessCase{
	{
		name: "wrong-secret", reason: v1alpha1.ReasonUnauthorized, says: "compare client-id and client-secret", code: "admin_credentials_refused, status 401",
		roles: []string{"manage-clients"}, heal: correct,
		bend: func(_ *v1alpha1.AuthorizationServer, secret map[string]string) { secret["client-secret"] = "another" },
	},
	{
		name: "no-realm", reason: v1alpha1.ReasonRealmNotFound, says: "correct realm and baseURL", code: "realm_not_found, status 404",
		roles: []string{"manage-clients"},
		bend:  func(as *v1alpha1.AuthorizationServer, _ map[string]string) { as.Spec.Keycloak.Realm += "-later" },
		heal: func(t *testing.T, w *world, realm *keycloak.Realm, as *v1alpha1.AuthorizationServer, _ string) {
			later := realm.Server.NewRealmNamed(t, as.Spec.Keycloak.Realm)
			correct(t, w, later, as, later.AddServiceAccount(t, release, "manage-clients"))
		},
	},
	{
		name: "no-role", reason: v1alpha1.ReasonRoleMissing, says: "the role manage-clients of the client realm-management", code: "missing_role_manage_clients, status 403",
		heal: func(t *testing.T, _ *world, realm *keycloak.Realm, _ *v1alpha1.AuthorizationServer, _ string) {
			realm.GiveRoles(t, release, "manage-clients")
		},
	},
	{
		name: "no-key", reason: v1alpha1.ReasonCredentialsMissing, says: "with the keys client-id and client-secret: create it",
		roles: []string{"manage-clients"}, heal: correct,
		bend: func(_ *v1alpha1.AuthorizationServer, secret map[string]string) { delete(secret, "client-secret") },
	},
}

// TestOwnAccess has the operator lack access to real realms in each way, and heal.
func TestOwnAccess(t *testing.T) {
	w := startWorld(t)
	server := sharedKeycloak(t)
	for _, c := range accessCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testAccessLacking(t, w, server, c)
		})
	}
	t.Run("the role is taken away while the operator runs", func(t *testing.T) {
		t.Parallel()
		testRoleTaken(t, w, server)
	})
}

func testAccessLacking(t *testing.T, w *world, server *keycloak.Server, c accessCase) {
	g := NewWithT(t)
	realm := server.NewRealm(t)
	password := realm.AddServiceAccount(t, release, c.roles...)
	w.seen.keep(password, "client secret")
	as := newAuthorizationServer("access-"+c.name, realm.Issuer)
	as.Spec.DynamicRegistration = nil
	as.Spec.Keycloak = &v1alpha1.KeycloakManagement{Realm: realm.Name, CredentialsSecretRef: v1alpha1.LocalSecretReference{Name: as.Name}}
	data := map[string]string{"client-id": release, "client-secret": password}
	if c.bend != nil {
		c.bend(as, data)
	}
	w.keepSecret(t, as.Name, data)
	w.create(t, as)
	g.Eventually(w.ready(t, as), patience, often).Should(Equal("False/" + c.reason))
	access := meta.FindStatusCondition(as.Status.Conditions, v1alpha1.ConditionAdminAccess)
	g.Expect(access.Message).To(And(ContainSubstring(c.says), ContainSubstring(c.code)))
	g.Expect(condition(as, v1alpha1.ConditionAdminAccess)).To(Equal("False/" + c.reason))
	g.Eventually(w.accessOf(t, as), patience, often).Should(Equal(map[string]float64{c.reason: 0}))
	g.Eventually(w.warnings(t, as), patience, often).Should(ContainElement(ContainSubstring(c.reason)))

	c.heal(t, w, realm, as, password)
	since := time.Now()
	g.Eventually(w.ready(t, as), patience, often).Should(Equal("True/Ready"))
	t.Logf("healed after %s", time.Since(since).Round(time.Second))
	g.Eventually(w.accessOf(t, as), patience, often).Should(Equal(map[string]float64{v1alpha1.ReasonGranted: 1}))
}

func testRoleTaken(t *testing.T, w *world, server *keycloak.Server) {
	g := NewWithT(t)
	at := w.administeredVenue(t, server)
	realm := at.realm(server)
	w.connectTo(t, at.object)
	s := at.scene(t, w)
	reg, p := s.registered(t, "robot", v1alpha1.AuthMethodClientSecretBasic)

	realm.TakeRoles(t, release, "manage-clients")
	since := time.Now()
	s.create(t, s.newGrant("more", "robot", "notes:read"))
	g.Eventually(w.ready(t, at.object), patience, often).Should(Equal("False/" + v1alpha1.ReasonRoleMissing))
	t.Logf("seen after %s", time.Since(since).Round(time.Second))
	g.Eventually(s.ready(t, reg), patience, often).Should(Equal("Unknown/" + v1alpha1.ReasonUnauthorized))
	later := s.newRegistration("later", v1alpha1.AuthMethodClientSecretBasic)
	s.create(t, later, s.newGrant("later", "later", "files:read"))
	g.Eventually(s.ready(t, later), patience, often).Should(Equal("False/" + v1alpha1.ReasonUnauthorized))
	for _, waits := range []*v1alpha1.MCPClientRegistration{reg, later} {
		ready := meta.FindStatusCondition(waits.Status.Conditions, v1alpha1.ConditionReady)
		g.Expect(ready.Message).To(And(ContainSubstring("the platform team's turn"), Not(ContainSubstring("renew"))))
	}
	g.Expect(p.standing(t)()).To(Equal("known"), "the client goes on working as it is")

	realm.GiveRoles(t, release, "manage-clients")
	since = time.Now()
	g.Eventually(w.ready(t, at.object), patience, often).Should(Equal("True/Ready"))
	s.waitReady(t, later)
	g.Eventually(func() []string { return scopeNames(t, s, reg) }, patience, often).Should(ContainElement("notes:read"))
	t.Logf("healed after %s", time.Since(since).Round(time.Second))
}

func scopeNames(t *testing.T, s *scene, reg *v1alpha1.MCPClientRegistration) []string {
	t.Helper()
	s.ready(t, reg)()
	var names []string
	for _, scope := range reg.Status.Scopes {
		names = append(names, scope.Name)
	}
	return names
}

// accessOf is what the metric says of a server, by reason.
func (w *world) accessOf(t *testing.T, as *v1alpha1.AuthorizationServer) func() map[string]float64 {
	return func() map[string]float64 {
		found := map[string]float64{}
		family := w.metrics(t)["mcp_registrar_authorization_server_access"]
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["authorization_server"] == as.Name {
				found[labels["reason"]] = metric.GetGauge().GetValue()
			}
		}
		return found
	}
}

// warnings are the warning events about a server.
func (w *world) warnings(t *testing.T, as *v1alpha1.AuthorizationServer) func() []string {
	return func() []string {
		var list corev1.EventList
		if err := w.List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, event := range list.Items {
			if event.InvolvedObject.Name == as.Name && strings.HasPrefix(event.Type, corev1.EventTypeWarning) {
				texts = append(texts, event.Reason+": "+event.Message)
			}
		}
		return texts
	}
}
