// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

func TestTheRecordIsShownByItsCalls(t *testing.T) {
	t.Parallel()
	line := func(data string) string {
		return `{"time":"2026-11-22T10:00:00Z","data":{"method":"tools/call","tool":"read_invoice",` + data + "}}\n"
	}
	allowed := line(`"verdict":"Allowed","reason":"Allowed","client":"payments/clerk","owner":"me@example.com","grant":"reads","basis":"Approved","approvedBy":"sam","scope":"invoices:read","tokenID":"ABCDEFGHIJ"`)
	stepUp := line(`"verdict":"Refused","reason":"ScopeMissing","client":"payments/clerk","owner":"me@example.com","stepUp":["invoices:write"],"tokenID":"ABCDEFGHIJ"`)
	gone := line(`"verdict":"Refused","reason":"UnknownClient","clientID":"one","tokenID":"short"`)
	other := `{"time":"2026-11-22T10:00:00Z","data":{"method":"tools/list","verdict":"Allowed","reason":"Allowed"}}` + "\n"
	got, err := recordRows(other + allowed + stepUp + gone)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"10:00:00", "Allowed", "Allowed", "read_invoice", "payments/clerk", "me@example.com", "invoices:read of reads, approved by sam", "ABCDEFGH…"},
		{"10:00:00", "Refused", "ScopeMissing", "read_invoice", "payments/clerk", "me@example.com", "needs invoices:write", "ABCDEFGH…"},
		{"10:00:00", "Refused", "UnknownClient", "read_invoice", "one", "-", "-", "short"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := recordRows(other + allowed + stepUp); !errors.Is(err, errNoRecord) {
		t.Errorf("a record without the last refusal: %v", err)
	}
}

func TestARefusalIsShownByWhatADeveloperNeeds(t *testing.T) {
	t.Parallel()
	refused := outcome{http.StatusForbidden, `Bearer resource_metadata="http://127.0.0.1/x", error="insufficient_scope", error_description="ask", scope="invoices:read invoices:write"`}
	if got, want := refused.String(), `403  error="insufficient_scope", scope="invoices:read invoices:write"`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (outcome{http.StatusOK, "paid"}).String(), "200  paid"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheGuardSaysWhereItListens(t *testing.T) {
	t.Parallel()
	log := `{"level":"info","msg":"Listening","for":"metrics","address":"127.0.0.1:1"}
not JSON
{"level":"info","msg":"Listening","for":"the proxy","address":"127.0.0.1:2"}
`
	if got := listenerOf(log, "the proxy"); got != "127.0.0.1:2" {
		t.Errorf("%q", got)
	}
	if got := listenerOf(strings.SplitAfter(log, "\n")[0], "the proxy"); got != "" {
		t.Errorf("%q before it listens", got)
	}
}

func TestTheGuardRunsUnderTheRolesOfTheExample(t *testing.T) {
	t.Parallel()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := guardAccountObjects(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range objects {
		got = append(got, object.GetKind()+" "+object.GetName())
	}
	slices.Sort(got)
	want := []string{
		"ClusterRole mcp-registrar-guard", "ClusterRole mcp-registrar-guard-lease", "ClusterRoleBinding mcp-guard-invoices",
		"RoleBinding mcp-guard-invoices", "ServiceAccount " + guardAccount,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOneToolOfTheServerIsForNobody(t *testing.T) {
	t.Parallel()
	spec := map[string]any{"scopes": []any{map[string]any{"name": readScope}, map[string]any{"name": writeScope}}}
	guarded(spec, "http://127.0.0.1:1/mcp")
	mapped := map[any]bool{}
	for _, scope := range spec["scopes"].([]any) {
		tools := scope.(map[string]any)["tools"].([]any)
		if len(tools) == 0 {
			t.Errorf("the scope %v leads to no tool", scope)
		}
		for _, tool := range tools {
			mapped[tool] = true
		}
	}
	for _, tool := range mcpserver.Tools() {
		if mapped[tool] == (tool == mcpserver.ToolVoid) {
			t.Errorf("%s is in a scope: %t", tool, mapped[tool])
		}
	}
}
