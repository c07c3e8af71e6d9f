// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var okta = policy.TokenReading{ClientIDClaims: []string{"cid"}}

// askAs is ask for another audience and by another reading.
func (w *world) askAs(raw, audience string, reading policy.TokenReading) (guard.Token, error) {
	w.t.Helper()
	return w.Verify(w.t.Context(), shown(raw), guard.TokenQuestion{Issuer: w.issuer, Audience: audience, Reading: reading})
}

func TestTheClientIsWhatIsConfigured(t *testing.T) {
	w := newWorld(t, nil)
	several := policy.TokenReading{ClientIDClaims: []string{"cid", "client_id"}}
	for name, c := range map[string]struct {
		reading policy.TokenReading
		changes map[string]any
		want    guard.Reason
	}{
		"cid":                              {okta, map[string]any{"client_id": nil, "cid": "agent"}, guard.ReasonAllowed},
		"cid with client_id":               {okta, map[string]any{"cid": "agent"}, guard.ReasonAllowed},
		"cid with azp":                     {okta, map[string]any{"client_id": nil, "azp": "agent", "cid": "agent"}, guard.ReasonAllowed},
		"cid with another client_id":       {okta, map[string]any{"client_id": "other", "cid": "agent"}, guard.TokenMalformed},
		"cid with another azp":             {okta, map[string]any{"client_id": nil, "azp": "other", "cid": "agent"}, guard.TokenMalformed},
		"client_id where cid is asked for": {okta, nil, guard.TokenMalformed},
		"azp where cid is asked for":       {okta, map[string]any{"client_id": nil, "azp": "agent"}, guard.TokenMalformed},
		"cid that is null":                 {okta, map[string]any{"cid": nullClaim{}}, guard.TokenMalformed},
		"cid that is a list":               {okta, map[string]any{"cid": []string{"agent"}}, guard.TokenMalformed},
		"Cid":                              {okta, map[string]any{"client_id": nil, "Cid": "agent"}, guard.TokenMalformed},
		"cid where it is not configured":   {policy.TokenReading{}, map[string]any{"client_id": nil, "cid": "agent"}, guard.TokenMalformed},
		"a foreign cid, not configured":    {policy.TokenReading{}, map[string]any{"cid": "company-7"}, guard.ReasonAllowed},
		"the first of several":             {several, map[string]any{"client_id": nil, "cid": "agent"}, guard.ReasonAllowed},
		"the second of several":            {several, nil, guard.ReasonAllowed},
		"several that differ":              {several, map[string]any{"cid": "other"}, guard.TokenMalformed},
	} {
		got, err := w.askAs(w.good(c.changes), resource, c.reading)
		if reasonOf(err) != c.want || err == nil && got.ClientID != "agent" {
			t.Errorf("%s: %+v, %v, want %s", name, got, err, c.want)
		}
	}
}

