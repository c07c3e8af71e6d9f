// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

var accessNow = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// scene is a client with a grant of one scope that leads to one tool.
type accessScene struct {
	server *v1alpha1.MCPServer
	reg    *v1alpha1.MCPClientRegistration
	grant  *v1alpha1.ScopeGrant
	facts  CallFacts
}

func newAccessScene() *accessScene {
	s := &accessScene{server: &v1alpha1.MCPServer{}, reg: &v1alpha1.MCPClientRegistration{}, grant: &v1alpha1.ScopeGrant{}}
	in := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 3, Annotations: map[string]string{
			v1alpha1.AnnotationOwner: "team@example.com", v1alpha1.AnnotationExpiresAt: "2026-10-01T00:00:00Z",
		}}
	}
	s.server.ObjectMeta = in("tools", "invoices")
	s.server.Spec.Scopes = []v1alpha1.Scope{
		{Name: "invoices:wipe", Tier: v1alpha1.TierElevated, Tools: []string{"wipe", "read_invoice"}},
		{Name: "invoices:read", Tier: v1alpha1.TierRead, Tools: []string{"read_invoice"}},
		{Name: "files:read", Tier: v1alpha1.TierRead},
	}
	s.reg.ObjectMeta = in("agents", "bot")
	s.reg.Status.ClientID = "c1"
	s.reg.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "invoices:read", Grants: []string{"g"}}}
	s.grant.ObjectMeta = in("agents", "g")
	s.grant.Spec = v1alpha1.ScopeGrantSpec{
		ClientRef: v1alpha1.LocalReference{Name: "bot"}, ServerRef: v1alpha1.ServerReference{Name: "invoices", Namespace: "tools"},
		Scopes: []v1alpha1.ScopeName{"invoices:read"},
	}
	s.grant.Status = v1alpha1.ScopeGrantStatus{ObservedGeneration: 3, Basis: v1alpha1.BasisApproved, Approval: &v1alpha1.Approval{
		Name: "olga-says-yes", UID: "u", Decision: v1alpha1.DecisionApproved, ApprovedBy: "olga",
	}}
	s.facts = CallFacts{Scopes: []string{"invoices:read"}, Tool: "read_invoice"}
	return s
}

func (s *accessScene) call(at time.Time) CallDecision { return Call(s.all(), at) }

// all are the facts with those of the objects.
func (s *accessScene) all() CallFacts {
	s.facts.Server = ServerOf(s.server)
	if s.reg != nil {
		s.facts.Clients = append([]ClientEntry{ClientOf(s.reg)}, s.facts.Clients...)
	}
	s.facts.Grants = append(s.facts.Grants, GrantOf(s.grant))
	return s.facts
}

