// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// maxOrphans is how many requests may end without an answer before a person
// is asked to look.
const maxOrphans = 16

// maxUnanswered is how many of them may be so because an answer was lost, and not
// because a process ended: what lost one answer is likely to lose the next.
const maxUnanswered = 2

// inquiry is one decision in the making: the facts, and what the rules have
// worked out so far.
type inquiry struct {
	RegistrationFacts
	now time.Time

	term   term
	grants []GrantDecision
	scopes []v1alpha1.EffectiveScope
}

// registrationRule refuses a registration, or has nothing to say.
type registrationRule func(q *inquiry) *Verdict

// registrationRules are asked in this order; the first refusal wins, else the
// first other answer. Those that need only the object and the time come first.
// A rule that needs a fact which is unknown has nothing to say: the rule that
// asks for the fact has said it.
var registrationRules = []registrationRule{
	notDeleting,
	hasOwner,
	hasReadableEnd,
	notExpiredByOwnWord,
	authorizationServerThere,
	namespaceAllowed,
	namespaceStays,
	ownerAllowed,
	withinTerm,
	notSuspended,
	clientNameAllowed,
	grantTypesAllowed,
	authMethodAllowed,
	redirectURIsAllowed,
	keysAllowed,
	serviceAccountAllowed,
	grantInForce,
	recordKnown,
	revocationFinished,
	unmanageableReleased,
	sameIssuer,
	registeredAsAsked,
	secretNotExpired,
	secretNotForeign,
	endpointKnown,
	adoptionAllowed,
	authMethodSupported,
	codeGrantHasPKCE,
	orphansBounded,
	notRefusedBefore,
	serverManageable,
	operatorHasAccess,
	notPaused,
	serviceAccountFree,
	placeFree,
	newTermAccepted,
}

// Registration decides about an MCPClientRegistration.
func Registration(f RegistrationFacts, now time.Time) RegistrationDecision {
	q := &inquiry{RegistrationFacts: f, now: now}
	q.prepare()
	return q.decide(q.judge())
}

// judge asks the rules. A refusal ends the matter; what only freezes or leaves
// undecided is kept in mind, because a later rule may still refuse.
func (q *inquiry) judge() Verdict {
	verdict := Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the registration is accepted"}
	for _, rule := range registrationRules {
		answer := rule(q)
		switch {
		case answer == nil:
		case answer.Standing == Refused:
			return *answer
		case verdict.Standing == Allowed:
			verdict = *answer
		}
	}
	return verdict
}

// prepare works out what several rules need: the term and the scopes.
func (q *inquiry) prepare() {
	if e := readEnd(q.Registration); e.verdict == nil {
		q.term = undecidedTerm(q.Registration.Status.Term, e.at)
		if q.AuthorizationServer.Is == Present {
			q.term = decideTerm(subjectOf(q.Registration), e.at, maximumLifetime(q.AuthorizationServer), q.now)
		}
	}
	q.disownKey()
	for _, facts := range q.Grants {
		facts.Registration = q.Registration
		q.grants = append(q.grants, Grant(facts, q.now))
	}
	q.share()
	q.gatherScopes()
}

// gatherScopes works out the scopes in force, with the grants that they come from: those
// that were granted, and the entry scope of each server that a grant is in force at,
// as long as there is room for it.
func (q *inquiry) gatherScopes() {
	sources := map[v1alpha1.ScopeName][]string{}
	total := newLoad()
	for i, facts := range q.Grants {
		if !q.grants[i].InForce {
			continue
		}
		total.add(facts.Grant)
		for _, name := range facts.Grant.Spec.Scopes {
			sources[name] = append(sources[name], facts.Grant.Name)
		}
	}
	order, _ := q.precedence()
	for _, i := range order {
		facts := q.Grants[i]
		if entry := facts.Server.entryScope(); entry != "" && q.grants[i].InForce && total.takes(string(entry)) {
			sources[entry] = append(sources[entry], facts.Grant.Name)
		}
	}
	for name, grants := range sources {
		slices.Sort(grants)
		q.scopes = append(q.scopes, v1alpha1.EffectiveScope{Name: string(name), Grants: slices.Compact(grants)})
	}
	slices.SortFunc(q.scopes, func(a, b v1alpha1.EffectiveScope) int { return strings.Compare(a.Name, b.Name) })
}

