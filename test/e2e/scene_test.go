// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// methods are the ways in which a client authenticates.
var methods = []v1alpha1.TokenEndpointAuthMethod{
	v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodPrivateKeyJWT, v1alpha1.AuthMethodNone,
}

// scene is one namespace with an MCP server, and clients to be.
type scene struct {
	*world
	as, namespace string
	server        *v1alpha1.MCPServer
	// at is what is particular about the authorization server.
	at venue
}

// newScene makes a namespace with an MCPServer at an AuthorizationServer.
func newScene(t *testing.T, w *world, as string) *scene {
	t.Helper()
	s := &scene{world: w, as: as, namespace: w.namespace(t)}
	s.server = s.newServer()
	w.create(t, s.server)
	return s
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// identity is who answers for an object and until when. Whole seconds: what the
// status says about time is no finer.
func identity(until time.Time) map[string]string {
	return map[string]string{
		v1alpha1.AnnotationOwner:     "team-a@example.com",
		v1alpha1.AnnotationExpiresAt: instant(until),
	}
}

func instant(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func (s *scene) newServer() *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MCPServer"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: "files",
			Annotations: map[string]string{v1alpha1.AnnotationOwner: "team-files@example.com"},
		},
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/" + s.namespace + "/files",
			Audience:               s.at.resource,
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: s.as},
			Scopes: []v1alpha1.Scope{
				{Name: "files:read", Tier: v1alpha1.TierRead}, {Name: "notes:read", Tier: v1alpha1.TierRead},
				{Name: "files:write", Tier: v1alpha1.TierWrite},
			},
		},
	}
}

// newRegistration is a client that uses client_credentials, or a native one with
// a loopback redirect if its method is None. All have a Secret.
func (s *scene) newRegistration(name string, method v1alpha1.TokenEndpointAuthMethod) *v1alpha1.MCPClientRegistration {
	reg := &v1alpha1.MCPClientRegistration{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MCPClientRegistration"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name, Annotations: identity(inAnHour())},
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: s.as},
			ClientName:             name, ApplicationType: v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: method,
		},
	}
	if method == v1alpha1.AuthMethodNone {
		reg.Spec.ApplicationType = v1alpha1.ApplicationNative
		reg.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode}
		reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"http://127.0.0.1" + callbackPath}
		reg.Spec.Credentials = &v1alpha1.Credentials{SecretName: name + "-oauth"}
	}
	return reg
}

func (s *scene) newGrant(name, registration string, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	return &v1alpha1.ScopeGrant{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ScopeGrant"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name, Annotations: identity(inAnHour())},
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: registration},
			ServerRef: v1alpha1.ServerReference{Name: "files"}, Scopes: scopes,
		},
	}
}

// registered makes a registration with one grant of files:read, waits until it
// is Ready, and returns it with the client that its Secret describes.
func (s *scene) registered(t *testing.T, name string, method v1alpha1.TokenEndpointAuthMethod) (*v1alpha1.MCPClientRegistration, party) {
	t.Helper()
	reg := s.newRegistration(name, method)
	s.create(t, reg, s.newGrant(name, name, "files:read"))
	return reg, s.waitReady(t, reg)
}

func (s *scene) waitReady(t *testing.T, reg *v1alpha1.MCPClientRegistration) party {
	t.Helper()
	NewWithT(t).Eventually(s.ready(t, reg), patience, often).Should(Equal("True/Ready"), func() string {
		return fmt.Sprintf("%s: %+v", reg.Name, reg.Status.Conditions)
	})
	p := newParty(t, s.secret(t, reg.Status.SecretName))
	if p.id != reg.Status.ClientID {
		t.Errorf("the Secret is for client %q, the status says %q", p.id, reg.Status.ClientID)
	}
	s.comes(t, p.standing(t), "known", reg.Name+" is Ready")
	return p
}

func (s *scene) secret(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	if err := s.Get(t.Context(), types.NamespacedName{Namespace: s.namespace, Name: name}, &secret); err != nil {
		t.Fatal(err)
	}
	return &secret
}

// effective are the scopes in force, as the status says.
func (s *scene) effective(t *testing.T, reg *v1alpha1.MCPClientRegistration) func() []string {
	return func() []string {
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			return []string{err.Error()}
		}
		names := []string{}
		for _, scope := range reg.Status.Scopes {
			names = append(names, scope.Name)
		}
		return names
	}
}

// requireRevoked waits for the revocation and checks that it is one: said and
// proven by the status, true at the authorization server, with nothing left of
// the credentials.
func (s *scene) requireRevoked(t *testing.T, reg *v1alpha1.MCPClientRegistration, p party, reason string, cause v1alpha1.RevocationCause) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() *metav1.Time {
		s.ready(t, reg)()
		if reg.Status.Revocation == nil {
			return nil
		}
		return reg.Status.Revocation.VerifiedAt
	}, patience, often).ShouldNot(BeNil(), "no revocation with proof")
	g.Eventually(s.ready(t, reg), patience, often).Should(Equal("False/" + reason))
	s.comes(t, p.standing(t), "invalid_client", "the client is proven to be gone")
	g.Expect(reg.Status.Revocation.Cause).To(Equal(cause))
	g.Expect(reg.Status.Revocation.ClientID).To(Equal(p.id))
	g.Expect(reg.Status.Revocation.RevokedAtASAt).NotTo(BeNil())
	g.Expect(reg.Status.ClientID).To(BeEmpty())
	g.Expect(reg.Status.Scopes).To(BeEmpty())
	var secret corev1.Secret
	err := s.Get(t.Context(), types.NamespacedName{Namespace: s.namespace, Name: secretName(reg)}, &secret)
	if !apierrors.IsNotFound(err) {
		t.Errorf("the credentials Secret after the revocation: got error %v, want not found", err)
	}
}

// secretName is the documented name of the credentials Secret.
func secretName(reg *v1alpha1.MCPClientRegistration) string {
	if reg.Spec.Credentials != nil {
		return reg.Spec.Credentials.SecretName
	}
	return reg.Name + "-mcp-client"
}
