// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// sight is what an approver looks at.
type sight struct {
	grant  *v1alpha1.ScopeGrant
	reg    *v1alpha1.MCPClientRegistration
	server *v1alpha1.MCPServer
}

// seenByApprover is a client with two of everything that may become fewer.
func seenByApprover() sight {
	s := sight{
		grant: asking("ticket 1", "invoices:pay", "invoices:void"), reg: registration(interactive),
		server: server(func(s *v1alpha1.MCPServer) {
			s.Spec.Scopes[2].Tools, s.Spec.Scopes[3].Tools = []string{"pay", "refund"}, []string{"void"}
		}),
	}
	s.grant.UID, s.reg.UID, s.server.UID = "grant-1", "registration-1", "server-1"
	s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodPrivateKeyJWT
	s.reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com/a", "https://app.example.com/b"}
	s.reg.Spec.JWKS = jwksOf(firstKey, secondKey)
	return s
}

// Two public keys (RFC 7517), and a third.
const (
	firstKey  = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	secondKey = `{"kty":"OKP","crv":"Ed25519","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}`
	thirdKey  = `{"kty":"OKP","crv":"Ed25519","x":"_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU"}`
)

func jwksOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func (s sight) look() Looked { return Look(s.grant, s.reg, s.server) }

type sightChange struct {
	name   string
	change func(s sight)
	says   string
}

// widenings change each member that an approver looks at to something else or to
// more, with what is said about it.
func widenings() []sightChange {
	return []sightChange{
		{"grant made again", func(s sight) { s.grant.UID = "grant-2" }, `the ScopeGrant was deleted and created again (its UID was "grant-1" and is "grant-2")`},
		{"registration made again", func(s sight) { s.reg.UID = "registration-2" }, `the MCPClientRegistration was deleted and created again (its UID was "registration-1" and is "registration-2")`},
		{"server made again", func(s sight) { s.server.UID = "server-2" }, `the MCPServer was deleted and created again (its UID was "server-1" and is "server-2")`},
		{"client name", func(s sight) { s.reg.Spec.ClientName = "Bank" }, `client name: was "Payments agent", is "Bank"`},
		{"application type", func(s sight) { s.reg.Spec.ApplicationType = v1alpha1.ApplicationNative }, `application type: was "Web", is "Native"`},
		{"grant type", func(s sight) {
			s.reg.Spec.GrantTypes = append(s.reg.Spec.GrantTypes, v1alpha1.GrantClientCredentials)
		}, `grant types: added "ClientCredentials"`},
		{"authentication method", func(s sight) { s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodNone }, `authentication method: was "PrivateKeyJWT", is "None"`},
		{"redirect URI", func(s sight) { s.reg.Spec.RedirectURIs[1] = "https://evil.example" }, `redirect URIs: added "https://evil.example"`},
		{"redirect URI more", func(s sight) {
			s.reg.Spec.RedirectURIs = append(s.reg.Spec.RedirectURIs, "https://evil.example")
		}, `redirect URIs: added "https://evil.example"`},
		{"key", func(s sight) { s.reg.Spec.JWKS = jwksOf(firstKey, thirdKey) }, "keys: added "},
		{"key set of another place", func(s sight) { s.reg.Spec.JWKS, s.reg.Spec.JWKSURI = "", "https://keys.example" }, `keys: added "set at https://keys.example"`},
		{"keys of a ServiceAccount", func(s sight) { s.reg.Spec.JWKS, s.reg.Spec.ServiceAccountName = "", "ci" }, `keys: added "tokens of ServiceAccount ci"`},
		{"keys of the operator", func(s sight) { s.reg.Spec.JWKS = "" }, `keys: added "the operator's"`},
		{"keys that cannot be read", func(s sight) { s.reg.Spec.JWKS = "{" }, `keys: added "unreadable set `},
		{"owner of the client", func(s sight) { annotate(s.reg, v1alpha1.AnnotationOwner, "mallory") }, `owner of the client: was "team-payments@example.com", is "mallory"`},
		{"owner of the grant", func(s sight) { annotate(s.grant, v1alpha1.AnnotationOwner, "mallory") }, `owner of the grant: was "team-payments@example.com", is "mallory"`},
		{"resource", func(s sight) { s.server.Spec.Resource = "https://bank.example" }, `resource: was "https://mcp.example.com/invoices", is "https://bank.example"`},
		{"scope", func(s sight) { s.grant.Spec.Scopes[1] = "invoices:export" }, `scopes: added "invoices:export"`},
		{"tier", func(s sight) { s.server.Spec.Scopes[2].Tier = v1alpha1.TierElevated }, `tier of invoices:pay: was "Write", is "Elevated"`},
		{"lower tier", func(s sight) { s.server.Spec.Scopes[3].Tier = v1alpha1.TierRead }, `tier of invoices:void: was "Elevated", is "Read"`},
		{"tool", func(s sight) { s.server.Spec.Scopes[2].Tools[1] = "transfer" }, `tools of invoices:pay: added "transfer"`},
		{"any tool", func(s sight) { s.server.Spec.Scopes[2].Tools = nil }, `tools of invoices:pay: added "(any)"`},
		{"reason", func(s sight) { s.grant.Spec.Reason = "ticket 2" }, `reason: was "ticket 1", is "ticket 2"`},
		{"later end", func(s sight) { setEnd(s.grant, now.Add(11*day)) }, `end: was "2026-09-11T12:00:00Z", is "2026-09-12T12:00:00Z"`},
		{"end of the next second", func(s sight) { setEnd(s.grant, now.Add(10*day+time.Second)) }, `is "2026-09-11T12:00:01Z"`},
		{"end that cannot be read", func(s sight) { annotate(s.grant, v1alpha1.AnnotationExpiresAt, "never") }, `is "never"`},
	}
}