// disownKey takes a key in the Secret for none that the server does not know, or
// that was replaced: who put it there was not the operator.
func (q *inquiry) disownKey() {
	key, r := q.Credentials.PublicJWKS, q.Record.Rotation
	if key == "" || !NeedsOwnKey(q.Registration.Spec) || !q.Record.Live() || q.Record.Client.Registered.JWKS == "" {
		return
	}
	replaced := !r.KeyWaits() && key == r.OldJWKS
	if !q.Record.knows(key) && key != r.NextJWKS || replaced {
		q.Credentials.PrivateKey, q.Credentials.KeyID, q.Credentials.PublicJWKS = authserver.Secret{}, "", ""
	}
}

// A registration that is being deleted has no client.
func notDeleting(q *inquiry) *Verdict {
	if at := q.Registration.DeletionTimestamp; at != nil {
		return &Verdict{
			Reason: v1alpha1.ReasonDeleting, Cause: v1alpha1.CauseDeleted, DueAt: at.Time, Waiting: true,
			Message: "the registration is being deleted: it goes when the client is proven to be gone at the authorization server",
		}
	}
	return nil
}

// No owner, no access.
func hasOwner(q *inquiry) *Verdict { return readOwner(q.Registration) }

// No readable end, no access.
func hasReadableEnd(q *inquiry) *Verdict { return readEnd(q.Registration).verdict }

// An end that has come needs no other fact.
func notExpiredByOwnWord(q *inquiry) *Verdict {
	if at := readEnd(q.Registration).at; expired(q.now, at) {
		return expiredVerdict(at)
	}
	return nil
}

// A suspended registration has no client.
func notSuspended(q *inquiry) *Verdict {
	switch q.Registration.Spec.State {
	case v1alpha1.StateActive, "":
		return nil
	case v1alpha1.StateSuspended:
	}
	return &Verdict{
		Reason: v1alpha1.ReasonSuspended, Cause: v1alpha1.CauseSuspended,
		Message: "spec.state is Suspended: set it to Active to register again",
	}
}

// Without its AuthorizationServer a registration waits; a client that it holds
// is revoked.
func authorizationServerThere(q *inquiry) *Verdict {
	return authorizationServerFound(q.Registration.Spec.AuthorizationServerRef.Name, q.AuthorizationServer)
}

// The AuthorizationServer must admit the namespace.
func namespaceAllowed(q *inquiry) *Verdict {
	if q.AuthorizationServer.Object == nil {
		return nil
	}
	allowed := q.AuthorizationServer.Object.Spec.AllowedNamespaces
	is := Absent
	if allowed != nil {
		is = admits(allowed.From, allowed.Selector, "", q.Namespace)
	}
	switch is {
	case Present:
		return nil
	case Unknown:
		return unknownVerdict("the namespace")
	case Absent:
	}
	return &Verdict{
		Reason: v1alpha1.ReasonNamespaceNotAllowed, Cause: v1alpha1.CauseNotAllowed,
		Message: "spec.authorizationServerRef: the AuthorizationServer does not admit this namespace: ask the platform team to list it in spec.allowedNamespaces",
	}
}

// Nothing new is made in a namespace that is being deleted.
func namespaceStays(q *inquiry) *Verdict {
	if !q.Namespace.Terminating {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonDeleting, Waiting: true,
		Message: "the namespace is being deleted: nothing new is registered for it",
	}
}

// The owner must be one that the platform team accepts.
func ownerAllowed(q *inquiry) *Verdict { return ownerMatches(q.Registration, q.AuthorizationServer) }

// The effective end is the earliest of the annotation and the term's start
// plus the maximum. A first term beyond the maximum is refused.
func withinTerm(q *inquiry) *Verdict {
	switch {
	case q.term.accepted == nil:
		return q.term.refusal
	case !expired(q.now, q.term.end):
		return nil
	case q.term.refusal != nil:
		refusal := *q.term.refusal
		refusal.Standing, refusal.Cause, refusal.DueAt = Refused, v1alpha1.CauseExpired, q.term.end
		return &refusal
	}
	return expiredVerdict(q.term.end)
}

