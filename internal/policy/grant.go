// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// defaultTokenLifetime is used where a server does not state a bound.
const defaultTokenLifetime = 900 * time.Second

// scopeToken is the syntax of RFC 6749 §3.3.
var scopeToken = regexp.MustCompile(`\A[\x21\x23-\x5B\x5D-\x7E]+\z`)

var catchAll = regexp.MustCompile(v1alpha1.CatchAllPattern)

// scopeRefusal says why a scope name is refused; empty when it is not.
func scopeRefusal(name v1alpha1.ScopeName) string {
	switch {
	case name == "":
		return "a scope name is empty: name what it allows, for example invoices:read"
	case len(name) > maxScopeName:
		return fmt.Sprintf("scope %q has more than %d characters: give it a shorter name, for example invoices:read", shorten(string(name)), maxScopeName)
	case !scopeToken.MatchString(string(name)):
		return fmt.Sprintf("scope %q is not a scope token (RFC 6749 section 3.3): use printable characters without space, quote and backslash, for example invoices:read", name)
	case strings.Contains(string(name), "*"):
		return fmt.Sprintf("scope %q contains a wildcard: name what it allows, for example invoices:read", name)
	case isOIDCScope(string(name)):
		return fmt.Sprintf("scope %q is one of the authorization server itself and leads to no server: name what it allows, for example invoices:read", name)
	case catchAll.MatchString(strings.ToLower(string(name))):
		return fmt.Sprintf("scope %q is a catch-all name: name what it allows, for example invoices:read", name)
	}
	return ""
}

// grantRule refuses a grant, or has nothing to say.
type grantRule func(f GrantFacts, now time.Time) *Verdict

// grantRules are asked in this order; the first refusal wins. Those that need
// only the object and the time come first. Whether the server's owners consent
// is asked when all of them have nothing to say.
var grantRules = []grantRule{
	grantNotDeleting,
	grantHasOwner,
	grantNotExpired,
	grantScopesAreNames,
	grantRegistrationThere,
	grantServerAvailable,
	grantServerAccepted,
	grantSameAuthorizationServer,
	grantOwnerMatches,
	grantScopesKnown,
	grantHasReason,
}

// Grant decides whether a ScopeGrant is in force.
func Grant(f GrantFacts, now time.Time) GrantDecision {
	decision := GrantDecision{ExpiresAt: readEnd(f.Grant).at, Term: f.Grant.Status.Term}
	for _, rule := range grantRules {
		if verdict := rule(f, now); verdict != nil {
			return decision.refuse(*verdict, now)
		}
	}
	term := decideTerm(subjectOf(f.Grant), readEnd(f.Grant).at, grantLifetime(f), now)
	decision.AcceptableAt = term.acceptableAt
	if term.accepted != nil {
		decision.ExpiresAt = earliest(decision.ExpiresAt, term.end)
		if expired(now, decision.ExpiresAt) {
			return decision.refuse(*grantTermOver(term), now)
		}
	}
	consent := consents(f, now)
	decision.Asked, decision.Approval, decision.Void = true, consent.approval, consent.void
	decision.AcceptableAt = earliest(decision.AcceptableAt, nextToEnd(f, now))
	if consent.refusal != nil {
		decision.EndedAt = consent.lapsed
		return decision.refuse(*consent.refusal, now)
	}
	decision.ExpiresAt, decision.Term = earliest(decision.ExpiresAt, consent.until), term.accepted
	if term.accepted == nil {
		return decision.refuse(*term.refusal, now)
	}
	if refusal := crowded(f); refusal != nil {
		return decision.refuse(*refusal, now)
	}
	if refusal := grantHasRoom(f); refusal != nil {
		return decision.refuse(*refusal, now)
	}
	decision.InForce, decision.Basis = true, consent.basis
	decision.Resource, decision.Audience = f.Server.Object.Spec.Resource, AudienceOf(f.Server.Object)
	decision.TokenLifetime = tokenLifetime(f.Server.Object)
	decision.Verdict = Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the grant is in force"}
	if term.refusal != nil {
		decision.Verdict = *term.refusal
	}
	return decision
}

// refuse is a decision against a grant. One that ended by time says when.
func (d GrantDecision) refuse(verdict Verdict, now time.Time) GrantDecision {
	d.Verdict, d.Undecided = verdict, verdict.Standing == Undecided
	if d.EndedAt.IsZero() && !d.ExpiresAt.IsZero() && expired(now, d.ExpiresAt) {
		d.EndedAt = d.ExpiresAt
	}
	return d
}

// grantTermOver is the verdict on a grant that is past the server's bound.
func grantTermOver(t term) *Verdict {
	if t.refusal != nil {
		refusal := *t.refusal
		refusal.Standing, refusal.Cause, refusal.DueAt = Refused, v1alpha1.CauseExpired, t.end
		return &refusal
	}
	return expiredVerdict(t.end)
}

