// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"maps"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// setState sets spec.state.
func (s *scene) setState(t *testing.T, reg *v1alpha1.MCPClientRegistration, state v1alpha1.RegistrationState) {
	t.Helper()
	patch := []byte(`{"spec":{"state":"` + string(state) + `"}}`)
	if err := s.Patch(t.Context(), reg, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
}

// testSuspension suspends a client that a person has logged in with, and lets
// it go on: what was given before the suspension stays worthless.
func testSuspension(t *testing.T, w *world, at venue) {
	g := NewWithT(t)
	s := at.scene(t, w)
	reg := s.newCodeClient("desktop", v1alpha1.AuthMethodNone)
	s.create(t, reg, s.newGrant(reg.Name, reg.Name, "files:read"))
	p := s.waitReady(t, reg)
	v := newVisitor(t, p, loopback, at.user)
	verifier, challenge := newVerifier()
	session := v.redeem(t, v.code(t, s256(challenge)), verifier)
	g.Expect(session.RefreshToken != "").To(Equal(at.refreshes), "a refresh token")
	if at.refreshes {
		session = v.refresh(t, session.RefreshToken)
		s.requireToken(t, p, session, "files:read")
	}

	s.setState(t, reg, v1alpha1.StateSuspended)
	if at.disables {
		g.Eventually(s.ready(t, reg), patience, often).Should(Equal("False/" + v1alpha1.ReasonSuspended))
		g.Expect(condition(reg, v1alpha1.ConditionRegistered)).To(Equal("False/" + v1alpha1.ReasonDisabled))
		g.Expect(reg.Status.ClientID).To(Equal(p.id))
		g.Expect(at.live(t)).To(ContainElement(p.id))
	} else {
		s.requireRevoked(t, reg, p, v1alpha1.ReasonSuspended, v1alpha1.CauseSuspended)
	}
	s.comes(t, p.standing(t), "invalid_client", "a suspended client")
	g.Expect(newVisitor(t, p, loopback, at.user).arrives(t, s256(challenge))).To(BeFalse(), "a login with a suspended client")
	if at.refreshes {
		g.Expect(v.refresh(t, session.RefreshToken).Error).To(Equal("invalid_client"))
	}

	s.setState(t, reg, v1alpha1.StateActive)
	resumed := s.waitReady(t, reg)
	g.Expect(resumed.id == p.id).To(Equal(at.disables), "the same client id")
	v.party = resumed
	if at.refreshes {
		g.Expect(v.refresh(t, session.RefreshToken).Error).To(Equal("invalid_grant"), "a refresh token of the time before")
	}
	s.requireToken(t, resumed, v.redeem(t, v.code(t, s256(challenge)), verifier), "files:read")
}

// arrives says that a code arrives at the redirect URI.
func (v *visitor) arrives(t *testing.T, proof map[string][]string) bool {
	t.Helper()
	arrived, _ := v.visit(t, proof)
	return arrived.Get("code") != ""
}

// testSecretRestored has somebody delete the Secret, and then edit it. The
// operator sees it when it next looks at the registration.
func testSecretRestored(t *testing.T, w *world, at venue) {
	for _, method := range at.methods() {
		t.Run(string(method), func(t *testing.T) {
			g := NewWithT(t)
			s := at.scene(t, w)
			reg, p := s.registered(t, "robot", method)
			wanted := s.secret(t, secretName(reg)).Data

			s.remove(t, s.secret(t, secretName(reg)))
			s.annotate(t, reg, "example.com/look", "1")
			var secret corev1.Secret
			key := client.ObjectKey{Namespace: s.namespace, Name: secretName(reg)}
			g.Eventually(func() error { return s.Get(t.Context(), key, &secret) }, patience, often).Should(Succeed())
			restored := s.waitReady(t, reg)
			g.Expect(restored.id).To(Equal(p.id), "the client id")
			if method == v1alpha1.AuthMethodPrivateKeyJWT {
				g.Expect(secret.Data[v1alpha1.SecretKeyKeyID]).NotTo(Equal(wanted[v1alpha1.SecretKeyKeyID]))
				s.comes(t, p.standing(t), "invalid_client", "the key that was deleted")
				wanted = secret.Data
			}
			g.Expect(secret.Data).To(Equal(wanted))

			edited := secret.DeepCopy()
			edited.Data = maps.Clone(wanted)
			edited.Data[v1alpha1.SecretKeyClientID] = []byte("somebody-else")
			g.Expect(s.Update(t.Context(), edited)).To(Succeed())
			s.annotate(t, reg, "example.com/look", "2")
			g.Eventually(func() map[string][]byte { return s.secret(t, key.Name).Data }, patience, often).Should(Equal(wanted))
			if method != v1alpha1.AuthMethodNone {
				s.requireToken(t, restored, restored.ask(t, restored.scope, restored.resources), "files:read")
			}
		})
	}
}
