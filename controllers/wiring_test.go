// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func identity(until time.Time) map[string]string {
	return map[string]string{
		v1alpha1.AnnotationOwner:     "team-a@example.com",
		v1alpha1.AnnotationExpiresAt: until.UTC().Format(time.RFC3339Nano),
	}
}

func (w *world) server(name string) *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Annotations: identity(time.Now().Add(time.Hour))},
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/" + w.namespace + "/" + name,
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: w.name},
			Scopes: []v1alpha1.Scope{
				{Name: "files:read", Tier: v1alpha1.TierRead}, {Name: "notes:read", Tier: v1alpha1.TierRead},
				{Name: "files:write", Tier: v1alpha1.TierWrite},
			},
		},
	}
}

func (w *world) registration(name string, method v1alpha1.TokenEndpointAuthMethod, until time.Time) *v1alpha1.MCPClientRegistration {
	reg := &v1alpha1.MCPClientRegistration{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Annotations: identity(until)},
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: w.name},
			ClientName:             name, ApplicationType: v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: method,
		},
	}
	if method == v1alpha1.AuthMethodNone {
		reg.Spec.ApplicationType = v1alpha1.ApplicationNative
		reg.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode}
		reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"http://127.0.0.1/callback"}
	}
	return reg
}

func (w *world) grant(client string, until time.Time, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	return &v1alpha1.ScopeGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: client + "-", Annotations: identity(until)},
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: client}, ServerRef: v1alpha1.ServerReference{Name: "files"}, Scopes: scopes,
		},
	}
}

// state is the Ready condition of a registration in short: "True/Ready".
func (w *world) state(t *testing.T, reg *v1alpha1.MCPClientRegistration) func() string {
	return func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			if apierrors.IsNotFound(err) {
				return "gone"
			}
			return err.Error()
		}
		c := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil {
			return "unseen"
		}
		return string(c.Status) + "/" + c.Reason
	}
}

func TestRegistrationsFromWishToProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	until := time.Now().Add(time.Hour)
	for _, method := range []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodNone, v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodPrivateKeyJWT} {
		t.Run(string(method), func(t *testing.T) {
			g := NewWithT(t)
			name := map[v1alpha1.TokenEndpointAuthMethod]string{"None": "public", "ClientSecretBasic": "secret", "PrivateKeyJWT": "key"}[method]
			reg := w.registration(name, method, until)
			w.create(t, reg, w.grant(name, until, "files:read"))
			g.Eventually(w.state(t, reg), eventually, often).Should(Equal("True/Ready"))
			g.Expect(reg.Status.Scopes).To(HaveLen(1))
			g.Expect(reg.Status.ClientID).NotTo(BeEmpty())
			id := reg.Status.ClientID
			extra := w.grant(name, until, "notes:read")
			w.create(t, extra)
			g.Eventually(func() int { w.state(t, reg)(); return len(reg.Status.Scopes) }, eventually, often).Should(Equal(2))
			g.Expect(reg.Status.ClientID).To(Equal(id))
			g.Expect(w.Delete(t.Context(), extra)).To(Succeed())
			g.Eventually(func() int { w.state(t, reg)(); return len(reg.Status.Scopes) }, eventually, often).Should(Equal(1))
			g.Expect(w.Delete(t.Context(), reg)).To(Succeed())
			g.Eventually(w.state(t, reg), eventually, often).Should(Equal("gone"))
			g.Expect(w.as.Deleted()).To(ContainElement(id))
		})
	}
	expiring := w.registration("expiring", v1alpha1.AuthMethodNone, until)
	w.create(t, expiring, w.grant("expiring", until, "files:read"))
	g.Eventually(w.state(t, expiring), eventually, often).Should(Equal("True/Ready"))
	id := expiring.Status.ClientID
	edit(t, w, expiring, func(reg *v1alpha1.MCPClientRegistration) { reg.Annotations = identity(time.Now().Add(2 * time.Second)) })
	g.Eventually(w.state(t, expiring), eventually, often).Should(Equal("False/Expired"))
	w.verified(t, expiring)
	g.Expect(expiring.Status.ClientID).To(BeEmpty())
	g.Expect(w.as.Deleted()).To(ContainElement(id))
	g.Expect(w.as.Clients()).To(BeEmpty())
}
