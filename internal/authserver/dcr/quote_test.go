// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// A server may repeat in its reason what it knows of the client: secrets that are not
// in the request are not shown either, and a tenant's own words are harmless.
func TestNoSecretOfTheClientIsQuoted(t *testing.T) {
	odd := "x\u202e\r\n" + strings.Repeat("z", 3000) + `" https://evil.example `
	w := newWorld(t)
	server := w.connect(t)
	for _, method := range []string{methodBasic, methodPost} {
		wish := contract.Confidential()
		wish.AuthMethod, wish.Name = method, odd
		client, err := server.Register(t.Context(), wish)
		if err != nil {
			t.Fatal(err)
		}
		for said, want := range map[string]string{
			"no such scope":                        "no such scope",
			client.Secret.Reveal():                 "",
			"x" + client.ManagementToken.Reveal():  "",
			initialToken + " is spent":             "",
			"bad name " + odd + "for " + client.ID: "bad name x (…) for " + client.ID,
		} {
			body, err := json.Marshal(map[string]string{"error": "invalid_client_metadata", "error_description": said})
			if err != nil {
				t.Fatal(err)
			}
			stance := answerWith(400, "application/json", "", string(body))
			w.stand(&stance, false, contract.Replace)
			_, err = server.Replace(t.Context(), contract.HandleOf(t, server, client), wish)
			failure := wantError(t, err, authserver.Rejected, "invalid_client_metadata")
			if got := failure.Quote.Text(); got != want {
				t.Errorf("%q is quoted as %q", said, got)
			}
			w.stand(nil, false)
		}
	}
}