// narrowings take something away from what an approver looked at.
func narrowings() []sightChange {
	return []sightChange{
		{name: "a redirect URI less", change: func(s sight) { s.reg.Spec.RedirectURIs = s.reg.Spec.RedirectURIs[:1] }},
		{name: "a grant type less", change: func(s sight) { s.reg.Spec.GrantTypes = s.reg.Spec.GrantTypes[1:] }},
		{name: "a key less", change: func(s sight) { s.reg.Spec.JWKS = jwksOf(secondKey) }},
		{name: "a scope less", change: func(s sight) { s.grant.Spec.Scopes = s.grant.Spec.Scopes[:1] }},
		{name: "a tool less", change: func(s sight) { s.server.Spec.Scopes[2].Tools = []string{"refund"} }},
		{name: "an earlier end", change: func(s sight) { setEnd(s.grant, now.Add(day)) }},
	}
}

// sameSights change nothing that an approver looks at.
func sameSights() []sightChange {
	return []sightChange{
		{name: "nothing", change: func(sight) {}},
		{name: "another order", change: func(s sight) {
			s.reg.Spec.RedirectURIs[0], s.reg.Spec.RedirectURIs[1] = s.reg.Spec.RedirectURIs[1], s.reg.Spec.RedirectURIs[0]
			s.grant.Spec.Scopes[0], s.grant.Spec.Scopes[1] = s.grant.Spec.Scopes[1], s.grant.Spec.Scopes[0]
			s.reg.Spec.JWKS = jwksOf(secondKey, firstKey)
			s.server.Spec.Scopes[0], s.server.Spec.Scopes[2] = s.server.Spec.Scopes[2], s.server.Spec.Scopes[0]
		}},
		{name: "a generation", change: func(s sight) { s.reg.Generation, s.grant.Generation, s.server.Generation = 7, 8, 9 }},
		{name: "the state of the client", change: func(s sight) { s.reg.Spec.State = v1alpha1.StateSuspended }},
		{name: "the end of the client", change: func(s sight) { setEnd(s.reg, now.Add(99*day)) }},
		{name: "a scope that is not asked for", change: func(s sight) { s.server.Spec.Scopes[0].Tier = v1alpha1.TierElevated }},
		{name: "a fraction of a second", change: func(s sight) { setEnd(s.grant, now.Add(10*day+time.Second-1)) }},
		{name: "the end in other words", change: func(s sight) {
			annotate(s.grant, v1alpha1.AnnotationExpiresAt, now.Add(10*day).In(time.FixedZone("", 5*3600+1800)).Format(time.RFC3339))
		}},
	}
}

