// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// BenchmarkRoom is what it costs to find room for a new grant in a namespace with as many
// grants in force as the default allows.
func BenchmarkRoom(b *testing.B) {
	grants := make([]v1alpha1.ScopeGrant, 5000)
	for i := range grants {
		grants[i] = v1alpha1.ScopeGrant{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: fmt.Sprint("grant-", i)},
			Spec:       v1alpha1.ScopeGrantSpec{ServerRef: v1alpha1.ServerReference{Name: fmt.Sprint("files-", i%50)}, Scopes: []v1alpha1.ScopeName{v1alpha1.ScopeName(fmt.Sprintf("files-%d:read", i%50))}},
			Status:     v1alpha1.ScopeGrantStatus{Basis: v1alpha1.BasisAutomatic, Conditions: []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue}}},
		}
	}
	known := map[client.ObjectKey]bool{}
	for i := range 50 {
		known[client.ObjectKey{Namespace: "team", Name: fmt.Sprint("files-", i)}] = true
	}
	shared := newRooms(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		var contenders []policy.Contender
		for i := range grants {
			c, ok := policy.ContendingGrant(&grants[i])
			if leads, err := shared.leads(b.Context(), known, &grants[i], "as"); !ok || !leads || err != nil {
				b.Fatal(ok, leads, err)
			}
			contenders = append(contenders, c)
		}
		policy.NewRoom(contenders)
	}
}