// Every grant type must be one that the policy lists.
func grantTypesAllowed(q *inquiry) *Verdict {
	allowed := registrationPolicy(q.AuthorizationServer).AllowedGrantTypes
	for _, grant := range q.Registration.Spec.GrantTypes {
		if wireGrantTypes[grant] == "" || (allowed != nil && !slices.Contains(allowed, grant)) {
			return notAllowed(v1alpha1.ReasonGrantTypeNotAllowed,
				fmt.Sprintf("spec.grantTypes: %q is not allowed by the AuthorizationServer's policy: remove it, for example grantTypes: [%s]", grant, example(allowed, v1alpha1.GrantAuthorizationCode)))
		}
	}
	return nil
}

// Every redirect URI must be https or loopback, in full, and match a pattern
// of the policy if it has any.
func redirectURIsAllowed(q *inquiry) *Verdict {
	patterns := registrationPolicy(q.AuthorizationServer).RedirectURIPatterns
	if given := len(q.Registration.Spec.RedirectURIs); given > maxURIs {
		return notAllowed(v1alpha1.ReasonRedirectURINotAllowed,
			fmt.Sprintf("spec.redirectURIs: %d are listed, and at most %d may be: remove those that are not used", given, maxURIs))
	}
	for _, uri := range q.Registration.Spec.RedirectURIs {
		if refusal := redirectRefusal(string(uri)); refusal != "" {
			return notAllowed(v1alpha1.ReasonRedirectURINotAllowed, "spec.redirectURIs: "+refusal)
		}
		if refusal := q.privateUseRefusal(string(uri), patterns); refusal != nil {
			return refusal
		}
		if len(patterns) == 0 {
			continue
		}
		switch matchesAny(patternsFor(string(uri), patterns), string(uri)) {
		case Present:
		case Unknown:
			return badPatternVerdict()
		case Absent:
			return notAllowed(v1alpha1.ReasonRedirectURINotAllowed,
				fmt.Sprintf("spec.redirectURIs: %q matches no pattern of the AuthorizationServer's policy: use one that does, for example one that matches %s", uri, patterns[0]))
		}
	}
	return nil
}

// otherSchemes are what a pattern that names a scheme does not match in its place.
var otherSchemes = []string{"zzqx", "zz.qx-7+"}

// patternsFor are the patterns that count for a redirect URI: for one of a private-use
// scheme those that name its scheme. One that was written for hosts and paths would let
// in every program's. What cannot be compiled counts, so that nothing is changed by it.
func patternsFor(uri string, patterns []string) []string {
	if !privateUse(uri) {
		return patterns
	}
	_, rest, _ := strings.Cut(uri, ":")
	return slices.DeleteFunc(slices.Clone(patterns), func(pattern string) bool {
		return slices.ContainsFunc(otherSchemes, func(other string) bool {
			return matchesAny([]string{pattern}, other+":"+rest) == Present
		})
	})
}

// privateUseRefusal refuses a redirect URI of a private-use scheme that nobody allowed:
// any program on a user's machine may take a scheme for itself, and the code with it.
func (q *inquiry) privateUseRefusal(uri string, patterns []string) *Verdict {
	switch {
	case !privateUse(uri):
		return nil
	case q.Registration.Spec.ApplicationType != v1alpha1.ApplicationNative:
		return notAllowed(v1alpha1.ReasonRedirectURINotAllowed,
			fmt.Sprintf("spec.redirectURIs: %q is of a private-use scheme, which only programs on a user's machine have: set applicationType: Native", uri))
	case len(patternsFor(uri, patterns)) == 0 && q.AuthorizationServer.Object != nil:
		return notAllowed(v1alpha1.ReasonRedirectURINotAllowed,
			fmt.Sprintf("spec.redirectURIs: %q is of a private-use scheme, and the AuthorizationServer's policy has no pattern that names its scheme: ask the platform team to add one to spec.policy.redirectURIPatterns", uri))
	}
	return nil
}

