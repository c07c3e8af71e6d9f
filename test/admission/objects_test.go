// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// The objects below are admitted as they are; a test edits them.

const testOwner = "team-payments@example.com"

func meta(name, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace, Annotations: map[string]string{v1alpha1.AnnotationOwner: testOwner},
	}
}

// inDays is an end so many days from now.
func inDays(days int) time.Time {
	return time.Now().Add(time.Duration(days) * 24 * time.Hour).UTC().Truncate(time.Second)
}

// registration is a client that acts for itself and proves who it is by a key.
func registration(name string) *v1alpha1.MCPClientRegistration {
	return endingAt(&v1alpha1.MCPClientRegistration{
		ObjectMeta: meta(name, clientsNamespace),
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef:  v1alpha1.AuthorizationServerReference{Name: "strict"},
			ClientName:              strings.TrimSpace("Client " + name),
			ApplicationType:         v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: v1alpha1.AuthMethodPrivateKeyJWT,
		},
	}, inDays(10))
}

// grant asks for a scope of the server of another namespace.
func grant(name string) *v1alpha1.ScopeGrant {
	return endingAt(&v1alpha1.ScopeGrant{
		ObjectMeta: meta(name, clientsNamespace),
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: name},
			ServerRef: v1alpha1.ServerReference{Name: "invoices", Namespace: serversNamespace},
			Scopes:    []v1alpha1.ScopeName{"invoices:pay"},
			Reason:    "monthly close",
		},
	}, inDays(10))
}

func server(name string) *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		ObjectMeta: meta(name, serversNamespace),
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/" + name,
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "strict"},
			Scopes: []v1alpha1.Scope{
				{Name: "invoices:read", Tier: v1alpha1.TierRead}, {Name: "invoices:pay", Tier: v1alpha1.TierElevated},
			},
		},
	}
}

// authorizationServer allows little.
func authorizationServer(name string) *v1alpha1.AuthorizationServer {
	as := open(name)
	as.Spec.Policy = &v1alpha1.RegistrationPolicy{
		MaxRegistrationLifetimeSeconds:  new(int64(30 * 24 * 3600)),
		OwnerPattern:                    `[a-z-]+@example\.com`,
		AllowedGrantTypes:               []v1alpha1.GrantType{v1alpha1.GrantClientCredentials, v1alpha1.GrantAuthorizationCode},
		AllowedTokenEndpointAuthMethods: []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodPrivateKeyJWT},
		RedirectURIPatterns:             []string{`https://app\.example\.com/.*`, `https://b\.example\.com`, `[^:]+:/anybody`},
		JWKSURIPatterns:                 []string{`https://keys\.example\.com/[a-z]+`},
	}
	return as
}

// broken has patterns that are no regular expressions.
func broken(name string) *v1alpha1.AuthorizationServer {
	as := open(name)
	as.Spec.Policy = &v1alpha1.RegistrationPolicy{
		OwnerPattern:        "team)|(.*",
		RedirectURIPatterns: []string{"["},
		JWKSURIPatterns:     []string{`https://keys\.example\.com/[a-z]+`, "("},
	}
	return as
}

// open has no policy.
func open(name string) *v1alpha1.AuthorizationServer {
	return &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: "https://" + name + ".example.com", DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		},
	}
}

func with[T client.Object](object T, key, value string) T {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	object.SetAnnotations(annotations)
	return object
}

func without[T client.Object](object T, key string) T {
	annotations := object.GetAnnotations()
	delete(annotations, key)
	object.SetAnnotations(annotations)
	return object
}

func endingAt[T client.Object](object T, at time.Time) T {
	return with(object, v1alpha1.AnnotationExpiresAt, at.UTC().Format(time.RFC3339))
}

var count atomic.Int64

// suffix makes a name of its own.
func suffix() string { return strconv.FormatInt(count.Add(1), 10) }
