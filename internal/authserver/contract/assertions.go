// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// assertions are what Traits.AssertionIssuer promises.
var assertions = cases{
	"a client of another issuer's tokens has no key":       asserted,
	"Replace changes between a key and another's tokens":   assertedReplaced,
	"assertions of nobody, or of any issuer, are Rejected": assertionRejected,
}

const subject = "system:serviceaccount:weather:forecaster"

func asserted(t *testing.T, s Subject) {
	wish := For(s.traits(), Asserted(s.traits(), subject))
	client, handle := registerAs(t, s, wish)
	if !client.Secret.IsZero() {
		t.Error("a secret")
	}
	for _, got := range []authserver.ClientMetadata{client.Registered, find(t, s, handle).Registered} {
		wantRegistered(t, s, got, wish)
		if got.JWKS != "" || got.JWKSURI != "" {
			t.Errorf("keys %q, from %q", got.JWKS, got.JWKSURI)
		}
	}
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantAbsent(t, s, handle)
}

func assertedReplaced(t *testing.T, s Subject) {
	_, handle := register(t, s, Asserted(s.traits(), subject))
	for _, next := range []authserver.ClientMetadata{
		Asserted(s.traits(), subject+"-2"), Keyed(NewKey(t)), Asserted(s.traits(), subject),
	} {
		wish := again(s, handle, next)
		replaced, err := s.Server.Replace(t.Context(), handle, wish)
		if err != nil {
			t.Fatalf("replace: %v", err)
		}
		found := find(t, s, keep(handle, replaced)).Registered
		wantRegistered(t, s, found, wish)
		if (found.JWKS == "") != (wish.JWKS == "") {
			t.Errorf("keys %q, want %q", found.JWKS, wish.JWKS)
		}
	}
}

func assertionRejected(t *testing.T, s Subject) {
	_, handle := register(t, s, Asserted(s.traits(), subject))
	for name, change := range map[string]func(*authserver.ClientMetadata){
		"no subject":     func(m *authserver.ClientMetadata) { m.Assertion.Subject = "" },
		"another issuer": func(m *authserver.ClientMetadata) { m.Assertion.Issuer = "anybody" },
		"no issuer":      func(m *authserver.ClientMetadata) { m.Assertion.Issuer = "" },
		"a secret too":   func(m *authserver.ClientMetadata) { m.AuthMethod = "client_secret_basic" },
		"a key too":      func(m *authserver.ClientMetadata) { m.JWKS = Keyed(NewKey(t)).JWKS },
	} {
		wish := For(s.traits(), Asserted(s.traits(), subject+"-3"))
		change(&wish)
		_, err := s.Server.Register(t.Context(), wish)
		wantKind(t, name+": register", err, authserver.Rejected)
		wish = again(s, handle, wish)
		_, err = s.Server.Replace(t.Context(), handle, wish)
		wantKind(t, name+": replace", err, authserver.Rejected)
	}
	wantLive(t, s, handle.ClientID)
	if got := find(t, s, handle).Registered.Assertion.Subject; got != subject {
		t.Errorf("assertions of %q", got)
	}
}
