// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func quotaOf(quota int32) func(*v1alpha1.AuthorizationServer) {
	return func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxRegistrationsPerNamespace: &quota}
	}
}

func (w *world) setQuota(t *testing.T, quota int32) {
	t.Helper()
	edit(t, w, &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: w.name}}, quotaOf(quota))
}

// beside is another namespace with the same authorization server.
func (w *world) beside(t *testing.T) *world {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
	w.create(t, namespace)
	other := *w
	other.namespace = namespace.Name
	other.create(t, other.server("files"))
	return &other
}

// atOnceMany makes registrations with their grants, all at one time.
func (w *world) atOnceMany(t *testing.T, count int) []*v1alpha1.MCPClientRegistration {
	t.Helper()
	made := make([]*v1alpha1.MCPClientRegistration, count)
	var group sync.WaitGroup
	for i := range count {
		name := string(rune('a' + i))
		made[i] = w.registration(name, public, time.Now().Add(time.Hour))
		grant := w.grant(name, time.Now().Add(time.Hour), "files:read")
		group.Go(func() {
			for _, object := range []client.Object{grant, made[i]} {
				if err := w.Create(t.Context(), object); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	return made
}

// split waits until so many are ready and the others wait for a place.
func (w *world) split(t *testing.T, regs []*v1alpha1.MCPClientRegistration, want int) (ready, waiting []*v1alpha1.MCPClientRegistration) {
	t.Helper()
	NewWithT(t).Eventually(func() map[string]int {
		ready, waiting = nil, nil
		states := map[string]int{}
		for _, reg := range regs {
			state := w.state(t, reg)()
			states[state]++
			switch state {
			case "True/Ready":
				ready = append(ready, reg)
			case "False/" + v1alpha1.ReasonQuotaExceeded:
				waiting = append(waiting, reg)
			}
		}
		return states
	}, eventually, often).Should(Equal(counted(want, len(regs)-want)))
	return ready, waiting
}

func counted(ready, waiting int) map[string]int {
	states := map[string]int{}
	if ready > 0 {
		states["True/Ready"] = ready
	}
	if waiting > 0 {
		states["False/"+v1alpha1.ReasonQuotaExceeded] = waiting
	}
	return states
}

func TestQuotaOfANamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, quotaOf(3))
	g := NewWithT(t)
	regs := w.atOnceMany(t, 10)
	ready, waiting := w.split(t, regs, 3)
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(3))
	for _, reg := range waiting {
		c := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
		g.Expect(c.Message).To(And(ContainSubstring("has 3 clients"), ContainSubstring("allows 3 (maxRegistrationsPerNamespace)"), ContainSubstring("ask the platform team")))
		g.Expect(meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionStalled)).To(BeTrue())
	}

	other := w.beside(t)
	other.split(t, other.atOnceMany(t, 2), 2)
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(5))

	w.remove(t, ready[0])
	w.waitFor(t, ready[0], "gone")
	left := append(ready[1:], waiting...)
	ready, waiting = w.split(t, left, 3)
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(6), "exactly one more")
	g.Expect(w.as.Deleted()).To(HaveLen(1))

	ids := map[string]string{}
	for _, reg := range ready {
		ids[reg.Name] = reg.Status.ClientID
	}
	w.setQuota(t, 1)
	g.Eventually(func() string {
		w.state(t, waiting[0])()
		return meta.FindStatusCondition(waiting[0].Status.Conditions, v1alpha1.ConditionReady).Message
	}, eventually, often).Should(ContainSubstring("allows 1 "))
	w.remove(t, ready[0])
	w.waitFor(t, ready[0], "gone")
	for _, reg := range ready[1:] {
		w.waitFor(t, reg, "True/Ready")
		g.Expect(reg.Status.ClientID).To(Equal(ids[reg.Name]), "a stricter quota takes nothing away")
	}
	w.split(t, append(ready[1:], waiting...), 2)
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(6), "nobody comes in")

	w.setQuota(t, 100)
	w.split(t, append(ready[1:], waiting...), 8)
	g.Expect(w.as.Clients()).To(HaveLen(10))
	g.Expect(w.as.Deleted()).To(HaveLen(2))
}