// For every member that an approver looks at: another value has another digest and
// is named, with what it was and is.
func TestWidenedNamesWhatChanged(t *testing.T) {
	before := seenByApprover().look()
	named := map[string]bool{}
	for _, c := range widenings() {
		s := seenByApprover()
		c.change(s)
		after := s.look()
		if after.Digest() == before.Digest() {
			t.Errorf("%s: the digest is the same", c.name)
		}
		changes := before.Widened(after)
		var said []string
		for _, change := range changes {
			said = append(said, change.String())
			named[change.Member] = true
		}
		mentions(t, strings.Join(said, "; "), c.says)
	}
	for _, member := range before {
		if !named[member.Name] && !strings.HasSuffix(member.Name, "invoices:void") {
			t.Errorf("no case changes %q", member.Name)
		}
	}
}

// What takes something away has another digest, and widens nothing; taking it back
// does.
func TestWidenedLeavesOutWhatIsLess(t *testing.T) {
	before := seenByApprover().look()
	for _, c := range narrowings() {
		s := seenByApprover()
		c.change(s)
		if s.look().Digest() == before.Digest() {
			t.Errorf("%s: the digest is the same", c.name)
		}
		equal(t, c.name, []Change(nil), before.Widened(s.look()))
		if len(s.look().Widened(before)) == 0 {
			t.Errorf("%s: the way back widens nothing", c.name)
		}
	}
	s := seenByApprover()
	s.server.Spec.Scopes[2].Tools = nil
	equal(t, "some tools in place of any", []Change(nil), s.look().Widened(before))
}

// What an approver does not look at changes nothing.
func TestDigestIsOfWhatIsLookedAt(t *testing.T) {
	before := seenByApprover().look()
	for _, c := range sameSights() {
		s := seenByApprover()
		c.change(s)
		equal(t, c.name, before.Digest(), s.look().Digest())
	}
}

// A member that is not there any more is not what was looked at.
func TestWidenedNamesWhatIsGone(t *testing.T) {
	before := seenByApprover().look()
	for i, member := range before {
		after := append(before[:i:i], before[i+1:]...)
		fewer := isList(member.Name) || strings.HasPrefix(member.Name, lookedTier)
		equal(t, member.Name, fewer, len(before.Widened(after)) == 0)
	}
	equal(t, "nothing was looked at", len(before), len(Looked(nil).Widened(before)))
}

// Members are bounded like the schema of status, whatever the specs hold.
func TestLookedFitsItsSchema(t *testing.T) {
	s := seenByApprover()
	s.grant.Spec.Scopes, s.server.Spec.Scopes = nil, nil
	for i := range 64 {
		scope := v1alpha1.Scope{Name: v1alpha1.ScopeName(strings.Repeat("s", 126) + fmt.Sprintf("%02d", i)), Tier: v1alpha1.TierWrite}
		s.server.Spec.Scopes, s.grant.Spec.Scopes = append(s.server.Spec.Scopes, scope), append(s.grant.Spec.Scopes, scope.Name)
	}
	looked := s.look()
	if len(looked) > 192 {
		t.Errorf("%d members", len(looked))
	}
	for _, member := range looked {
		if len(member.Name) > 192 || len(member.Values) > 256 {
			t.Errorf("%q has %d values", member.Name, len(member.Values))
		}
	}
}
