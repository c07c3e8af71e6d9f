// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/agreedtime"
	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// TestWrongClock has a manager whose machine is an hour ahead, and one whose machine is an
// hour behind: it says so, ends nobody early by more than the bound, and nobody late. A
// guard on such a machine refuses nobody early, and lets nobody pass late.
func TestWrongClock(t *testing.T) {
	w := startWorld(t)
	w.binary = buildWithTestClock(t, "manager")
	b, guard := newBoundary(t, w), buildWithTestClock(t, "guard")
	s := newScene(t, w, "devas")
	for name, ahead := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w.manager.stop(t)
			w.environment = []string{"TEST_CLOCK_AHEAD=" + ahead.String()}
			w.startManager(t)
			g.Eventually(func() float64 {
				return w.metrics(t)["mcp_registrar_clock_offset_seconds"].GetMetric()[0].GetGauge().GetValue()
			}, patience, often).Should(BeNumerically("~", -ahead.Seconds(), 2))
			log, err := os.ReadFile(w.manager.log)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(log)).To(ContainSubstring("The clock of this machine differs from the API server's"))

			g.Eventually(w.clock(t, "devas"), patience, often).Should(HavePrefix("False/OperatorClockOff: the clock of the operator's machine is 1h0m0s " + map[bool]string{true: "ahead", false: "behind"}[ahead > 0]))
			wide, err := w.plane.RunKubectl(t.Context(), "get", "authorizationservers", "-o", "wide")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(wide)).To(MatchRegexp(`True +Ready .* OperatorClockOff `))

			lives, pl := s.registered(t, "lives-"+name, v1alpha1.AuthMethodClientSecretBasic)
			ends, pe := s.registered(t, "ends-"+name, v1alpha1.AuthMethodClientSecretBasic)
			s.annotate(t, lives, v1alpha1.AnnotationExpiresAt, instant(time.Now().Add(30*time.Minute)))
			end := time.Now().Add(6 * time.Second).Truncate(time.Second)
			s.annotate(t, ends, v1alpha1.AnnotationExpiresAt, instant(end))
			g.Eventually(pe.standing(t), patience, often).Should(Equal("invalid_client"))
			if early := time.Until(end); early > agreedtime.Bound {
				t.Errorf("the client was gone %s early", early)
			}
			s.requireRevoked(t, ends, pe, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
			due, proven := ends.Status.Revocation.DueAt, ends.Status.Revocation.VerifiedAt
			if !due.Time.Equal(end) || time.Until(proven.Time).Abs() > 10*time.Minute {
				t.Errorf("due at %s and proven at %s: the clock of the machine", due, proven)
			}
			g.Expect(pl.standing(t)()).To(Equal("known"), "the other client does not live any more")
			g.Expect(s.ready(t, lives)()).To(Equal("True/Ready"))

			b.guard = w.newGuard(t, "guard-"+name)
			b.guard.binary, b.guard.environment = guard, w.environment
			testWrongClockOfAGuard(t, b, name, ahead)
		})
	}
}

// clock is what the condition ClockSynchronized of a server says.
func (w *world) clock(t *testing.T, name string) func() string {
	return func() string {
		var as v1alpha1.AuthorizationServer
		if err := w.Get(t.Context(), types.NamespacedName{Name: name}, &as); err != nil {
			t.Fatal(err)
		}
		c := apimeta.FindStatusCondition(as.Status.Conditions, v1alpha1.ConditionClockSynchronized)
		if c == nil {
			return ""
		}
		return string(c.Status) + "/" + c.Reason + ": " + c.Message
	}
}

// testWrongClockOfAGuard has a token that the machine's clock would take for expired, or
// for not valid yet, and a denial that ends in some seconds, which only guards judge.
func testWrongClockOfAGuard(t *testing.T, b *boundary, name string, ahead time.Duration) {
	g := NewWithT(t)
	u := sample("files-"+name, startSample(t, mcpserver.Options{Stateless: true, JSON: true}))
	b.create(t, newGuardedServer(b.namespace, u.name, b.as, b.guard.resource(u.name), u.tools()))
	b.guard.start(t, b.world, b.kubeconfig, []string{b.behind(u.name, u.url)})
	g.Expect(b.guard.page(t)).To(ContainSubstring("mcp_guard_clock_offset_seconds"))
	log, err := os.ReadFile(b.guard.log)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(log)).To(ContainSubstring("The clock of this machine differs from the API server's"))

	reg := b.newRegistration("agent-"+name, v1alpha1.AuthMethodClientSecretBasic)
	b.create(t, reg, b.grantAt(u.name, reg.Name, reg.Name, scopeLooks))
	p := b.readyAtGuard(t, reg, scopeLooks)
	token := b.accessToken(t, p, b.guard.resource(u.name), scopeLooks)
	b.awaitAllowed(t, u.name, u.looks, token)

	c := &caller{guard: b.guard, path: "/" + u.name}
	reason := func() string { return c.call(t, u.looks, u.arguments[u.looks], token).reason }
	end := time.Now().Add(6 * time.Second).Truncate(time.Second)
	b.create(t, &v1alpha1.AccessDenial{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AccessDenial"},
		ObjectMeta: metav1.ObjectMeta{Name: "agent-" + name},
		Spec: v1alpha1.AccessDenialSpec{
			Registration: &v1alpha1.DeniedRegistration{Namespace: b.namespace, Name: reg.Name},
			Reason:       "Key leaked, incident 4711", ExpirationTime: new(metav1.NewTime(end)),
		},
	})
	g.Eventually(reason, patience, often).Should(Equal("Denied"))
	g.Eventually(reason, patience, often).Should(BeEmpty())
	if off := time.Since(end); off < -agreedtime.Bound || off > agreedtime.Bound+time.Second {
		t.Errorf("%s ahead: the denial ended %s after its end", ahead, off)
	}
}

// buildWithTestClock builds a program so that a test can say what its clock is.
func buildWithTestClock(t *testing.T, program string) string {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), program)
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=testclock", "-o", path, "./cmd/"+program)
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return path
}
