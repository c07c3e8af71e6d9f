// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"strconv"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func TestTheBodyOfARefusal(t *testing.T) {
	t.Parallel()
	plain := Verdict{Reason: TokenMissing, Code: -32010, Text: `a "bearer" token <is> needed`}
	stepUp := Verdict{Reason: "ScopeMissing", Code: -32013, Text: "ask", Decision: policy.CallDecision{StepUp: []string{"ledger:write"}}}
	const text = `"error":{"code":-32010,"message":"a \"bearer\" token \u003cis\u003e needed","data":{"reason":"TokenMissing"}}}`
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
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32013,"message":"ask","data":{"reason":"ScopeMissing","scopes":["ledger:write"]}}}`},
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
		`"scopes_supported":["ledger:enter"],"bearer_methods_supported":["header"]}`
	if got := string(Metadata(server, []string{"ledger:enter"})); got != want {
		t.Error(got)
	}
	if got := string(Metadata(server, nil)); strings.Contains(got, "scopes_supported") {
		t.Errorf("without a scope that all clients have: %s", got)
	}
}

// What no token helps against says what does, of whom to ask it, and nothing that
// the caller does not know: neither people nor other scopes, tools and clients.
func TestWhatToAskFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*world, *Request)
		want   []string
	}{
		{"no grant gives the tool", func(_ *world, r *Request) { r.Message.Tool = "pay_invoice" },
			[]string{"agents/bot", "invoices:pay", "tools/invoices", "ScopeGrant", "owner of the MCPServer", "kubectl get scopegrant -n agents"}},
		{"no grant is in force", func(w *world, r *Request) {
			w.grant.InForce = false
			r.Message = Message{Kind: Call, Method: "tools/list", ID: "1"}
		}, []string{"agents/bot", "tools/invoices", "ScopeGrant", "kubectl get scopegrant -n agents"}},
		{"no scope leads to a resource", func(_ *world, r *Request) { r.Message = Message{Kind: Call, Method: "resources/read", ID: "1"} },
			[]string{"tools/invoices", "not tied to tools", "owner of the MCPServer", "kubectl edit mcpserver invoices -n tools"}},
		{"the tool is not known", func(_ *world, r *Request) { r.Message.Tool = "x" },
			[]string{"tools/invoices", "spec.scopes[].tools", "owner of the MCPServer", "kubectl edit mcpserver invoices -n tools"}},
		{"the tool is withheld", func(w *world, _ *Request) {
			w.server.WithholdChanged, w.grant.ChangedTools = true, []string{"read_invoice"}
		},
			[]string{"agents/bot", "owner of the MCPServer", "tools/invoices", "kubectl get scopegrant -n agents -o yaml"}},
	} {
		w, r := newWorld(), call("read_invoice")
		w.server.Owner, w.client.Owner, w.grant.ApprovedBy = "olga@example.com", "carl@example.com", "anna@example.com"
		w.server.Scopes = append(w.server.Scopes, policy.CatalogueScope{Name: "invoices:secret", Tier: "Elevated", Tools: []string{"secret_tool"}})
		test.change(w, &r)
		v := w.engine().Decide(t.Context(), r)
		for _, part := range test.want {
			if !strings.Contains(v.Text, part) {
				t.Errorf("%s: %q lacks %q", test.name, v.Text, part)
			}
		}
		body := string(v.Body(r.Message.ID))
		for _, secret := range []string{"@example.com", "secret", "read_invoice", "c1", "abc"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: %s tells %q", test.name, body, secret)
			}
		}
	}
}

// A token cannot fill the header of an answer.
func TestAStepUpIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.token.Scopes = nil
	for n := range 10_000 {
		w.token.Scopes = append(w.token.Scopes, "s"+strconv.Itoa(n))
	}
	v := w.engine().Decide(t.Context(), call("read_invoice"))
	if len(v.Challenge) > 5000 || !strings.Contains(v.Challenge, ` invoices:read"`) || !strings.Contains(v.Challenge, `scope="s0 s1 `) {
		t.Errorf("%d: %.200s", len(v.Challenge), v.Challenge)
	}
}
