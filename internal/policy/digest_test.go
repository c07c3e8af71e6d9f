// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// digested are the fields that have always been in the digest of what is wanted at a
// server. A field that is added later must be left out of it while it is zero: a new
// release must not have every client replaced.
var digested = []string{
	"Name", "SoftwareID", "SoftwareVersion", "ApplicationType", "GrantTypes", "ResponseTypes", "RedirectURIs", "Scopes",
	"AuthMethod", "JWKS", "JWKSURI", "Contacts",
}

func TestDigestIsPinned(t *testing.T) {
	wanted := authserver.ClientMetadata{
		Name: "Payment reconciler", ApplicationType: "web", GrantTypes: []string{"client_credentials"}, ResponseTypes: []string{},
		Scopes: []string{"invoices:read", "invoices:write"}, AuthMethod: "client_secret_basic", Contacts: []string{"team-payments@example.com"},
	}
	more := wanted
	more.ID, more.Audiences, more.TokenLifetime = "client", []string{"https://mcp.example.com/invoices"}, time.Hour
	more.Assertion = authserver.Assertion{Issuer: "kubernetes", Subject: "system:serviceaccount:a:b"}
	for name, c := range map[string]struct {
		metadata authserver.ClientMetadata
		want     string
	}{
		"nothing":             {authserver.ClientMetadata{}, "480f0dea24b9b78bd84e770eb2f8c93c"},
		"an ordinary client":  {wanted, "41b9ea34f20c82ace2f5c69e85a3a719"},
		"one of an admin API": {more, "965086311d2893b1a907677bf10f1c79"},
	} {
		equal(t, name, c.want, Digest(c.metadata))
	}
}

func TestNewFieldsLeaveTheDigestAlone(t *testing.T) {
	for field := range reflect.TypeFor[authserver.ClientMetadata]().Fields() {
		tag := field.Tag.Get("json")
		omitted := strings.Contains(tag, "omitempty") || strings.Contains(tag, "omitzero") || tag == "-"
		if !omitted && !slices.Contains(digested, field.Name) {
			t.Errorf("ClientMetadata.%s is in the digest while it is zero: give it the tag json:\",omitempty\" or omitzero", field.Name)
		}
	}
}
