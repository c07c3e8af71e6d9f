// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const (
	// quiet is how long nothing happens before an act is said to be over.
	quiet = 2 * time.Second
	// restful is longer than the manager waits for before it writes counts.
	restful = 6 * time.Second
	// waitsFor is how long the manager lets a new object wait for others before
	// it says so, and gathers how long it gathers what it counts.
	waitsFor = 3 * time.Second
	gathers  = 5 * time.Second
	// many is how many registrations are Ready when the manager is restarted.
	many = 200
	// some is how many registrations a budget is measured with.
	some = 10
)

// TestEconomy counts what the manager writes to the cluster and asks of an
// authorization server, by its own metrics and by the server's counters.
func TestEconomy(t *testing.T) {
	w := startWorld(t)
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
	for method, budget := range map[v1alpha1.TokenEndpointAuthMethod]int{
		v1alpha1.AuthMethodClientSecretBasic: 4, v1alpha1.AuthMethodPrivateKeyJWT: 4, v1alpha1.AuthMethodNone: 3,
	} {
		t.Run(fmt.Sprintf("budgets of %s", method), func(t *testing.T) { testBudgets(t, w, as, method, budget) })
	}
	t.Run("a restart with 200 Ready objects writes nothing", func(t *testing.T) { testRestart(t, w, as) })
	t.Run("no secret is shown", func(t *testing.T) { testNoSecretIsShown(t, w) })
}

// changes are the requests that change something at an authorization server or
// ask for something about a client.
func changes(as *devas.Server) tally {
	counted := tally{}
	for _, operation := range []devas.Operation{devas.Register, devas.Read, devas.Replace, devas.Delete, devas.Token} {
		counted[string(operation)] = as.Counts().Total(operation)
	}
	return counted
}

// spent is what was written and asked for by an act until it is over. Left out
// are the writes that keep the counts of the AuthorizationServer: they come
// seconds later, one for however many registrations changed.
func (w *world) spent(t *testing.T, as *devas.Server, act func()) (writes, calls tally) {
	t.Helper()
	writesBefore, callsBefore := w.writes(t), changes(as)
	act()
	writes, calls = w.settled(t, quiet).minus(writesBefore), changes(as).minus(callsBefore)
	delete(writes, "put authorizationservers/status")
	return writes, calls
}

func testBudgets(t *testing.T, w *world, as *devas.Server, method v1alpha1.TokenEndpointAuthMethod, budget int) {
	s := newScene(t, w, "devas")
	NewWithT(t).Eventually(s.ready(t, s.server), patience, often).Should(Equal("True/Ready"))
	w.settled(t, quiet)
	refusedBefore := w.refused(t)
	registrations := make([]*v1alpha1.MCPClientRegistration, some)
	var took time.Duration
	writes, calls := w.spent(t, as, func() {
		begun := time.Now()
		defer func() { took = time.Since(begun) }()
		for i := range registrations {
			name := fmt.Sprintf("robot-%d", i)
			registrations[i] = s.newRegistration(name, method)
			if method == v1alpha1.AuthMethodNone {
				registrations[i].Spec.Credentials = nil
			}
			s.create(t, registrations[i], s.newGrant(name, name, "files:read"))
		}
		s.allReady(t, registrations)
	})
	perGrant, counts := writes["put scopegrants/status"], writes["put mcpservers/status"]
	refused := w.refused(t) - refusedBefore
	report(t, "create", writes, calls)
	t.Logf("%d of the writes were refused as stale, all in %s", refused, took.Round(time.Millisecond))
	// On a machine that is so slow, objects wait for so long that they say so.
	waiting := 0
	if took > waitsFor {
		waiting = some
	}
	atMost(t, "writes for registrations", writes.total()-perGrant-counts-refused, budget*some+waiting)
	// The server's owners see how many grants there are: gathered, not for each.
	atMost(t, "writes for servers", counts, 3+int(took/gathers))
	atMost(t, "refused writes", refused, some/2)
	atMost(t, "writes for grants", perGrant, some+waiting)
	exactly(t, calls, tally{"register": some})

	writes, calls = w.spent(t, as, func() {
		for _, reg := range registrations {
			s.create(t, s.newGrant(reg.Name+"-more", reg.Name, "notes:read"))
		}
		for _, reg := range registrations {
			NewWithT(t).Eventually(s.effective(t, reg), patience, often).Should(HaveLen(2))
		}
	})
	report(t, "add a grant", writes, calls)
	exactly(t, calls, tally{"replace": some})

	writes, calls = w.spent(t, as, func() {
		for _, reg := range registrations {
			s.remove(t, reg)
		}
		for _, reg := range registrations {
			NewWithT(t).Eventually(func() bool {
				return apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(reg), reg))
			}, patience, often).Should(BeTrue())
		}
	})
	report(t, "delete", writes, calls)
	exactly(t, tally{"delete": calls["delete"]}, tally{"delete": some})
	atMost(t, "calls for the proof", calls.total()-calls["delete"], 2*some)
}

