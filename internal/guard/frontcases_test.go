// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// maxBody is how large a body may be.
const maxBody = 64 << 10

var ledgerName = guard.ServerName{Namespace: "finance", Name: "ledger"}

// known is a register with the clients one, two and revoked, and their tokens.
type known struct{ ends time.Time }

func newKnown() *known { return &known{ends: time.Now().Add(time.Hour)} }

func (k *known) Server(name guard.ServerName) (guard.Server, bool) {
	return guard.Server{Issuer: "https://login.example.com", ServerEntry: policy.ServerEntry{
		Namespace: "finance", Name: "ledger", Resource: "https://ledger.example.com/mcp", AuthorizationServer: "corporate", EntryScope: "ledger:enter",
		Scopes: []policy.CatalogueScope{{Name: "ledger:enter"}, {Name: "ledger:read", Tools: []string{"balance"}}, {Name: "ledger:write", Tools: []string{"post_entry"}}},
	}}, name == ledgerName
}

func (k *known) Clients(_, id string) []policy.ClientEntry {
	if !slices.Contains([]string{"one", "two", "revoked"}, id) {
		return nil
	}
	entry := policy.ClientEntry{Namespace: "payments", Name: id, UID: id, Owner: "team", ClientID: id, EndsAt: k.ends}
	for _, scope := range []string{"ledger:enter", "ledger:read", "ledger:write"} {
		entry.Scopes = append(entry.Scopes, policy.EntryScope{Name: scope, Grants: []string{id}})
	}
	if id == "revoked" {
		entry.Left = policy.RefusedRevoked
	}
	return []policy.ClientEntry{entry}
}

func (k *known) Grants(client policy.ClientEntry) []policy.GrantEntry {
	return []policy.GrantEntry{{
		Namespace: "payments", Name: client.Name, Client: client.Name, ServerNamespace: "finance", Server: "ledger",
		Scopes: []string{"ledger:enter", "ledger:read", "ledger:write"}, EndsAt: k.ends, InForce: true,
	}}
}

func (k *known) Denials(guard.Server, string) []policy.DenialEntry { return nil }
func (k *known) FirstScopes(guard.Server) []string                 { return []string{"ledger:enter"} }
func (k *known) Age() (time.Duration, bool)                        { return 0, true }
func (k *known) OnChange(func(guard.Change))                       {}
func (k *known) Record(guard.Request, guard.Verdict)               {}

// Verify knows the tokens of clients by their name; after a slash is the subject.
func (k *known) Verify(ctx context.Context, shown guard.Presentation, q guard.TokenQuestion) (guard.Token, error) {
	raw, err := shown.Bearer()
	if err != nil {
		return guard.Token{}, err
	}
	if shown.URL != "http://ledger.example.com/mcp" && !strings.HasPrefix(shown.URL, "http://ledger.example.com/mcp?") {
		return guard.Token{}, &guard.TokenError{Reason: guard.TokenUnverifiable}
	}
	return k.StillGood(ctx, guard.Token{}, raw, q)
}

func (k *known) StillGood(_ context.Context, _ guard.Token, raw string, _ guard.TokenQuestion) (guard.Token, error) {
	client, subject, _ := strings.Cut(raw, "/")
	said := guard.Token{Issuer: "https://login.example.com", ClientID: client, Subject: subject, Scopes: []string{"ledger:read"}, ExpiresAt: k.ends}
	switch client {
	case "bad":
		return guard.Token{}, &guard.TokenError{Reason: guard.TokenSignature}
	case "old":
		return guard.Token{}, &guard.TokenError{Reason: guard.TokenExpired}
	}
	return said, nil
}

// step is a request with why it is refused, by all fronts but for those that are apart.
type step struct {
	asked asked
	want  guard.Reason
	but   map[string]apart
	// lost are the headers that the server does not get, beside the token.
	lost string
}

// apart is what is other by one front, and why that may be.
type apart struct {
	want guard.Reason
	why  string
}

type frontCase struct {
	name  string
	steps []step
}

