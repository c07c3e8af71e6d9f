// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var (
	// elsewhere are the facts about a token of another audience.
	elsewhere = authserver.TokenFacts{Readable: true, Audience: []string{"https://elsewhere.example.com"}}
	down      = &authserver.Error{Kind: authserver.Unavailable, Op: "asking"}
	refusal   = &authserver.Error{Kind: authserver.Rejected, Op: "asking"}
)

func TestByAClient(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(w *world)
		office   office
		audience policy.ProbeAudience
		trouble  policy.ProbeTrouble
		tools    policy.Knowledge
		calls    string
	}{
		"a good server without sessions": {func(*world) {}, office{other: elsewhere}, policy.AudienceCompared, 0, policy.Present,
			"tools/list! tools/list!"},
		"a good server with sessions": {func(w *world) { w.sessions = true }, office{other: elsewhere}, policy.AudienceCompared, 0, policy.Present,
			"tools/list! initialize! notifications/initialized! tools/list! DELETE! initialize!"},
		"a server that streams": {func(w *world) { w.streams = true }, office{other: elsewhere}, policy.AudienceCompared, 0, policy.Present, ""},
		"a server with sessions that streams": {func(w *world) { w.sessions, w.streams = true, true },
			office{other: elsewhere}, policy.AudienceCompared, 0, policy.Present, ""},
		"a server that takes any token": {func(w *world) { w.lax = true }, office{other: elsewhere}, policy.AudienceIgnored, 0, policy.Present, ""},
		"a server with sessions that takes any token": {func(w *world) { w.lax, w.sessions = true, true },
			office{other: elsewhere}, policy.AudienceIgnored, 0, policy.Present,
			"tools/list! initialize! notifications/initialized! tools/list! DELETE! initialize! DELETE!"},
		"a token that nobody can read": {func(w *world) { w.lax = true }, office{}, policy.AudienceUnclear, 0, policy.Present, "tools/list!"},
		"an issuer that gives no token without a resource": {func(w *world) { w.lax = true },
			office{otherErr: refusal}, policy.AudienceUnclear, 0, policy.Present, "tools/list!"},
		"an issuer that gives no token": {func(*world) {}, office{err: refusal}, 0, policy.TroubleNoToken, 0, ""},
		"an issuer that is down":        {func(*world) {}, office{err: down}, 0, policy.TroubleNoAnswer, 0, ""},
		"a record that cannot be read":  {func(*world) {}, office{err: errors.New("the API server is away")}, 0, policy.TroubleNoAnswer, 0, ""},
		"a server that refuses the token": {func(w *world) {
			w.refuse = nil
			w.Config.Handler = answers(http.StatusForbidden, jsonType, "{}")
		}, office{other: elsewhere}, 0, policy.TroubleRefused, 0, ""},
		"a list that is none": {func(w *world) { w.pages = []string{`7`} }, office{other: elsewhere}, policy.AudienceCompared, policy.TroubleNoTools, 0, ""},
		"a page that is too large": {func(w *world) {
			w.sessions, w.pages = true, []string{`{"name":"` + strings.Repeat("a", 1<<20) + `"}`}
		}, office{other: elsewhere}, policy.AudienceCompared, policy.TroubleNoTools, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			got := w.askBy(t, c.office)
			if got.Audience != c.audience || got.Trouble != c.trouble || got.ToolsAre != c.tools {
				t.Errorf("audience %d, trouble %d, tools %d", got.Audience, got.Trouble, got.ToolsAre)
			}
			if _, calls, _ := strings.Cut(w.rpc(), "GET "); c.calls != "" && calls != c.calls {
				t.Errorf("the calls were %s", calls)
			}
		})
	}
}

// TestATokenThatIsForTheServerAfterAll is not offered as one of another
// audience.
func TestATokenThatIsForTheServerAfterAll(t *testing.T) {
	w := newWorld(t)
	w.lax = true
	facts := authserver.TokenFacts{Readable: true, Audience: []string{"account", w.resource() + "/"}}
	if got := w.askBy(t, office{other: facts}); got.Audience != policy.AudienceUnclear {
		t.Errorf("audience %d", got.Audience)
	}
	for _, r := range w.seen() {
		if strings.HasSuffix(r.authorization, otherToken) {
			t.Errorf("%+v arrived", r)
		}
	}
}

