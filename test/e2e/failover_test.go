// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// longestLease is how long nobody may lead after a leader crashed, but for what
// its successor needs to notice.
const longestLease = 12 * time.Second

// TestFailover has one manager lead and another wait, and takes the leader away:
// told to end, killed, and stopped for longer than its lease.
func TestFailover(t *testing.T) {
	w := startWorld(t)
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
	s := newScene(t, w, "devas")
	s.registered(t, "before", v1alpha1.AuthMethodNone)
	t.Run("a leader that is told to end", func(t *testing.T) {
		leader, _ := s.joined(t)
		lease := s.lease(t)
		begun := time.Now()
		leader.signal(t, syscall.SIGTERM)
		// Without waiting for the lease to end.
		s.requireActing(t, as, "ended", begun, lease*3/4)
		<-leader.ended
		NewWithT(t).Expect(leader.err).NotTo(HaveOccurred())
	})
	t.Run("a leader that crashes", func(t *testing.T) {
		leader, _ := s.joined(t)
		lease := s.lease(t)
		NewWithT(t).Expect(lease).To(BeNumerically("<=", longestLease))
		begun := time.Now()
		if err := leader.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		s.requireActing(t, as, "crashed", begun, lease*4)
	})
	t.Run("a leader that is stopped beyond its lease and goes on", func(t *testing.T) { testPausedLeader(t, s, as) })
	t.Run("T11 no secret is shown", func(t *testing.T) { testNoSecretIsShown(t, w) })
}

// joined starts another manager beside the one that leads, and returns the
// leader and how it is called.
func (s *scene) joined(t *testing.T) (leader *manager, holder string) {
	t.Helper()
	leader = s.manager
	g := NewWithT(t)
	g.Eventually(s.holder(t), patience, often).ShouldNot(BeEmpty(), "nobody leads")
	holder = s.holder(t)()
	s.startManager(t)
	g.Consistently(s.holder(t), 2*time.Second, often).Should(Equal(holder), "the one that came later leads")
	return leader, holder
}

// holder is who leads, empty while nobody does.
func (w *world) holder(t *testing.T) func() string {
	return func() string {
		held := w.held(t)
		if held.HolderIdentity == nil {
			return ""
		}
		return *held.HolderIdentity
	}
}

// held says who leads, and until when if nobody renews it; nothing if the API
// server does not say.
func (w *world) held(t *testing.T) coordinationv1.LeaseSpec {
	t.Helper()
	var lease coordinationv1.Lease
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: operatorNamespace, Name: "mcp-registrar.dev"}, &lease); err != nil {
		return coordinationv1.LeaseSpec{}
	}
	return lease.Spec
}

// lease is how long a leader leads that does not renew its lease.
func (w *world) lease(t *testing.T) time.Duration {
	t.Helper()
	var seconds int32
	NewWithT(t).Eventually(func() int32 {
		if held := w.held(t); held.LeaseDurationSeconds != nil {
			seconds = *held.LeaseDurationSeconds
		}
		return seconds
	}, patience, often).Should(BeNumerically(">", 1), "a leader that ends leaves a second")
	return time.Duration(seconds) * time.Second
}

// requireActing makes a registration and requires a client for it in good time:
// then somebody leads, and does the work.
func (s *scene) requireActing(t *testing.T, as *devas.Server, name string, begun time.Time, bound time.Duration) {
	t.Helper()
	reg := s.newRegistration(name, v1alpha1.AuthMethodNone)
	before := len(as.Clients())
	s.create(t, reg, s.newGrant(name, name, "files:read"))
	NewWithT(t).Eventually(func() int { return len(as.Clients()) }, patience, often).Should(BeNumerically(">", before))
	took := time.Since(begun)
	t.Logf("another manager acts after %s", took.Round(time.Millisecond))
	if took > bound {
		t.Errorf("another manager acts after %s, want %s at most", took, bound)
	}
	s.waitReady(t, reg)
}

// testPausedLeader stops the leader in the middle of work and lets it go on when
// another one has long taken over.
func testPausedLeader(t *testing.T, s *scene, as *devas.Server) {
	leader, holder := s.joined(t)
	g := NewWithT(t)
	l := newLoad(s, as)
	// Requests that are under way at the pause are answered while nobody
	// listens.
	if err := as.Set(devas.Switches{LatencyMillis: 300}); err != nil {
		t.Fatal(err)
	}
	l.creates(t, "first", 20, inAnHour())
	l.creates(t, "lapsing", 10, time.Now().Add(5*time.Second))
	g.Eventually(func() int { return as.Counts().Total(devas.Register) }, patience, often).Should(BeNumerically(">", 10))
	leader.signal(t, syscall.SIGSTOP)
	paused := time.Now()
	if err := as.Set(devas.Switches{}); err != nil {
		t.Fatal(err)
	}
	l.creates(t, "meanwhile", 20, inAnHour())
	var next string
	g.Eventually(func() string { next = s.holder(t)(); return next }, patience, often).ShouldNot(Or(Equal(holder), BeEmpty()), "nobody else leads")
	t.Logf("another one leads after %s", time.Since(paused).Round(time.Millisecond))
	l.creates(t, "taken-over", 10, inAnHour())
	l.deletes(t, "first", 5)
	leader.signal(t, syscall.SIGCONT)
	resumed := time.Now()
	l.creates(t, "after", 10, inAnHour())
	select {
	case <-leader.ended:
		t.Logf("the one that was stopped ended %s after it went on: %v", time.Since(resumed).Round(time.Millisecond), leader.err)
	case <-time.After(patience):
		t.Fatalf("the one that was stopped still runs %s after it went on", patience)
	}
	if leader.err == nil {
		t.Error("the one that was stopped ended as if all were well")
	}
	l.settle(t)
	g.Eventually(s.holder(t), patience, often).ShouldNot(BeEmpty())
	g.Expect(s.holder(t)()).To(Equal(next))
}

func (m *manager) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := m.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("signalling the manager: %v", err)
	}
}
