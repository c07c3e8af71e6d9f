// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// The objects below are the smallest that are admitted; a test edits them.

func authorizationServer() *unstructured.Unstructured {
	return object("AuthorizationServer", map[string]any{
		"issuer":              "https://auth.example.com",
		"dynamicRegistration": map[string]any{},
	})
}

func mcpServer() *unstructured.Unstructured {
	return object("MCPServer", map[string]any{
		"resource":               "https://mcp.example.com/invoices",
		"authorizationServerRef": map[string]any{"name": "company"},
		"scopes":                 list(map[string]any{"name": "invoices:read", "tier": "Read"}),
	})
}

// registration is a client that acts for itself and proves who it is by a key.
func registration() *unstructured.Unstructured {
	return object("MCPClientRegistration", map[string]any{
		"authorizationServerRef":  map[string]any{"name": "company"},
		"clientName":              "Invoice auditor",
		"applicationType":         "Web",
		"grantTypes":              list("ClientCredentials"),
		"tokenEndpointAuthMethod": "PrivateKeyJWT",
	})
}

// desktop is a public client on people's machines.
func desktop() *unstructured.Unstructured {
	return object("MCPClientRegistration", map[string]any{
		"authorizationServerRef":  map[string]any{"name": "company"},
		"clientName":              "Desktop assistant",
		"applicationType":         "Native",
		"grantTypes":              list("AuthorizationCode"),
		"redirectURIs":            list("http://127.0.0.1/callback"),
		"tokenEndpointAuthMethod": "None",
	})
}

func scopeGrant() *unstructured.Unstructured {
	return object("ScopeGrant", map[string]any{
		"clientRef": map[string]any{"name": "desktop"},
		"serverRef": map[string]any{"name": "invoices", "namespace": "invoices"},
		"scopes":    list("invoices:read"),
	})
}

func accessDenial() *unstructured.Unstructured {
	return object("AccessDenial", map[string]any{
		"client": map[string]any{"authorizationServerRef": map[string]any{"name": "company"}, "clientID": "5f0c7d6e"},
		"reason": "Key leaked, incident 4711",
	})
}

// approval is the word of an owner of a server to a grant that they looked at.
func approval() *unstructured.Unstructured {
	return object("ScopeGrantApproval", map[string]any{
		"serverRef":    map[string]any{"name": "invoices", "uid": "u1"},
		"grantRef":     map[string]any{"namespace": "payments", "name": "reader", "uid": "u2", "generation": int64(1)},
		"registration": map[string]any{"uid": "u3", "generation": int64(2)},
		"digest":       strings.Repeat("0a", 32), "toolsDigest": strings.Repeat("0b", 32), "requestedBy": "alice", "decision": "Approved",
	})
}

// beforehand is what is approved before it is asked for.
func beforehand() *unstructured.Unstructured {
	return object("ScopeGrantApproval", map[string]any{
		"serverRef": map[string]any{"name": "invoices"}, "clientRef": map[string]any{"namespace": "payments", "name": "reader"},
		"scopes": list("invoices:pay"), "decision": "Approved", "expirationTime": "2027-03-31T00:00:00Z",
	})
}

// clusterScoped says that objects of a kind belong to no namespace.
func clusterScoped(kind string) bool { return kind == "AuthorizationServer" || kind == "AccessDenial" }

// kinds makes one object of each kind.
func kinds() []func() *unstructured.Unstructured {
	return []func() *unstructured.Unstructured{authorizationServer, mcpServer, desktop, scopeGrant, approval, accessDenial}
}

// place gives an object a name of its own, and a namespace if its kind has one.
func place(object *unstructured.Unstructured, namespace string) {
	if !clusterScoped(object.GetKind()) {
		object.SetNamespace(namespace)
	}
	object.SetGenerateName(object.GetName() + "-")
	object.SetName("")
}

func object(kind string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	u.SetName("example")
	return u
}

// longURL is an https URL of n characters.
func longURL(n int) string {
	const start = "https://example.com/"
	return start + strings.Repeat("a", n-len(start))
}
