// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"
)

const (
	wildcard = "a scope must not contain a wildcard: name what it allows, for example invoices:read"
	catchAll = "a scope must not be a catch-all name: name what it allows, for example invoices:read"
	ofServer = "openid and offline_access are scopes of the authorization server itself and lead to no server: name what it allows, for example invoices:read; clients with the grant type RefreshToken are registered with them by themselves"
	noToken  = "a scope must be one token of printable ASCII without space, double quote or backslash (RFC 6749 section 3.3), for example invoices:read"
)

// scopeNames are the same questions to the catalogue and to the grant.
var scopeNames = []struct {
	name    string
	refused string
}{
	{name: "invoices:read"},
	{name: "https://mcp.example.com/scopes/invoices.read"},
	{name: "admin:read"},
	{name: "read_all"},
	{name: "allowance"},
	{name: "fully-accessible"},
	{name: "root-certificates:read"},
	{name: "!#[]^~"},

	{name: "*", refused: wildcard},
	{name: "invoices:*", refused: wildcard},
	{name: "inv*ices", refused: wildcard},
	{name: "all", refused: catchAll},
	{name: "ALL", refused: catchAll},
	{name: "invoices:all", refused: catchAll},
	{name: "invoices.any", refused: catchAll},
	{name: "https://mcp.example.com/everything", refused: catchAll},
	{name: "admin", refused: catchAll},
	{name: "Administrator", refused: catchAll},
	{name: "root", refused: catchAll},
	{name: "superuser", refused: catchAll},
	{name: "full", refused: catchAll},
	{name: "full-access", refused: catchAll},
	{name: "full_access", refused: catchAll},
	{name: "full.access", refused: catchAll},
	{name: "fullAccess", refused: catchAll},
	{name: "wildcard", refused: catchAll},

	{name: "openid", refused: ofServer},
	{name: "offline_access", refused: ofServer},
	{name: "OpenID"},
	{name: "profile"},

	{name: "invoices read", refused: noToken},
	{name: "invoices:read ", refused: noToken},
	{name: "invoices\nread", refused: noToken},
	{name: "all\n", refused: noToken},
	{name: "invoices\"read", refused: noToken},
	{name: `invoices\read`, refused: noToken},
	{name: "invoices\x7f", refused: noToken},
	{name: "rechnungen:lösen", refused: noToken},
	{name: "аll", refused: noToken},
}

func TestScopeNames(t *testing.T) {
	t.Run("catalogue", func(t *testing.T) {
		check(t, mcpServer, scopeRules("spec.scopes[0].name", func(name string) []edit {
			return edits(set("scopes", list(map[string]any{"name": name, "tier": "Read"})))
		}))
	})
	t.Run("grant", func(t *testing.T) {
		check(t, scopeGrant, scopeRules("spec.scopes[0]", func(name string) []edit {
			return edits(set("scopes", list(name)))
		}))
	})
}

func scopeRules(field string, give func(name string) []edit) []rule {
	rules := []rule{
		{name: "128 characters", create: give(strings.Repeat("s", 128))},
		{name: "129 characters", create: give(strings.Repeat("s", 129)), want: []string{
			fmt.Sprintf("%s: Too long: may not be more than 128 bytes", field),
		}},
		{name: "empty", create: give(""), want: []string{
			fmt.Sprintf("%s: Invalid value: \"\": %s in body should be at least 1 chars long", field, field),
		}},
	}
	for _, s := range scopeNames {
		r := rule{name: fmt.Sprintf("%q", s.name), create: give(s.name)}
		if s.refused != "" {
			r.want = []string{fmt.Sprintf("%s: Invalid value: %q: %s", field, s.name, s.refused)}
		}
		rules = append(rules, r)
	}
	return rules
}