// A key set must be public, and a place to fetch one from must be listed by
// the policy: the authorization server would fetch what a tenant chose.
func keysAllowed(q *inquiry) *Verdict {
	spec := q.Registration.Spec
	if spec.JWKS != "" {
		if _, refusal := publicJWKS(spec.JWKS); refusal != "" {
			return notAllowed(v1alpha1.ReasonJWKSNotAllowed, "spec.jwks: "+refusal)
		}
	}
	if spec.JWKSURI == "" || q.AuthorizationServer.Object == nil {
		return nil
	}
	if len(spec.JWKSURI) > maxURI || !plainASCII.MatchString(spec.JWKSURI) {
		return notAllowed(v1alpha1.ReasonJWKSNotAllowed,
			fmt.Sprintf("spec.jwksURI must be a URI of at most %d characters (RFC 3986): correct it, for example https://app.example.com/jwks.json", maxURI))
	}
	switch matchesAny(registrationPolicy(q.AuthorizationServer).JWKSURIPatterns, spec.JWKSURI) {
	case Unknown:
		return badPatternVerdict()
	case Absent:
		return notAllowed(v1alpha1.ReasonJWKSNotAllowed,
			`spec.jwksURI: the AuthorizationServer's policy does not list it: give the keys in spec.jwks, for example jwks: '{"keys":[{"kty":"EC","crv":"P-256","x":"…","y":"…"}]}'`)
	case Present:
	}
	return nil
}

// A ServiceAccount takes the place of a key only where the platform team has the
// authorization server trust the tokens of this cluster.
func serviceAccountAllowed(q *inquiry) *Verdict {
	if q.Registration.Spec.ServiceAccountName == "" || q.AuthorizationServer.Object == nil || q.Traits.AssertionIssuer != "" {
		return nil
	}
	return notAllowed(v1alpha1.ReasonAuthMethodNotAllowed,
		"spec.serviceAccountName: the AuthorizationServer does not take the ServiceAccount tokens of this cluster: ask the platform team to set spec.keycloak.kubernetesIdentityProvider where it manages clients through Keycloak, or create another registration without serviceAccountName")
}

// example is the first value that is allowed, for a message.
func example[T ~string](allowed []T, otherwise T) T {
	if len(allowed) > 0 {
		return allowed[0]
	}
	return otherwise
}

func notAllowed(reason, message string) *Verdict {
	return &Verdict{Reason: reason, Message: message, Cause: v1alpha1.CauseNotAllowed}
}

// No grant, no client. A grant that is undecided freezes what exists.
func grantInForce(q *inquiry) *Verdict {
	undecided := slices.ContainsFunc(q.grants, func(g GrantDecision) bool { return g.Undecided })
	for _, grant := range q.grants {
		if grant.Undecided && grant.Verdict.Reason == v1alpha1.ReasonServerNotWatched {
			return new(grant.Verdict)
		}
	}
	if q.GrantsAre == Unknown || undecided {
		return unknownVerdict("a ScopeGrant, its MCPServer or its namespace")
	}
	if len(q.scopes) > 0 {
		return nil
	}
	return &Verdict{
		Reason: v1alpha1.ReasonNoGrantInForce, Waiting: true, Cause: v1alpha1.CauseNoGrantInForce, DueAt: q.lastGrantEnd(),
		Message: "no ScopeGrant for this registration is in force: create one, or look at the conditions of those there are",
	}
}

// lastGrantEnd is when the last of the grants that the client lived on ended,
// if all of them ended by time; zero when one of them went in another way.
func (q *inquiry) lastGrantEnd() time.Time {
	ends := map[string]time.Time{}
	for i, grant := range q.grants {
		ends[q.Grants[i].Grant.Name] = grant.EndedAt
	}
	var last time.Time
	for _, scope := range q.Registration.Status.Scopes {
		for _, name := range scope.Grants {
			at := ends[name]
			if at.IsZero() {
				return time.Time{}
			}
			if at.After(last) {
				last = at
			}
		}
	}
	return last
}
