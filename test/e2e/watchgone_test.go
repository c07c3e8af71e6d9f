// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// TestWatchedNamespaceGone deletes one of the namespaces of the list, and its Role
// with it: a manager that is started afterwards looks after the others.
func TestWatchedNamespaceGone(t *testing.T) {
	v := startWatching(t, "solo", "solo", "invoices", "payments", "doomed")
	v.switchTo(t, "invoices", "payments", "doomed")
	v.waitForAdmission(t)
	o := v.office(t, "list", watchMode{clients: "payments", servers: "invoices"})
	reg, p := o.clientHere(t, "robot")
	if _, err := v.plane.RunKubectl(t.Context(), "delete", "namespace", "doomed"); err != nil {
		t.Fatal(err)
	}
	v.manager.stop(t)
	v.startManager(t)
	o.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(time.Now().Add(2*time.Second)))
	o.requireRevoked(t, reg, p, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
}
