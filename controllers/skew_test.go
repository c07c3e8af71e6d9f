// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// skews are how far the clock of the API server is ahead of the operator's.
var skews = map[string]time.Duration{"API server 5 minutes behind": -5 * time.Minute, "API server 5 minutes ahead": 5 * time.Minute}

// A registration lives to its end by the operator's clock, whatever the clock of
// the API server says of its beginning: not a second less, and no more.
func TestSkewOfTheAPIServerNeverRevokesEarly(t *testing.T) {
	t.Parallel()
	const longest = 2 * time.Hour
	for name, ahead := range skews {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHour(t, ahead)
			as := &v1alpha1.AuthorizationServer{}
			if err := h.Get(t.Context(), client.ObjectKey{Name: "auth"}, as); err != nil {
				t.Fatal(err)
			}
			as.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxRegistrationLifetimeSeconds: new(int64(longest / time.Second))}
			if err := h.Update(t.Context(), as); err != nil {
				t.Fatal(err)
			}
			// The longest that the API server admits: it counts by its own clock.
			regs := h.creates("longest", 3, ahead+longest)
			end := h.Clock.Now().Add(ahead + longest)
			h.pass(10 * time.Second)
			h.require(regs, v1alpha1.ConditionReady, "True/Ready")
			first := h.as.Clients()
			for h.Clock.Now().Add(20 * time.Minute).Before(end) {
				h.pass(20 * time.Minute)
				h.require(regs, v1alpha1.ConditionReady, "True/Ready")
			}
			h.pass(end.Add(-time.Second).Sub(h.Clock.Now()))
			h.require(regs, v1alpha1.ConditionReady, "True/Ready")
			for i, live := range h.as.Clients() {
				if live.ID != first[i].ID {
					t.Errorf("client %s is not the one from the beginning, %s", live.ID, first[i].ID)
				}
			}
			h.pass(2 * time.Second)
			h.require(regs, v1alpha1.ConditionReady, "False/"+v1alpha1.ReasonExpired)
			if live := len(h.as.Clients()); live != 0 {
				t.Errorf("%d clients live after their end", live)
			}
		})
	}
}

// A new object that waits for others says so soon, whatever the API server says
// of when it was created.
func TestSkewOfTheAPIServerDelaysNoStatus(t *testing.T) {
	t.Parallel()
	for name, ahead := range skews {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHour(t, ahead)
			reg := (&world{name: "nowhere", namespace: "team"}).registration("waiting", public, h.Clock.Now().Add(time.Hour))
			h.put(reg)
			h.pass(5 * time.Second)
			if said := h.says(reg, v1alpha1.ConditionReady); said != "False/"+v1alpha1.ReasonAuthorizationServerNotFound {
				t.Errorf("after five seconds: %s", said)
			}
		})
	}
}