func TestCall(t *testing.T) {
	t.Parallel()
	deleted := &metav1.Time{Time: accessNow}
	for _, test := range []struct {
		name   string
		change func(*accessScene)
		want   Refusal
		stepUp []string
	}{
		{"the grant and the token give the scope of the tool", func(*accessScene) {}, "", nil},
		{"there is no such client", func(s *accessScene) { s.reg = nil }, RefusedUnknownClient, nil},
		{"two registrations have the client", func(s *accessScene) { s.facts.Clients = []ClientEntry{ClientOf(s.reg)} }, RefusedUnknownClient, nil},
		{"the registration has no client yet", func(s *accessScene) { s.reg.Status.ClientID = "" }, RefusedUnknownClient, nil},
		{"the registration is being deleted", func(s *accessScene) { s.reg.DeletionTimestamp = deleted }, RefusedRevoked, nil},
		{"nobody answers for it", func(s *accessScene) { delete(s.reg.Annotations, v1alpha1.AnnotationOwner) }, RefusedRevoked, nil},
		{"the operator is about to revoke it, because it ended", func(s *accessScene) {
			s.reg.Status.Revocation = &v1alpha1.Revocation{ClientID: "c1", Cause: v1alpha1.CauseExpired}
		}, RefusedExpired, nil},
		{"the operator is about to revoke it", func(s *accessScene) { s.reg.Status.Revocation = &v1alpha1.Revocation{ClientID: "c1"} }, RefusedRevoked, nil},
		{"the client before it was revoked", func(s *accessScene) { s.reg.Status.Revocation = &v1alpha1.Revocation{ClientID: "c0"} }, "", nil},
		{"it is suspended", func(s *accessScene) { s.reg.Spec.State = v1alpha1.StateSuspended }, RefusedSuspended, nil},
		{"its end has come", func(s *accessScene) { s.reg.Annotations[v1alpha1.AnnotationExpiresAt] = "2026-09-01T12:00:00Z" }, RefusedExpired, nil},
		{"its end comes in a second", func(s *accessScene) { s.reg.Annotations[v1alpha1.AnnotationExpiresAt] = "2026-09-01T12:00:01Z" }, "", nil},
		{"the operator set an earlier end", func(s *accessScene) { s.reg.Status.ExpiresAt = deleted }, RefusedExpired, nil},
		{"its end cannot be read", func(s *accessScene) { s.reg.Annotations[v1alpha1.AnnotationExpiresAt] = "soon" }, RefusedExpired, nil},
		{"the scope is in the token but in no grant", func(s *accessScene) { s.grant.Spec.Scopes = nil }, RefusedNoGrant, []string{"invoices:read"}},
		{"the grant is there but the token lacks the scope", func(s *accessScene) { s.facts.Scopes = []string{"files:read"} }, RefusedScopeMissing, []string{"invoices:read"}},
		{"the operator has not put the scope into force", func(s *accessScene) { s.reg.Status.Scopes = nil }, RefusedNoGrant, []string{"invoices:read"}},
		{"the scope in force is of another grant", func(s *accessScene) { s.reg.Status.Scopes[0].Grants = []string{"other"} }, RefusedNoGrant, []string{"invoices:read"}},
		{"the grant ended while the token lives", func(s *accessScene) { s.grant.Annotations[v1alpha1.AnnotationExpiresAt] = "2026-09-01T12:00:00Z" }, RefusedNoGrant, []string{"invoices:read"}},
		{"the grant is being deleted", func(s *accessScene) { s.grant.DeletionTimestamp = deleted }, RefusedNoGrant, []string{"invoices:read"}},
		{"the grant is not in force", func(s *accessScene) { s.grant.Status.Basis = "" }, RefusedNoGrant, []string{"invoices:read"}},
		{"the grant changed since the operator looked", func(s *accessScene) { s.grant.Generation = 4 }, RefusedNoGrant, []string{"invoices:read"}},
		{"the approval was turned into a denial", func(s *accessScene) { s.grant.Status.Approval.Decision = v1alpha1.DecisionDenied }, RefusedNoGrant, []string{"invoices:read"}},
		{"the grant is of another server of that name", func(s *accessScene) { s.grant.Spec.ServerRef.Namespace = "elsewhere" }, RefusedNoGrant, []string{"invoices:read"}},
		{"the grant is of another client", func(s *accessScene) { s.grant.Spec.ClientRef.Name = "other" }, RefusedNoGrant, []string{"invoices:read"}},
		{"no scope leads to the tool", func(s *accessScene) { s.facts.Tool = "unheard_of" }, RefusedToolUnknown, nil},
		{"a more powerful scope leads to the tool", func(s *accessScene) { s.facts.Tool = "wipe" }, RefusedNoGrant, []string{"invoices:wipe"}},
		{"the tool left the catalogue", func(s *accessScene) { s.server.Spec.Scopes[1].Tools, s.server.Spec.Scopes[0].Tools = nil, nil }, RefusedToolUnknown, nil},
		{"the tool changed, which is reported only", func(s *accessScene) { s.grant.Status.ChangedTools = []string{"read_invoice"} }, "", nil},
		{"the tool changed and is withheld", func(s *accessScene) {
			s.grant.Status.ChangedTools, s.server.Spec.ToolChanges = []string{"read_invoice"}, v1alpha1.ToolChangesWithhold
		}, RefusedReviewRequired, nil},
		{"so many tools changed that there may be more", func(s *accessScene) {
			s.grant.Status.ChangedTools, s.server.Spec.ToolChanges = slices.Repeat([]string{"other"}, 256), v1alpha1.ToolChangesWithhold
		}, RefusedReviewRequired, nil},
		{"no tool is called and a scope is in force", func(s *accessScene) { s.facts.Tool = "" }, "", nil},
		{"no tool is called and the token has no scope", func(s *accessScene) { s.facts.Tool, s.facts.Scopes = "", nil }, RefusedScopeMissing, []string{"invoices:read"}},
		{"a resource is read with a scope that is tied to tools", func(s *accessScene) { s.facts.Tool, s.facts.Untied = "", true }, RefusedNoGrant, []string{"files:read"}},
		{"a resource is read with a scope that is not", func(s *accessScene) {
			s.facts.Tool, s.facts.Untied, s.facts.Scopes = "", true, []string{"files:read"}
			s.grant.Spec.Scopes = []v1alpha1.ScopeName{"files:read"}
			s.reg.Status.Scopes[0].Name = "files:read"
		}, "", nil},
	} {
		s := newAccessScene()
		test.change(s)
		got := s.call(accessNow)
		if got.Refusal != test.want || !slices.Equal(got.StepUp, test.stepUp) {
			t.Errorf("%s: refused as %q with step-up %q, want %q and %q", test.name, got.Refusal, got.StepUp, test.want, test.stepUp)
		}
		if allowed := got.Refusal == ""; allowed != (got.Scope != "") || allowed != (got.Grant.Name != "") || allowed == got.Until.IsZero() {
			t.Errorf("%s: scope %q, grant %q, until %v with refusal %q", test.name, got.Scope, got.Grant.Name, got.Until, got.Refusal)
		}
	}
}

