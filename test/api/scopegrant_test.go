// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"
)

func TestScopeGrant(t *testing.T) {
	scope := func(i int) string { return fmt.Sprintf("scope:%d", i) }
	long := func(n int) string { return strings.Repeat("n", n) }
	check(t, scopeGrant, []rule{
		{name: "a server of the same namespace", create: edits(unset("serverRef.namespace"))},
		{name: "a server's namespace of 63 characters", create: edits(set("serverRef.namespace", long(63)))},
		{name: "a server's namespace of 64 characters", create: edits(set("serverRef.namespace", long(64))), want: []string{"spec.serverRef.namespace: Too long: may not be more than 63 bytes"}},
		{name: "a server's namespace that is empty", create: edits(set("serverRef.namespace", "")), want: []string{`spec.serverRef.namespace: Invalid value: "": spec.serverRef.namespace in body should be at least 1 chars long`}},
		{name: "a server's name of 253 characters", create: edits(set("serverRef.name", long(253)))},
		{name: "a server's name of 254 characters", create: edits(set("serverRef.name", long(254))), want: []string{"spec.serverRef.name: Too long: may not be more than 253 bytes"}},
		{name: "a server without name", create: edits(set("serverRef", map[string]any{})), want: []string{"spec.serverRef.name: Required value"}},
		{name: "no server", create: edits(unset("serverRef")), want: []string{"spec.serverRef: Required value"}},
		{name: "a client's name of 253 characters", create: edits(set("clientRef.name", long(253)))},
		{name: "a client's name of 254 characters", create: edits(set("clientRef.name", long(254))), want: []string{"spec.clientRef.name: Too long: may not be more than 253 bytes"}},
		{name: "a client without name", create: edits(set("clientRef.name", "")), want: []string{`spec.clientRef.name: Invalid value: "": spec.clientRef.name in body should be at least 1 chars long`}},
		{name: "no client", create: edits(unset("clientRef")), want: []string{"spec.clientRef: Required value"}},
		{name: "64 scopes", create: edits(set("scopes", many(64, scope)))},
		{name: "65 scopes", create: edits(set("scopes", many(65, scope))), want: []string{"spec.scopes: Too many: 65: must have at most 64 items"}},
		{name: "no scope", create: edits(set("scopes", list[string]())), want: []string{"spec.scopes: Invalid value: 0: spec.scopes in body should have at least 1 items"}},
		{name: "no list of scopes", create: edits(unset("scopes")), want: []string{"spec.scopes: Required value"}},
		{name: "a scope twice", create: edits(set("scopes", list("invoices:read", "invoices:read"))), want: []string{`spec.scopes[1]: Duplicate value: "invoices:read"`}},
		{name: "a reason of 1024 characters", create: edits(set("reason", long(1024)))},
		{name: "a reason of 1025 characters", create: edits(set("reason", long(1025))), want: []string{"spec.reason: Too long: may not be more than 1024 bytes"}},
		{name: "other scopes and another reason later", update: edits(set("scopes", list("invoices:write")), set("reason", "Sends them."))},
		{name: "another client", update: edits(set("clientRef.name", "other")), want: []string{"spec.clientRef: Invalid value: clientRef is immutable: create another ScopeGrant for another client"}},
		{name: "another server", update: edits(set("serverRef.name", "other")), want: []string{"spec.serverRef: Invalid value: serverRef is immutable: create another ScopeGrant for another server"}},
		{name: "a server of another namespace", update: edits(set("serverRef.namespace", "other")), want: []string{"spec.serverRef: Invalid value: serverRef is immutable: create another ScopeGrant for another server"}},
		{name: "a server of no namespace", update: edits(unset("serverRef.namespace")), want: []string{"spec.serverRef: Invalid value: serverRef is immutable: create another ScopeGrant for another server"}},
	})
}
