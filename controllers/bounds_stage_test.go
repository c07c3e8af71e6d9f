// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// crowd adds older grants of some scopes for the same client.
func (s *stage) crowd(count int, scopes ...v1alpha1.ScopeName) []*v1alpha1.ScopeGrant {
	s.t.Helper()
	var grants []*v1alpha1.ScopeGrant
	for i := range count {
		other := s.grant.DeepCopy()
		other.Name, other.Spec.Scopes = fmt.Sprintf("zz-%03d", i), scopes
		other.UID, other.CreationTimestamp = types.UID(other.Name), metav1.NewTime(begun.Add(-2*time.Hour))
		s.create(other)
		grants = append(grants, other)
	}
	return grants
}

// longScopes has the server list scopes with names as long as they may be.
func (s *stage) longScopes(count int) []v1alpha1.ScopeName {
	var names []v1alpha1.ScopeName
	for i := range count {
		name := v1alpha1.ScopeName(fmt.Sprintf("invoices:%02d:", i) + strings.Repeat("s", 116))
		names = append(names, name)
		s.server.Spec.Scopes = append(s.server.Spec.Scopes, v1alpha1.Scope{Name: name, Tier: v1alpha1.TierRead})
	}
	return names
}

func (s *stage) acceptedReason(grant *v1alpha1.ScopeGrant) string {
	s.t.Helper()
	var read v1alpha1.ScopeGrant
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(grant), &read); err != nil {
		s.t.Fatal(err)
	}
	return meta.FindStatusCondition(read.Status.Conditions, v1alpha1.ConditionAccepted).Reason
}

// A grant that waits for room comes into force by itself when another one goes,
// and the client has no more of them at any time.
func TestWaitingGrantFollows(t *testing.T) {
	s := newStage(t, "waits")
	others := s.crowd(policy.MaxGrants, "invoices:export")
	s.begin()
	if reason := s.acceptedReason(s.grant); reason != v1alpha1.ReasonTooManyGrants {
		t.Fatalf("the youngest is %s", reason)
	}
	s.mustCarry("invoices:export")
	s.vanish(others[7])
	if reason := s.acceptedReason(s.grant); reason != v1alpha1.ReasonAccepted {
		t.Errorf("when there is room it is %s", reason)
	}
	s.mustCarry("invoices:export", "invoices:read")
}

// mustCarry fails unless the client has just these scopes.
func (s *stage) mustCarry(scopes ...string) {
	s.t.Helper()
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(s.reg), s.reg); err != nil {
		s.t.Fatal(err)
	}
	var carried []string
	for _, scope := range s.reg.Status.Scopes {
		carried = append(carried, scope.Name)
	}
	if strings.Join(carried, " ") != strings.Join(scopes, " ") {
		s.t.Errorf("the client has %q, want %q", carried, scopes)
	}
}