// Whatever the facts, a call that is allowed is given by one grant in force, of
// that client and server, whose scope is in the token and leads to the tool.
func TestCallIsGivenByOneGrant(t *testing.T) {
	t.Parallel()
	s := newAccessScene()
	d := s.call(accessNow)
	if d.Grant.ApprovedBy != "olga" || d.Client.Owner != "team@example.com" {
		t.Errorf("decided %+v", d)
	}
	if want := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC); !d.Until.Equal(want) {
		t.Errorf("until %v, want %v", d.Until, want)
	}
	later := newAccessScene()
	second := later.grant.DeepCopy()
	second.Name = "longer"
	second.Annotations[v1alpha1.AnnotationExpiresAt] = "2026-12-01T00:00:00Z"
	later.reg.Status.Scopes[0].Grants = []string{"g", "longer"}
	later.facts.Grants = []GrantEntry{GrantOf(second)}
	if d := later.call(accessNow); d.Grant.Name != "longer" || !d.Until.Equal(d.Client.EndsAt) {
		t.Errorf("of two grants %q allows until %v", d.Grant.Name, d.Until)
	}
}

// entering gives the scene's server an entry scope, and has the client carry it.
func (s *accessScene) entering() {
	s.server.Spec.EntryScope = "mcp:enter"
	s.reg.Status.Scopes = append(s.reg.Status.Scopes, v1alpha1.EffectiveScope{Name: "mcp:enter", Grants: []string{"g"}})
	s.facts.Scopes = []string{"mcp:enter"}
}

// The entry scope opens a session for every client with a grant, and leads to nothing
// else.
func TestEntryScope(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*accessScene)
		want   Refusal
		stepUp []string
	}{
		"opens a session":           {func(s *accessScene) { s.facts.Tool = "" }, "", nil},
		"does not call a tool":      {func(*accessScene) {}, RefusedScopeMissing, []string{"invoices:read"}},
		"does not read a resource":  {func(s *accessScene) { s.facts.Tool, s.facts.Untied = "", true }, RefusedNoGrant, []string{"files:read"}},
		"is what to get in by":      {func(s *accessScene) { s.facts.Tool, s.facts.Scopes = "", nil }, RefusedScopeMissing, []string{"mcp:enter"}},
		"is not needed to get in":   {func(s *accessScene) { s.facts.Tool, s.facts.Scopes = "", []string{"invoices:read"} }, "", nil},
		"needs a grant in force":    {func(s *accessScene) { s.facts.Tool, s.grant.Status.Basis = "", "" }, RefusedNoGrant, []string{"files:read"}},
		"needs a grant at this one": {func(s *accessScene) { s.facts.Tool, s.grant.Spec.ServerRef.Name = "", "other" }, RefusedNoGrant, []string{"files:read"}},
		"must be in force itself":   {func(s *accessScene) { s.facts.Tool, s.reg.Status.Scopes = "", s.reg.Status.Scopes[:1] }, RefusedScopeMissing, []string{"invoices:read"}},
		"must be of that very grant": {func(s *accessScene) {
			s.facts.Tool, s.reg.Status.Scopes = "", []v1alpha1.EffectiveScope{{Name: "mcp:enter", Grants: []string{"other"}}}
		}, RefusedNoGrant, []string{"files:read"}},
		"is none that the catalogue lists": {func(s *accessScene) {
			s.server.Spec.EntryScope, s.facts.Tool, s.facts.Scopes = "invoices:wipe", "wipe", []string{"invoices:wipe"}
			s.reg.Status.Scopes[1].Name = "invoices:wipe"
		}, RefusedNoGrant, []string{"invoices:wipe"}},
	} {
		s := newAccessScene()
		s.entering()
		c.change(s)
		if got := s.call(accessNow); got.Refusal != c.want || !slices.Equal(got.StepUp, c.stepUp) {
			t.Errorf("%s: refused as %q with step-up %q, want %q and %q", name, got.Refusal, got.StepUp, c.want, c.stepUp)
		}
	}
}

