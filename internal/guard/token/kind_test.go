// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// kinds are claims that say what a token is, with what becomes of it, in a JWT as
// in an introspection answer.
var kinds = map[string]struct {
	changes map[string]any
	want    guard.Reason
}{
	"bound to a key (DPoP)":            {map[string]any{"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, guard.TokenKind},
	"bound to a certificate":           {map[string]any{"cnf": map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}, guard.TokenKind},
	"bound in a way that is not known": {map[string]any{"cnf": map[string]any{"future": true}}, guard.TokenKind},
	"bound to nothing":                 {map[string]any{"cnf": map[string]any{}}, guard.TokenKind},
	"bound in another form":            {map[string]any{"cnf": "jkt"}, guard.TokenKind},

	"Cognito: access":                {map[string]any{"token_use": "access"}, guard.ReasonAllowed},
	"Cognito: id":                    {map[string]any{"token_use": "id"}, guard.TokenKind},
	"Hydra: access_token":            {map[string]any{"token_use": "access_token", "token_type": "Bearer"}, guard.ReasonAllowed},
	"Hydra: refresh_token":           {map[string]any{"token_use": "refresh_token", "token_type": "Bearer"}, guard.TokenKind},
	"Keycloak: Bearer":               {map[string]any{"typ": "Bearer"}, guard.ReasonAllowed},
	"Keycloak: DPoP":                 {map[string]any{"typ": "DPoP"}, guard.TokenKind},
	"Keycloak: ID":                   {map[string]any{"typ": "ID"}, guard.TokenKind},
	"Keycloak: Refresh":              {map[string]any{"typ": "Refresh"}, guard.TokenKind},
	"Keycloak: Offline":              {map[string]any{"typ": "Offline"}, guard.TokenKind},
	"Keycloak: Logout":               {map[string]any{"typ": "Logout"}, guard.TokenKind},
	"Keycloak: InitialAccessToken":   {map[string]any{"typ": "InitialAccessToken"}, guard.TokenKind},
	"Keycloak before 24: a nonce":    {map[string]any{"typ": "Bearer", "nonce": "n-0S6_WzA2Mj"}, guard.ReasonAllowed},
	"at_hash":                        {map[string]any{"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, guard.TokenKind},
	"c_hash":                         {map[string]any{"c_hash": "LDktKdoQak3Pk0cnXxCltA"}, guard.TokenKind},
	"events":                         {map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}, guard.TokenKind},
	"token_type Bearer":              {map[string]any{"token_type": "Bearer"}, guard.ReasonAllowed},
	"token_type bearer":              {map[string]any{"token_type": "bearer"}, guard.ReasonAllowed},
	"token_type N_A":                 {map[string]any{"token_type": "N_A"}, guard.ReasonAllowed},
	"token_type DPoP":                {map[string]any{"token_type": "DPoP"}, guard.TokenKind},
	"token_type mac":                 {map[string]any{"token_type": "mac"}, guard.TokenKind},
	"token_type refresh_token":       {map[string]any{"token_type": "refresh_token"}, guard.TokenKind},
	"right by one, wrong by another": {map[string]any{"typ": "Bearer", "token_use": "id"}, guard.TokenKind},
}

func TestKindsOfJWTs(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range kinds {
		w.expect(name, w.good(c.changes), c.want)
		w.expect(name+", again", w.good(c.changes), c.want)
	}
	w.expect("a kind that is a number", w.good(map[string]any{"typ": 7}), guard.TokenMalformed)
	w.expect("a binding that is null", w.good(map[string]any{"cnf": nullClaim{}}), guard.ReasonAllowed)
}

// nullClaim is null: a claim that says nothing.
type nullClaim struct{}

func (nullClaim) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestKindsOfIntrospectedTokens(t *testing.T) {
	for name, c := range kinds {
		w := newWorld(t, introspecting(Introspection{}))
		w.serve(askPath, says(w.standingOf(c.changes)))
		w.expect(name, "opaque", c.want)
		w.expect(name+", again", "opaque", c.want)
		if asked := w.count(askPath); asked != 1 {
			t.Errorf("%s: asked %d times", name, asked)
		}
		forced := newWorld(t, introspecting(Introspection{ForceIntrospection: true}))
		forced.serve(askPath, says(forced.standingOf(c.changes)))
		forced.expect(name+", of a JWT", forced.good(nil), c.want)
	}
}

func TestKindsByHeader(t *testing.T) {
	w := newWorld(t, nil)
	for kind, want := range map[string]guard.Reason{
		"at+jwt": guard.ReasonAllowed, "application/at+jwt": guard.ReasonAllowed, "JWT": guard.ReasonAllowed, "": guard.ReasonAllowed,
		"logout+jwt": guard.TokenKind, "dpop+jwt": guard.TokenKind, "client-authentication+jwt": guard.TokenKind,
		"secevent+jwt": guard.TokenKind, "token-introspection+jwt": guard.TokenKind, "application/okta-internal-at+jwt": guard.TokenKind,
		"oauth-authz-req+jwt": guard.TokenKind,
	} {
		raw := sign(t, jose.ES256, jose.JSONWebKey{Key: w.key, KeyID: "k1"}, kind, asJSON(t, w.claim(nil)))
		w.expect("type "+kind, raw, want)
	}
}
