// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// TestClockSkew has authorization servers whose clocks are five minutes ahead and
// behind: that is shown, and a client lives to its end all the same.
func TestClockSkew(t *testing.T) {
	w := startWorld(t)
	w.connect(t, "devas-right", w.startDevAS(t).Issuer())
	for name, ahead := range map[string]time.Duration{"ahead": 5 * time.Minute, "behind": -5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			as := w.startDevAS(t)
			if err := as.Set(devas.Switches{ClockAheadSeconds: int(ahead / time.Second)}); err != nil {
				t.Fatal(err)
			}
			object := newAuthorizationServer("devas-"+name, as.Issuer())
			w.create(t, object)
			g.Eventually(w.ready(t, object), patience, often).Should(Equal("True/Ready"))
			g.Expect(object.Status.ClockSkewSeconds).NotTo(BeNil(), "the skew is not shown")
			// The header has whole seconds, and the answer takes its time.
			g.Expect(float64(*object.Status.ClockSkewSeconds)).To(BeNumerically("~", ahead.Seconds(), 2))

			g.Expect(w.clock(t, object.Name)()).To(HavePrefix("False/AuthorizationServerClockOff: "))
			g.Expect(w.clock(t, "devas-right")()).To(HavePrefix("True/Synchronized: "))

			s := newScene(t, w, object.Name)
			for i, method := range methods {
				reg, p := s.registered(t, fmt.Sprintf("robot-%d", i), method)
				end := time.Now().Add(4 * time.Second).Truncate(time.Second)
				s.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(end))
				g.Eventually(p.standing(t), patience, often).Should(Equal("invalid_client"))
				if early := time.Until(end); early > time.Second {
					t.Errorf("%s: the client was gone %s early", method, early)
				}
				s.requireRevoked(t, reg, p, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
			}
		})
	}
}
