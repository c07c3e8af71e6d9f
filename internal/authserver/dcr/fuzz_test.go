// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func FuzzParseClient(f *testing.F) {
	for _, seed := range []string{
		"{\"client_id\":\"a\"}",
		"{\"client_id\":\"a\",\"client_secret\":\"b\",\"client_secret_expires_at\":0,\"scope\":\"x y\"}",
		"{\"client_id\":\"a\",\"registration_client_uri\":\"https://as.example/r/a\",\"registration_access_token\":\"t\"}",
		"{\"client_id\":\"a\",\"jwks\":{\"keys\":[]},\"grant_types\":[\"implicit\"],\"redirect_uris\":null}",
		"{\"client_id\":\"a\",\"client_secret_expires_at\":1e400}",
		"{\"client_id\":\"a\r\n\"}", "null", "[]", "", "{", "\xff", strings.Repeat("{\"a\":", 100),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fields, err := exchange.LookInto(raw)
		if err != nil {
			return
		}
		client, err := parseClient(fields, issued(fields))
		for _, text := range []string{client.ID, client.Secret.Reveal(), client.ManagementToken.Reveal(), client.ManagementURI} {
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q is not printable", text)
			}
		}
		if err != nil {
			return
		}
		if client.ID == "" {
			t.Error("a client without id")
		}
		if year := client.SecretExpiresAt.Year(); year > 9999 || year < 1 {
			t.Errorf("expires in the year %d", year)
		}
		if jwks := client.Registered.JWKS; jwks != "" && !json.Valid([]byte(jwks)) {
			t.Errorf("jwks %q", jwks)
		}
		complete(&client, authserver.ClientMetadata{AuthMethod: methodNone})
		if client.Registered.Scopes == nil || client.Registered.AuthMethod == "" {
			t.Errorf("incomplete: %+v", client.Registered)
		}
	})
}

// FuzzMetadata holds that no metadata is used whose issuer is another one or
// whose endpoints are elsewhere.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte("{\"issuer\":\"https://as.example\",\"token_endpoint\":\"https://as.example/token\"}"))
	f.Add([]byte("{\"issuer\":\"https://as.example\",\"token_endpoint\":\"https://as.example@evil.example/token\"}"))
	f.Add([]byte("{\"issuer\":\"https://as.example\",\"registration_endpoint\":\"//as.example/r\"}"))
	f.Add([]byte("{\"issuer\":\"https://as.example/\"}"))
	f.Add([]byte("{\"issuer\":null,\"scopes_supported\":[1]}"))
	server, err := New(authserver.Config{Issuer: "https://as.example"}, Options{Now: func() time.Time { return noon }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		metadata, err := server.readMetadata(exchange.Call{Op: discoverOp}, exchange.Answer{Status: 200, Body: raw})
		if err != nil {
			return
		}
		if metadata.Issuer != "https://as.example" {
			t.Errorf("issuer %q", metadata.Issuer)
		}
		for _, endpoint := range []string{metadata.TokenEndpoint, metadata.RegistrationEndpoint} {
			parsed, err := url.Parse(endpoint)
			if endpoint != "" && (err != nil || parsed.Scheme != "https" || parsed.User != nil ||
				(!strings.EqualFold(parsed.Host, "as.example") && !strings.EqualFold(parsed.Host, "as.example:443") &&
					!strings.EqualFold(parsed.Host, "as.example:"))) {
				t.Errorf("endpoint %q", endpoint)
			}
		}
	})
}
