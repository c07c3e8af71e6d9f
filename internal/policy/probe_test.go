// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// probeSubject is an accepted server with a client that may be used.
func probeSubject(opts ...func(*ProbeSubject)) ProbeSubject {
	canary := registration(func(reg *v1alpha1.MCPClientRegistration) {
		reg.Name, reg.Spec.GrantTypes = "canary", []v1alpha1.GrantType{v1alpha1.GrantClientCredentials}
		reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodClientSecretBasic
		reg.Status.ClientID = "client-1"
		reg.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "invoices:read", Grants: []string{"reader"}}, {Name: "other:read", Grants: []string{"other"}}}
	})
	given := grant(func(g *v1alpha1.ScopeGrant) {
		g.Spec.ClientRef.Name, g.Status.Basis, g.Status.ObservedGeneration = "canary", v1alpha1.BasisAutomatic, g.Generation
	})
	s := ProbeSubject{
		Server: server(func(s *v1alpha1.MCPServer) {
			s.Spec.Probe = &v1alpha1.Probe{ClientRef: &v1alpha1.LocalReference{Name: "canary"}}
		}),
		AuthorizationServer: found(authorizationServer()), Verdict: Verdict{Standing: Allowed},
		Client: canary, ClientIs: Present, Grants: []v1alpha1.ScopeGrant{*given},
	}
	for _, opt := range opts {
		opt(&s)
	}
	return s
}

