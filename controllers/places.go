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

// Places counts the registrations of a namespace that have a client at an
// authorization server, or are about to have one. A place is taken in memory
// before the request is sent, and is then seen in the record: two registrations
// that are worked on at one time cannot both take the last one.
type Places struct {
	// Client reads records from the cache.
	Client client.Reader
	// Namespace is the operator's own, where the records are.
	Namespace string

	mu    sync.Mutex
	taken map[string]map[types.UID]bool
}

// placeOf names the place that the record of a registration stands for; empty
// when it holds none.
func placeOf(record *corev1.Secret) string {
	var stored struct {
		State      policy.RecordState `json:"state"`
		Connection storedConnection   `json:"connection"`
	}
	if json.Unmarshal(record.Data[recordKey], &stored) != nil {
		return ""
	}
	if !stored.State.HoldsPlace() {
		return ""
	}
	return placeName(record.Annotations[annotationRegistrationNamespace], stored.Connection.Name)
}

func placeName(namespace, authorizationServer string) string {
	return namespace + "/" + authorizationServer
}

func placeFor(reg *v1alpha1.MCPClientRegistration) string {
	return placeName(reg.Namespace, reg.Spec.AuthorizationServerRef.Name)
}

// Count counts the places that others have taken.
func (p *Places) Count(ctx context.Context, reg *v1alpha1.MCPClientRegistration) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count(ctx, reg)
}

func (p *Places) count(ctx context.Context, reg *v1alpha1.MCPClientRegistration) (int, error) {
	var records corev1.SecretList
	err := p.Client.List(ctx, &records, client.InNamespace(p.Namespace),
		client.MatchingFields{indexRecordPlace: placeFor(reg)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return 0, fmt.Errorf("counting the registrations of the namespace: %w", err)
	}
	others := map[types.UID]bool{}
	for i := range records.Items {
		others[types.UID(records.Items[i].Labels[v1alpha1.LabelRegistrationUID])] = true
	}
	for uid := range p.taken[placeFor(reg)] {
		others[uid] = true
	}
	delete(others, reg.UID)
	return len(others), nil
}

// Take takes a place if fewer than quota are taken by others.
func (p *Places) Take(ctx context.Context, reg *v1alpha1.MCPClientRegistration, quota int) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	others, err := p.count(ctx, reg)
	if err != nil || others >= quota {
		return false, err
	}
	if p.taken == nil {
		p.taken = map[string]map[types.UID]bool{}
	}
	if p.taken[placeFor(reg)] == nil {
		p.taken[placeFor(reg)] = map[types.UID]bool{}
	}
	p.taken[placeFor(reg)][reg.UID] = true
	return true, nil
}

// Leave forgets what was taken in memory: the record tells of it, or there is
// no client.
func (p *Places) Leave(reg *v1alpha1.MCPClientRegistration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	place := placeFor(reg)
	delete(p.taken[place], reg.UID)
	if len(p.taken[place]) == 0 {
		delete(p.taken, place)
	}
}
