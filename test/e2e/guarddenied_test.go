// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	doublyGuarded = "doubly-guarded"
	scopeDenied   = "doubly-guarded:looks"
	// shortStaleness is for how long the second guard goes on by itself.
	shortStaleness = 5 * time.Second
)

// testDeniedAt has two guards in front of a server, all of whose calls pass one
// of them: that a client is refused is told when both have it.
func testDeniedAt(t *testing.T, b *boundary) {
	upstream := sample(doublyGuarded, startSample(t, mcpserver.Options{Stateless: true, JSON: true}))
	server := newGuardedServer(b.namespace, doublyGuarded, b.as, "https://mcp.example.com/"+doublyGuarded, upstream.tools())
	// A scope that no other server has: else its tokens could be for that one.
	server.Spec.Scopes = []v1alpha1.Scope{{Name: scopeDenied, Tier: v1alpha1.TierRead, Tools: []string{upstream.looks}}}
	server.Spec.Boundary, server.Spec.GuardNamespaces = v1alpha1.BoundaryGuarded, []string{guardNamespace}
	b.create(t, server)
	guards := []*guard{b.newGuard(t, "guard-one"), b.newGuard(t, "guard-two")}
	for _, g := range guards {
		g.start(t, b.world, b.kubeconfig, []string{b.behind(doublyGuarded, upstream.url)}, "--max-staleness="+shortStaleness.String())
	}
	silent := guards[1]
	d := denying{boundary: b, server: server, upstream: upstream, guards: guards}
	t.Run("expired", func(t *testing.T) {
		reg, _ := d.client(t, "lapses")
		d.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(time.Now().Add(2*time.Second)))
		d.requireDenied(t, reg)
		NewWithT(t).Expect(reg.Status.Revocation.Cause).To(Equal(v1alpha1.CauseExpired))
	})
	t.Run("suspended", func(t *testing.T) {
		reg, _ := d.client(t, "paused")
		d.suspend(t, reg)
		d.requireDenied(t, reg)
		NewWithT(t).Expect(reg.Status.Revocation.Cause).To(Equal(v1alpha1.CauseSuspended))
	})
	t.Run("not before a guard that was stopped goes on", func(t *testing.T) {
		reg, _ := d.client(t, "resumed")
		silent.signal(t, syscall.SIGSTOP)
		d.suspend(t, reg)
		d.requireUndenied(t, reg)
		resumed := time.Now()
		silent.signal(t, syscall.SIGCONT)
		d.requireDenied(t, reg)
		NewWithT(t).Expect(reg.Status.Revocation.DeniedAt.Time).To(BeTemporally(">=", resumed.Truncate(time.Second)))
	})
	t.Run("or its Lease has ended, and then it refuses", func(t *testing.T) {
		reg, token := d.client(t, "outlived")
		silent.signal(t, syscall.SIGSTOP)
		d.suspend(t, reg)
		d.requireUndenied(t, reg)
		ends := d.leaseEnds(t, silent)
		d.requireDenied(t, reg)
		NewWithT(t).Expect(reg.Status.Revocation.DeniedAt.Time).To(BeTemporally(">=", ends.Truncate(time.Second)))
		silent.signal(t, syscall.SIGCONT)
		first := (&caller{guard: silent, path: "/" + doublyGuarded}).call(t, upstream.looks, upstream.arguments[upstream.looks], token)
		NewWithT(t).Expect(first.status).To(Or(Equal(http.StatusServiceUnavailable), Equal(http.StatusUnauthorized)),
			"what the guard let pass when it went on, after it was said that it does not")
	})
}

// denying is a server with several guards.
type denying struct {
	*boundary
	server   *v1alpha1.MCPServer
	upstream upstream
	guards   []*guard
}

// client makes a client that both guards let pass, and returns it with a token.
func (d denying) client(t *testing.T, name string) (*v1alpha1.MCPClientRegistration, string) {
	t.Helper()
	reg := d.newRegistration(name, v1alpha1.AuthMethodClientSecretBasic)
	d.create(t, reg, d.grantAt(doublyGuarded, name, name, scopeDenied))
	p := d.waitReady(t, reg)
	token := d.accessToken(t, p, d.server.Spec.Resource, scopeDenied)
	for _, g := range d.guards {
		c := &caller{guard: g, path: "/" + doublyGuarded}
		NewWithT(t).Eventually(func() int { return c.call(t, d.upstream.looks, d.upstream.arguments[d.upstream.looks], token).status }, patience, often).
			Should(Equal(http.StatusOK), g.name)
	}
	return reg, token
}

func (d denying) suspend(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	d.merge(t, reg, `{"spec":{"state":"Suspended"}}`)
}

// requireDenied waits until it is told that the client is refused, and checks
// that nothing is left of its power from then on.
func (d denying) requireDenied(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	g := NewWithT(t)
	// The Lease of a guard that is silent ends first, and the operator looks in turns.
	g.Eventually(d.denied(t, reg), 2*patience, often).ShouldNot(BeNil(), "no deniedAt")
	revocation := reg.Status.Revocation
	g.Expect(revocation.ResidualUntil).To(Equal(revocation.DeniedAt))
	g.Expect(revocation.DeniedAt.Time).To(BeTemporally(">=", revocation.DueAt.Time))
	g.Expect(revocation.DeniedAt.Time).To(BeTemporally("<=", time.Now().Add(time.Second)))
	t.Logf("denied %s after it was due", revocation.DeniedAt.Sub(revocation.DueAt.Time))
}

// requireUndenied waits until the client is gone from the authorization server,
// and longer than guards that do answer would need.
func (d denying) requireUndenied(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() *metav1.Time {
		d.denied(t, reg)()
		if reg.Status.Revocation == nil {
			return nil
		}
		return reg.Status.Revocation.RevokedAtASAt
	}, patience, often).ShouldNot(BeNil(), "not revoked")
	g.Consistently(d.denied(t, reg), 2*time.Second, often).Should(BeNil(), "one guard is not known to refuse")
	g.Expect(reg.Status.Revocation.ResidualUntil.Time).To(BeTemporally(">", time.Now().Add(time.Minute)))
}

func (d denying) denied(t *testing.T, reg *v1alpha1.MCPClientRegistration) func() *metav1.Time {
	return func() *metav1.Time {
		d.ready(t, reg)()
		if reg.Status.Revocation == nil {
			return nil
		}
		return reg.Status.Revocation.DeniedAt
	}
}

// leaseEnds is until when a guard lets anything pass if it renews its Lease no
// more.
func (d denying) leaseEnds(t *testing.T, g *guard) time.Time {
	t.Helper()
	var leases coordinationv1.LeaseList
	err := d.List(t.Context(), &leases, client.InNamespace(guardNamespace), client.MatchingLabels{v1alpha1.LabelGuard: "true"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range leases.Items {
		lease := &leases.Items[i]
		if *lease.Spec.HolderIdentity == g.name {
			return lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
		}
	}
	t.Fatalf("%s has no Lease among %d", g.name, len(leases.Items))
	return time.Time{}
}
