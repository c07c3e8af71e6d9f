// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// ClientEntry is a registration as the boundary keeps it: what the operator
// says of its client, cut down at once by what the object itself takes away.
type ClientEntry struct {
	Namespace, Name, UID, Owner string
	// ClientID is empty while there is no client.
	ClientID string
	// Scopes are those in force at the authorization server.
	Scopes []EntryScope
	// EndsAt is when the client ends; expired from that instant on.
	EndsAt time.Time
	// Left says why the client may do nothing any more; empty when it may.
	Left Refusal
}

// EntryScope is a scope in force, with the names of the grants it comes from.
type EntryScope struct {
	Name   string
	Grants []string
}

// GrantEntry is a ScopeGrant as the boundary keeps it.
type GrantEntry struct {
	Namespace, Name string
	// Client is the registration's name, in the grant's namespace.
	Client string
	// ServerNamespace and Server name the MCPServer.
	ServerNamespace, Server string
	Scopes                  []string
	Basis                   v1alpha1.GrantBasis
	ApprovedBy              string
	// ChangedTools are not what they were when the grant was approved.
	ChangedTools []string
	// EndsAt is when the grant ends; expired from that instant on.
	EndsAt time.Time
	// InForce says that the operator found the present object to be in force
	// and that it takes nothing back itself.
	InForce bool
}

// ServerEntry is an MCPServer as the boundary keeps it.
type ServerEntry struct {
	Namespace, Name, Owner string
	Resource               string
	// Audience is what its tokens hold in aud; empty where that is the resource.
	Audience            string
	AuthorizationServer string
	Scopes              []CatalogueScope
	// EntryScope is what every client with a grant in force has beside what it was
	// granted; empty for none.
	EntryScope string
	// GuardedFrom are the namespaces that its guards run in; empty where calls may
	// reach it without one.
	GuardedFrom []string
	// WithholdChanged says that changed tools are refused.
	WithholdChanged bool
	// Prober is the registration, in the server's namespace, that may see all
	// tools; empty for none.
	Prober string
	// Taken says that another server has its resource: it is served nowhere.
	Taken bool
}

// TokenAudience is what tokens for the server are for.
func (s ServerEntry) TokenAudience() string { return cmp.Or(s.Audience, s.Resource) }

// CatalogueScope is a scope of a server with the tools it leads to.
type CatalogueScope struct {
	Name  string
	Tier  v1alpha1.Tier
	Tools []string
}

// ClientOf reads a registration. Its spec and metadata only take away: what
// they add counts when the operator has said so in the status.
func ClientOf(reg *v1alpha1.MCPClientRegistration) ClientEntry {
	entry := ClientEntry{
		Namespace: reg.Namespace, Name: reg.Name, UID: string(reg.UID), Owner: reg.Annotations[v1alpha1.AnnotationOwner],
		ClientID: reg.Status.ClientID,
	}
	for _, scope := range reg.Status.Scopes {
		entry.Scopes = append(entry.Scopes, EntryScope{Name: scope.Name, Grants: slices.Clone(scope.Grants)})
	}
	var readable bool
	entry.EndsAt, readable = earliestEnd(reg, reg.Status.ExpiresAt)
	switch {
	case reg.DeletionTimestamp != nil:
		entry.Left = RefusedRevoked
	case reg.Spec.State == v1alpha1.StateSuspended:
		entry.Left = RefusedSuspended
	case !readable, revoking(reg.Status) && reg.Status.Revocation.Cause == v1alpha1.CauseExpired:
		entry.Left = RefusedExpired
	case revoking(reg.Status):
		entry.Left = RefusedRevoked
	case readOwner(reg) != nil:
		entry.Left = RefusedRevoked
	}
	return entry
}

// revoking says that the operator is about to revoke the present client, whether
// or not the authorization server was told yet.
func revoking(status v1alpha1.MCPClientRegistrationStatus) bool {
	r := status.Revocation
	return r != nil && r.ClientID != "" && r.ClientID == status.ClientID && r.VerifiedAt == nil
}

