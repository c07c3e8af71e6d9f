// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func testTokenWithSecretAlone(t *testing.T, w *world, as string) {
	s := newScene(t, w, as)
	for _, method := range methods[:2] {
		t.Run(string(method), func(t *testing.T) {
			g := NewWithT(t)
			_, p := s.registered(t, strings.ToLower(string(method)), method)
			g.Expect(p.scope).To(Equal("files:read"))
			g.Expect(p.resources).To(Equal(s.server.Spec.Resource))
			answer := p.ask(t, p.scope, p.resources)
			w.seen.keep(answer.AccessToken, "access token")
			g.Expect(answer.Error).To(BeEmpty())
			said := verify(t.Context(), t, p.issuer, answer.AccessToken)
			g.Expect(said.Scope).To(Equal("files:read"))
			g.Expect([]string(said.Audience)).To(Equal([]string{s.server.Spec.Resource}))
			g.Expect(said.ClientID).To(Equal(p.id))
			g.Expect(p.ask(t, "files:write", p.resources).Error).To(Equal("invalid_scope"), "a scope that nobody granted")
		})
	}
}

func testSecondGrant(t *testing.T, w *world, as string) {
	g := NewWithT(t)
	s := newScene(t, w, as)
	reg, p := s.registered(t, "robot", v1alpha1.AuthMethodClientSecretBasic)
	g.Expect(p.ask(t, "notes:read", p.resources).Error).To(Equal("invalid_scope"))

	grant := s.newGrant("more", "robot", "notes:read")
	s.create(t, grant)
	g.Eventually(s.effective(t, reg), patience, often).Should(ConsistOf("files:read", "notes:read"))
	g.Expect(reg.Status.ClientID).To(Equal(p.id))
	g.Eventually(s.ready(t, grant), patience, often).Should(Equal("True/Ready"))
	p = newParty(t, s.secret(t, reg.Status.SecretName))
	g.Expect(strings.Fields(p.scope)).To(ConsistOf("files:read", "notes:read"))
	answer := p.ask(t, "files:read notes:read", p.resources)
	w.seen.keep(answer.AccessToken, "access token")
	g.Expect(answer.Error).To(BeEmpty())
	g.Expect(strings.Fields(verify(t.Context(), t, p.issuer, answer.AccessToken).Scope)).To(ConsistOf("files:read", "notes:read"))

	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	s.annotate(t, grant, v1alpha1.AnnotationExpiresAt, instant(end))
	g.Eventually(func() string { return p.ask(t, "notes:read", p.resources).Error }, patience, often).Should(Equal("invalid_scope"))
	if early := time.Until(end); early > 0 {
		t.Errorf("the scope was removed %s early", early)
	}
	t.Logf("the scope was refused %s after the grant's end", time.Since(end).Round(time.Millisecond))
	g.Eventually(s.effective(t, reg), patience, often).Should(ConsistOf("files:read"))
	g.Eventually(s.ready(t, grant), patience, often).Should(Equal("False/Expired"))
	g.Eventually(s.ready(t, reg), patience, often).Should(Equal("True/Ready"))
	g.Expect(reg.Status.ClientID).To(Equal(p.id))
	g.Expect(p.ask(t, "files:read", p.resources).Error).To(BeEmpty(), "what is still granted")
}

func testCodeFlow(t *testing.T, w *world, as string) {
	g := NewWithT(t)
	s := newScene(t, w, as)
	_, p := s.registered(t, "desktop", v1alpha1.AuthMethodNone)
	g.Expect(p.method).To(Equal("none"))
	g.Expect(p.secret).To(BeEmpty())
	b := newBrowser(t, p)
	verifier, challenge := newVerifier()

	code := b.code(t, challenge)
	answer := b.redeem(t, code, verifier)
	w.seen.keep(answer.AccessToken, "access token")
	g.Expect(answer.Error).To(BeEmpty())
	said := verify(t.Context(), t, p.issuer, answer.AccessToken)
	g.Expect(said.Scope).To(Equal("files:read"))
	g.Expect([]string(said.Audience)).To(Equal([]string{s.server.Spec.Resource}))
	g.Expect(b.redeem(t, code, verifier).Error).To(Equal("invalid_grant"), "a replayed code")

	g.Expect(b.authorize(t, url.Values{}).Get("error")).To(Equal("invalid_request"), "no challenge")
	plain := url.Values{"code_challenge": {verifier}, "code_challenge_method": {"plain"}}
	g.Expect(b.authorize(t, plain).Get("error")).To(Equal("invalid_request"), "a plain challenge")
	other, _ := newVerifier()
	g.Expect(b.redeem(t, b.code(t, challenge), other).Error).To(Equal("invalid_grant"), "a wrong verifier")
	g.Expect(b.redeem(t, b.code(t, challenge), "").Error).To(BeElementOf("invalid_grant", "invalid_request"), "no verifier")
}