func (s *scene) allReady(t *testing.T, registrations []*v1alpha1.MCPClientRegistration) {
	t.Helper()
	for _, reg := range registrations {
		NewWithT(t).Eventually(s.ready(t, reg), patience, often).Should(Equal("True/Ready"), reg.Name)
		grant := s.newGrant(reg.Name, reg.Name)
		NewWithT(t).Eventually(s.ready(t, grant), patience, often).Should(Equal("True/Ready"), grant.Name)
	}
}

func report(t *testing.T, act string, writes, calls tally) {
	t.Helper()
	t.Logf("%s, %d registrations: %d writes %v, %d calls of the authorization server %v",
		act, some, writes.total(), writes, calls.total(), calls)
}

func atMost(t *testing.T, what string, got, limit int) {
	t.Helper()
	if got > limit {
		t.Errorf("%s: %d, want at most %d", what, got, limit)
	}
}

func exactly(t *testing.T, got, want tally) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("calls of the authorization server: %v, want %v", got, want)
	}
}

func testRestart(t *testing.T, w *world, as *devas.Server) {
	g := NewWithT(t)
	s := newScene(t, w, "devas")
	registrations := make([]*v1alpha1.MCPClientRegistration, many)
	began := time.Now()
	for i := range registrations {
		name := fmt.Sprintf("robot-%d", i)
		registrations[i] = s.newRegistration(name, methods[i%len(methods)])
		s.create(t, registrations[i], s.newGrant(name, name, "files:read"))
	}
	s.allReady(t, registrations)
	t.Logf("%d registrations are Ready %s after the first was created", many, time.Since(began).Round(time.Millisecond))
	var object v1alpha1.AuthorizationServer
	g.Eventually(func() int32 {
		if err := s.Get(t.Context(), types.NamespacedName{Name: "devas"}, &object); err != nil || object.Status.Clients == nil {
			return -1
		}
		return object.Status.Clients.Managed
	}, patience, often).Should(BeEquivalentTo(many))
	before := w.settled(t, restful)
	if atRest := w.settled(t, restful).minus(before); atRest.total() != 0 {
		t.Errorf("writes at rest: %v", atRest)
	}
	events, callsBefore := w.eventsOfOurs(t), changes(as)

	stopping := time.Now()
	w.manager.stop(t)
	t.Logf("the manager ended %s after SIGTERM", time.Since(stopping).Round(time.Millisecond))
	restarted := time.Now()
	w.startManager(t)
	g.Eventually(func() int { return w.reconciles(t) }, patience, often).Should(BeNumerically(">=", 2*many), "not all objects were looked at")
	t.Logf("all objects were looked at %s after the start", time.Since(restarted).Round(time.Millisecond))
	if writes := w.settled(t, restful); writes.total() != 0 {
		t.Errorf("writes to the cluster after a restart: %v", writes)
	}
	calls := changes(as).minus(callsBefore)
	delete(calls, string(devas.Read))
	if calls.total() != 0 {
		t.Errorf("writing calls of the authorization server after a restart: %v", calls)
	}
	if again := w.eventsOfOurs(t); again != events {
		t.Errorf("%d events about the product's objects after a restart, %d before", again, events)
	}
	status, body := w.getMetrics(t, w.scrapeToken)
	if line := fmt.Sprintf("mcp_registrar_managed_clients{authorization_server=\"devas\"} %d", many); status != http.StatusOK || !strings.Contains(string(body), line) {
		t.Errorf("the metrics do not say %s", line)
	}
}

// eventsOfOurs counts the events about objects of the product, repetitions too.
func (w *world) eventsOfOurs(t *testing.T) int {
	t.Helper()
	count := 0
	for _, event := range w.told(t) {
		count++
		if event.Series != nil {
			count += int(event.Series.Count)
		}
	}
	return count
}
