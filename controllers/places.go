// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Places counts the registrations that have a client at an authorization server,
// or are about to have one: those of a namespace, and those of a ServiceAccount,
// of which there is one place. A place is taken in memory before the request is
// sent, and is then seen in the record: two registrations that are worked on at
// one time cannot both take the last one.
type Places struct {
	// Client reads records from the cache.
	Client client.Reader
	// Namespace is the operator's own, where the records are.
	Namespace string

	mu    sync.Mutex
	taken map[string]map[types.UID]bool
}

// placesOf names the places that the record of a registration stands for; none
// when there is no client.
func placesOf(record *corev1.Secret) []string {
	var stored struct {
		State          policy.RecordState `json:"state"`
		Connection     storedConnection   `json:"connection"`
		ServiceAccount string             `json:"serviceAccount"`
	}
	if json.Unmarshal(record.Data[recordKey], &stored) != nil || !stored.State.HoldsPlace() {
		return nil
	}
	place := placeName(record.Annotations[annotationRegistrationNamespace], stored.Connection.Name)
	if stored.ServiceAccount == "" {
		return []string{place}
	}
	return []string{place, accountPlaceName(place, stored.ServiceAccount)}
}

func placeName(namespace, authorizationServer string) string {
	return namespace + "/" + authorizationServer
}

func accountPlaceName(place, account string) string { return place + "/" + account }

func placeFor(reg *v1alpha1.MCPClientRegistration) string {
	return placeName(reg.Namespace, reg.Spec.AuthorizationServerRef.Name)
}

// accountPlaceFor names the place of the ServiceAccount; empty for none.
func accountPlaceFor(reg *v1alpha1.MCPClientRegistration) string {
	if reg.Spec.ServiceAccountName == "" {
		return ""
	}
	return accountPlaceName(placeFor(reg), reg.Spec.ServiceAccountName)
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

func (p *Places) count(ctx context.Context, place string, but types.UID) (int, error) {
	var records corev1.SecretList
	err := p.Client.List(ctx, &records, client.InNamespace(p.Namespace),
		client.MatchingFields{indexRecordPlace: place}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return 0, fmt.Errorf("counting the registrations of the namespace: %w", err)
	}
	others := map[types.UID]bool{}
	for i := range records.Items {
		others[types.UID(records.Items[i].Labels[v1alpha1.LabelRegistrationUID])] = true
	}
	for uid := range p.taken[place] {
		others[uid] = true
	}
	delete(others, but)
	return len(others), nil
}

// Take takes the places of a registration: that of the namespace if fewer than
// quota are taken by others, and that of its ServiceAccount if nobody has it.
// A nil quota is no limit.
func (p *Places) Take(ctx context.Context, reg *v1alpha1.MCPClientRegistration, quota *int32) (bool, error) {
	limits := map[string]int{}
	if quota != nil {
		limits[placeFor(reg)] = int(*quota)
	}
	if account := accountPlaceFor(reg); account != "" {
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

// Leave forgets what was taken in memory: the record tells of it, or there is
// no client.
func (p *Places) Leave(reg *v1alpha1.MCPClientRegistration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, place := range []string{placeFor(reg), accountPlaceFor(reg)} {
		delete(p.taken[place], reg.UID)
		if len(p.taken[place]) == 0 {
			delete(p.taken, place)
		}
	}
}
