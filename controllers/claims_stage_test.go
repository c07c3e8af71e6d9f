// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// squatted is a server of another tenant with the resource of the stage's, and older.
func (s *stage) squatted() *v1alpha1.MCPServer {
	first := s.server.DeepCopy()
	first.ObjectMeta = stageMeta("warehouse", "first", "team-warehouse@example.com")
	first.CreationTimestamp = metav1.NewTime(s.server.CreationTimestamp.Add(-time.Hour))
	first.Spec.Resource += "/"
	return first
}

// TestAResourceOfAnotherTenant: a server whose resource another one has is refused, and
// its clients lose their grants; who it is is told to the platform team alone. When the
// first is gone it is accepted.
func TestAResourceOfAnotherTenant(t *testing.T) {
	t.Parallel()
	s := newStage(t, "taken")
	first := s.squatted()
	s.create(first)
	told := &toldOf{}
	s.servers.Recorder = told
	s.begin()
	server := s.storedServer(t)
	if got := refusedFor(server); got != v1alpha1.ReasonResourceTaken {
		t.Fatalf("the second is %s", got)
	}
	if text := fmt.Sprintf("%+v", server.Status); strings.Contains(text, "warehouse") || strings.Contains(text, "first") {
		t.Errorf("its status tells of another tenant: %s", text)
	}
	said := told.about(v1alpha1.ReasonResourceTaken)
	named := func(text string) bool {
		return strings.Contains(text, "warehouse/first") && strings.Contains(text, "team-warehouse@example.com")
	}
	if len(said["AuthorizationServer company"]) != 1 || !named(said["AuthorizationServer company"][0]) {
		t.Errorf("the platform team is told %q", said)
	}
	if own := said["MCPServer "+s.server.Name]; len(own) != 1 || strings.Contains(own[0], "warehouse") {
		t.Errorf("the server team is told %q", own)
	}
	if err := s.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if _, err := s.servers.Reconcile(t.Context(), s.storedServer(t)); err != nil {
		t.Fatal(err)
	}
	if got := refusedFor(s.storedServer(t)); got != v1alpha1.ReasonAccepted {
		t.Errorf("after the first is gone the second is %s", got)
	}
}

// TestWhoIsWokenByAClaim: the others with the resource of one that comes, goes or is refused,
// and what is granted there.
func TestWhoIsWokenByAClaim(t *testing.T) {
	t.Parallel()
	s := newStage(t, "woken")
	first := s.squatted()
	s.create(first, s.server, s.grant)
	if got := fmt.Sprint(s.servers.ofClaim(t.Context(), first)); !strings.Contains(got, client.ObjectKeyFromObject(s.server).String()) {
		t.Errorf("servers: %s", got)
	}
	if got := s.servers.ofClaim(t.Context(), s.server); len(got) != 1 || got[0].NamespacedName != client.ObjectKeyFromObject(first) {
		t.Errorf("by the second are woken %v", got)
	}
	if got := fmt.Sprint(s.scopeGrants.ofServer(t.Context(), first)); !strings.Contains(got, client.ObjectKeyFromObject(s.grant).String()) {
		t.Errorf("grants: %s", got)
	}
	if got := fmt.Sprint(grantsBehind(t.Context(), s.Client, first, clientOf)); !strings.Contains(got, clientOf(s.grant).String()) {
		t.Errorf("registrations: %s", got)
	}
}

// storedServer is the server as it is stored.
func (s *stage) storedServer(t *testing.T) *v1alpha1.MCPServer {
	t.Helper()
	var server v1alpha1.MCPServer
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.server), &server); err != nil {
		t.Fatal(err)
	}
	return &server
}