const (
	endless = "Envoy does not say when a request that passed has been answered"
	blind   = "Envoy asks about requests only: who uses a session first has it"
	joined  = "without encode_raw_headers nobody knows who joined the values"
	bodies  = "Envoy would pass the body, and the proxy does not"
)

// byChecks is an outcome of both forms of ext_authz.
func byChecks(want guard.Reason, why string) map[string]apart {
	return map[string]apart{"ext_authz": {want, why}, "ext_authz, joined": {want, why}}
}

func byJoined(want guard.Reason, why string) map[string]apart {
	return map[string]apart{"ext_authz, joined": {want, why}}
}

func frontCases() []frontCase {
	cases := sessionCases()
	for name, s := range map[string]step{
		"all is right":                  {asked{}, guard.ReasonAllowed, nil, ""},
		"a stream":                      {asked{method: "GET"}, guard.ReasonAllowed, nil, ""},
		"the end of a session":          {asked{method: "DELETE", session: "s-1"}, guard.ReasonAllowed, nil, ""},
		"a query":                       {asked{target: "/mcp?x=1"}, guard.ReasonAllowed, nil, ""},
		"no token":                      {asked{token: noToken}, guard.TokenMissing, nil, ""},
		"an empty header":               {asked{headers: []string{"authorization", ""}}, guard.TokenMissing, nil, ""},
		"OPTIONS":                       {asked{method: "OPTIONS"}, guard.RequestUnsupported, nil, ""},
		"an upgrade":                    {asked{headers: []string{"upgrade", "foo", "connection", "upgrade"}}, guard.RequestUnsupported, nil, ""},
		"a bad token":                   {asked{token: "bad"}, guard.TokenSignature, nil, ""},
		"an expired token":              {asked{token: "old"}, guard.TokenExpired, nil, ""},
		"two headers with tokens":       {asked{headers: []string{"authorization", "Bearer one", "authorization", "Bearer two"}}, guard.TokenAmbiguous, nil, ""},
		"a token in the query":          {asked{target: "/mcp?access_token=one"}, guard.TokenAmbiguous, nil, ""},
		"a token in the query, escaped": {asked{target: "/mcp?x=1&Access%5Ftoken=one"}, guard.TokenAmbiguous, nil, ""},
		"a token behind two marks":      {asked{target: "/mcp?x?access_token=one"}, guard.TokenAmbiguous, nil, ""},
		"Basic":                         {asked{headers: []string{"authorization", "Basic b25l"}}, guard.TokenMissing, nil, ""},
		"DPoP":                          {asked{headers: []string{"authorization", "DPoP one"}}, guard.TokenBound, nil, ""},
		"dpop, with a proof":            {asked{headers: []string{"authorization", "dpop one", "DPoP", "e30.e30.AA"}}, guard.TokenBound, nil, ""},
		"a proof beside a bearer token": {asked{headers: []string{"dpop", "e30.e30.AA"}}, guard.TokenBound, nil, ""},
		"two proofs":                    {asked{headers: []string{"dpop", "e30.e30.AA", "dpop", "e30.e30.AA"}}, guard.TokenBound, nil, ""},
		"an empty proof":                {asked{headers: []string{"dpop", ""}}, guard.TokenBound, nil, ""},
		"an unknown client":             {asked{token: "nobody"}, guard.Reason(policy.RefusedUnknownClient), nil, ""},
		"a revoked client":              {asked{token: "revoked"}, guard.Reason(policy.RefusedRevoked), nil, ""},
		"a revoked client, large":       {asked{token: "revoked", body: large(10 << 10)}, guard.Reason(policy.RefusedRevoked), nil, ""},
		"a revoked client, too large":   {asked{token: "revoked", body: large(maxBody + 1)}, guard.Reason(policy.RefusedRevoked), nil, ""},
		"a revoked client, members":     {asked{token: "revoked", body: crowded(maxBody)}, guard.Reason(policy.RefusedRevoked), nil, ""},
		"an unknown client, members":    {asked{token: "nobody", body: crowded(maxBody)}, guard.Reason(policy.RefusedUnknownClient), nil, ""},
		"no token, members":             {asked{token: noToken, body: crowded(maxBody)}, guard.TokenMissing, nil, ""},
		"a bad token, large":            {asked{token: "bad", body: large(10 << 10)}, guard.TokenSignature, nil, ""},
		"a tool without the scope":      {asked{body: callOf("post_entry")}, guard.Reason(policy.RefusedScopeMissing), nil, ""},
		"a tool that nobody knows":      {asked{body: callOf("drop")}, guard.Reason(policy.RefusedToolUnknown), nil, ""},
		"a large body":                  {asked{body: large(10 << 10)}, guard.ReasonAllowed, nil, ""},
		"the largest body":              {asked{body: large(maxBody)}, guard.ReasonAllowed, nil, ""},
		"a body that is too large":      {asked{body: large(maxBody + 1)}, guard.RequestTooLarge, nil, ""},
		"a batch":                       {asked{body: "[" + callOf("balance") + "]"}, guard.RequestBatch, nil, ""},
		"no JSON":                       {asked{body: "balance"}, guard.RequestMalformed, nil, ""},
		"another media type":            {asked{headers: []string{"content-type", "text/plain"}}, guard.RequestUnsupported, nil, ""},
		"two media types":               {asked{headers: []string{"content-type", "application/json", "content-type", "application/json"}}, guard.RequestUnsupported, nil, ""},
		"another HTTP method":           {asked{method: "PUT"}, guard.RequestUnsupported, nil, ""},
		"the header names another tool": {asked{headers: []string{"mcp-name", "post_entry"}}, guard.RequestHeaderMismatch, nil, ""},
		"two headers with the method":   {asked{headers: []string{"mcp-method", "tools/call", "mcp-method", "tools/list"}}, guard.RequestHeaderMismatch, nil, ""},
		"two headers with the tool":     {asked{headers: []string{"mcp-name", "balance", "mcp-name", "post_entry"}}, guard.RequestHeaderMismatch, byJoined("", joined), ""},
		"a page of another origin":      {asked{headers: []string{"origin", "https://evil.example.com"}}, guard.OriginNotAllowed, nil, ""},
		"two origins":                   {asked{headers: []string{"origin", "https://ledger.example.com", "origin", "https://evil.example.com"}}, guard.OriginNotAllowed, nil, ""},
		"headers that mislead":          {asked{headers: []string{"x-http-method-override", "GET", "X-Http-Method", "GET", "x-method-override", "GET", "X-Original-URL", "/admin", "X-Rewrite-URL", "/admin", "x_custom", "1", "mcp-param-my_key", "1", "x-other", "1"}}, guard.ReasonAllowed, nil, "x-http-method x-http-method-override x-method-override x-original-url x-rewrite-url x_custom"},
		"a session by another spelling": {asked{session: "s-1", headers: []string{"mcp_session_id", "s-2", "Mcp_Session-Id", "s-3"}}, guard.ReasonAllowed, nil, "mcp_session-id mcp_session_id"},
		"a GET with a body":             {asked{method: "GET", body: "{}"}, guard.ReasonAllowed, byChecks(guard.RequestMalformed, bodies), ""},
	} {
		cases = append(cases, frontCase{name, []step{s}})
	}
	return cases
}

