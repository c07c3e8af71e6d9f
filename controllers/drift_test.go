// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func TestDriftChecksAreSpreadAndNotRepeated(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	schedule := controllers.NewDriftSchedule(start)
	slots := map[int]int{}
	for i := range 1000 {
		uid := types.UID(time.Duration(i).String())
		next := schedule.Next(uid, time.Hour, start)
		if !next.After(start) || next.After(start.Add(time.Hour)) {
			t.Fatalf("next is %s", next)
		}
		slots[int(next.Sub(start).Minutes())/6]++
		switch {
		case schedule.Due(uid, time.Hour, next.Add(-1)):
			t.Fatal("due before its instant")
		case !schedule.Due(uid, time.Hour, next):
			t.Fatal("not due at its instant")
		}
		schedule.Done(uid, next)
		if schedule.Due(uid, time.Hour, next.Add(time.Hour-1)) || !schedule.Due(uid, time.Hour, next.Add(time.Hour)) {
			t.Fatal("not due once in each interval")
		}
		if schedule.Suspect(uid); !schedule.Due(uid, time.Hour, next) {
			t.Fatal("not due although suspected")
		}
	}
	for slot := range 10 {
		if slots[slot] < 50 {
			t.Errorf("%d of 1000 checks in tenth %d of the interval", slots[slot], slot)
		}
	}
}

func TestDriftIsRepairedAndAVanishedClientIsRegisteredAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, func(as *v1alpha1.AuthorizationServer) { as.Spec.DriftCheckSeconds = new(int32(60)) })
	drifted := w.register(t, "drifted", public, "True/Ready")
	vanished := w.register(t, "vanished", secret, "True/Ready")
	g := NewWithT(t)
	id, gone := drifted.Status.ClientID, vanished.Status.ClientID
	g.Expect(w.as.Amend(id, map[string]any{"scope": "files:read files:write"})).To(Succeed())
	g.Expect(w.as.Remove(gone)).To(Succeed())
	g.Eventually(func() string {
		for _, c := range w.as.Clients() {
			if c.ID == id {
				return c.Scope
			}
		}
		return ""
	}, eventually, often).Should(Equal("files:read"), func() string { return fmt.Sprint(w.as.Counts(), describe(drifted)) })
	g.Eventually(func() string { w.state(t, vanished)(); return vanished.Status.ClientID }, eventually, often).ShouldNot(Or(Equal(gone), BeEmpty()))
	w.waitFor(t, vanished, "True/Ready")
	w.waitFor(t, drifted, "True/Ready")
	g.Expect(drifted.Status.ClientID).To(Equal(id))
	g.Expect(w.as.Clients()).To(HaveLen(2))
}