func TestScopesAreWhatIsConfigured(t *testing.T) {
	w := newWorld(t, nil)
	entra := policy.TokenReading{ScopeClaims: []string{"scp", "roles"}}
	for name, c := range map[string]struct {
		reading policy.TokenReading
		changes map[string]any
		want    []string
	}{
		"the first":                       {entra, map[string]any{"scp": "read", "roles": []string{"admin"}}, []string{"read"}},
		"the first, saying nothing":       {entra, map[string]any{"scp": "", "roles": []string{"admin"}}, []string{}},
		"the second":                      {entra, map[string]any{"roles": []string{"write", "read"}}, []string{"read", "write"}},
		"none of them":                    {entra, nil, nil},
		"scope is not theirs":             {entra, map[string]any{"scope": "admin", "scp": []string{"read"}}, []string{"read"}},
		"roles where they are not theirs": {policy.TokenReading{}, map[string]any{"scope": nil, "roles": []string{"admin"}}, nil},
	} {
		got, err := w.askAs(w.good(c.changes), resource, c.reading)
		if diff := cmp.Diff(c.want, got.Scopes); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestScopesNameTheAudience(t *testing.T) {
	w := newWorld(t, nil)
	cognito := policy.TokenReading{ScopePrefix: true}
	const longer = resource + "/longer"
	for name, c := range map[string]struct {
		reading  policy.TokenReading
		audience string
		changes  map[string]any
		want     guard.Reason
	}{
		"a scope of it":                   {cognito, resource, map[string]any{"aud": nil, "scope": "openid " + resource + "/read"}, guard.ReasonAllowed},
		"an audience that is a name":      {cognito, "invoices", map[string]any{"aud": nil, "scope": "invoices/read"}, guard.ReasonAllowed},
		"where that is not the rule":      {policy.TokenReading{}, resource, map[string]any{"aud": nil, "scope": resource + "/read"}, guard.TokenAudience},
		"no scope of it":                  {cognito, resource, map[string]any{"aud": nil, "scope": "openid"}, guard.TokenAudience},
		"no scope":                        {cognito, resource, map[string]any{"aud": nil, "scope": nil}, guard.TokenAudience},
		"the audience alone":              {cognito, resource, map[string]any{"aud": nil, "scope": resource}, guard.TokenAudience},
		"the audience and a slash":        {cognito, resource, map[string]any{"aud": nil, "scope": resource + "/"}, guard.TokenAudience},
		"of a server below":               {cognito, resource, map[string]any{"aud": nil, "scope": longer + "/read"}, guard.TokenAudience},
		"of a server above":               {cognito, longer, map[string]any{"aud": nil, "scope": resource + "/read"}, guard.TokenAudience},
		"of a server that begins so":      {cognito, resource, map[string]any{"aud": nil, "scope": resource + "2/read"}, guard.TokenAudience},
		"aud counts before scopes":        {cognito, resource, map[string]any{"aud": "https://other.example", "scope": resource + "/read"}, guard.TokenAudience},
		"aud that is empty is aud":        {cognito, resource, map[string]any{"aud": []string{}, "scope": resource + "/read"}, guard.TokenAudience},
		"aud alone":                       {cognito, resource, map[string]any{"scope": "read"}, guard.ReasonAllowed},
		"an ID token, whose aud is other": {cognito, resource, map[string]any{"aud": "agent", "token_use": "id"}, guard.TokenKind},
	} {
		if _, err := w.askAs(w.good(c.changes), c.audience, c.reading); reasonOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Two AuthorizationServers may have one issuer and read its tokens each in its own
// way: what one took a token for says nothing to the other.
func TestACachedTokenIsReadAnew(t *testing.T) {
	w := newWorld(t, introspecting(Introspection{}))
	both := map[string]any{"client_id": "agent", "cid": "agent", "scp": "admin"}
	w.serve(askPath, says(w.standingOf(both)))
	roles := policy.TokenReading{ScopeClaims: []string{"scp"}}
	for _, raw := range []string{w.good(both), "opaque"} {
		for range 2 {
			if got, err := w.askAs(raw, resource, policy.TokenReading{}); err != nil || !cmp.Equal(got.Scopes, []string{"read", "write"}) {
				t.Errorf("as it is usual: %+v, %v", got, err)
			}
			if got, err := w.askAs(raw, resource, roles); err != nil || !cmp.Equal(got.Scopes, []string{"admin"}) {
				t.Errorf("by scp: %+v, %v", got, err)
			}
			if _, err := w.askAs(raw, resource, policy.TokenReading{ClientIDClaims: []string{"appid"}}); reasonOf(err) != guard.TokenMalformed {
				t.Errorf("by appid: %v", err)
			}
		}
	}
}

// An issuer that says of a JWT another client than the token does is not believed,
// whatever claim it says it by.
func TestAnAnswerContradictsByAnyName(t *testing.T) {
	for name, c := range map[string]struct {
		said map[string]any
		want guard.Reason
	}{
		"nothing":           {map[string]any{"active": true}, guard.ReasonAllowed},
		"the same":          {map[string]any{"active": true, "client_id": "agent"}, guard.ReasonAllowed},
		"another client_id": {map[string]any{"active": true, "client_id": "other"}, guard.TokenMalformed},
		"another azp":       {map[string]any{"active": true, "azp": "other"}, guard.TokenMalformed},
		"another cid":       {map[string]any{"active": true, "cid": "other"}, guard.TokenMalformed},
	} {
		w := newWorld(t, introspecting(Introspection{ForceIntrospection: true}))
		w.serve(askPath, says(c.said))
		raw := w.good(map[string]any{"client_id": nil, "cid": "agent"})
		if _, err := w.askAs(raw, resource, okta); reasonOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Okta names the client cid in its tokens, and client_id where it is asked.
func TestAnswersHaveTheConfiguredNames(t *testing.T) {
	w := newWorld(t, introspecting(Introspection{}))
	w.serve(askPath, says(w.standingOf(nil)))
	if _, err := w.askAs("opaque", resource, okta); reasonOf(err) != guard.TokenMalformed {
		t.Errorf("client_id where only cid is configured: %v", err)
	}
	got, err := w.askAs("opaque", resource, policy.TokenReading{ClientIDClaims: []string{"cid", "client_id"}})
	if err != nil || got.ClientID != "agent" {
		t.Errorf("%+v, %v", got, err)
	}
}