// GrantOf reads a grant. One that changed since the operator looked at it is
// not in force until it has looked again.
func GrantOf(grant *v1alpha1.ScopeGrant) GrantEntry {
	entry := GrantEntry{
		Namespace: grant.Namespace, Name: grant.Name, Client: grant.Spec.ClientRef.Name,
		ServerNamespace: grant.ServerNamespace(), Server: grant.Spec.ServerRef.Name,
		Basis: grant.Status.Basis, ChangedTools: slices.Clone(grant.Status.ChangedTools),
	}
	for _, scope := range grant.Spec.Scopes {
		entry.Scopes = append(entry.Scopes, string(scope))
	}
	if approval := grant.Status.Approval; approval != nil && (entry.Basis == v1alpha1.BasisApproved || entry.Basis == v1alpha1.BasisPreApproved) {
		entry.ApprovedBy = approval.ApprovedBy
	}
	var readable bool
	entry.EndsAt, readable = earliestEnd(grant, grant.Status.ExpiresAt)
	entry.InForce = readable && readOwner(grant) == nil && grant.DeletionTimestamp == nil && entry.Basis != "" &&
		grant.Status.ObservedGeneration == grant.Generation && !denied(grant)
	return entry
}

// denied reports whether the status of a grant tells of a denial.
func denied(grant *v1alpha1.ScopeGrant) bool {
	approval := grant.Status.Approval
	return approval != nil && approval.Decision == v1alpha1.DecisionDenied
}

// ServerOf reads a server.
func ServerOf(server *v1alpha1.MCPServer) ServerEntry {
	entry := ServerEntry{
		Namespace: server.Namespace, Name: server.Name, Owner: server.Annotations[v1alpha1.AnnotationOwner],
		Resource: server.Spec.Resource, Audience: server.Spec.Audience, AuthorizationServer: server.Spec.AuthorizationServerRef.Name,
		WithholdChanged: server.Spec.ToolChanges == v1alpha1.ToolChangesWithhold, EntryScope: string(server.Spec.EntryScope),
	}
	accepted := apimeta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionAccepted)
	entry.Taken = accepted != nil && accepted.Status == metav1.ConditionFalse && accepted.Reason == v1alpha1.ReasonResourceTaken
	entry.GuardedFrom = GuardedFrom(server)
	if probe := server.Spec.Probe; probe != nil && probe.Mode != v1alpha1.ProbeDisabled && probe.ClientRef != nil {
		entry.Prober = probe.ClientRef.Name
	}
	if slices.ContainsFunc(server.Spec.Scopes, func(s v1alpha1.Scope) bool { return s.Name == server.Spec.EntryScope }) {
		entry.EntryScope = ""
	}
	for _, scope := range server.Spec.Scopes {
		entry.Scopes = append(entry.Scopes, CatalogueScope{Name: string(scope.Name), Tier: scope.Tier, Tools: slices.Clone(scope.Tools)})
	}
	return entry
}

// GuardedFrom are the namespaces that the guards of a server run in; none where
// it may be reached without one.
func GuardedFrom(server *v1alpha1.MCPServer) []string {
	switch {
	case server.Spec.Boundary != v1alpha1.BoundaryGuarded:
		return nil
	case len(server.Spec.GuardNamespaces) > 0:
		return slices.Clone(server.Spec.GuardNamespaces)
	}
	return []string{server.Namespace}
}

// earliestEnd is the earlier of what the annotation and the operator say.
func earliestEnd(object metav1.Object, status *metav1.Time) (at time.Time, readable bool) {
	own := readEnd(object)
	if own.verdict != nil {
		return time.Time{}, false
	}
	if status != nil && status.Time.Before(own.at) {
		return status.Time, true
	}
	return own.at, true
}

// Refusal is why a call is refused. The zero value is no refusal.
type Refusal string