// TestQuotaWhileRegistrationsComeAndGo: however the places change hands, there
// are never more clients than places, and no free place is left unused.
func TestQuotaWhileRegistrationsComeAndGo(t *testing.T) {
	t.Parallel()
	const places, all = 2, 24
	w := newWorld(t, devas.Options{}, quotaOf(places))
	g := NewWithT(t)
	regs := w.atOnceMany(t, all)
	for left := regs; len(left) > places; {
		var still []*v1alpha1.MCPClientRegistration
		taken := 0
		g.Eventually(func() int {
			still = nil
			taken = 0
			for _, reg := range left {
				if w.state(t, reg)() == "True/Ready" && taken < places {
					taken++
					w.remove(t, reg)
					continue
				}
				still = append(still, reg)
			}
			g.Expect(len(w.as.Clients())).To(BeNumerically("<=", places))
			return taken
		}, eventually, time.Millisecond).Should(BeNumerically(">", 0), func() string { return describe(left[0]) })
		left = still
	}
	g.Expect(w.as.Counts().Total(devas.Register)).To(BeNumerically("<=", all))
}

// TestPlaceIsTakenWheneverItBecomesFree: also when that happens between the
// count of the places and the status that tells of it.
func TestPlaceIsTakenWheneverItBecomesFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, quotaOf(1))
	last := w.register(t, "first", public, "True/Ready")
	for i := range 60 {
		name := fmt.Sprintf("next-%d", i)
		w.create(t, w.grant(name, time.Now().Add(time.Hour), "files:read"))
		w.remove(t, last)
		moment := time.NewTimer(time.Duration(45+i%40) * time.Millisecond)
		select {
		case <-moment.C:
		case <-t.Context().Done():
			t.Fatal("interrupted")
		}
		last = w.registration(name, public, time.Now().Add(time.Hour))
		w.create(t, last)
		w.waitFor(t, last, "True/Ready")
	}
}

// TestQuotaZeroAdmitsNobody also tells apart no quota and a quota of none.
func TestQuotaZeroAdmitsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, quotaOf(0))
	regs := w.atOnceMany(t, 2)
	w.split(t, regs, 0)
	NewWithT(t).Expect(w.as.Counts().Total(devas.Register)).To(BeZero())
	edit(t, w, &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: w.name}}, func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy = nil })
	w.split(t, regs, 2)
}

// TestEditsOfTheQuotaLeaveClientsReady: each edit is discovered anew, and what
// is said of the clients meanwhile does not stay.
func TestEditsOfTheQuotaLeaveClientsReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, quotaOf(100))
	regs := w.atOnceMany(t, 20)
	w.split(t, regs, 20)
	for i := range 10 {
		w.setQuota(t, int32(50+i))
		as := &v1alpha1.AuthorizationServer{}
		NewWithT(t).Eventually(func() bool {
			err := w.Get(t.Context(), client.ObjectKey{Name: w.name}, as)
			return err == nil && as.Status.ObservedGeneration == as.Generation
		}, eventually, often).Should(BeTrue())
		w.waitForAll(t, regs, "True/Ready")
	}
	since := time.Now()
	NewWithT(t).Eventually(func() time.Duration {
		for _, reg := range regs {
			if w.state(t, reg)() != "True/Ready" {
				since = time.Now()
			}
		}
		return time.Since(since)
	}, eventually, often).Should(BeNumerically(">", 2*time.Second), "something that is not so was said of a client, and stays")
}

// TestStricterQuotaLeavesARequestWithoutAnswerItsPlace: what is under way has
// its place and is seen through, or is told why not.
func TestStricterQuotaLeavesARequestWithoutAnswerItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, quotaOf(2))
	w.register(t, "first", public, "True/Ready")
	// Nothing is answered: what may have been carried out is not repeated before the
	// server is there again.
	w.order(t, devas.Fault{Operation: devas.Any, Kind: devas.FaultClose, When: devas.Before})
	second := w.register(t, "second", public, "Unknown/"+v1alpha1.ReasonUnavailable)
	w.setQuota(t, 1)
	w.as.ClearFaults()
	w.waitFor(t, second, "True/Ready")
}

// TestVanishedClientKeepsItsPlaceUnderAStricterQuota: it is registered anew.
func TestVanishedClientKeepsItsPlaceUnderAStricterQuota(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a drift check, a minute: not with -short")
	}
	t.Parallel()
	w := newWorld(t, devas.Options{}, quotaOf(2), func(as *v1alpha1.AuthorizationServer) { as.Spec.DriftCheckSeconds = new(int32(60)) })
	w.register(t, "first", public, "True/Ready")
	second := w.register(t, "second", public, "True/Ready")
	gone := second.Status.ClientID
	w.setQuota(t, 1)
	if err := w.as.Remove(gone); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(func() string { w.state(t, second)(); return second.Status.ClientID }, eventually, often).ShouldNot(Or(Equal(gone), BeEmpty()))
	w.waitFor(t, second, "True/Ready")
	if refused := w.as.Counts()[devas.Read][http.StatusUnauthorized] + w.as.Counts()[devas.Read][http.StatusNotFound]; refused == 0 {
		t.Error("the absence was not seen")
	}
}
