// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/transport"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// writeLog keeps the paths of the write requests that a manager sent.
type writeLog struct {
	mu    sync.Mutex
	paths []string
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

var _ transport.WrapperFunc = (*writeLog)(nil).wrap

func (l *writeLog) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(request *http.Request) (*http.Response, error) {
		if request.Method != http.MethodGet {
			l.mu.Lock()
			l.paths = append(l.paths, request.URL.Path)
			l.mu.Unlock()
		}
		return next.RoundTrip(request)
	})
}

// to counts the writes to one object, or to what is below it.
func (l *writeLog) to(resource, namespace, name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count, path := 0, "/namespaces/"+namespace+"/"+resource+"/"+name
	for _, written := range l.paths {
		if strings.HasSuffix(written, path) || strings.Contains(written, path+"/") {
			count++
		}
	}
	return count
}

// many makes registrations with a grant each.
func (w *world) many(t *testing.T, name string, count int) []*v1alpha1.MCPClientRegistration {
	t.Helper()
	var made []*v1alpha1.MCPClientRegistration
	for i := range count {
		one := fmt.Sprintf("%s-%d", name, i)
		reg := w.registration(one, []v1alpha1.TokenEndpointAuthMethod{public, secret, key}[i%3], time.Now().Add(time.Hour))
		w.create(t, reg, w.grant(one, time.Now().Add(time.Hour), "files:read"))
		made = append(made, reg)
	}
	return made
}

func (w *world) waitForAll(t *testing.T, regs []*v1alpha1.MCPClientRegistration, state string) {
	t.Helper()
	for _, reg := range regs {
		w.waitFor(t, reg, state)
	}
}

// pause sets or removes the annotation, and waits until the operator saw it.
func (w *world) pause(t *testing.T, paused bool) {
	t.Helper()
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	want := v1alpha1.ReasonReady
	edit(t, w, as, func(as *v1alpha1.AuthorizationServer) {
		if as.Annotations = nil; paused {
			as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
		}
	})
	if paused {
		want = v1alpha1.ReasonPaused
	}
	NewWithT(t).Eventually(func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(as), as); err != nil {
			return err.Error()
		}
		if ready := meta.FindStatusCondition(as.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			return ready.Reason
		}
		return ""
	}, eventually, often).Should(Equal(want))
}

// clientOf returns the client of a registration at the authorization server.
func (w *world) clientOf(t *testing.T, reg *v1alpha1.MCPClientRegistration) devas.Client {
	t.Helper()
	w.state(t, reg)()
	for _, c := range w.as.Clients() {
		if c.ID == reg.Status.ClientID {
			return c
		}
	}
	return devas.Client{}
}

// verified waits until the end of a client is proven: the status may tell of a
// revocation before.
func (w *world) verified(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	NewWithT(t).Eventually(func() bool {
		w.state(t, reg)()
		return reg.Status.Revocation != nil && reg.Status.Revocation.VerifiedAt != nil
	}, eventually, often).Should(BeTrue(), func() string { return describe(reg) })
}

// proven checks that the client that a registration had is proven to be gone.
func (w *world) proven(t *testing.T, reg *v1alpha1.MCPClientRegistration, id string, cause v1alpha1.RevocationCause) {
	t.Helper()
	g := NewWithT(t)
	w.verified(t, reg)
	g.Expect(reg.Status.ClientID).To(BeEmpty())
	g.Expect(reg.Status.Revocation.ClientID).To(Equal(id))
	g.Expect(reg.Status.Revocation.Cause).To(Equal(cause))
	g.Expect(w.as.Deleted()).To(ContainElement(id))
}

// TestPauseHoldsBackEverythingButRevocation: 20 creations wait and 20 expiries
// are carried out.
func TestPauseHoldsBackEverythingButRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	live, doomed := w.many(t, "live", 3), w.many(t, "doomed", 20)
	w.waitForAll(t, live, "True/Ready")
	w.waitForAll(t, doomed, "True/Ready")
	end, ids := time.Now().Add(30*time.Second), map[string]string{}
	for _, reg := range doomed {
		ids[reg.Name] = reg.Status.ClientID
		edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) {
			reg.Annotations[v1alpha1.AnnotationExpiresAt] = end.UTC().Format(time.RFC3339Nano)
		})
	}
	w.pause(t, true)
	if time.Now().After(end.Add(-time.Second)) {
		t.Fatal("the machine is too slow for this test: the ends came before the pause")
	}
	sent, written := w.as.Counts().Total(devas.Register), map[string]int{}
	for _, reg := range live {
		written[reg.Name] = shared.writes.to("mcpclientregistrations", w.namespace, reg.Name)
		g.Expect(written[reg.Name]).To(BeNumerically(">", 0), "the writes of the manager are counted")
	}
	waiting := w.many(t, "waiting", 20)
	w.waitForAll(t, waiting, "False/"+v1alpha1.ReasonPaused)
	for _, reg := range waiting {
		g.Expect(meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionReconciling)).To(BeTrue(), reg.Name)
		g.Expect(meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady).Message).To(ContainSubstring("platform team paused"))
	}
	for _, reg := range doomed {
		w.waitFor(t, reg, "False/"+v1alpha1.ReasonExpired)
		w.proven(t, reg, ids[reg.Name], v1alpha1.CauseExpired)
	}
	g.Expect(w.as.Clients()).To(HaveLen(len(live)))
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(sent), "nothing was registered during the pause")
	w.pause(t, false)
	w.waitForAll(t, waiting, "True/Ready")
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(sent + len(waiting)))
	for _, reg := range live {
		g.Expect(w.state(t, reg)()).To(Equal("True/Ready"))
		g.Expect(shared.writes.to("mcpclientregistrations", w.namespace, reg.Name)).To(Equal(written[reg.Name]), "a client as wished is left alone")
	}
}