// The values of Refusal that the register gives.
const (
	// RefusedDenied: an AccessDenial names the client.
	RefusedDenied Refusal = "Denied"
	// RefusedUnknownClient: no registration has this client id.
	RefusedUnknownClient Refusal = "UnknownClient"
	// RefusedRevoked: the registration is being deleted, or has no owner.
	RefusedRevoked Refusal = "Revoked"
	// RefusedSuspended: the registration is suspended.
	RefusedSuspended Refusal = "Suspended"
	// RefusedExpired: the registration has expired.
	RefusedExpired Refusal = "Expired"
	// RefusedNoGrant: no grant in force gives what was called.
	RefusedNoGrant Refusal = "NoGrant"
	// RefusedScopeMissing: a grant is in force, but the token lacks its scope.
	RefusedScopeMissing Refusal = "ScopeMissing"
	// RefusedToolUnknown: no scope of the server leads to this tool.
	RefusedToolUnknown Refusal = "ToolUnknown"
	// RefusedReviewRequired: the tool changed since the grant was approved.
	RefusedReviewRequired Refusal = "ReviewRequired"
)

// CallFacts are what a decision about one call rests on.
type CallFacts struct {
	Server ServerEntry
	// Clients are the registrations with the token's client id at the server's
	// authorization server: one, unless something is wrong.
	Clients []ClientEntry
	// Denials are those that name the token's client, also where no registration
	// has it.
	Denials []DenialEntry
	// Grants are those of that client.
	Grants []GrantEntry
	// Scopes are those of the token.
	Scopes []string
	// Tool is what is called; empty when it is not a tool.
	Tool string
	// Untied says that what is called belongs to no tool, and needs a scope that
	// is not tied to tools: resources, prompts and what is not known here.
	Untied bool
}

// CallDecision is the answer about one call.
type CallDecision struct {
	// Refusal is empty when the call is allowed.
	Refusal Refusal
	Client  ClientEntry
	// Grant and Scope are what allowed it; of several the one that ends last.
	Grant GrantEntry
	Scope string
	// StepUp are the scopes to ask for, where that would help: one for a tool,
	// else any of them.
	StepUp []string
	// Until is when the answer can change without any event.
	Until time.Time
}

// Caller decides as much about a call as does not depend on what is called: whether its
// client may call anything anywhere. It looks at no grant.
func Caller(f CallFacts, now time.Time) CallDecision {
	if f.denied(now) {
		d := CallDecision{Refusal: RefusedDenied}
		if len(f.Clients) == 1 {
			d.Client = f.Clients[0]
		}
		return d
	}
	if len(f.Clients) != 1 || f.Clients[0].ClientID == "" {
		return CallDecision{Refusal: RefusedUnknownClient}
	}
	d := CallDecision{Client: f.Clients[0]}
	switch {
	case d.Client.Left != "":
		d.Refusal = d.Client.Left
	case expired(now, d.Client.EndsAt):
		d.Refusal = RefusedExpired
	}
	return d
}

// Call decides whether a client may do something at a server. The order of the
// questions is the policy.
func Call(f CallFacts, now time.Time) CallDecision {
	d := Caller(f, now)
	if d.Refusal != "" {
		return d
	}
	candidates := f.candidates()
	if len(candidates) == 0 {
		d.Refusal = RefusedToolUnknown
		if f.Tool == "" {
			d.Refusal = RefusedNoGrant
		}
		return d
	}
	d.weigh(f, candidates, now)
	return d
}

// weigh looks for the grant that allows a call by one of some scopes. Where
// there is none, a scope that can be asked for is worth more to know than a tool
// to review, and that more than a grant to ask for.
func (d *CallDecision) weigh(f CallFacts, candidates []CatalogueScope, now time.Time) {
	changed := d.look(f, candidates, now)
	switch {
	case d.Scope != "":
		d.StepUp, d.Until = nil, earliest(d.Client.EndsAt, d.Grant.EndsAt)
	case len(d.StepUp) > 0:
		d.Refusal, d.StepUp = RefusedScopeMissing, f.toAskFor(d.StepUp)
	case changed:
		d.Refusal = RefusedReviewRequired
	default:
		d.Refusal, d.StepUp = RefusedNoGrant, f.grantable(candidates)
	}
}

// grantable is the least powerful scope to ask for a grant of. The entry scope comes
// with any.
func (f CallFacts) grantable(candidates []CatalogueScope) []string {
	for _, scope := range candidates {
		if scope.Name != f.Server.EntryScope {
			return []string{scope.Name}
		}
	}
	return nil
}