// grantLifetime is the shortest of the bounds that the server sets for the
// tiers of the grant; 0 means none.
func grantLifetime(f GrantFacts) time.Duration {
	policy := f.Server.Object.Spec.Grants
	if policy == nil {
		return 0
	}
	var shortest time.Duration
	for _, scope := range grantedScopes(f) {
		for _, bound := range policy.MaxLifetimes {
			limit := time.Duration(bound.Seconds) * time.Second
			if bound.Tier == scope.Tier && (shortest == 0 || limit < shortest) {
				shortest = limit
			}
		}
	}
	return shortest
}

func tokenLifetime(server *v1alpha1.MCPServer) time.Duration {
	if bound := server.Spec.AccessTokenLifetimeSeconds; bound != nil {
		return time.Duration(*bound) * time.Second
	}
	return defaultTokenLifetime
}

// A grant that is being deleted is not in force.
func grantNotDeleting(f GrantFacts, _ time.Time) *Verdict {
	if f.Grant.DeletionTimestamp != nil {
		return &Verdict{Reason: v1alpha1.ReasonDeleting, Message: "the grant is being deleted", Waiting: true}
	}
	return nil
}

// A grant for which nobody answers is not in force.
func grantHasOwner(f GrantFacts, _ time.Time) *Verdict { return readOwner(f.Grant) }

// A grant without a readable end, or past its end, is not in force.
func grantNotExpired(f GrantFacts, now time.Time) *Verdict {
	e := readEnd(f.Grant)
	if e.verdict != nil {
		return e.verdict
	}
	if expired(now, e.at) {
		return expiredVerdict(e.at)
	}
	return nil
}

// A wildcard or a catch-all name grants nothing, whatever the schema admitted.
func grantScopesAreNames(f GrantFacts, _ time.Time) *Verdict {
	if len(f.Grant.Spec.Scopes) == 0 {
		return &Verdict{Reason: v1alpha1.ReasonScopeNotAllowed, Message: "spec.scopes is empty: name at least one scope, for example invoices:read"}
	}
	for _, name := range f.Grant.Spec.Scopes {
		if refusal := scopeRefusal(name); refusal != "" {
			return &Verdict{Reason: v1alpha1.ReasonScopeNotAllowed, Message: "spec.scopes: " + refusal}
		}
	}
	return nil
}

// Without its registration a grant waits.
func grantRegistrationThere(f GrantFacts, _ time.Time) *Verdict {
	switch f.RegistrationIs {
	case Present:
		return nil
	case Unknown:
		return unknownVerdict("the MCPClientRegistration")
	case Absent:
	}
	return &Verdict{
		Reason: v1alpha1.ReasonRegistrationNotFound, Waiting: true,
		Message: fmt.Sprintf("spec.clientRef: there is no MCPClientRegistration %q in this namespace: create it", f.Grant.Spec.ClientRef.Name),
	}
}

// A server of another namespace must admit the grant's namespace. Whether the
// server exists is not told: both answers read the same.
func grantServerAvailable(f GrantFacts, _ time.Time) *Verdict {
	switch f.Server.Is {
	case Unknown:
		if f.Server.Unwatched {
			return serverNotWatched(f.Grant)
		}
		return unknownVerdict("the MCPServer")
	case Present:
		if f.Server.Object.DeletionTimestamp == nil {
			return serverAdmits(f)
		}
	case Absent:
	}
	return serverNotAvailable(f)
}

func serverAdmits(f GrantFacts) *Verdict {
	server := f.Server.Object
	if f.Grant.Namespace == server.Namespace && server.Spec.AllowedClients == nil {
		return nil
	}
	from, selector := v1alpha1.NamespacesSame, (*metav1.LabelSelector)(nil)
	if allowed := server.Spec.AllowedClients; allowed != nil {
		from, selector = allowed.Namespaces, allowed.Selector
	}
	namespace := f.Namespace
	namespace.Name = f.Grant.Namespace
	switch admits(from, selector, server.Namespace, namespace) {
	case Present:
		return nil
	case Unknown:
		return unknownVerdict("the namespace")
	case Absent:
	}
	return serverNotAvailable(f)
}

func serverNotAvailable(f GrantFacts) *Verdict {
	return &Verdict{
		Reason: v1alpha1.ReasonServerNotAvailable, Waiting: true,
		Message: fmt.Sprintf("spec.serverRef: no MCPServer %q in namespace %q admits this namespace: create it, or ask its owners to list this namespace in spec.allowedClients",
			f.Grant.Spec.ServerRef.Name, f.Grant.ServerNamespace()),
	}
}

// serverNotWatched keeps what a grant gave before: that the operator was told to
// watch less says nothing about the server. A grant that gave nothing gives
// nothing now.
func serverNotWatched(grant *v1alpha1.ScopeGrant) *Verdict {
	verdict := &Verdict{
		Reason:  v1alpha1.ReasonServerNotWatched,
		Message: "spec.serverRef: the operator does not watch the namespace of the MCPServer (--watch-namespaces): nothing new is given; ask the platform team to add it",
	}
	if grant.Status.Basis != "" && grant.Status.ObservedGeneration == grant.Generation {
		verdict.Standing = Undecided
	}
	return verdict
}

