// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"
)

func TestMCPServerIdentity(t *testing.T) {
	check(t, mcpServer, []rule{
		{name: "a resource of 512 characters", create: edits(set("resource", longURL(512)))},
		{name: "a resource of 513 characters", create: edits(set("resource", longURL(513))), want: []string{"spec.resource: Too long: may not be more than 512 bytes"}},
		{name: "a resource that is empty", create: edits(set("resource", "")), want: []string{`spec.resource: Invalid value: "": resource must be an https URL (http only for a loopback host), for example https://mcp.example.com/invoices`, `spec.resource: Invalid value: "": spec.resource in body should be at least 1 chars long`}},
		{name: "no resource", create: edits(unset("resource")), want: []string{"spec.resource: Required value"}},
		{name: "nothing changed", update: edits()},
		{name: "another resource", update: edits(set("resource", "https://mcp.example.com/payments")), want: []string{`spec.resource: Invalid value: "https://mcp.example.com/payments": resource is immutable: tokens were issued for it; create another MCPServer for another resource`}},
		{name: "another authorization server", update: edits(set("authorizationServerRef.name", "other")), want: []string{"spec.authorizationServerRef: Invalid value: authorizationServerRef is immutable: clients are registered there; create another MCPServer for another authorization server"}},
		{name: "no authorization server", create: edits(unset("authorizationServerRef")), want: []string{"spec.authorizationServerRef: Required value"}},
		{name: "an authorization server without name", create: edits(set("authorizationServerRef.name", "")), want: []string{`spec.authorizationServerRef.name: Invalid value: "": spec.authorizationServerRef.name in body should be at least 1 chars long`}},
		{name: "an authorization server's name of 253 characters", create: edits(set("authorizationServerRef.name", strings.Repeat("n", 253)))},
		{name: "an authorization server's name of 254 characters", create: edits(set("authorizationServerRef.name", strings.Repeat("n", 254))), want: []string{"spec.authorizationServerRef.name: Too long: may not be more than 253 bytes"}},
	})
}

func TestMCPServerAudience(t *testing.T) {
	const (
		form      = "audience must be ASCII without space, quote, bracket or backslash, for example api://default"
		immutable = "audience is immutable: tokens were issued for it; create another MCPServer for another audience"
	)
	check(t, mcpServer, []rule{
		{name: "a URI", create: edits(set("audience", "api://default"))},
		{name: "a GUID", create: edits(set("audience", "8f2a1c34-5b6d-4e7f-9a0b-1c2d3e4f5a6b"))},
		{name: "of 512 characters", create: edits(set("audience", strings.Repeat("a", 512)))},
		{name: "of 513 characters", create: edits(set("audience", strings.Repeat("a", 513))), want: []string{"spec.audience: Too long: may not be more than 512 bytes"}},
		{name: "empty", create: edits(set("audience", "")), want: []string{
			`spec.audience: Invalid value: "": ` + form, `spec.audience: Invalid value: "": spec.audience in body should be at least 1 chars long`,
		}},
		{name: "with a space", create: edits(set("audience", "api://default x")), want: []string{`spec.audience: Invalid value: "api://default x": ` + form}},
		{name: "with a line feed", create: edits(set("audience", "api://default\n")), want: []string{`spec.audience: Invalid value: "api://default\n": ` + form}},
		{name: "with a quote", create: edits(set("audience", `a"`)), want: []string{`spec.audience: Invalid value: "a\"": ` + form}},
		{name: "a list", create: edits(set("audience", list("a"))), want: []string{
			`spec.audience: Invalid value: "array": spec.audience in body must be of type string: "array"`,
		}},
		{name: "kept", create: edits(set("audience", "a")), update: edits(set("accessTokenLifetimeSeconds", int64(60)))},
		{name: "given later", update: edits(set("audience", "a")), want: []string{"spec: Invalid value: " + immutable}},
		{name: "taken away", create: edits(set("audience", "a")), update: edits(unset("audience")), want: []string{"spec: Invalid value: " + immutable}},
		{name: "changed", create: edits(set("audience", "a")), update: edits(set("audience", "b")), want: []string{`spec.audience: Invalid value: "b": ` + immutable}},
	})
}