func testExpiry(t *testing.T, w *world, as string) {
	for _, method := range methods {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			s := newScene(t, w, as)
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

func testRenewal(t *testing.T, w *world, as string) {
	g := NewWithT(t)
	s := newScene(t, w, as)
	reg, p := s.registered(t, "robot", v1alpha1.AuthMethodClientSecretBasic)

	later := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(later))
	g.Eventually(func() bool {
		s.ready(t, reg)()
		return reg.Status.ExpiresAt != nil && reg.Status.ExpiresAt.Time.Equal(later)
	}, patience, often).Should(BeTrue(), "the status does not follow the renewal")
	g.Expect(s.waitReady(t, reg)).To(Equal(p), "a renewal before the end changed the credentials")

	s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(time.Now().Add(2*time.Second)))
	s.requireRevoked(t, reg, p, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
	s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(inAnHour()))
	renewed := s.waitReady(t, reg)
	g.Expect(renewed.id).NotTo(Equal(p.id))
	g.Expect(renewed.ask(t, renewed.scope, renewed.resources).Error).To(BeEmpty())
	g.Expect(p.standing(t)()).To(Equal("invalid_client"), "the old client")
}

func testCauses(t *testing.T, w *world, as string) {
	for name, cause := range map[string]struct {
		act    func(*testing.T, *scene, *v1alpha1.MCPClientRegistration)
		reason string
		cause  v1alpha1.RevocationCause
	}{
		"suspended": {
			act: func(t *testing.T, s *scene, reg *v1alpha1.MCPClientRegistration) {
				if err := s.Patch(t.Context(), reg, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"state":"Suspended"}}`))); err != nil {
					t.Fatal(err)
				}
			},
			reason: v1alpha1.ReasonSuspended, cause: v1alpha1.CauseSuspended,
		},
		"grant deleted": {
			act: func(t *testing.T, s *scene, reg *v1alpha1.MCPClientRegistration) {
				s.remove(t, s.newGrant(reg.Name, reg.Name))
			},
			reason: v1alpha1.ReasonNoGrantInForce, cause: v1alpha1.CauseNoGrantInForce,
		},
		"MCPServer deleted": {
			act: func(t *testing.T, s *scene, _ *v1alpha1.MCPClientRegistration) {
				s.remove(t, s.server)
			},
			reason: v1alpha1.ReasonNoGrantInForce, cause: v1alpha1.CauseNoGrantInForce,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, w, as)
			reg, p := s.registered(t, "robot", v1alpha1.AuthMethodPrivateKeyJWT)
			began := time.Now()
			cause.act(t, s, reg)
			NewWithT(t).Eventually(p.standing(t), patience, often).Should(Equal("invalid_client"))
			t.Logf("gone after %s", time.Since(began).Round(time.Millisecond))
			s.requireRevoked(t, reg, p, cause.reason, cause.cause)
		})
	}
}

func testAuthorizationServerGone(t *testing.T, w *world, as, issuer string) {
	object := newAuthorizationServer(as+"-to-go", issuer)
	w.create(t, object)
	s := newScene(t, w, object.Name)
	reg, p := s.registered(t, "robot", v1alpha1.AuthMethodClientSecretBasic)
	s.remove(t, object)
	s.requireRevoked(t, reg, p, v1alpha1.ReasonAuthorizationServerNotFound, v1alpha1.CauseAuthorizationServerGone)
}

func (w *world) remove(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := w.Delete(t.Context(), object); err != nil {
			t.Fatalf("deleting %T %s: %v", object, object.GetName(), err)
		}
	}
}
