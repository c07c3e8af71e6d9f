// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// travels is how often TestTimeTravel puts etcd back.
var travels = flag.Int("travels", 2, "how often TestTimeTravel puts etcd back")

// lost is how many versions each copy lacks.
const lost = 300

// traveller is a server whose calls all pass one of several guards.
type traveller struct {
	*boundary
	upstream upstream
	resource string
	guards   []*guard
}

// TestTimeTravel puts etcd back to an earlier copy, whose revision is not raised,
// under three guards and a manager that go on: a client that is revoked then is refused
// from a guard's first contact on, also where the store has grown beyond what was
// seen before, and that every guard has the news is not said before it is so.
func TestTimeTravel(t *testing.T) {
	w := startWorld(t)
	b := newBoundary(t, w)
	u := sample("files", startSample(t, mcpserver.Options{Stateless: true, JSON: true}))
	tr := &traveller{
		boundary: b, upstream: u, resource: "https://mcp.example.com/" + u.name,
		guards: []*guard{b.guard, w.newGuard(t, "guard-two"), w.newGuard(t, "guard-three")},
	}
	server := newGuardedServer(b.namespace, u.name, b.as, tr.resource, u.tools())
	server.Spec.Boundary, server.Spec.GuardNamespaces = v1alpha1.BoundaryGuarded, []string{guardNamespace}
	w.create(t, server)
	for _, g := range tr.guards {
		g.start(t, w, b.kubeconfig, []string{b.behind(u.name, u.url)})
	}
	for i := range *travels {
		t.Run(fmt.Sprint(i), func(t *testing.T) { tr.round(t, i) })
	}
}

