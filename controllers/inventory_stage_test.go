// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// A server that answers every page of a list with the same clients is not asked for
// ever, and its list counts nothing.
func TestListWithoutAnEnd(t *testing.T) {
	s := newStage(t, "carousel")
	s.manageOtherwise()
	s.authServers.Cluster = "cluster"
	s.begin()
	s.as.pages = 1
	s.later(time.Hour)
	if s.as.pages < 2 || s.as.pages > 20 {
		t.Errorf("asked for %d pages", s.as.pages-1)
	}
	var as v1alpha1.AuthorizationServer
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.issuer), &as); err != nil {
		t.Fatal(err)
	}
	if as.Status.Inventory != nil && as.Status.Inventory.TakenAt.After(begun) {
		t.Errorf("an inventory was taken: %+v", as.Status.Inventory)
	}
}
