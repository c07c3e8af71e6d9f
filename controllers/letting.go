// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// letting has the grants of a namespace let in one after another: two that are decided on at
// one time, by whichever reconciler, cannot both have the last room.
type letting struct {
	// one is held while grants of a namespace are let in; several may share it.
	one [64]sync.Mutex
	// over remembers over which version a grant was let in: until the cache shows another,
	// it has its room.
	over written
}

// alone waits until nobody else lets in grants of a namespace.
func (l *letting) alone(namespace string) (done func()) {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(namespace)) // It never fails.
	one := &l.one[sum.Sum32()%uint32(len(l.one))]
	one.Lock()
	return one.Unlock
}

// decide decides about a grant. One that asks for room is let in by what room there is in
// its turn.
func (g *Grants) decide(ctx context.Context, facts *policy.GrantFacts, now time.Time) (policy.GrantDecision, error) {
	decision := policy.Grant(*facts, now)
	if !decision.InForce || !policy.AsksForRoom(*facts) {
		return decision, nil
	}
	defer g.letting.alone(facts.Grant.Namespace)()
	var err error
	facts.Room, err = g.rooms().ofGrant(ctx, facts.Grant, facts.Server.Object)
	decision = policy.Grant(*facts, now)
	if decision.InForce {
		g.letting.over.note(facts.Grant)
	}
	return decision, err
}

// decide decides about a registration. Grants of it that ask for room are let in by what
// room there is in their turn.
func (r *RegistrationReconciler) decide(ctx context.Context, seen *observation, now time.Time) policy.RegistrationDecision {
	decision := policy.Registration(seen.facts, now)
	if len(asking(seen.facts, decision)) == 0 {
		return decision
	}
	defer r.Grants.letting.alone(seen.facts.Registration.Namespace)()
	shared, errs := r.Grants.rooms(), []error{seen.err}
	for i := range seen.facts.Grants {
		facts := &seen.facts.Grants[i]
		if facts.Server.Object == nil {
			continue
		}
		var err error
		facts.Room, err = shared.ofGrant(ctx, facts.Grant, facts.Server.Object)
		errs = append(errs, err)
	}
	seen.err = errors.Join(errs...)
	decision = policy.Registration(seen.facts, now)
	for _, facts := range asking(seen.facts, decision) {
		r.Grants.letting.over.note(facts.Grant)
	}
	return decision
}

// asking are the grants of a registration that a decision lets in.
func asking(f policy.RegistrationFacts, decision policy.RegistrationDecision) []policy.GrantFacts {
	let := map[string]bool{}
	for _, one := range decision.Grants {
		let[one.Grant.Name] = true
	}
	var found []policy.GrantFacts
	for _, facts := range f.Grants {
		facts.Registration = f.Registration
		if let[facts.Grant.Name] && policy.AsksForRoom(facts) {
			found = append(found, facts)
		}
	}
	return found
}
