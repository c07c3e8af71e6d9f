// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func testTokenWithSecretAlone(t *testing.T, w *world, at venue) {
	s := at.scene(t, w)
	for _, method := range at.methods() {
		if method == v1alpha1.AuthMethodNone {
			continue
		}
		t.Run(string(method), func(t *testing.T) {
			g := NewWithT(t)
			_, p := s.registered(t, strings.ToLower(string(method)), method)
			g.Expect(p.scope).To(Equal("files:read"))
			g.Expect(p.resources).To(Equal(s.server.Spec.Resource))
			s.requireToken(t, p, p.ask(t, p.scope, p.resources), "files:read")
			g.Expect(p.ask(t, "files:write", p.resources).Error).To(Equal("invalid_scope"), "a scope that nobody granted")
		})
	}
}

func testSecondGrant(t *testing.T, w *world, at venue) {
	g := NewWithT(t)
	s := at.scene(t, w)
	reg, p := s.registered(t, "robot", at.machine())
	g.Expect(p.ask(t, "notes:read", p.resources).Error).To(Equal("invalid_scope"))

	grant := s.newGrant("more", "robot", "notes:read")
	s.create(t, grant)
	g.Eventually(s.effective(t, reg), patience, often).Should(ConsistOf("files:read", "notes:read"))
	g.Expect(reg.Status.ClientID).To(Equal(p.id))
	g.Eventually(s.ready(t, grant), patience, often).Should(Equal("True/Ready"))
	p = newParty(t, s.secret(t, reg.Status.SecretName))
	g.Expect(strings.Fields(p.scope)).To(ConsistOf("files:read", "notes:read"))
	refused := func() string {
		// Some servers replace a client's secret with every change.
		return newParty(t, s.secret(t, reg.Status.SecretName)).ask(t, "notes:read", p.resources).Error
	}
	s.comes(t, refused, "", "the second scope")
	s.requireToken(t, p, p.ask(t, "files:read notes:read", p.resources), "files:read", "notes:read")

	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	s.annotate(t, grant, v1alpha1.AnnotationExpiresAt, instant(end))
	g.Eventually(refused, patience, often).Should(Equal("invalid_scope"))
	if early := time.Until(end); early > 0 {
		t.Errorf("the scope was removed %s early", early)
	}
	t.Logf("the scope was refused %s after the grant's end", time.Since(end).Round(time.Millisecond))
	g.Eventually(s.effective(t, reg), patience, often).Should(ConsistOf("files:read"))
	g.Eventually(s.ready(t, grant), patience, often).Should(Equal("False/Expired"))
	g.Eventually(s.ready(t, reg), patience, often).Should(Equal("True/Ready"))
	remaining := s.waitReady(t, reg)
	g.Expect(remaining.id).To(Equal(p.id))
	s.requireToken(t, remaining, remaining.ask(t, "files:read", p.resources), "files:read")
}

// loopback is where a native client listens for the redirect: on a port of its
// own choice (RFC 8252 §7.3). Nobody needs to be there.
const loopback = "http://127.0.0.1:49152" + callbackPath

func testCodeFlow(t *testing.T, w *world, at venue) {
	g := NewWithT(t)
	s := at.scene(t, w)
	_, p := s.registered(t, "desktop", v1alpha1.AuthMethodNone)
	g.Expect(p.method).To(Equal("none"))
	g.Expect(p.secret).To(BeEmpty())
	v := newVisitor(t, p, loopback, at.user)
	verifier, challenge := newVerifier()

	code := v.code(t, s256(challenge))
	s.requireToken(t, p, v.redeem(t, code, verifier), "files:read")
	g.Expect(v.redeem(t, code, verifier).Error).To(Equal("invalid_grant"), "a replayed code")

	v.requireRefused(t, "no challenge", nil)
	v.requireRefused(t, "a plain challenge", plain(verifier))
	other, _ := newVerifier()
	g.Expect(v.redeem(t, v.code(t, s256(challenge)), other).Error).To(Equal("invalid_grant"), "a wrong verifier")
	g.Expect(v.redeem(t, v.code(t, s256(challenge)), "").Error).To(BeElementOf("invalid_grant", "invalid_request"), "no verifier")
}