// admits says whether a namespace is admitted: Present for yes, Absent for no.
func admits(from v1alpha1.NamespacesFrom, selector *metav1.LabelSelector, own string, ns NamespaceFact) Knowledge {
	switch from {
	case v1alpha1.NamespacesAll:
		return Present
	case v1alpha1.NamespacesSame:
		if own != "" && ns.Name == own {
			return Present
		}
		return Absent
	case v1alpha1.NamespacesSelector:
		return selects(selector, ns)
	}
	return Absent
}

func selects(selector *metav1.LabelSelector, ns NamespaceFact) Knowledge {
	if ns.Is != Present {
		return ns.Is
	}
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || !compiled.Matches(labels.Set(ns.Labels)) {
		return Absent
	}
	return Present
}

// A server that is not accepted itself leads nowhere.
func grantServerAccepted(f GrantFacts, _ time.Time) *Verdict {
	decision := Server(ServerFacts{Server: f.Server.Object, AuthorizationServer: f.AuthorizationServer, Namespace: f.ServerNamespace, Claims: f.ServerClaims, Room: f.ServerRoom})
	switch decision.Standing {
	case Allowed:
		return nil
	case Undecided:
		return unknownVerdict("the AuthorizationServer")
	case Refused, Frozen:
	}
	return &Verdict{
		Reason: v1alpha1.ReasonServerNotAccepted, Waiting: true,
		Message: "spec.serverRef: the MCPServer is not accepted: ask its owners to look at its conditions",
	}
}

// Client and server must use the same authorization server.
func grantSameAuthorizationServer(f GrantFacts, _ time.Time) *Verdict {
	as := f.AuthorizationServer.Object
	if as == nil || f.Server.Object.Spec.AuthorizationServerRef.Name != as.Name {
		return &Verdict{
			Reason:  v1alpha1.ReasonAuthorizationServerMismatch,
			Message: "spec.serverRef: the MCPServer accepts tokens of another AuthorizationServer than that of the registration: register the client there",
		}
	}
	return nil
}

// The owner must be one that the platform team accepts.
func grantOwnerMatches(f GrantFacts, _ time.Time) *Verdict {
	return ownerMatches(f.Grant, f.AuthorizationServer)
}

// Every scope must be in the server's catalogue.
func grantScopesKnown(f GrantFacts, _ time.Time) *Verdict {
	for _, name := range f.Grant.Spec.Scopes {
		if !slices.ContainsFunc(f.Server.Object.Spec.Scopes, func(s v1alpha1.Scope) bool { return s.Name == name }) {
			return &Verdict{
				Reason:  v1alpha1.ReasonScopeUnknown,
				Message: fmt.Sprintf("spec.scopes: %q is not in the catalogue of the MCPServer: name a scope that its spec.scopes lists, for example invoices:read", name),
			}
		}
	}
	return nil
}

// A scope above Read needs a reason, whoever approves it.
func grantHasReason(f GrantFacts, _ time.Time) *Verdict {
	for _, scope := range grantedScopes(f) {
		if scope.Tier != v1alpha1.TierRead && strings.TrimSpace(f.Grant.Spec.Reason) == "" {
			return &Verdict{
				Reason:  v1alpha1.ReasonReasonMissing,
				Message: fmt.Sprintf("spec.reason is missing: scope %q is of tier %s, say what it is needed for, for example reason: \"monthly close, ticket FIN-1234\"", scope.Name, scope.Tier),
			}
		}
	}
	return nil
}

// unknownVerdict keeps what exists and gives nothing new.
func unknownVerdict(what string) *Verdict {
	return &Verdict{
		Standing: Undecided, Reason: v1alpha1.ReasonFactUnknown, Waiting: true,
		Message: what + " could not be read: nothing is changed, tried again",
	}
}

// Applied decides whether the registration carries what a grant in force
// gives, as its status says. reg is nil when there is none.
func Applied(grant *v1alpha1.ScopeGrant, decision GrantDecision, reg *v1alpha1.MCPClientRegistration) Verdict {
	if !decision.InForce || reg == nil {
		return Verdict{Reason: v1alpha1.ReasonNotApplied, Message: "the grant is not in force"}
	}
	if apimeta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionStalled) && len(reg.Status.Scopes) == 0 {
		return Verdict{Reason: v1alpha1.ReasonNotApplied, Message: "the registration has no client and somebody must act on it: look at the conditions of the MCPClientRegistration"}
	}
	carried := func(name v1alpha1.ScopeName) bool {
		return slices.ContainsFunc(reg.Status.Scopes, func(s v1alpha1.EffectiveScope) bool {
			return s.Name == string(name) && slices.Contains(s.Grants, grant.Name)
		})
	}
	for _, name := range grant.Spec.Scopes {
		if !carried(name) {
			return Verdict{
				Standing: Undecided, Waiting: true, Reason: v1alpha1.ReasonRegistrationPending,
				Message: fmt.Sprintf("the registration does not carry scope %q at the authorization server yet: look at the conditions of the MCPClientRegistration", name),
			}
		}
	}
	return Verdict{Standing: Allowed, Reason: v1alpha1.ReasonApplied, Message: "the scopes are in force at the authorization server"}
}