// TestATokenForTheAudience: a server whose tokens have another aud than its
// resource, or none, is offered no token of its own as one of another audience.
func TestATokenForTheAudience(t *testing.T) {
	readable := func(aud []string, scopes ...string) authserver.TokenFacts {
		return authserver.TokenFacts{Readable: true, Audience: aud, Scopes: scopes}
	}
	byScope := policy.TokenReading{ScopePrefix: true}
	for name, c := range map[string]struct {
		audience string
		tokens   policy.TokenReading
		other    authserver.TokenFacts
		want     policy.ProbeAudience
	}{
		"its own audience":           {"api://default", policy.TokenReading{}, readable([]string{"api://default"}), policy.AudienceUnclear},
		"another one":                {"api://default", policy.TokenReading{}, readable([]string{"api://other"}), policy.AudienceIgnored},
		"no audience":                {"api://default", policy.TokenReading{}, readable(nil), policy.AudienceIgnored},
		"its own scope":              {"files", byScope, readable(nil, "openid", "files/read"), policy.AudienceUnclear},
		"the scope of another":       {"files", byScope, readable(nil, "notes/read"), policy.AudienceIgnored},
		"its own scope, another aud": {"files", byScope, readable([]string{"notes"}, "files/read"), policy.AudienceIgnored},
	} {
		w := newWorld(t)
		w.lax = true
		got := New(Options{Timeout: 10 * time.Second}).Ask(t.Context(), Question{
			Resource: w.resource(), Audience: c.audience, Tokens: c.tokens, Loopback: true, Borrow: office{w: w, other: c.other}.borrow,
		})
		if got.Audience != c.want {
			t.Errorf("%s: %d, want %d", name, got.Audience, c.want)
		}
	}
}

func names(tools []v1alpha1.ToolDigest) string {
	list := make([]string, 0, len(tools))
	for _, tool := range tools {
		list = append(list, tool.Name)
	}
	return strings.Join(list, " ")
}

// TestSnapshot holds pages, order, bounds, and what a digest depends on.
func TestSnapshot(t *testing.T) {
	w := newWorld(t)
	w.pages = []string{
		`{"name":"write","description":"a"},{"name":"get","inputSchema":{"type":"object","properties":{"b":{},"a":{}}},"_meta":{"x":1}}`,
		`{"name":"` + strings.Repeat("n", 129) + `"},{"name":""}`,
		`{"name":"add","title":null}`,
	}
	first := w.askBy(t, office{other: elsewhere}).Tools
	if got := names(first); got != "add get write" {
		t.Fatalf("the tools are %s", got)
	}
	w.pages = []string{
		`{"name":"add"}, {"inputSchema" : {"properties":{"a":{},"b":{}},"type":"object"},"name":"get","_meta":{"x":2}}`,
		`{"name":"write","description":"a."}`,
	}
	second := w.askBy(t, office{other: elsewhere}).Tools
	if names(second) != "add get write" || first[0] != second[0] || first[1] != second[1] || first[2] == second[2] {
		t.Errorf("%v\n%v", first, second)
	}
	for _, tool := range first {
		if len(tool.Digest) != 64 {
			t.Errorf("digest %q", tool.Digest)
		}
	}
	w.pages = []string{`{"name":"write"},{"name":"write","description":"another"}`}
	twice := w.askBy(t, office{other: elsewhere}).Tools
	w.pages = []string{`{"name":"write","description":"another"},{"name":"write"}`}
	turned := w.askBy(t, office{other: elsewhere}).Tools
	if diff := cmp.Diff(twice, turned); diff != "" || len(twice) != 1 {
		t.Errorf("a name twice (-one +other):\n%s", diff)
	}
}

func TestTheListIsBounded(t *testing.T) {
	w := newWorld(t)
	w.pages = nil
	for page := range 30 {
		var tools []string
		for i := range 20 {
			tools = append(tools, fmt.Sprintf(`{"name":"tool-%02d-%02d"}`, 99-page, i))
		}
		w.pages = append(w.pages, strings.Join(tools, ","))
	}
	got := w.askBy(t, office{other: elsewhere})
	if len(got.Tools) != 400 || got.Tools[0].Name != "tool-80-00" {
		t.Errorf("%d tools, the first %s", len(got.Tools), got.Tools[0].Name)
	}
	lists := 0
	for _, r := range w.seen() {
		if r.rpc == methodTools && strings.HasSuffix(r.authorization, rightToken) {
			lists++
		}
	}
	if lists != mostPages {
		t.Errorf("%d pages were asked for", lists)
	}
}
