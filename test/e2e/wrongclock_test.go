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

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/agreedtime"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// TestWrongClock has a manager whose machine is an hour ahead, and one whose machine is an
// hour behind: it says so, ends nobody early by more than the bound, and nobody late.
func TestWrongClock(t *testing.T) {
	w := startWorld(t)
	w.binary = buildWithTestClock(t)
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
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
		})
	}
}

// buildWithTestClock builds the manager so that a test can say what its clock is.
func buildWithTestClock(t *testing.T) string {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "manager")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=testclock", "-o", path, "./cmd/manager")
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return path
}
