// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	// staleness is for how long a guard goes on without the API server, and
	// uncertainty how much earlier it may have heard of it last.
	staleness   = 15 * time.Second
	uncertainty = 5 * time.Second
)

// TestGuardWithoutTheAPIServer takes the operator away, and then the API server:
// calls go on, for as long as the guard is told to rely on what it knows.
func TestGuardWithoutTheAPIServer(t *testing.T) {
	w := startWorld(t)
	b := newBoundary(t, w)
	u := sample(crowded, startSample(t, mcpserver.Options{Stateless: true, JSON: true}))
	w.create(t, newGuardedServer(b.namespace, crowded, b.as, b.guard.resource(crowded), u.tools()))
	b.guard.start(t, w, b.kubeconfig, []string{b.behind(crowded, u.url)}, "--max-staleness="+staleness.String())
	c := newCrowd(t, b, u, 3)
	c.joins(t, "lapsing", 1, inAnHour())
	lasting, lapsingOne := c.members[0], c.members[3]

	ctx, stop := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	defer calling.Wait()
	defer stop()
	for _, m := range c.members {
		calling.Go(func() {
			every := time.NewTicker(often)
			defer every.Stop()
			for ctx.Err() == nil {
				c.one(ctx, m)
				<-every.C
			}
		})
	}
	lapses := time.Now().Add(20 * time.Second).Truncate(time.Second)
	c.lapse(t, []*member{lapsingOne}, lapses)
	w.manager.stop(t)
	withoutOperator := time.Now()
	// The client expires in the middle of the time that the guard goes on for.
	NewWithT(t).Eventually(time.Now, patience, tick).Should(BeTemporally(">", lapses.Add(-(staleness-uncertainty)/2)))
	killed := time.Now()
	if err := w.plane.KillAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(func() int { return lasting.last().status }, patience, tick).Should(Equal(http.StatusServiceUnavailable))
	t.Logf("everything is refused %s after the API server was killed", time.Since(killed).Round(time.Millisecond))
	NewWithT(t).Consistently(func() int { return lasting.last().status }, 2*time.Second, often).Should(Equal(http.StatusServiceUnavailable))
	NewWithT(t).Expect(b.guard.readiness(t)()).To(Equal(http.StatusServiceUnavailable))
	NewWithT(t).Eventually(time.Now, patience, tick).Should(BeTemporally(">", killed.Add(staleness+time.Second)))

	// The guard may hear of the API server before this test does.
	back := time.Now()
	if err := w.plane.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(func() int { return lasting.last().status }, patience, tick).Should(Equal(http.StatusOK))
	t.Logf("calls pass again %s after the API server was started", time.Since(back).Round(time.Millisecond))
	NewWithT(t).Consistently(func() int { return lasting.last().status }, 2*time.Second, often).Should(Equal(http.StatusOK))
	NewWithT(t).Expect(b.guard.readiness(t)()).To(Equal(http.StatusOK))
	stop()
	calling.Wait()

	for _, m := range c.members[:3] {
		m.requireAlone(t, withoutOperator, killed, back)
	}
	requireLapsed(t, lapsingOne, lapses, killed.Add(staleness-uncertainty))
}

// last is the last request of a member.
func (m *member) last() made {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.made) == 0 {
		return made{}
	}
	return m.made[len(m.made)-1]
}

// requireAlone checks each request of a member that nothing was taken from:
// allowed without the operator, allowed without the API server until the bound,
// refused from the bound on until it was back, and with nothing else than 503.
func (m *member) requireAlone(t *testing.T, withoutOperator, killed, back time.Time) {
	t.Helper()
	var alone, on, off int
	for _, request := range m.made {
		lost := request.began.After(killed.Add(staleness)) && request.over.Before(back)
		kept := request.over.Before(killed.Add(staleness - uncertainty))
		switch {
		case request.err != nil:
			t.Errorf("%s: %v", m.name, request.err)
		case request.status != http.StatusOK && request.status != http.StatusServiceUnavailable:
			t.Errorf("%s: status %d", m.name, request.status)
		case kept && request.status != http.StatusOK:
			t.Errorf("%s: refused %s after the API server was killed", m.name, request.began.Sub(killed))
		case lost && request.status == http.StatusOK:
			t.Errorf("%s: allowed %s after the API server was killed", m.name, request.began.Sub(killed))
		case kept && request.began.After(killed):
			on++
		case kept && request.began.After(withoutOperator):
			alone++
		case lost:
			off++
		}
	}
	if alone < 3 || on < 10 || off < 3 {
		t.Errorf("%s: %d requests without the operator, %d without the API server until the bound and %d after it", m.name, alone, on, off)
	}
}

// requireLapsed checks the requests of a member that expires while there is no
// API server, until the guard refuses everything.
func requireLapsed(t *testing.T, m *member, lapses, until time.Time) {
	t.Helper()
	reach := &member{name: m.name}
	for _, request := range m.made {
		if request.over.Before(until) {
			reach.made = append(reach.made, request)
		}
	}
	first := reach.requireExpiresAt(t, lapses)
	t.Logf("without the API server the first refused request began %s after the client expired", first.Round(time.Millisecond))
}
