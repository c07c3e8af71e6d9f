// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// stalled is an issuer whose tokens have all expired.
type stalled struct{ said Token }

func (s stalled) Verify(context.Context, Presentation, TokenQuestion) (Token, error) {
	return Token{}, &TokenError{Reason: TokenExpired, Said: s.said}
}

func (s stalled) StillGood(context.Context, Token, string, TokenQuestion) (Token, error) {
	return Token{}, &TokenError{Reason: TokenExpired, Said: s.said}
}

// Who has to log in again is told to ask for what they had, as far as it is granted
// still: whoever asks for the first scopes alone is refused again for each of the others.
func TestWhatToLogInForAgain(t *testing.T) {
	t.Parallel()
	had := []string{"invoices:read", "files:read", `a"b`}
	for name, c := range map[string]struct {
		change func(*world, *Request)
		said   Token
		want   string
	}{
		"an expired token":                {nil, Token{ClientID: "c1", Scopes: had}, "invoices:read mcp:enter"},
		"with the first scope only":       {nil, Token{ClientID: "c1", Scopes: []string{"mcp:enter"}}, "mcp:enter"},
		"without scopes":                  {nil, Token{ClientID: "c1"}, "mcp:enter"},
		"of a client that is not known":   {nil, Token{ClientID: "c2", Scopes: had}, "mcp:enter"},
		"that says nothing":               {nil, Token{}, "mcp:enter"},
		"of a revoked client":             {func(w *world, _ *Request) { w.client.Left = policy.RefusedRevoked }, Token{ClientID: "c1", Scopes: had}, "mcp:enter"},
		"of a client that has ended":      {func(w *world, _ *Request) { w.client.EndsAt = testNow }, Token{ClientID: "c1", Scopes: had}, "mcp:enter"},
		"whose grant has ended":           {func(w *world, _ *Request) { w.grant.EndsAt = testNow }, Token{ClientID: "c1", Scopes: had}, "mcp:enter"},
		"whose grant is another server's": {func(w *world, _ *Request) { w.grant.Server = "other" }, Token{ClientID: "c1", Scopes: had}, "mcp:enter"},
		"whose scope was withdrawn":       {func(w *world, _ *Request) { w.grant.Scopes = []string{"invoices:pay"} }, Token{ClientID: "c1", Scopes: had}, "mcp:enter"},
		"of a denied client": {func(w *world, _ *Request) {
			w.denials = []policy.DenialEntry{{Name: "d", AuthorizationServer: "main", ClientID: "c1"}}
		}, Token{ClientID: "c1", Scopes: had}, "mcp:enter"},
		"no token, in a session": {func(_ *world, r *Request) {
			r.Authorization, r.Session = nil, "s-1"
		}, Token{}, "invoices:read mcp:enter"},
		"no token, in a session of which nothing is known": {func(_ *world, r *Request) {
			r.Authorization, r.Session = nil, "s-2"
		}, Token{}, "mcp:enter"},
		"an expired token in a session with more": {func(_ *world, r *Request) {
			r.Session = "s-1"
		}, Token{ClientID: "c1", Scopes: []string{"mcp:enter"}}, "mcp:enter"},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newWorld(), call("read_invoice")
			w.server.EntryScope = "mcp:enter"
			w.client.Scopes = append(w.client.Scopes, policy.EntryScope{Name: "mcp:enter", Grants: []string{"g"}})
			if c.change != nil {
				c.change(w, &r)
			}
			e := New(Options{Register: w, Tokens: stalled{c.said}, Recorder: w, Clock: w.clock, MaxStaleness: time.Minute})
			began := Verdict{Token: Token{ClientID: "c1", Scopes: []string{"invoices:read"}}, Server: *w.server}
			e.Answered(asking(Message{Kind: Call, Method: "initialize"}), began, []string{"s-1"})
			v := e.Decide(t.Context(), r)
			if want := ` scope="` + c.want + `"`; v.Allowed() || v.Status != 401 || !strings.HasSuffix(v.Challenge, want) {
				t.Errorf("%s, status %d: %q, want %s", v.Reason, v.Status, v.Challenge, want)
			}
		})
	}
}

// Whose token is good and whose client may not call is told the first scopes as well.
func TestWhatARefusedClientLogsInFor(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"revoked":   func(w *world) { w.client.Left = policy.RefusedRevoked },
		"suspended": func(w *world) { w.client.Left = policy.RefusedSuspended },
		"ended":     func(w *world) { w.client.EndsAt = testNow },
		"not known": func(w *world) { w.token.ClientID = "c2" },
		"denied": func(w *world) {
			w.denials = []policy.DenialEntry{{Name: "d", AuthorizationServer: "main", ClientID: "c1"}}
		},
	} {
		w, r := newWorld(), call("read_invoice")
		w.server.EntryScope = "mcp:enter"
		change(w)
		admitted, leave := w.engine().Admit(t.Context(), r, 1)
		leave()
		for by, v := range map[string]Verdict{"Decide": w.engine().Decide(t.Context(), r), "Admit": admitted} {
			if v.Status != 401 || !strings.HasSuffix(v.Challenge, ` scope="mcp:enter"`) {
				t.Errorf("%s, %s: %d %q", name, by, v.Status, v.Challenge)
			}
		}
	}
}