func TestMCPServerCatalogue(t *testing.T) {
	scope := func(i int) map[string]any { return map[string]any{"name": fmt.Sprintf("scope:%d", i), "tier": "Read"} }
	first := func(field string, value any) []edit {
		entry := map[string]any{"name": "invoices:read", "tier": "Read"}
		entry[field] = value
		return edits(set("scopes", list(entry)))
	}
	tool := func(i int) string { return fmt.Sprintf("tool-%d", i) }
	check(t, mcpServer, []rule{
		{name: "128 scopes", create: edits(set("scopes", many(128, scope)))},
		{name: "129 scopes", create: edits(set("scopes", many(129, scope))), want: []string{"spec.scopes: Too many: 129: must have at most 128 items"}},
		{name: "no scope", create: edits(set("scopes", list[string]())), want: []string{"spec.scopes: Invalid value: 0: spec.scopes in body should have at least 1 items"}},
		{name: "no catalogue", create: edits(unset("scopes")), want: []string{"spec.scopes: Required value"}},
		{name: "a scope twice", create: edits(set("scopes", list(scope(1), scope(1)))), want: []string{`spec.scopes[1]: Duplicate value: {"name":"scope:1"}`}},
		{name: "a scope without tier", create: edits(set("scopes", list(map[string]any{"name": "invoices:read"}))), want: []string{"spec.scopes[0].tier: Required value"}},
		{name: "tier Write", create: first("tier", "Write")},
		{name: "tier Elevated", create: first("tier", "Elevated")},
		{name: "a tier that does not exist", create: first("tier", "Admin"), want: []string{`spec.scopes[0].tier: Unsupported value: "Admin": supported values: "Read", "Write", "Elevated"`}},
		{name: "256 tools", create: first("tools", many(256, tool))},
		{name: "257 tools", create: first("tools", many(257, tool)), want: []string{"spec.scopes[0].tools: Too many: 257: must have at most 256 items"}},
		{name: "a tool twice", create: first("tools", list("get", "get")), want: []string{`spec.scopes[0].tools[1]: Duplicate value: "get"`}},
		{name: "a tool without name", create: first("tools", list("")), want: []string{`spec.scopes[0].tools[0]: Invalid value: "": spec.scopes[0].tools[0] in body should be at least 1 chars long`}},
		{name: "a tool's name of 128 characters", create: first("tools", list(strings.Repeat("t", 128)))},
		{name: "a tool's name of 129 characters", create: first("tools", list(strings.Repeat("t", 129))), want: []string{"spec.scopes[0].tools[0]: Too long: may not be more than 128 bytes"}},
		{name: "a description of 512 characters", create: first("description", strings.Repeat("d", 512))},
		{name: "a description of 513 characters", create: first("description", strings.Repeat("d", 513)), want: []string{"spec.scopes[0].description: Too long: may not be more than 512 bytes"}},
	})
}

func TestMCPServerEntryScope(t *testing.T) {
	const listed = "spec: Invalid value: entryScope must not be one of scopes: every client has it without a grant; choose another name, for example mcp:enter"
	check(t, mcpServer, []rule{
		{name: "an entry scope", create: edits(set("entryScope", "mcp:enter"))},
		{name: "an entry scope that is set later", update: edits(set("entryScope", "mcp:enter"))},
		{name: "an entry scope of 128 characters", create: edits(set("entryScope", strings.Repeat("s", 128)))},
		{name: "an entry scope of 129 characters", create: edits(set("entryScope", strings.Repeat("s", 129))), want: []string{"spec.entryScope: Too long: may not be more than 128 bytes"}},
		{name: "an entry scope that is granted", create: edits(set("scopes", list(map[string]any{"name": "invoices:read", "tier": "Read"})), set("entryScope", "invoices:read")), want: []string{listed}},
		{name: "an entry scope that means everything", create: edits(set("entryScope", "all")), want: []string{`spec.entryScope: Invalid value: "all": ` + catchAll}},
		{name: "an entry scope of the authorization server itself", create: edits(set("entryScope", "openid")), want: []string{`spec.entryScope: Invalid value: "openid": ` + ofServer}},
	})
}

