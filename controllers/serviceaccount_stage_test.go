// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// reason is why a registration is ready, or not.
func (s *stage) reason(reg *v1alpha1.MCPClientRegistration) string {
	s.t.Helper()
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
		s.t.Fatal(err)
	}
	ready := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ""
	}
	return ready.Reason
}

// A client that authenticates by ServiceAccount tokens holds nothing that could
// leak: no Secret is written for it, and what there is of it is in its status.
func TestServiceAccountNeedsNoSecret(t *testing.T) {
	s := newStage(t, "robot")
	s.secretless("cluster")
	s.begin()
	want := authserver.Assertion{Issuer: "cluster", Subject: "system:serviceaccount:" + clientsPlace + ":reporter"}
	if got := s.live().Registered; got.Assertion != want || got.JWKS != "" || got.AuthMethod != "private_key_jwt" {
		t.Errorf("registered as %+v", got)
	}
	var secrets corev1.SecretList
	if err := s.List(t.Context(), &secrets, client.InNamespace(clientsPlace)); err != nil || len(secrets.Items) > 0 {
		t.Errorf("%d Secrets of the team, %v", len(secrets.Items), err)
	}
	if reg := s.registration(); reg.Status.SecretName != "" || reg.Status.ClientID != s.live().ID {
		t.Errorf("status: secret %q, client %q", reg.Status.SecretName, reg.Status.ClientID)
	}

	// Where it is asked for, the Secret says where to go, and nothing secret.
	edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.Credentials = &v1alpha1.Credentials{} })
	data := s.credentials()
	for _, key := range []string{v1alpha1.SecretKeyClientSecret, v1alpha1.SecretKeyPrivateKey, v1alpha1.SecretKeyKeyID} {
		if _, there := data[key]; there {
			t.Errorf("the Secret holds %s", key)
		}
	}
	if string(data[v1alpha1.SecretKeyClientID]) != s.live().ID || string(data[v1alpha1.SecretKeyIssuer]) == "" {
		t.Errorf("the Secret says client %q, issuer %q", data[v1alpha1.SecretKeyClientID], data[v1alpha1.SecretKeyIssuer])
	}
}

// The private key of before goes with the change to keys that the team holds, and
// not before the server has made it.
func TestAKeyThatIsNoLongerUsedLeavesTheSecret(t *testing.T) {
	s := newStage(t, "keyed")
	s.manageOtherwise()
	s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodPrivateKeyJWT
	s.begin()
	if len(s.credentials()[v1alpha1.SecretKeyPrivateKey]) == 0 {
		t.Fatal("no key was made")
	}
	pair, err := newKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) {
		as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
	})
	edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.JWKS = pair.JWKS })
	if !s.keyed() {
		t.Fatal("the server takes the key of before alone, and the Secret has it no more")
	}
	edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) { as.Annotations = nil })
	if data := s.credentials(); len(data[v1alpha1.SecretKeyPrivateKey]) > 0 || len(data[v1alpha1.SecretKeyKeyID]) > 0 {
		t.Error("the key of before is still in the Secret")
	}
	if !policy.Holds(s.live().Registered.JWKS, pair.JWKS) {
		t.Errorf("registered keys %s", s.live().Registered.JWKS)
	}
}

// One ServiceAccount is one client: the second registration waits, whatever the
// operator forgot meanwhile, and follows when the first is proven to be gone.
func TestOneServiceAccountIsOneClient(t *testing.T) {
	s := newStage(t, "first")
	s.secretless("cluster")
	second, grant := s.another()
	s.begin()
	first := s.live().ID
	s.registrations.Places = &Places{Client: s.Client, Namespace: stageOperator}
	s.create(second, grant)
	s.settle()
	if got := s.reason(second); got != v1alpha1.ReasonServiceAccountInUse {
		t.Fatalf("the second is %s", got)
	}
	if waiting := s.registrations.waitingForPlace(t.Context(), s.recordOf("first")); len(waiting) != 1 || waiting[0].Name != "second" {
		t.Errorf("%v wait for the place", waiting)
	}
	s.vanish(s.reg)
	s.settle()
	if got := s.reason(second); got != v1alpha1.ReasonReady {
		t.Fatalf("the second is %s when the first is gone", got)
	}
	if s.live().ID == first {
		t.Error("the second has the client of the first")
	}
}

// recordOf is the registration record of an object.
func (s *stage) recordOf(uid string) *corev1.Secret {
	s.t.Helper()
	var record corev1.Secret
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: stageOperator, Name: "registration-" + uid}, &record); err != nil {
		s.t.Fatal(err)
	}
	return &record
}