// At a server with an entry scope a list shows what a client may have, whatever its
// token has: it begins with the entry scope alone, and asks for more when it calls.
func TestListed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*accessScene)
		want   bool
	}{
		"what was granted, before it is asked for": {func(*accessScene) {}, true},
		"what the token has":                       {func(s *accessScene) { s.facts.Scopes = []string{"invoices:read"} }, true},
		"not what nobody granted":                  {func(s *accessScene) { s.facts.Tool = "wipe" }, false},
		"not what no scope leads to":               {func(s *accessScene) { s.facts.Tool = "unheard_of" }, false},
		"not what has no name":                     {func(s *accessScene) { s.facts.Tool = "" }, false},
		"nothing of a grant that has ended":        {func(s *accessScene) { s.grant.Status.Basis = "" }, false},
		"nothing to a client that has ended":       {func(s *accessScene) { s.reg.Spec.State = v1alpha1.StateSuspended }, false},
		"without an entry scope what the token has": {func(s *accessScene) {
			s.server.Spec.EntryScope, s.facts.Scopes = "", []string{"invoices:read"}
		}, true},
		"and nothing else": {func(s *accessScene) { s.server.Spec.EntryScope = "" }, false},
		"not what has to be reviewed": {func(s *accessScene) {
			s.server.Spec.ToolChanges, s.grant.Status.ChangedTools = v1alpha1.ToolChangesWithhold, []string{"read_invoice"}
		}, false},
	} {
		s := newAccessScene()
		s.entering()
		c.change(s)
		if got := Listed(s.all(), accessNow); got != c.want {
			t.Errorf("%s: listed %v, want %v", name, got, c.want)
		}
	}
}

// What clients are told to ask for first is something that each of them has.
func TestFirstScopes(t *testing.T) {
	t.Parallel()
	server := ServerOf(newAccessScene().server)
	// having is a client with a grant of some scopes in force.
	having := func(name string, scopes ...string) Holding {
		h := Holding{
			Client: ClientEntry{Namespace: "agents", Name: name, ClientID: name, EndsAt: accessNow.Add(time.Hour)},
			Grants: []GrantEntry{{
				Namespace: "agents", Name: "g", Client: name, ServerNamespace: "tools", Server: "invoices",
				Scopes: scopes, EndsAt: accessNow.Add(time.Hour), InForce: true,
			}},
		}
		for _, scope := range scopes {
			h.Client.Scopes = append(h.Client.Scopes, EntryScope{Name: scope, Grants: []string{"g"}})
		}
		return h
	}
	changed := func(h Holding, with func(*Holding)) Holding { with(&h); return h }
	reader, writer := having("reader", "files:read", "invoices:read"), having("writer", "invoices:wipe")
	for name, c := range map[string]struct {
		clients []Holding
		entry   string
		want    []string
	}{
		"the entry scope, whoever there is":    {[]Holding{reader, writer}, "mcp:enter", []string{"mcp:enter"}},
		"the entry scope, where nobody is":     {nil, "mcp:enter", []string{"mcp:enter"}},
		"none, where nobody is":                {nil, "", nil},
		"what the only client has":             {[]Holding{writer}, "", []string{"invoices:wipe"}},
		"the least powerful that one has":      {[]Holding{having("both", "invoices:wipe", "files:read")}, "", []string{"files:read"}},
		"what both have":                       {[]Holding{reader, having("other", "invoices:read")}, "", []string{"invoices:read"}},
		"none, where they have nothing common": {[]Holding{reader, writer}, "", nil},
		"not counting who has nothing here":    {[]Holding{reader, having("nobody")}, "", []string{"files:read", "invoices:read"}},
		"not counting who is revoked": {[]Holding{reader, changed(writer, func(h *Holding) { h.Client.Left = RefusedRevoked })}, "",
			[]string{"files:read", "invoices:read"}},
		"not counting who has expired": {[]Holding{reader, changed(writer, func(h *Holding) { h.Client.EndsAt = accessNow })}, "",
			[]string{"files:read", "invoices:read"}},
	} {
		s := server
		s.EntryScope = c.entry
		got := FirstScopes(s, slices.Values(c.clients), accessNow)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
