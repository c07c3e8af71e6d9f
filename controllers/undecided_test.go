// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// While nothing can be decided about a grant it keeps the end that was: the
// annotation is its own team's to write.
func TestAnUndecidedGrantKeepsItsEnd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	end := metav1.NewTime(now.Add(time.Hour))
	grant := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "g", Generation: 3, Annotations: map[string]string{
		v1alpha1.AnnotationOwner: "team", v1alpha1.AnnotationExpiresAt: "2036-01-01T00:00:00Z",
	}}}
	grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:read"}
	grant.Spec.ServerRef = v1alpha1.ServerReference{Name: "invoices", Namespace: "tools"}
	grant.Status = v1alpha1.ScopeGrantStatus{ObservedGeneration: 3, Basis: v1alpha1.BasisPreApproved, ExpiresAt: &end}
	facts := policy.GrantFacts{Grant: grant, RegistrationIs: policy.Present, Server: policy.ServerFact{Is: policy.Unknown, Unwatched: true}}
	d := policy.Grant(facts, now)
	grant.Status = grantStatus(grant, nil, d, policy.Verdict{}, policy.Review(facts, d, now), now)
	entry := policy.GrantOf(grant)
	if !d.Undecided || !entry.InForce || !entry.EndsAt.Equal(end.Time) {
		t.Errorf("undecided %v, in force %v until %s, want %s", d.Undecided, entry.InForce, entry.EndsAt, end.UTC())
	}
}
