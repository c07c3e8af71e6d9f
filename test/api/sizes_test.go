// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// padded is a text of n characters that begins with a number.
func padded(i, n int, with string) string {
	start := fmt.Sprintf("%03d", i)
	return start + strings.Repeat(with, n-len(start))
}

// tooled is a catalogue of one scope with as many characters in all.
func tooled(characters int, with string) []any {
	tools := many(255, func(i int) string { return padded(i, 128, with) })
	return list(map[string]any{"name": "a", "tier": "Read", "tools": tools, "description": strings.Repeat(with, characters-255*128-1)})
}

// What members that are bounded each may be together.
func TestSums(t *testing.T) {
	check(t, mcpServer, []rule{
		{name: "a catalogue of 32768 characters", create: edits(set("scopes", tooled(32768, "t")))},
		{name: "a catalogue of 32768 emoji", create: edits(set("scopes", tooled(32768, "😀")))},
		{name: "a catalogue of 32769 characters", create: edits(set("scopes", tooled(32769, "t"))), want: []string{
			"spec.scopes: Invalid value: scopes must have names, descriptions and tools of at most 32768 characters together: shorten the descriptions, or spread the scopes over several MCPServers, for example one for each group of tools",
		}},
	})
	const blank = "clientName must not begin or end with white space, for example Desktop assistant"
	text := func(n int) map[string]any {
		return map[string]any{"a": strings.Repeat("a", 4096), "b": strings.Repeat("b", 4096), "c": strings.Repeat("c", 4096), "d": strings.Repeat("d", n-3*4096)}
	}
	check(t, registration, []rule{
		{name: "annotations of 16384 characters", create: edits(set("credentials.annotations", text(16384)))},
		{name: "annotations of 16385 characters", create: edits(set("credentials.annotations", map[string]any{
			"a": strings.Repeat("a", 4096), "b": strings.Repeat("b", 4096), "c": strings.Repeat("c", 4096), "d": strings.Repeat("d", 4096), "e": "e",
		})), want: []string{
			"spec.credentials.annotations: Invalid value: annotations must have values of at most 16384 characters together: keep what they say elsewhere, for example in a ConfigMap",
		}},
		{name: "a client's name with a space before", create: edits(set("clientName", " Auditor")), want: []string{`spec.clientName: Invalid value: " Auditor": ` + blank}},
		{name: "a client's name with a wide space after", create: edits(set("clientName", "Auditor\u3000")), want: []string{`spec.clientName: Invalid value: "Auditor\u3000": ` + blank}},
		{name: "a client's name that is blank", create: edits(set("clientName", " ")), want: []string{`spec.clientName: Invalid value: " ": ` + blank}},
		{name: "a client's name of 128 emoji", create: edits(set("clientName", strings.Repeat("😀", 128)))},
	})
}

// The largest objects that schemas and policies admit, in characters that take the
// most room where they are stored, leave room for the status beside them.
func TestLargestObjectsLeaveRoom(t *testing.T) {
	const room = 1 << 20
	c, namespace := useCluster(t)
	server, client := mcpServer(), registration()
	edited(server, set("scopes", tooled(32768, "<")))
	edited(client,
		set("jwks", strings.Repeat("<", 16384)), set("clientName", strings.Repeat("<", 128)),
		set("credentials.annotations", map[string]any{"a": strings.Repeat("<", 4096), "b": strings.Repeat("<", 4096), "c": strings.Repeat("<", 4096), "d": strings.Repeat("<", 4096)}),
	)
	grant := edited(scopeGrant(), set("reason", strings.Repeat("<", 1024)), set("scopes", many(64, func(i int) string { return padded(i, 128, "s") })))
	for _, object := range []*unstructured.Unstructured{server, client, grant} {
		place(object, namespace)
		object.SetAnnotations(map[string]string{"x": strings.Repeat("<", 65535)})
		if err := c.Create(t.Context(), object); err != nil {
			t.Errorf("%s is refused: %.300s", object.GetKind(), err)
			continue
		}
		stored, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", object.GetKind(), len(stored))
		if len(stored) > room {
			t.Errorf("%s takes %d bytes, which leaves too little for its status", object.GetKind(), len(stored))
		}
	}
}
