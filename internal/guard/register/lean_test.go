// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// perRegistration bounds the memory of a registration with one grant.
const perRegistration = 1024

func TestMemoryStaysLean(t *testing.T) {
	const known = 20_000
	m := newMemory()
	m.open(serverSource(guard.ServerName{Namespace: "payments-production", Name: "invoices-mcp"}))
	clients, grants := m.open(sourceKey{resource: registrations, value: "corporate-keycloak"}), m.open(sourceKey{resource: "scopegrants", value: "invoices-mcp"})
	before := heap()
	for i := range known {
		reg, grant := synthetic(i)
		value, err := translate(reg)
		if err != nil {
			t.Fatal(err)
		}
		m.set(clients, objectKey{reg.Namespace, reg.Name}, value, time.Now())
		if value, err = translate(grant); err != nil {
			t.Fatal(err)
		}
		m.set(grants, objectKey{grant.Namespace, grant.Name}, value, time.Now())
	}
	grown := int(heap()-before) / known
	t.Logf("%d bytes per registration with its grant", grown)
	if grown > perRegistration {
		t.Errorf("got %d bytes per registration with its grant, want at most %d", grown, perRegistration)
	}
	if c, g := m.counts(); c != known || g != known {
		t.Errorf("got %d registrations and %d grants, want %d of each", c, g, known)
	}
	reg, _ := synthetic(known / 2)
	got := m.clientsOf("corporate-keycloak", reg.Status.ClientID)
	if len(got) != 1 || got[0].Name != reg.Name || len(m.grantsOf(got[0])) != 1 {
		t.Errorf("got %v for the client of %s", got, reg.Name)
	}
	runtime.KeepAlive(m)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// synthetic makes a registration and its grant as they come from the API server.
func synthetic(i int) (*v1alpha1.MCPClientRegistration, *v1alpha1.ScopeGrant) {
	end := metav1.NewTime(time.Unix(1_900_000_000+int64(i), 0))
	name := fmt.Sprintf("desktop-assistant-%06d", i)
	granted := name + "-invoices-x7k2p"
	meta := metav1.ObjectMeta{
		Namespace: fmt.Sprintf("team-payments-%03d", i%200), Generation: 1,
		Annotations: map[string]string{
			v1alpha1.AnnotationOwner:     fmt.Sprintf("team-payments-%03d@example.com", i%200),
			v1alpha1.AnnotationExpiresAt: end.Format(time.RFC3339),
		},
	}
	reg, grant := &v1alpha1.MCPClientRegistration{ObjectMeta: meta}, &v1alpha1.ScopeGrant{ObjectMeta: meta}
	reg.Name, reg.UID = name, types.UID(fmt.Sprintf("5c6f3f4e-8e1b-4c2a-9d7e-%012d", i))
	reg.Spec.AuthorizationServerRef.Name = "corporate-keycloak"
	reg.Status = v1alpha1.MCPClientRegistrationStatus{
		ClientID: fmt.Sprintf("0b7a9c1d-2e3f-4a5b-8c6d-%012d", i), ExpiresAt: &end,
		Scopes: []v1alpha1.EffectiveScope{
			{Name: "invoices:read", Grants: []string{granted}}, {Name: "invoices:write", Grants: []string{granted}},
		},
	}
	grant.Name, grant.UID = granted, types.UID(fmt.Sprintf("7d6f3f4e-8e1b-4c2a-9d7e-%012d", i))
	grant.Spec = v1alpha1.ScopeGrantSpec{
		ClientRef: v1alpha1.LocalReference{Name: name},
		ServerRef: v1alpha1.ServerReference{Name: "invoices-mcp", Namespace: "payments-production"},
		Scopes:    []v1alpha1.ScopeName{"invoices:read", "invoices:write"},
	}
	grant.Status = v1alpha1.ScopeGrantStatus{
		ObservedGeneration: 1, Basis: v1alpha1.BasisApproved, ExpiresAt: &end,
		Approval: &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, ApprovedBy: "dana.lee@example.com"},
	}
	return reg, grant
}

// A tenant makes as many grants as it likes, and few of them are in force: only those are
// kept, so that a decision costs the same whatever else there is.
func TestGrantsThatAreNotInForceCostNothing(t *testing.T) {
	m := newMemory()
	m.open(serverSource(guard.ServerName{Namespace: "tools", Name: "files"}))
	regs := m.open(sourceKey{registrations, "team", fieldAuthorizationServer, "as"})
	given := m.open(sourceKey{grants, "team", fieldServer, "files"})
	bot := policy.ClientEntry{Namespace: "team", Name: "bot", UID: "u", ClientID: "c", Scopes: []policy.EntryScope{{Name: "read"}}}
	for i := range policy.MaxGrants {
		bot.Scopes[0].Grants = append(bot.Scopes[0].Grants, fmt.Sprintf("grant-%d", i))
	}
	m.put(regs, objectKey{"team", "bot"}, bot)
	put := func(i int, inForce bool) []guard.Change {
		name := fmt.Sprintf("grant-%d", i)
		return m.put(given, objectKey{"team", name}, policy.GrantEntry{
			Namespace: "team", Name: name, Client: "bot", ServerNamespace: "tools", Server: "files", Scopes: []string{"read"}, InForce: inForce,
		})
	}
	for i := range policy.MaxGrants {
		put(i, true)
	}
	decides := func() float64 { return testing.AllocsPerRun(10, func() { m.grantsOf(bot) }) }
	before, made := decides(), policy.MaxGrants
	for _, all := range []int{policy.MaxGrants + 1, 2000, 10_000} {
		for ; made < all; made++ {
			if changes := put(made, false); len(changes) != 0 {
				t.Fatalf("a grant that gives nothing changes something: %v", changes)
			}
		}
		if now := decides(); now != before || len(m.grantsOf(bot)) != policy.MaxGrants {
			t.Errorf("of %d: %d grants, %v allocations instead of %v", all, len(m.grantsOf(bot)), now, before)
		}
	}
	// One that comes into force, and one that leaves it, are news.
	for _, inForce := range []bool{true, false} {
		if changes := put(20_000, inForce); len(changes) != 1 || changes[0].ClientID != "c" {
			t.Errorf("in force %t: %v", inForce, changes)
		}
	}
	if _, granted := m.counts(); granted != policy.MaxGrants {
		t.Errorf("%d grants are kept", granted)
	}
}