func testExpiry(t *testing.T, w *world, at venue) {
	for _, method := range at.methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			s := at.scene(t, w)
			reg, p := s.registered(t, "robot", method)
			end := time.Now().Add(4 * time.Second).Truncate(time.Second)
			s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(end))
			g.Eventually(p.standing(t), patience, often).Should(Equal("invalid_client"))
			late := time.Since(end)
			if late < 0 {
				t.Errorf("the client was gone %s early", -late)
			}
			s.requireRevoked(t, reg, p, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
			said := reg.Status.Revocation
			if said.RevokedAtASAt.Time.Before(end) || !said.DueAt.Time.Equal(end) {
				t.Errorf("due at %s and revoked at %s, want due at %s and revoked not before", said.DueAt, said.RevokedAtASAt, end)
			}
			t.Logf("seen gone %s after the end", late.Round(time.Millisecond))
		})
	}
}

func testRenewal(t *testing.T, w *world, at venue) {
	g := NewWithT(t)
	s := at.scene(t, w)
	reg, p := s.registered(t, "robot", at.machine())
	credentials := s.secret(t, reg.Status.SecretName).Data

	later := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(later))
	g.Eventually(func() bool {
		s.ready(t, reg)()
		return reg.Status.ExpiresAt != nil && reg.Status.ExpiresAt.Time.Equal(later)
	}, patience, often).Should(BeTrue(), "the status does not follow the renewal")
	s.waitReady(t, reg)
	g.Expect(s.secret(t, reg.Status.SecretName).Data).To(Equal(credentials), "a renewal before the end")

	s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(time.Now().Add(2*time.Second)))
	s.requireRevoked(t, reg, p, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
	s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(inAnHour()))
	renewed := s.waitReady(t, reg)
	g.Expect(renewed.id).NotTo(Equal(p.id))
	s.requireToken(t, renewed, renewed.ask(t, renewed.scope, renewed.resources), "files:read")
	g.Expect(p.standing(t)()).To(Equal("invalid_client"), "the old client")
}

func testCauses(t *testing.T, w *world, at venue) {
	for name, act := range map[string]func(*testing.T, *scene, *v1alpha1.MCPClientRegistration){
		"grant deleted": func(t *testing.T, s *scene, reg *v1alpha1.MCPClientRegistration) {
			s.remove(t, s.newGrant(reg.Name, reg.Name))
		},
		"MCPServer deleted": func(t *testing.T, s *scene, _ *v1alpha1.MCPClientRegistration) {
			s.remove(t, s.server)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := at.scene(t, w)
			reg, p := s.registered(t, "robot", v1alpha1.AuthMethodPrivateKeyJWT)
			began := time.Now()
			act(t, s, reg)
			NewWithT(t).Eventually(p.standing(t), patience, often).Should(Equal("invalid_client"))
			t.Logf("gone after %s", time.Since(began).Round(time.Millisecond))
			s.requireRevoked(t, reg, p, v1alpha1.ReasonNoGrantInForce, v1alpha1.CauseNoGrantInForce)
		})
	}
}

func testAuthorizationServerGone(t *testing.T, w *world, at venue) {
	at = at.another(at.object.Name + "-to-go")
	w.connectTo(t, at.object)
	s := at.scene(t, w)
	reg, p := s.registered(t, "robot", at.machine())
	s.remove(t, at.object)
	s.requireRevoked(t, reg, p, v1alpha1.ReasonAuthorizationServerNotFound, v1alpha1.CauseAuthorizationServerGone)
}

func (w *world) remove(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		switch object.(type) {
		case *v1alpha1.AuthorizationServer, *v1alpha1.MCPServer:
			w.confirm(t, object)
		}
		if err := w.Delete(t.Context(), object); err != nil {
			t.Fatalf("deleting %T %s: %v", object, object.GetName(), err)
		}
	}
}

// confirm says that clients live on what is about to be deleted.
func (w *world) confirm(t *testing.T, object client.Object) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"999999999"}}}`, v1alpha1.AnnotationConfirmDeletion)
	if err := w.Patch(t.Context(), object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatalf("confirming the deletion of %T %s: %v", object, object.GetName(), err)
	}
}