// look goes through the grants of some scopes: it notes the one that allows a call
// and the scopes that a token would need, and says whether a tool was withheld.
func (d *CallDecision) look(f CallFacts, candidates []CatalogueScope, now time.Time) (changed bool) {
	for _, scope := range candidates {
		for _, grant := range f.Grants {
			switch {
			case !grant.gives(f.Server, d.Client, scope.Name, now):
			case f.Server.WithholdChanged && grant.changed(f.Tool):
				changed = true
			case !slices.Contains(f.Scopes, scope.Name):
				d.StepUp = append(d.StepUp, scope.Name)
			case d.Scope == "" || grant.EndsAt.After(d.Grant.EndsAt):
				d.Grant, d.Scope = grant, scope.Name
			}
		}
	}
	return changed
}

// toAskFor are the scopes to step up to: for a tool the least powerful is enough,
// and to get in the entry scope is.
func (f CallFacts) toAskFor(scopes []string) []string {
	if f.Tool != "" || slices.Contains(scopes, f.Server.EntryScope) {
		return scopes[:1]
	}
	return slices.Compact(scopes)
}

// gives says whether a grant gives a client a scope of a server now.
func (g GrantEntry) gives(server ServerEntry, client ClientEntry, scope string, now time.Time) bool {
	return g.InForce && !expired(now, g.EndsAt) &&
		g.Namespace == client.Namespace && g.Client == client.Name &&
		g.ServerNamespace == server.Namespace && g.Server == server.Name &&
		(slices.Contains(g.Scopes, scope) || scope == server.EntryScope) && client.holds(scope, g.Name)
}

// changed says that a tool is not known to be what it was when the grant was
// approved.
func (g GrantEntry) changed(tool string) bool {
	return tool != "" && (slices.Contains(g.ChangedTools, tool) || len(g.ChangedTools) >= maxChangedTools)
}

// GrantNames are the names of the grants that the client has scopes of, each once.
func (c ClientEntry) GrantNames() []string {
	var names []string
	for i, scope := range c.Scopes {
		// Scopes of one grant mostly follow one another.
		if i == 0 || !slices.Equal(scope.Grants, c.Scopes[i-1].Grants) {
			names = append(names, scope.Grants...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// holds says that the operator put a scope of a grant into force.
func (c ClientEntry) holds(scope, grant string) bool {
	return slices.ContainsFunc(c.Scopes, func(s EntryScope) bool {
		return s.Name == scope && slices.Contains(s.Grants, grant)
	})
}

// candidates are the scopes that would allow a call, the least powerful first.
// What is neither a tool nor untied any scope allows, and the entry scope first of
// all.
func (f CallFacts) candidates() []CatalogueScope {
	var found []CatalogueScope
	if f.Server.EntryScope != "" && f.Tool == "" && !f.Untied {
		found = append(found, CatalogueScope{Name: f.Server.EntryScope})
	}
	first := len(found)
	for _, scope := range f.Server.Scopes {
		switch {
		case f.Tool != "" && !slices.Contains(scope.Tools, f.Tool):
		case f.Tool == "" && f.Untied && len(scope.Tools) > 0:
		default:
			found = append(found, scope)
		}
	}
	slices.SortStableFunc(found[first:], func(a, b CatalogueScope) int {
		return cmp.Or(cmp.Compare(rank(a.Tier), rank(b.Tier)), strings.Compare(a.Name, b.Name))
	})
	return found
}

// rank orders tiers by power; what is not known is the most powerful.
func rank(tier v1alpha1.Tier) int {
	switch tier {
	case v1alpha1.TierRead:
		return 0
	case v1alpha1.TierWrite:
		return 1
	case v1alpha1.TierElevated:
		return 2
	}
	return 3
}

// Catalogued says that some scope of the server leads to a tool.
func (s ServerEntry) Catalogued(tool string) bool {
	return slices.ContainsFunc(s.Scopes, func(scope CatalogueScope) bool { return slices.Contains(scope.Tools, tool) })
}
