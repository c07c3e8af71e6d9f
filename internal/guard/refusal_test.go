// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func TestTheBodyOfARefusal(t *testing.T) {
	t.Parallel()
	plain := Verdict{Reason: TokenMissing, Code: -32001, Text: `a "bearer" token <is> needed`}
	stepUp := Verdict{Reason: "ScopeMissing", Code: -32003, Text: "ask", Decision: policy.CallDecision{StepUp: []string{"ledger:write"}}}
	const text = `"error":{"code":-32001,"message":"a \"bearer\" token \u003cis\u003e needed","data":{"reason":"TokenMissing"}}}`
	for _, c := range []struct {
		name, id string
		verdict  Verdict
		want     string
	}{
		{"without an id", "", plain, `{"jsonrpc":"2.0",` + text},
		{"a number", "7", plain, `{"jsonrpc":"2.0","id":7,` + text},
		{"a negative number", "-1", plain, `{"jsonrpc":"2.0","id":-1,` + text},
		{"a text", `"a\"b"`, plain, `{"jsonrpc":"2.0","id":"a\"b",` + text},
		{"an object", `{"a":1}`, plain, `{"jsonrpc":"2.0",` + text},
		{"null", `null`, plain, `{"jsonrpc":"2.0",` + text},
		{"more than an id", `7,"result":{}`, plain, `{"jsonrpc":"2.0",` + text},
		{"a scope to ask for", "7", stepUp,
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32003,"message":"ask","data":{"reason":"ScopeMissing","scopes":["ledger:write"]}}}`},
	} {
		if got := string(c.verdict.Body(c.id)); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestMetadataSaysWhatAClientNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	server := Server{Issuer: "https://login.example.com", ServerEntry: policy.ServerEntry{
		Namespace: "finance", Name: "ledger", Owner: "team@example.com", Resource: "https://ledger.example.com/mcp", AuthorizationServer: "corporate",
		Scopes: []policy.CatalogueScope{{Name: "ledger:read", Tools: []string{"secret-tool"}}, {Name: "ledger:write"}}, Prober: "canary",
	}}
	const want = `{"resource":"https://ledger.example.com/mcp","authorization_servers":["https://login.example.com"],` +
		`"scopes_supported":["ledger:read","ledger:write"],"bearer_methods_supported":["header"]}`
	if got := string(Metadata(server)); got != want {
		t.Error(got)
	}
}
