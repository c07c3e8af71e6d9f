// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// kinds are claims that say what a token is, with what becomes of it, in a JWT as
// in an introspection answer.
var kinds = map[string]struct {
	changes map[string]any
	want    guard.Reason
}{
	"bound to a key (DPoP)":            {map[string]any{"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, guard.TokenBound},
	"bound to a certificate":           {map[string]any{"cnf": map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}, guard.TokenBound},
	"bound in a way that is not known": {map[string]any{"cnf": map[string]any{"future": true}}, guard.TokenBound},
	"bound to nothing":                 {map[string]any{"cnf": map[string]any{}}, guard.TokenBound},
	"bound to null":                    {map[string]any{"cnf": map[string]any{"jkt": nil}}, guard.TokenBound},
	"bound in another form":            {map[string]any{"cnf": "jkt"}, guard.TokenBound},
	"bound in an empty form":           {map[string]any{"cnf": ""}, guard.TokenBound},
	"bound in the form of a list":      {map[string]any{"cnf": []string{}}, guard.TokenBound},
	"bound: no":                        {map[string]any{"cnf": false}, guard.TokenBound},
	"a binding that is null":           {map[string]any{"cnf": nullClaim{}}, guard.ReasonAllowed},
	"bound, of the type DPoP":          {map[string]any{"cnf": map[string]any{"jkt": "x"}, "token_type": "DPoP"}, guard.TokenBound},
	"an ID token that is bound":        {map[string]any{"cnf": map[string]any{"jkt": "x"}, "typ": "ID"}, guard.TokenKind},

	"access in capitals":         {map[string]any{"token_use": "ACCESS"}, guard.ReasonAllowed},
	"bearer in capitals":         {map[string]any{"typ": "BEARER"}, guard.ReasonAllowed},
	"id in capitals":             {map[string]any{"token_use": "ID"}, guard.TokenKind},
	"refresh":                    {map[string]any{"token_use": "refresh"}, guard.TokenKind},
	"refresh in capitals":        {map[string]any{"token_use": "REFRESH"}, guard.TokenKind},
	"refresh, by its token_type": {map[string]any{"token_type": "Refresh_Token"}, guard.TokenKind},
	"id_token":                   {map[string]any{"token_type": "id_token"}, guard.TokenKind},
	"access with a space":        {map[string]any{"token_use": " access"}, guard.TokenKind},
	"access and more":            {map[string]any{"token_use": "access refresh"}, guard.TokenKind},
	"accessx":                    {map[string]any{"token_use": "accessx"}, guard.TokenKind},
	"a use that is null":         {map[string]any{"token_use": nullClaim{}, "typ": nullClaim{}, "token_type": nullClaim{}}, guard.ReasonAllowed},
	"s_hash":                     {map[string]any{"s_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, guard.TokenKind},

	"Cognito: access":                {map[string]any{"token_use": "access"}, guard.ReasonAllowed},
	"Cognito: id":                    {map[string]any{"token_use": "id"}, guard.TokenKind},
	"Hydra: access_token":            {map[string]any{"token_use": "access_token", "token_type": "Bearer"}, guard.ReasonAllowed},
	"Hydra: refresh_token":           {map[string]any{"token_use": "refresh_token", "token_type": "Bearer"}, guard.TokenKind},
	"Keycloak: Bearer":               {map[string]any{"typ": "Bearer"}, guard.ReasonAllowed},
	"Keycloak: DPoP":                 {map[string]any{"typ": "DPoP"}, guard.TokenBound},
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
	"token_type DPoP":                {map[string]any{"token_type": "DPoP"}, guard.TokenBound},
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
	for _, odd := range []any{7, "", true, []string{"access"}, map[string]any{}} {
		w.expect("a kind in another form", w.good(map[string]any{"token_use": odd}), guard.TokenMalformed)
	}
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

// A bearer token is shown by its scheme and by nothing else.
func TestHowATokenIsShown(t *testing.T) {
	w := newWorld(t, introspecting(Introspection{}))
	w.serve(askPath, says(w.standingOf(nil)))
	question := guard.TokenQuestion{Issuer: w.issuer, Audience: resource}
	for raw, bound := range map[string]string{w.good(nil): w.good(map[string]any{"cnf": map[string]any{"jkt": "x"}}), "opaque": ""} {
		for name, c := range map[string]struct {
			change func(*guard.Presentation)
			want   guard.Reason
		}{
			"as it must be":       {func(*guard.Presentation) {}, guard.ReasonAllowed},
			"by DPoP":             {func(p *guard.Presentation) { p.Scheme = guard.SchemeDPoP }, guard.TokenBound},
			"by DPoP, bound":      {func(p *guard.Presentation) { p.Scheme, p.Token = guard.SchemeDPoP, bound }, guard.TokenBound},
			"by no scheme":        {func(p *guard.Presentation) { p.Scheme = "" }, guard.TokenBound},
			"with a proof":        {func(p *guard.Presentation) { p.Proof = []string{"e30.e30.AA"} }, guard.TokenBound},
			"with an empty proof": {func(p *guard.Presentation) { p.Proof = []string{""} }, guard.TokenBound},
			"for no method":       {func(p *guard.Presentation) { p.Method = "" }, guard.TokenUnverifiable},
			"for no URL":          {func(p *guard.Presentation) { p.URL = "" }, guard.TokenUnverifiable},
		} {
			presented := shown(raw)
			c.change(&presented)
			if _, err := w.Verify(t.Context(), presented, question); reasonOf(err) != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
	}
}

// What was verified before is asked about without being shown, and is still somebody's.
func TestATokenThatIsStillGood(t *testing.T) {
	question := func(w *world) guard.TokenQuestion { return guard.TokenQuestion{Issuer: w.issuer, Audience: resource} }
	for name, c := range map[string]struct {
		then map[string]any
		want guard.Reason
	}{
		"it is":                     {nil, guard.ReasonAllowed},
		"of fewer scopes":           {map[string]any{"scope": "read"}, guard.ReasonAllowed},
		"another client's":          {map[string]any{"client_id": "another"}, guard.TokenMalformed},
		"another subject's":         {map[string]any{"sub": "bob"}, guard.TokenMalformed},
		"nobody's":                  {map[string]any{"sub": nil}, guard.TokenMalformed},
		"bound meanwhile":           {map[string]any{"cnf": map[string]any{"jkt": "x"}}, guard.TokenBound},
		"of another kind meanwhile": {map[string]any{"token_use": "refresh"}, guard.TokenKind},
		"not active":                {map[string]any{"active": false}, guard.TokenInactive},
		"expired":                   {map[string]any{"exp": noon.Unix()}, guard.TokenExpired},
	} {
		w := newWorld(t, introspecting(Introspection{}))
		w.serve(askPath, says(w.standingOf(nil)))
		known, err := w.ask("opaque")
		if err != nil {
			t.Fatal(err)
		}
		w.after(time.Minute)
		w.serve(askPath, says(w.standingOf(c.then)))
		if _, err = w.StillGood(t.Context(), known, "opaque", question(w)); reasonOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	w := newWorld(t, nil)
	raw := w.good(nil)
	known, err := w.ask(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.StillGood(t.Context(), known, raw, question(w)); err != nil {
		t.Error(err)
	}
	w.serve(keySetPath, says(setOf(public("k2", ecKey(t)))))
	w.after(waitAfter)
	if _, err := w.StillGood(t.Context(), known, raw, question(w)); reasonOf(err) != guard.TokenSignature {
		t.Errorf("a JWT after its key was removed: %v", err)
	}
	w.serve(keySetPath, says(setOf(public("k1", w.key))))
	w.after(time.Hour)
	if _, err := w.StillGood(t.Context(), known, raw, question(w)); reasonOf(err) != guard.TokenExpired {
		t.Errorf("a JWT after its end: %v", err)
	}
}