// sessionCases are requests one after the other.
func sessionCases() []frontCase {
	began := asked{body: `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}`, headers: []string{"x-gives", "s-1"}}
	in := func(token, session string) asked { return asked{token: token, session: session} }
	with := func(a asked, change func(*asked)) asked { change(&a); return a }
	longest, foreign := strings.Repeat("s", 16<<10), guard.SessionForeign
	return []frontCase{
		{"a session is of the client and the subject who had it", []step{
			{began, guard.ReasonAllowed, nil, ""},
			{in("one", "s-1"), guard.ReasonAllowed, nil, ""},
			{in("two", "s-1"), foreign, nil, ""},
			{in("one/dana", "s-1"), foreign, nil, ""},
			{with(in("two", "s-1"), func(a *asked) { a.body = large(10 << 10) }), foreign, nil, ""},
			{with(in("two", "s-1"), func(a *asked) { a.method = "GET" }), foreign, nil, ""},
			{with(in("two", "s-1"), func(a *asked) { a.method = "DELETE" }), foreign, nil, ""},
			{in("two", "s-2"), guard.ReasonAllowed, nil, ""},
			{in("two", "S-1"), guard.ReasonAllowed, nil, ""},
			{in("one", "s-1"), guard.ReasonAllowed, nil, ""},
		}},
		{"a session that was given, and is used first by another", []step{
			{began, guard.ReasonAllowed, nil, ""},
			{in("two", "s-1"), foreign, byChecks(guard.ReasonAllowed, blind), ""},
			{in("one", "s-1"), guard.ReasonAllowed, byChecks(foreign, blind), ""},
		}},
		{"a session that began before the guard did", []step{
			{in("one", "s-1"), guard.ReasonAllowed, nil, ""},
			{in("two", "s-1"), foreign, nil, ""},
			{in("one", "s-1"), guard.ReasonAllowed, nil, ""},
		}},
		{"a session that the server does not have", []step{
			{with(in("two", "s-1"), func(a *asked) { a.answer = 404 }), guard.ReasonAllowed, nil, ""},
			{in("one", "s-1"), guard.ReasonAllowed, byChecks(foreign, blind), ""},
		}},
		{"a session that has ended", []step{
			{in("one", "s-1"), guard.ReasonAllowed, nil, ""},
			{with(in("one", "s-1"), func(a *asked) { a.method = "DELETE" }), guard.ReasonAllowed, nil, ""},
			{in("two", "s-1"), guard.ReasonAllowed, byChecks(foreign, blind), ""},
		}},
		{"what is refused uses no session", []step{
			{with(in("two", "s-1"), func(a *asked) { a.body = callOf("drop") }), guard.Reason(policy.RefusedToolUnknown), nil, ""},
			{with(in("two", "s-1"), func(a *asked) { a.body = "{" }), guard.RequestMalformed, nil, ""},
			{in("revoked", "s-1"), guard.Reason(policy.RefusedRevoked), nil, ""},
			{in("one", "s-1"), guard.ReasonAllowed, nil, ""},
			{in("two", "s-1"), foreign, nil, ""},
		}},
		{"who has to log in again is told what the session had", []step{
			{in("one", "s-1"), guard.ReasonAllowed, nil, ""},
			{in("old", "s-1"), guard.TokenExpired, nil, ""},
			{in(noToken, "s-1"), guard.TokenMissing, nil, ""},
			{with(in("old", "s-1"), func(a *asked) { a.body = large(10 << 10) }), guard.TokenExpired, nil, ""},
		}},
		{"the longest session", []step{
			{in("one", longest), guard.ReasonAllowed, nil, ""},
			{in("two", longest), foreign, nil, ""},
			{in("two", longest+"s"), guard.ReasonAllowed, nil, ""},
		}},
		{"odd sessions", []step{
			{in("one", "s 1"), guard.RequestHeaderMismatch, nil, ""},
			{in("one", "s-1\xa0"), guard.RequestHeaderMismatch, nil, ""},
			{in("one", "s-é"), guard.RequestHeaderMismatch, nil, ""},
			{in("one", `"!~`), guard.ReasonAllowed, nil, ""},
			{in("one", "s,1"), guard.ReasonAllowed, byJoined(guard.RequestHeaderMismatch, joined), ""},
			{asked{headers: []string{"mcp-session-id", "s-1", "mcp-session-id", "s-2"}}, guard.RequestHeaderMismatch, nil, ""},
			{asked{headers: []string{"mcp-session-id", "s-1", "mcp-session-id", ""}}, guard.RequestHeaderMismatch, nil, ""},
		}},
	}
}