func (tr *traveller) round(t *testing.T, i int) {
	g := NewWithT(t)
	leaves, token := tr.client(t, fmt.Sprintf("leaves-%d", i))
	rests, resting := tr.client(t, fmt.Sprintf("rests-%d", i))
	copied := filepath.Join(t.TempDir(), "copy")
	if err := tr.plane.CopyStore(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	tr.served(t)
	tr.managed(t)
	tr.awaitContact(t, time.Now())
	// What the guard follows is changed last, so that it has seen what gets lost.
	tr.grow(t, fmt.Sprintf("lost-%d", i))
	tr.annotate(t, leaves, "example.com/seen", strconv.Itoa(i))
	tr.awaitContact(t, time.Now().Add(3*time.Second))

	restarts := tr.restarts(t)
	manager := tr.manager
	if err := tr.plane.PutBack(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	tr.served(t)
	if i%2 == 1 {
		tr.grow(t, fmt.Sprintf("again-%d", i))
		tr.grow(t, fmt.Sprintf("beyond-%d", i))
	}
	revoked := tr.deletes(t, leaves.Name)
	for _, guard := range tr.guards {
		tr.requireRefused(t, guard, token, revoked)
	}
	for name, before := range restarts {
		g.Expect(tr.restarts(t)[name]).To(BeNumerically(">", before), "%s noticed nothing", name)
	}
	g.Eventually(manager.ended, patience).Should(BeClosed(), "the manager goes on")
	tr.managed(t)
	for _, guard := range tr.guards {
		g.Eventually(guard.readiness(t), patience, often).Should(Equal(http.StatusOK))
	}
	tr.requireDenied(t, rests, resting)
}

// client makes a client that every guard lets pass, and returns it with a token.
func (tr *traveller) client(t *testing.T, name string) (*v1alpha1.MCPClientRegistration, string) {
	t.Helper()
	reg := tr.newRegistration(name, v1alpha1.AuthMethodClientSecretBasic)
	tr.create(t, reg, tr.grantAt(tr.upstream.name, name, name, scopeLooks))
	token := tr.accessToken(t, tr.waitReady(t, reg), tr.resource, scopeLooks)
	for _, guard := range tr.guards {
		NewWithT(t).Eventually(func() int { return tr.call(t, guard, token) }, patience, often).Should(Equal(http.StatusOK), guard.name)
	}
	return reg, token
}

// call is the status of a call of a tool through a guard.
func (tr *traveller) call(t *testing.T, guard *guard, token string) int {
	t.Helper()
	c := &caller{guard: guard, path: "/" + tr.upstream.name}
	return c.call(t, tr.upstream.looks, tr.upstream.arguments[tr.upstream.looks], token).status
}

// requireDenied suspends a client in the history that there is now: when it is said
// that every guard refuses it, every guard does.
func (tr *traveller) requireDenied(t *testing.T, reg *v1alpha1.MCPClientRegistration, token string) {
	t.Helper()
	g := NewWithT(t)
	tr.merge(t, reg, `{"spec":{"state":"Suspended"}}`)
	g.Eventually(func() *metav1.Time {
		if err := tr.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil || reg.Status.Revocation == nil {
			return nil
		}
		return reg.Status.Revocation.DeniedAt
	}, 2*patience, often).ShouldNot(BeNil(), "no deniedAt")
	for _, guard := range tr.guards {
		g.Expect(tr.call(t, guard, token)).NotTo(Equal(http.StatusOK), "%s lets pass whom every guard is said to refuse", guard.name)
	}
}

// requireRefused watches what becomes of a client that was revoked at an instant:
// it does not pass any more once the guard has had contact after that.
func (tr *traveller) requireRefused(t *testing.T, guard *guard, token string, revoked time.Time) {
	t.Helper()
	passed, after := 0, 0
	for end := time.Now().Add(patience); ; {
		contact := contact(t, guard).After(revoked)
		status := tr.call(t, guard, token)
		switch {
		case status == http.StatusOK && contact:
			t.Fatalf("a revoked client passed %s %s after it was revoked, and after the guard had contact", guard.name, time.Since(revoked))
		case status == http.StatusOK:
			passed++
		case contact:
			after++
		}
		if after >= 100 {
			t.Logf("%d calls passed before contact, all refused %s after the revocation", passed, time.Since(revoked))
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no contact in %s", patience)
		}
		wait(t, often)
	}
}

func wait(t *testing.T, how time.Duration) {
	t.Helper()
	timer := time.NewTimer(how)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// contact is when a guard last had contact; zero while it does not rely on any.
func contact(t *testing.T, guard *guard) time.Time {
	t.Helper()
	page, asked := guard.page(t), time.Now()
	if value(page, "mcp_guard_register_complete") != 1 {
		return time.Time{}
	}
	return asked.Add(-time.Duration(value(page, "mcp_guard_register_age_seconds") * float64(time.Second)))
}

func (tr *traveller) awaitContact(t *testing.T, since time.Time) {
	t.Helper()
	for _, guard := range tr.guards {
		NewWithT(t).Eventually(func() time.Time { return contact(t, guard) }, patience, often).Should(BeTemporally(">", since))
	}
}

// restarts counts how often each guard began anew, by its name.
func (tr *traveller) restarts(t *testing.T) map[string]float64 {
	t.Helper()
	counted := map[string]float64{}
	for _, guard := range tr.guards {
		counted[guard.name] = value(guard.page(t), "mcp_guard_history_restarts_total")
	}
	return counted
}

// value is that of a metric without labels; -1 where there is none.
func value(page, name string) float64 {
	match := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(page)
	if match == nil {
		return -1
	}
	number, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return -1
	}
	return number
}

// served waits until the API server has its kinds and policies again.
func (tr *traveller) served(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(func() error { return tr.List(t.Context(), &v1alpha1.MCPClientRegistrationList{}) }, patience, often).Should(Succeed())
	tr.waitForAdmission(t)
}

// managed has a manager run: it ends where the API server is away for long, or was
// put back.
func (tr *traveller) managed(t *testing.T) {
	t.Helper()
	select {
	case <-tr.manager.ended:
		tr.startManager(t)
	default:
	}
}

// grow writes what nobody follows.
func (tr *traveller) grow(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: tr.namespace, Name: name}}
	if err := tr.Create(ctx, object); err != nil {
		t.Fatal(err)
	}
	for i := range lost {
		object.Data = map[string]string{"i": strconv.Itoa(i)}
		if err := tr.Update(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
}
