// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Places counts the registrations that have a client at an authorization server,
// or are about to have one: those of a namespace, and those of a ServiceAccount,
// of which there is one place. A place is taken in memory before the request is
// sent, until the cache shows it in the record: two registrations that are worked
// on at one time cannot both take the last one.
type Places struct {
	// Client reads records from the cache.
	Client client.Reader
	// Namespace is the operator's own, where the records are.
	Namespace string

	mu    sync.Mutex
	taken map[string]map[types.UID]bool
}

// placesOf names the places that the record of a registration stands for; none
// when there is no client. That of a ServiceAccount is in a label, so that a
// record which cannot be read keeps it.
func placesOf(record *corev1.Secret) []string {
	s := summarize(record)
	var places []string
	account := record.Labels[v1alpha1.LabelServiceAccount]
	if s.State.HoldsPlace() && s.ServiceAccount != "" {
		account = accountPlace(s.Registration.Namespace, s.ServiceAccount, s.Connection.Issuer)
	}
	if account != "" {
		places = append(places, account)
	}
	if !s.State.HoldsPlace() {
		return places
	}
	return append(places, placeName(s.Registration.Namespace, s.Connection.Name))
}

func placeName(namespace, authorizationServer string) string {
	return namespace + "/" + authorizationServer
}

func placeFor(reg *v1alpha1.MCPClientRegistration) string {
	return placeName(reg.Namespace, reg.Spec.AuthorizationServerRef.Name)
}

// accountPlace names the place of a ServiceAccount at an issuer, in the space of a
// label value; empty for none. The issuer counts and not the AuthorizationServer,
// of which there may be several for one issuer.
func accountPlace(namespace, account, issuer string) string {
	if account == "" {
		return ""
	}
	return clientDigest(issuer, policy.ServiceAccountSubject(namespace, account))
}

// waitsForPlace says that a registration with this reason becomes ready when
// another gives its place back.
func waitsForPlace(reason string) bool {
	return reason == v1alpha1.ReasonQuotaExceeded || reason == v1alpha1.ReasonServiceAccountInUse
}

// Count counts who else has a place.
func (p *Places) Count(ctx context.Context, place string, but types.UID) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count(ctx, place, but)
}

// count counts who else has a place. What is seen in a record need not be kept in
// memory any more.
func (p *Places) count(ctx context.Context, place string, but types.UID) (int, error) {
	var records corev1.SecretList
	err := p.Client.List(ctx, &records, client.InNamespace(p.Namespace),
		client.MatchingFields{indexRecordPlace: place}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return 0, fmt.Errorf("counting the registrations of the namespace: %w", err)
	}
	others := map[types.UID]bool{}
	for i := range records.Items {
		uid := recordUID(&records.Items[i])
		others[uid] = true
		p.leave(place, uid)
	}
	for uid := range p.taken[place] {
		others[uid] = true
	}
	delete(others, but)
	return len(others), nil
}

// Take takes the places of a registration: that of the namespace if fewer than
// quota are taken by others, and that of its ServiceAccount, if it has one, if
// nobody has it. A nil quota is no limit.
func (p *Places) Take(ctx context.Context, reg *v1alpha1.MCPClientRegistration, account string, quota *int32) (bool, error) {
	limits := map[string]int{}
	if quota != nil {
		limits[placeFor(reg)] = int(*quota)
	}
	if account != "" {
		limits[account] = 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for place, limit := range limits {
		if others, err := p.count(ctx, place, reg.UID); err != nil || others >= limit {
			return false, err
		}
	}
	if p.taken == nil {
		p.taken = map[string]map[types.UID]bool{}
	}
	for place := range limits {
		if p.taken[place] == nil {
			p.taken[place] = map[types.UID]bool{}
		}
		p.taken[place][reg.UID] = true
	}
	return true, nil
}

// Leave forgets what a registration took in memory: it has no client, and none is
// about to come.
func (p *Places) Leave(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for place := range p.taken {
		p.leave(place, uid)
	}
}

func (p *Places) leave(place string, uid types.UID) {
	delete(p.taken[place], uid)
	if len(p.taken[place]) == 0 {
		delete(p.taken, place)
	}
}

// takePlace takes a place of the namespace where their number is limited, and
// that of the ServiceAccount. If another took the last one meanwhile, the
// decision is made again.
func (s *step) takePlace(ctx context.Context) error {
	free, err := s.Places.Take(ctx, s.reg, s.account(), policy.Quota(s.seen.facts.AuthorizationServer))
	if err == nil && !free {
		return errStale
	}
	return err
}

// account names the place of the registration's ServiceAccount; empty for none.
func (s *step) account() string {
	return accountPlace(s.reg.Namespace, s.reg.Spec.ServiceAccountName, s.decision.Connection.Issuer)
}

// errAccountShared says that a cache was behind, or another manager at work.
var errAccountShared = errors.New("another registration has a client of the same ServiceAccount, or is about to have one")

// accountAlone fails where another registration has a client of the same
// ServiceAccount, or is about to. The pending record tells everybody who asks
// from now on; of two that find each other both step back.
func (s *step) accountAlone(ctx context.Context, done *outcome, plan lifecycle.Plan) error {
	if s.account() == "" {
		return nil
	}
	shared, err := s.Records.AccountShared(ctx, s.reg.UID, s.account())
	if err != nil || !shared {
		return err
	}
	if done.record, err = s.Records.Put(ctx, s.reg, plan.Unsent.At(done.record.Version)); err != nil {
		return err
	}
	if !done.record.HoldsPlace() {
		s.Places.Leave(s.reg.UID)
	}
	return errAccountShared
}
