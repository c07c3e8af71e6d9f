// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"net/http"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

const (
	old    = "2025-11-25"
	modern = "2026-07-28"
)

func TestHeadersMustSayWhatTheBodySays(t *testing.T) {
	add := call("tools/call", `{"name":"add"}`)
	cases := map[string]struct {
		body    string
		header  []string
		refused bool
	}{
		"no headers, no revision":            {add, nil, false},
		"no headers, old revision":           {add, []string{"MCP-Protocol-Version", old}, false},
		"no headers, modern revision":        {add, []string{"MCP-Protocol-Version", modern}, true},
		"no headers, later revision":         {add, []string{"MCP-Protocol-Version", "2027-01-01"}, true},
		"both, modern":                       {add, []string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", "add"}, false},
		"both, in lower case":                {add, []string{"mcp-protocol-version", modern, "mcp-method", "tools/call", "mcp-name", "add"}, false},
		"both, old":                          {add, []string{"MCP-Protocol-Version", old, "Mcp-Method", "tools/call", "Mcp-Name", "add"}, false},
		"name missing, modern":               {add, []string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call"}, true},
		"name empty, modern":                 {add, []string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", ""}, true},
		"method missing, modern":             {add, []string{"MCP-Protocol-Version", modern, "Mcp-Name", "add"}, true},
		"another method, old":                {add, []string{"Mcp-Method", "tools/list"}, true},
		"another name, old":                  {add, []string{"Mcp-Name", "read"}, true},
		"the name in another case":           {add, []string{"Mcp-Name", "Add"}, true},
		"two methods":                        {add, []string{"Mcp-Method", "tools/call", "Mcp-Method", "tools/list"}, true},
		"two equal names":                    {add, []string{"Mcp-Name", "add", "Mcp-Name", "add"}, true},
		"two revisions":                      {add, []string{"MCP-Protocol-Version", old, "MCP-Protocol-Version", modern}, true},
		"two sessions":                       {add, []string{"Mcp-Session-Id", "a", "Mcp-Session-Id", "b"}, true},
		"the name in Base64":                 {add, []string{"Mcp-Name", wrapped("add")}, false},
		"another name in Base64":             {add, []string{"Mcp-Name", wrapped("read")}, true},
		"broken Base64":                      {add, []string{"Mcp-Name", "=?base64?YWRk!?="}, true},
		"Base64 without padding":             {call("tools/call", `{"name":"addd"}`), []string{"Mcp-Name", "=?base64?YWRkZA?="}, true},
		"Base64 with bits left over":         {call("tools/call", `{"name":"addd"}`), []string{"Mcp-Name", "=?base64?YWRkZB==?="}, true},
		"Base64 that is no UTF-8":            {add, []string{"Mcp-Name", "=?base64?/w==?="}, true},
		"Base64 in capitals is no Base64":    {add, []string{"Mcp-Name", "=?BASE64?YWRk?="}, true},
		"Base64 without end is no Base64":    {call("tools/call", `{"name":"=?base64?YWRk"}`), []string{"Mcp-Name", "=?base64?YWRk"}, false},
		"a letter beyond ASCII":              {call("tools/call", `{"name":"é"}`), []string{"Mcp-Name", "é"}, true},
		"a letter beyond ASCII in Base64":    {call("tools/call", `{"name":"é"}`), []string{"Mcp-Name", wrapped("é")}, false},
		"a prompt":                           {call("prompts/get", `{"name":"p"}`), []string{"MCP-Protocol-Version", modern, "Mcp-Method", "prompts/get", "Mcp-Name", "p"}, false},
		"a prompt without name":              {call("prompts/get", `{"name":"p"}`), []string{"MCP-Protocol-Version", modern, "Mcp-Method", "prompts/get"}, true},
		"a resource":                         {call("resources/read", `{"uri":"file:///a"}`), []string{"MCP-Protocol-Version", modern, "Mcp-Method", "resources/read", "Mcp-Name", "file:///a"}, false},
		"another resource":                   {call("resources/read", `{"uri":"file:///a","name":"file:///b"}`), []string{"Mcp-Name", "file:///b"}, true},
		"a list needs no name":               {call("tools/list", `{}`), []string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/list"}, false},
		"a list has no name":                 {call("tools/list", `{}`), []string{"Mcp-Name", "add"}, true},
		"a subscription may have one":        {call("resources/subscribe", `{"uri":"u"}`), []string{"Mcp-Name", "u"}, false},
		"a task's is its id":                 {call("tasks/get", `{"taskId":"t"}`), []string{"MCP-Protocol-Version", modern, "Mcp-Method", "tasks/get", "Mcp-Name", "t"}, false},
		"a task's is not another":            {call("tasks/get", `{"taskId":"t","name":"n"}`), []string{"Mcp-Name", "n"}, true},
		"a notification needs none":          {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, []string{"MCP-Protocol-Version", modern}, false},
		"a notification of another method":   {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, []string{"Mcp-Method", "tools/list"}, true},
		"an answer needs none":               {`{"jsonrpc":"2.0","id":1,"result":{}}`, []string{"MCP-Protocol-Version", modern}, false},
		"an answer has no method":            {`{"jsonrpc":"2.0","id":1,"result":{}}`, []string{"Mcp-Method", "tools/list"}, true},
		"the revision of the body":           {call("ping", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}`), []string{"MCP-Protocol-Version", old}, false},
		"another revision in the body":       {call("ping", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`), []string{"MCP-Protocol-Version", old}, true},
		"the revision in the body only":      {call("ping", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`), nil, true},
		"a revision in the body, not a text": {call("ping", `{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}`), nil, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, _ := message.Parse(header(c.header...), http.MethodPost, []byte(c.body))
			if !c.refused {
				if got.Fault != nil {
					t.Fatalf("refused: %+v", got.Fault)
				}
				return
			}
			if got.Kind != guard.Unreadable || got.Fault.Reason != guard.RequestHeaderMismatch || got.Fault.Code != -32020 || got.Fault.Status != http.StatusBadRequest {
				t.Errorf("read as %+v", got)
			}
		})
	}
}

func TestHeadersAloneAreReliedOnOnlyWhereGuaranteed(t *testing.T) {
	cases := map[string]struct {
		header []string
		want   guard.Message
		reason guard.Reason
	}{
		"a tool":                 {[]string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", "add"}, guard.Message{Kind: guard.Call, Method: "tools/call", Tool: "add"}, ""},
		"a tool in Base64":       {[]string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", wrapped("é")}, guard.Message{Kind: guard.Call, Method: "tools/call", Tool: "é"}, ""},
		"a list":                 {[]string{"MCP-Protocol-Version", "2027-02-03", "Mcp-Method", "tools/list"}, guard.Message{Kind: guard.Call, Method: "tools/list"}, ""},
		"an old revision":        {[]string{"MCP-Protocol-Version", old, "Mcp-Method", "tools/call", "Mcp-Name", "add"}, guard.Message{}, guard.RequestUnsupported},
		"no revision":            {[]string{"Mcp-Method", "tools/call", "Mcp-Name", "add"}, guard.Message{}, guard.RequestUnsupported},
		"a revision of no date":  {[]string{"MCP-Protocol-Version", "draft", "Mcp-Method", "tools/list"}, guard.Message{}, guard.RequestUnsupported},
		"revisions in one value": {[]string{"MCP-Protocol-Version", "2026-07-28,2025-06-18", "Mcp-Method", "tools/list"}, guard.Message{}, guard.RequestUnsupported},
		"two revisions":          {[]string{"MCP-Protocol-Version", modern, "MCP-Protocol-Version", modern, "Mcp-Method", "tools/list"}, guard.Message{}, guard.RequestHeaderMismatch},
		"no method":              {[]string{"MCP-Protocol-Version", modern}, guard.Message{}, guard.RequestHeaderMismatch},
		"methods in one value":   {[]string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/list,tools/call"}, guard.Message{}, guard.RequestHeaderMismatch},
		"no name":                {[]string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call"}, guard.Message{Method: "tools/call"}, guard.RequestHeaderMismatch},
		"an empty name":          {[]string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", "=?base64??="}, guard.Message{Method: "tools/call"}, guard.RequestHeaderMismatch},
		"broken Base64":          {[]string{"MCP-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", "=?base64?*?="}, guard.Message{Method: "tools/call"}, guard.RequestHeaderMismatch},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, _ := message.ParseHeaders(header(c.header...), http.MethodPost)
			var reason guard.Reason
			if got.Fault != nil {
				reason = got.Fault.Reason
			}
			got.Fault = nil
			if got != c.want || reason != c.reason {
				t.Errorf("got %+v, %q", got, reason)
			}
		})
	}
	if got, _ := message.ParseHeaders(header(), http.MethodGet); got.Kind != guard.Listen {
		t.Errorf("GET: %+v", got)
	}
	if got, _ := message.ParseHeaders(http.Header{}, http.MethodPost); got.Fault == nil || got.Fault.Status != http.StatusUnsupportedMediaType {
		t.Errorf("no media type: %+v", got)
	}
}

func TestTraceParent(t *testing.T) {
	const other = "00-11111111111111111111111111111111-2222222222222222-00"
	inBody := call("ping", `{"_meta":{"traceparent":"`+other+`"}}`)
	cases := map[string]struct {
		body   string
		header []string
		want   string
	}{
		"of the header":             {inBody, []string{"traceparent", trace}, trace},
		"of the body":               {inBody, nil, other},
		"two in the header":         {inBody, []string{"traceparent", trace, "traceparent", trace}, other},
		"all zero":                  {inBody, []string{"traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"}, other},
		"no parent":                 {inBody, []string{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"}, other},
		"version ff":                {inBody, []string{"traceparent", "ff" + trace[2:]}, other},
		"capitals":                  {inBody, []string{"traceparent", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"}, other},
		"something behind it":       {call("ping", "{}"), []string{"traceparent", trace + "\" injected"}, ""},
		"no text in the body":       {call("ping", `{"_meta":{"traceparent":1}}`), nil, ""},
		"of the header of a batch":  {"[]", []string{"traceparent", trace}, trace},
		"of a refused body":         {call("tools/call", `{"_meta":{"traceparent":"`+other+`"}}`), nil, other},
		"none":                      {call("ping", "{}"), nil, ""},
		"of a body without _meta":   {call("ping", `{"traceparent":"`+other+`"}`), nil, ""},
		"of an answer's result":     {`{"jsonrpc":"2.0","id":1,"result":{"_meta":{"traceparent":"` + other + `"}}}`, nil, ""},
		"of the header of an error": {"{", []string{"traceparent", trace}, trace},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, got := message.Parse(header(c.header...), http.MethodPost, []byte(c.body)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
