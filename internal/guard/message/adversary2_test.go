// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"net/http"
	"testing"
)

// What is decided by reaches the server: no client has a proxy drop it by calling it a
// matter of the connection. A session that the server does not see would be bound unasked.
func TestNothingThatIsDecidedByIsDropped(t *testing.T) {
	t.Parallel()
	const body = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for value, refused := range map[string]bool{
		"keep-alive": false, "close, te": false, "": false, "x-mcp-session-id": false,
		"Mcp-Session-Id": true, "close,mcp-session-id": true, "keep-alive ,\tMCP-PROTOCOL-VERSION": true,
		"Mcp-Method": true, "mcp-name": true, "Last-Event-ID": true,
	} {
		for method, text := range map[string]string{http.MethodPost: body, http.MethodGet: "", http.MethodDelete: ""} {
			header := http.Header{"Content-Type": {"application/json"}, "Mcp-Session-Id": {"s-1"}, "Connection": {"te", value}}
			read, _ := Parse(header, method, []byte(text))
			if (read.Fault != nil) != refused {
				t.Errorf("Connection: %s with %s: %+v", value, method, read.Fault)
			}
		}
	}
}