func TestMCPServerTokensAndClients(t *testing.T) {
	selector := map[string]any{"matchLabels": map[string]any{"mcp-clients": "allowed"}}
	check(t, mcpServer, []rule{
		{name: "accessTokenLifetimeSeconds at its least", create: edits(set("accessTokenLifetimeSeconds", int64(30)))},
		{name: "accessTokenLifetimeSeconds at its most", create: edits(set("accessTokenLifetimeSeconds", int64(3600)))},
		{name: "accessTokenLifetimeSeconds below", create: edits(set("accessTokenLifetimeSeconds", int64(29))), want: []string{"spec.accessTokenLifetimeSeconds: Invalid value: 29: spec.accessTokenLifetimeSeconds in body should be greater than or equal to 30"}},
		{name: "accessTokenLifetimeSeconds above", create: edits(set("accessTokenLifetimeSeconds", int64(3601))), want: []string{"spec.accessTokenLifetimeSeconds: Invalid value: 3601: spec.accessTokenLifetimeSeconds in body should be less than or equal to 3600"}},
		{name: "accessTokenLifetimeSeconds as a fraction", create: edits(set("accessTokenLifetimeSeconds", 60.5)), want: []string{`<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.accessTokenLifetimeSeconds`, `spec.accessTokenLifetimeSeconds: Invalid value: "float64": spec.accessTokenLifetimeSeconds in body must be of type int32: "float64"`}},
		{name: "clients of the same namespace", create: edits(set("allowedClients.namespaces", "Same"))},
		{name: "clients of all namespaces", create: edits(set("allowedClients.namespaces", "All"))},
		{name: "clients by selector", create: edits(set("allowedClients.namespaces", "Selector"), set("allowedClients.selector", selector))},
		{name: "Selector without selector", create: edits(set("allowedClients.namespaces", "Selector")), want: []string{"spec.allowedClients: Invalid value: selector must be set exactly when namespaces is Selector, for example namespaces: Selector with selector: {matchLabels: {mcp-clients: allowed}}"}},
		{name: "a selector with Same", create: edits(set("allowedClients.namespaces", "Same"), set("allowedClients.selector", selector)), want: []string{"spec.allowedClients: Invalid value: selector must be set exactly when namespaces is Selector, for example namespaces: Selector with selector: {matchLabels: {mcp-clients: allowed}}"}},
		{name: "a selector with All", create: edits(set("allowedClients.namespaces", "All"), set("allowedClients.selector", selector)), want: []string{"spec.allowedClients: Invalid value: selector must be set exactly when namespaces is Selector, for example namespaces: Selector with selector: {matchLabels: {mcp-clients: allowed}}"}},
		{name: "a word nobody knows", create: edits(set("allowedClients.namespaces", "None")), want: []string{`spec.allowedClients.namespaces: Unsupported value: "None": supported values: "Same", "All", "Selector"`}},
		{name: "clients from nowhere", create: edits(set("allowedClients", map[string]any{})), want: []string{"spec.allowedClients.namespaces: Required value"}},
		{
			name:   "a selector with an operator nobody knows",
			create: edits(set("allowedClients.namespaces", "Selector"), set("allowedClients.selector.matchExpressions", list(map[string]any{"key": "a", "operator": "Is"}))),
			want:   []string{"spec.allowedClients: Invalid value: selector.matchExpressions must have operator In or NotIn with values, or Exists or DoesNotExist without, for example {key: mcp-clients, operator: Exists}"},
		},
		{name: "every tier approved by itself", create: edits(set("grants.autoApprovedTiers", list("Read", "Write", "Elevated")))},
		{name: "no tier approved by itself", create: edits(set("grants.autoApprovedTiers", list[string]()))},
		{name: "a tier that does not exist approved by itself", create: edits(set("grants.autoApprovedTiers", list("All"))), want: []string{`spec.grants.autoApprovedTiers[0]: Unsupported value: "All": supported values: "Read", "Write", "Elevated"`}},
		{name: "a tier approved by itself twice", create: edits(set("grants.autoApprovedTiers", list("Read", "Read"))), want: []string{`spec.grants.autoApprovedTiers[1]: Duplicate value: "Read"`}},
	})
}