func TestProbe(t *testing.T) {
	obstacle := func(text string) ProbePlan { return ProbePlan{On: true, Obstacle: text} }
	for name, c := range map[string]struct {
		change func(*ProbeSubject)
		want   ProbePlan
	}{
		"with a client": {func(*ProbeSubject) {}, ProbePlan{On: true, WithClient: true, Scopes: []string{"invoices:read"}}},
		"with an entry scope": {func(s *ProbeSubject) {
			s.Server.Spec.EntryScope = "mcp:enter"
			s.Client.Status.Scopes = append(s.Client.Status.Scopes, v1alpha1.EffectiveScope{Name: "mcp:enter", Grants: []string{"reader"}})
		}, ProbePlan{On: true, WithClient: true, Scopes: []string{"mcp:enter", "invoices:read"}}},
		"without":         {func(s *ProbeSubject) { s.Server.Spec.Probe = nil }, ProbePlan{On: true}},
		"on without one":  {func(s *ProbeSubject) { s.Server.Spec.Probe = &v1alpha1.Probe{Mode: v1alpha1.ProbeEnabled} }, ProbePlan{On: true}},
		"off":             {func(s *ProbeSubject) { s.Server.Spec.Probe.Mode = v1alpha1.ProbeDisabled }, ProbePlan{}},
		"an unknown mode": {func(s *ProbeSubject) { s.Server.Spec.Probe.Mode = "Sometimes" }, ProbePlan{}},
		"being deleted":   {func(s *ProbeSubject) { deleting(s.Server) }, ProbePlan{}},
		"not accepted":    {func(s *ProbeSubject) { s.Verdict = Verdict{} }, ProbePlan{}},
		"not known":       {func(s *ProbeSubject) { s.Verdict = Verdict{Standing: Undecided} }, ProbePlan{Undecided: true}},
		"not known, off": {func(s *ProbeSubject) {
			s.Verdict.Standing, s.Server.Spec.Probe.Mode = Undecided, v1alpha1.ProbeDisabled
		}, ProbePlan{}},
		"on this machine":  {func(s *ProbeSubject) { s.AuthorizationServer.Object.Spec.Issuer = "http://127.0.0.1:8080/realm" }, ProbePlan{On: true, Loopback: true, WithClient: true, Scopes: []string{"invoices:read"}}},
		"no such client":   {func(s *ProbeSubject) { s.ClientIs, s.Client = Absent, nil }, obstacle("create it")},
		"an unread client": {func(s *ProbeSubject) { s.ClientIs, s.Client = Unknown, nil }, obstacle("could not be read")},
		"a client of another namespace": {func(s *ProbeSubject) { s.Client.Namespace = "elsewhere" },
			obstacle("in the namespace of the MCPServer")},
		"a client of another authorization server": {func(s *ProbeSubject) { s.Client.Spec.AuthorizationServerRef.Name = "other" },
			obstacle("another AuthorizationServer")},
		"a client that needs a person": {func(s *ProbeSubject) {
			s.Client.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode}
		},
			obstacle("ClientCredentials")},
		"a client with a key of its own": {func(s *ProbeSubject) {
			privateKeyJWT(s.Client)
			s.Client.Spec.JWKSURI = "https://app.example.com/jwks"
		}, obstacle("did not make its credentials")},
		"a client with a key of the operator": {func(s *ProbeSubject) { privateKeyJWT(s.Client) },
			ProbePlan{On: true, WithClient: true, Scopes: []string{"invoices:read"}}},
		"a public client":                 {func(s *ProbeSubject) { s.Client.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodNone }, obstacle("did not make its credentials")},
		"a client not registered":         {func(s *ProbeSubject) { s.Client.Status.ClientID = "" }, obstacle("no client at")},
		"a client that leaves":            {func(s *ProbeSubject) { suspend(s.Client) }, obstacle("no client at")},
		"an expired client":               {func(s *ProbeSubject) { setEnd(s.Client, now) }, obstacle("no scope of this server")},
		"no grant":                        {func(s *ProbeSubject) { s.Grants = nil }, obstacle("no scope of this server")},
		"a grant that is not in force":    {func(s *ProbeSubject) { s.Grants[0].Status.Basis = "" }, obstacle("no scope of this server")},
		"a grant of another client":       {func(s *ProbeSubject) { s.Grants[0].Spec.ClientRef.Name = "agent" }, obstacle("no scope of this server")},
		"a scope that is not listed":      {func(s *ProbeSubject) { s.Server.Spec.Scopes = s.Server.Spec.Scopes[1:] }, obstacle("no scope of this server")},
		"a grant that was not taken up":   {func(s *ProbeSubject) { s.Client.Status.Scopes = nil }, obstacle("no scope of this server")},
		"an issuer that cannot be parsed": {func(s *ProbeSubject) { s.AuthorizationServer.Object.Spec.Issuer = "https://%zz" }, ProbePlan{On: true, WithClient: true, Scopes: []string{"invoices:read"}}},
	} {
		s := probeSubject(c.change)
		got := Probe(s, now)
		if c.want.Obstacle != "" && strings.Contains(got.Obstacle, c.want.Obstacle) {
			got.Obstacle = c.want.Obstacle
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func suspend(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended }

// goodFacts are those about a server that does everything right.
func goodFacts() ProbeFacts {
	return ProbeFacts{
		Contact: Contacted, Anonymous: []ProbeAnswer{AnswerChallenged, AnswerChallenged, AnswerChallenged}, MetadataIs: MetadataFound,
		Metadata: ProbeMetadata{
			Resource: "https://mcp.example.com/invoices", AuthorizationServers: []string{"https://other.example.com", testIssuer}, Scopes: []string{"invoices:read"},
		},
		Audience: AudienceCompared, ToolsAre: Present,
	}
}

func TestProtection(t *testing.T) {
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	for name, c := range map[string]struct {
		change func(*ProbeSubject, *ProbeFacts)
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		"a good server":        {func(*ProbeSubject, *ProbeFacts) {}, yes, v1alpha1.ReasonProtected, "refused a token of another audience"},
		"no other token":       {func(_ *ProbeSubject, f *ProbeFacts) { f.Audience = AudienceUnclear }, yes, v1alpha1.ReasonProtected, "compares aud is unclear"},
		"no client":            {func(s *ProbeSubject, f *ProbeFacts) { s.Server.Spec.Probe, f.Audience = nil, 0 }, yes, v1alpha1.ReasonProtected, "was not tried"},
		"nothing seen":         {func(_ *ProbeSubject, f *ProbeFacts) { *f = ProbeFacts{} }, unknown, v1alpha1.ReasonUnavailable, "asked again"},
		"a forbidden address":  {func(_ *ProbeSubject, f *ProbeFacts) { *f = ProbeFacts{Contact: ContactRefused} }, unknown, v1alpha1.ReasonAddressRefused, "--probe-private-networks"},
		"a bad certificate":    {func(_ *ProbeSubject, f *ProbeFacts) { *f = ProbeFacts{Contact: ContactUntrusted} }, unknown, v1alpha1.ReasonUnavailable, "certificate"},
		"overload":             {func(_ *ProbeSubject, f *ProbeFacts) { f.Anonymous[1] = AnswerPassing }, unknown, v1alpha1.ReasonUnavailable, ""},
		"a naked server":       {func(_ *ProbeSubject, f *ProbeFacts) { f.Anonymous[2] = AnswerAccepted }, no, v1alpha1.ReasonAnonymousAccepted, "guard"},
		"naked and overloaded": {func(_ *ProbeSubject, f *ProbeFacts) { f.Anonymous = []ProbeAnswer{AnswerAccepted, AnswerPassing} }, no, v1alpha1.ReasonAnonymousAccepted, ""},
		"any audience":         {func(_ *ProbeSubject, f *ProbeFacts) { f.Audience, f.MetadataIs = AudienceIgnored, MetadataAbsent }, no, v1alpha1.ReasonAudienceNotChecked, "aud"},
		"another refusal":      {func(_ *ProbeSubject, f *ProbeFacts) { f.Anonymous[0] = AnswerRefused }, no, v1alpha1.ReasonChallengeUnusable, "401"},
		"an odd answer":        {func(_ *ProbeSubject, f *ProbeFacts) { f.Anonymous[0] = AnswerOdd }, unknown, v1alpha1.ReasonUnclear, "spec.resource"},
		"a foreign challenge":  {func(_ *ProbeSubject, f *ProbeFacts) { f.MetadataIs = MetadataForeign }, no, v1alpha1.ReasonChallengeUnusable, "origin"},
		"led astray":           {func(_ *ProbeSubject, f *ProbeFacts) { f.MetadataIs = MetadataAstray }, no, v1alpha1.ReasonChallengeUnusable, "resource_metadata"},
		"no metadata":          {func(_ *ProbeSubject, f *ProbeFacts) { f.MetadataIs = MetadataAbsent }, no, v1alpha1.ReasonMetadataMissing, "publish it"},
		"metadata later":       {func(_ *ProbeSubject, f *ProbeFacts) { f.MetadataIs = MetadataUnavailable }, unknown, v1alpha1.ReasonUnavailable, ""},
		"another resource":     {func(_ *ProbeSubject, f *ProbeFacts) { f.Metadata.Resource += "/" }, no, v1alpha1.ReasonResourceMismatch, "spec.resource"},
		"another issuer":       {func(_ *ProbeSubject, f *ProbeFacts) { f.Metadata.AuthorizationServers[1] += "/" }, no, v1alpha1.ReasonAuthorizationServerNotListed, "issuer"},
		"an unread issuer":     {func(s *ProbeSubject, _ *ProbeFacts) { s.AuthorizationServer = AuthorizationServerFact{} }, unknown, v1alpha1.ReasonUnclear, ""},
		"a wildcard":           {func(_ *ProbeSubject, f *ProbeFacts) { f.Metadata.Scopes[0] = "invoices:*" }, no, v1alpha1.ReasonScopesTooWide, "wildcard"},
		"a catch-all name":     {func(_ *ProbeSubject, f *ProbeFacts) { f.Metadata.Scopes[0] = "Full-Access" }, no, v1alpha1.ReasonScopesTooWide, ""},
		"refresh tokens":       {func(_ *ProbeSubject, f *ProbeFacts) { f.Metadata.Scopes[0] = "offline_access" }, no, v1alpha1.ReasonScopesTooWide, "offline_access"},
		"no scopes":            {func(_ *ProbeSubject, f *ProbeFacts) { f.Metadata.Scopes = nil }, yes, v1alpha1.ReasonProtected, ""},
		"no S256":              {func(s *ProbeSubject, _ *ProbeFacts) { s.AuthorizationServer.Object.Status.Capabilities = nil }, no, v1alpha1.ReasonPKCENotPublished, "S256"},
		"not discovered": {func(s *ProbeSubject, _ *ProbeFacts) {
			s.AuthorizationServer.Object.Status = v1alpha1.AuthorizationServerStatus{}
		}, unknown, v1alpha1.ReasonUnclear, "not known yet"},
		"a client that is not there": {func(s *ProbeSubject, f *ProbeFacts) { s.ClientIs, f.Audience = Absent, 0 }, unknown, v1alpha1.ReasonUnclear, "spec.probe.clientRef"},
		"no answer to the client":    {func(_ *ProbeSubject, f *ProbeFacts) { f.Trouble = TroubleNoAnswer }, unknown, v1alpha1.ReasonUnavailable, "spec.probe.clientRef"},
		"no token":                   {func(_ *ProbeSubject, f *ProbeFacts) { f.Trouble = TroubleNoToken }, unknown, v1alpha1.ReasonUnclear, "no token"},
		"a token refused":            {func(_ *ProbeSubject, f *ProbeFacts) { f.Trouble = TroubleRefused }, unknown, v1alpha1.ReasonUnclear, "refused"},
		"no list of tools":           {func(_ *ProbeSubject, f *ProbeFacts) { f.Trouble = TroubleNoTools }, unknown, v1alpha1.ReasonUnclear, "tools/list"},
		"trouble and no metadata": {func(_ *ProbeSubject, f *ProbeFacts) { f.Trouble, f.MetadataIs = TroubleNoToken, MetadataAbsent },
			no, v1alpha1.ReasonMetadataMissing, ""},
	} {
		s, f := probeSubject(), goodFacts()
		c.change(&s, &f)
		got := Protection(s, Probe(s, now), f)
		if got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Message, c.says) || got.Message == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOffered(t *testing.T) {
	tools := []v1alpha1.ToolDigest{{Name: "get", Digest: "1"}, {Name: "zap", Digest: "2"}}
	before := []v1alpha1.ToolDigest{{Name: "old", Digest: "3"}}
	for name, c := range map[string]struct {
		plan     ProbePlan
		facts    ProbeFacts
		tools    []v1alpha1.ToolDigest
		unmapped []string
	}{
		"just seen":      {ProbePlan{On: true, WithClient: true}, ProbeFacts{ToolsAre: Present, Tools: tools}, tools, []string{"zap"}},
		"none any more":  {ProbePlan{On: true, WithClient: true}, ProbeFacts{ToolsAre: Present}, nil, nil},
		"not seen now":   {ProbePlan{On: true, WithClient: true}, ProbeFacts{}, before, []string{"old"}},
		"in the way":     {ProbePlan{On: true, Obstacle: "gone"}, ProbeFacts{}, before, []string{"old"}},
		"without client": {ProbePlan{On: true}, ProbeFacts{}, nil, nil},
		"off":            {ProbePlan{}, ProbeFacts{ToolsAre: Present, Tools: tools}, nil, nil},
	} {
		s := server(func(s *v1alpha1.MCPServer) {
			s.Spec.Scopes[0].Tools, s.Status.Tools = []string{"get"}, before
		})
		got := Offered(s, c.plan, c.facts)
		if !cmp.Equal(got.Tools, c.tools) || strings.Join(got.Unmapped, " ") != strings.Join(c.unmapped, " ") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	var many []v1alpha1.ToolDigest
	for i := range 60 {
		many = append(many, v1alpha1.ToolDigest{Name: fmt.Sprintf("tool-%02d", 99-i)})
	}
	got := Offered(server(), ProbePlan{On: true, WithClient: true}, ProbeFacts{ToolsAre: Present, Tools: many})
	if len(got.Unmapped) != maxUnmapped || got.Unmapped[0] != "tool-40" || got.UnmappedOmitted != 10 || got.Omitted != 0 {
		t.Errorf("%d unmapped, %d left out: %v", len(got.Unmapped), got.UnmappedOmitted, got.Unmapped)
	}
	for i := range 300 {
		many = append(many, v1alpha1.ToolDigest{Name: fmt.Sprintf("more-%03d", i)})
	}
	got = Offered(server(), ProbePlan{On: true, WithClient: true}, ProbeFacts{ToolsAre: Present, Tools: many})
	if len(got.Tools) != maxTools || got.Omitted != 104 || got.UnmappedOmitted != maxTools-maxUnmapped {
		t.Errorf("%d tools, %d and %d left out", len(got.Tools), got.Omitted, got.UnmappedOmitted)
	}
}

// A crowd of tools that no scope leads to does not push out those that one does.
func TestKeptToolsAreThoseOfScopes(t *testing.T) {
	t.Parallel()
	server := &v1alpha1.MCPServer{}
	server.Spec.Scopes = []v1alpha1.Scope{{Name: "a:read", Tools: []string{"zz_read"}}}
	tools := []v1alpha1.ToolDigest{{Name: "zz_read", Digest: "d"}}
	for i := range 400 {
		tools = append(tools, v1alpha1.ToolDigest{Name: fmt.Sprintf("aa%03d", i), Digest: "d"})
	}
	got := kept(server, tools)
	if len(got) != maxTools || got[maxTools-1].Name != "zz_read" || got[0].Name != "aa000" {
		t.Errorf("kept %d tools from %q to %q", len(got), got[0].Name, got[len(got)-1].Name)
	}
}