// TestPauseDoesNotStopWhatTakesAway: deletion, suspension, a withdrawn grant, a
// shorter list of redirect URIs, a lost owner.
func TestPauseDoesNotStopWhatTakesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	deleted, suspended := w.register(t, "deleted", key, "True/Ready"), w.register(t, "suspended", secret, "True/Ready")
	orphaned, bereft := w.register(t, "orphaned", public, "True/Ready"), w.register(t, "bereft", public, "True/Ready")
	narrowed, extra := w.registration("narrowed", public, time.Now().Add(time.Hour)), w.grant("narrowed", time.Now().Add(time.Hour), "notes:read")
	narrowed.Spec.RedirectURIs = append(narrowed.Spec.RedirectURIs, "http://127.0.0.1/other")
	w.create(t, narrowed, extra, w.grant("narrowed", time.Now().Add(time.Hour), "files:read"))
	g.Eventually(func() int { w.state(t, narrowed)(); return len(narrowed.Status.Scopes) }, eventually, often).Should(Equal(2))
	ids := map[string]string{}
	for _, reg := range []*v1alpha1.MCPClientRegistration{deleted, suspended, orphaned, bereft, narrowed} {
		ids[reg.Name] = reg.Status.ClientID
	}
	w.pause(t, true)
	w.remove(t, deleted)
	w.remove(t, w.grantsOf(t, "bereft"))
	edit(t, w, suspended, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended })
	edit(t, w, orphaned, func(reg *v1alpha1.MCPClientRegistration) { delete(reg.Annotations, v1alpha1.AnnotationOwner) })
	w.waitFor(t, deleted, "gone")
	g.Expect(w.as.Deleted()).To(ContainElement(ids["deleted"]))
	for cause, reg := range map[v1alpha1.RevocationCause]*v1alpha1.MCPClientRegistration{
		v1alpha1.CauseSuspended: suspended, v1alpha1.CauseOwnerMissing: orphaned, v1alpha1.CauseNoGrantInForce: bereft,
	} {
		w.waitFor(t, reg, "False/"+string(cause))
		w.proven(t, reg, ids[reg.Name], cause)
	}
	w.remove(t, extra)
	g.Eventually(func() string { return w.clientOf(t, narrowed).Scope }, eventually, often).Should(Equal("files:read"))
	w.waitFor(t, narrowed, "True/Ready")
	edit(t, w, narrowed, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.RedirectURIs = reg.Spec.RedirectURIs[:1] })
	g.Eventually(func() int { return len(w.clientOf(t, narrowed).RedirectURIs) }, eventually, often).Should(Equal(1))
	w.waitFor(t, narrowed, "True/Ready")
	g.Expect(narrowed.Status.ClientID).To(Equal(ids["narrowed"]))

	edit(t, w, suspended, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateActive })
	w.waitFor(t, suspended, "False/"+v1alpha1.ReasonPaused)
	w.create(t, w.grant("narrowed", time.Now().Add(time.Hour), "notes:read"))
	w.waitFor(t, narrowed, "False/"+v1alpha1.ReasonPaused)
	g.Expect(w.clientOf(t, narrowed).Scope).To(Equal("files:read"), "what there is stays, nothing is added")
	g.Expect(w.as.Clients()).To(HaveLen(1))
	w.pause(t, false)
	w.waitFor(t, suspended, "True/Ready")
	w.waitFor(t, narrowed, "True/Ready")
	g.Expect(strings.Fields(w.clientOf(t, narrowed).Scope)).To(ConsistOf("files:read", "notes:read"))
	w.waitFor(t, orphaned, "False/"+v1alpha1.ReasonOwnerMissing)
}

// TestPauseOfOneServerLeavesOthersAlone holds also for the words that mean no
// pause.
func TestPauseOfOneServerLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, devas.Options{}), newWorld(t, devas.Options{})
	w.pause(t, true)
	other.register(t, "other", public, "True/Ready")
	reg := w.register(t, "held", public, "False/"+v1alpha1.ReasonPaused)
	var as v1alpha1.AuthorizationServer
	if err := w.Get(t.Context(), types.NamespacedName{Name: w.name}, &as); err != nil {
		t.Fatal(err)
	}
	edit(t, w, &as, func(as *v1alpha1.AuthorizationServer) { as.Annotations[v1alpha1.AnnotationPaused] = "false" })
	w.waitFor(t, reg, "True/Ready")
}

// grantsOf returns the one grant of a client.
func (w *world) grantsOf(t *testing.T, name string) *v1alpha1.ScopeGrant {
	t.Helper()
	var grants v1alpha1.ScopeGrantList
	if err := w.List(t.Context(), &grants, client.InNamespace(w.namespace)); err != nil {
		t.Fatal(err)
	}
	for i := range grants.Items {
		if grants.Items[i].Spec.ClientRef.Name == name {
			return &grants.Items[i]
		}
	}
	t.Fatalf("%s has no grant", name)
	return nil
}
