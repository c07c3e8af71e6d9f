// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// What one registration may have in force. Each member of a grant is bounded by
// its schema; these bound their sum, which the authorization server repeats as one
// text and status lists. Every grant fits by itself.
const (
	// MaxGrants is how many grants may be in force.
	MaxGrants = 64
	// MaxScopes is how many scopes there may be in all, and MaxScopeText how
	// many characters their names may have together.
	MaxScopes    = 128
	MaxScopeText = 8192
)

// load is what some grants bring together.
type load struct {
	grants map[string]bool
	scopes map[string]bool
	text   int
}

func newLoad() *load { return &load{grants: map[string]bool{}, scopes: map[string]bool{}} }

// carriedLoad is the load of what a registration carries by its status.
func carriedLoad(carried []v1alpha1.EffectiveScope) *load {
	l := newLoad()
	for _, scope := range carried {
		l.scope(scope.Name)
		for _, grant := range scope.Grants {
			l.grants[grant] = true
		}
	}
	return l
}

func (l *load) scope(name string) {
	if !l.scopes[name] {
		l.scopes[name] = true
		l.text += len(name)
	}
}

// takes adds a scope if there is room for it.
func (l *load) takes(name string) bool {
	if !l.scopes[name] && (len(l.scopes) >= MaxScopes || l.text+len(name) > MaxScopeText) {
		return false
	}
	l.scope(name)
	return true
}

func (l *load) add(grant *v1alpha1.ScopeGrant) {
	l.grants[grant.Name] = true
	for _, name := range grant.Spec.Scopes {
		l.scope(string(name))
	}
}

// full says why a grant finds no room beside what is there; nil when it does.
func (l *load) full(grant *v1alpha1.ScopeGrant) *Verdict {
	count, text := len(l.scopes), l.text
	for _, name := range grant.Spec.Scopes {
		if !l.scopes[string(name)] {
			count, text = count+1, text+len(name)
		}
	}
	switch {
	case !l.grants[grant.Name] && len(l.grants) >= MaxGrants:
		return &Verdict{
			Reason:  v1alpha1.ReasonTooManyGrants,
			Message: fmt.Sprintf("%d other grants are in force for the registration, and no more than %d count: delete one that is no longer needed, and the oldest of those that wait follows by itself; or ask for several scopes of a server in one grant", len(l.grants), MaxGrants),
		}
	case count > MaxScopes, text > MaxScopeText:
		return &Verdict{
			Reason:  v1alpha1.ReasonTooManyScopes,
			Message: fmt.Sprintf("spec.scopes: with this grant the registration would have %d scopes, with %d characters in all; at most %d scopes with %d characters may be in force: ask for fewer, delete another grant that is no longer needed, or use a registration of its own", count, text, MaxScopes, MaxScopeText),
		}
	}
	return nil
}

// crowded refuses a grant for which there is no room beside what the registration
// carries. One that is carried itself, with all its scopes, has its room: whether
// it keeps it is for the registration to say.
func crowded(f GrantFacts) *Verdict {
	has := 0
	for _, scope := range f.Carried {
		if slices.Contains(f.Grant.Spec.Scopes, v1alpha1.ScopeName(scope.Name)) && slices.Contains(scope.Grants, f.Grant.Name) {
			has++
		}
	}
	if has == len(f.Grant.Spec.Scopes) {
		return nil
	}
	return carriedLoad(f.Carried).full(f.Grant)
}

// share gives the grants in force what room there is: those first that the client
// lives on, so that none loses its scopes to a newer one; then the older ones. A
// grant that finds no room is not in force. What is undecided keeps its room. Those of one
// registration are let in together, and find what room there is in the namespace one after
// another.
func (q *inquiry) share() {
	order, newness := q.precedence()
	taken := newLoad()
	var since []Contender
	for _, i := range order {
		grant, decision := q.Grants[i].Grant, &q.grants[i]
		if !decision.InForce && (!decision.Undecided || newness[i] == unknownToClient) {
			continue
		}
		if refusal := taken.full(grant); refusal != nil && decision.InForce {
			*decision = decision.crowdedOut(*refusal)
			continue
		}
		if decision.InForce {
			facts := q.Grants[i]
			facts.Registration = q.Registration
			if refusal := grantHasRoomBeside(facts, since); refusal != nil {
				*decision = decision.crowdedOut(*refusal)
				continue
			}
			c, _ := ContendingGrant(grant)
			since = append(since, c)
		}
		taken.add(grant)
	}
}

// precedence is the order in which grants are given room, as positions, and the newness
// of each.
func (q *inquiry) precedence() (order, newness []int) {
	carried := carriedBy(q.Registration.Status.Scopes)
	newness = make([]int, len(q.Grants))
	order = make([]int, len(q.Grants))
	for i, facts := range q.Grants {
		newness[i], order[i] = carried.newness(facts.Grant), i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := q.Grants[a].Grant, q.Grants[b].Grant
		return cmp.Or(
			cmp.Compare(newness[a], newness[b]),
			x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			strings.Compare(x.Name, y.Name))
	})
	return order, newness
}

// sources are the scopes that a client has, by the grants that they come from.
type sources map[string]map[v1alpha1.ScopeName]bool

func carriedBy(scopes []v1alpha1.EffectiveScope) sources {
	by := sources{}
	for _, scope := range scopes {
		for _, grant := range scope.Grants {
			if by[grant] == nil {
				by[grant] = map[v1alpha1.ScopeName]bool{}
			}
			by[grant][v1alpha1.ScopeName(scope.Name)] = true
		}
	}
	return by
}

// unknownToClient is the newness of a grant of which the client has no scope.
const unknownToClient = 2

// newness is 0 for a grant of which the client has every scope, 1 where it has
// some: the grant asks for more than before.
func (s sources) newness(grant *v1alpha1.ScopeGrant) int {
	has := 0
	for _, name := range grant.Spec.Scopes {
		if s[grant.Name][name] {
			has++
		}
	}
	switch has {
	case 0:
		return unknownToClient
	case len(grant.Spec.Scopes):
		return 0
	}
	return 1
}

// crowdedOut is the decision on a grant that would be in force, had it room.
func (d GrantDecision) crowdedOut(refusal Verdict) GrantDecision {
	return GrantDecision{
		Verdict: refusal, ExpiresAt: d.ExpiresAt, Term: d.Term, AcceptableAt: d.AcceptableAt, Asked: d.Asked, Approval: d.Approval,
	}
}
