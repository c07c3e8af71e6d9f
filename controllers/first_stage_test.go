// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// The authorization server is told first: before the deletion the API server is asked
// at most once, for what a cache that is behind could have wrong, and nothing is
// written but a cause that could not be read again.
func TestServerIsToldFirst(t *testing.T) {
	registration := []string{"get *v1alpha1.MCPClientRegistration"}
	// That the last grant had ended is not told by the objects once it was renewed: it is
	// stored first. So is what the registration itself lost, in one request with the read:
	// in its status, over the version that was decided on.
	grants, own := []string{"list *v1alpha1.ScopeGrantList", "update *v1.Secret"}, []string{"update status of *v1alpha1.MCPClientRegistration"}
	for name, c := range map[string]struct {
		method v1alpha1.TokenEndpointAuthMethod
		leave  func(s *stage)
		want   []string
	}{
		"expired":             {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) { s.clock.SetTime(begun.Add(time.Hour)) }, registration},
		"expired, with a key": {v1alpha1.AuthMethodPrivateKeyJWT, func(s *stage) { s.clock.SetTime(begun.Add(time.Hour)) }, registration},
		"its end was moved to now": {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) {
			s.clock.SetTime(begun.Add(time.Minute))
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, begun.Add(time.Minute).Format(time.RFC3339)) })
		}, own},
		"its owner was taken off": {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { delete(reg.Annotations, v1alpha1.AnnotationOwner) })
		}, own},
		"its end was taken off": {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { delete(reg.Annotations, v1alpha1.AnnotationExpiresAt) })
		}, own},
		"it is suspended": {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended })
		}, own},
		"its namespace is not admitted any more": {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) {
			editOnce(s, s.issuer, func(as *v1alpha1.AuthorizationServer) { as.Spec.AllowedNamespaces = nil })
		}, own},
		"its last grant ended":     {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) { endGrant(s) }, grants},
		"deleted":                  {v1alpha1.AuthMethodClientSecretBasic, func(s *stage) { s.remove(s.reg) }, nil},
		"deleted, with a key":      {v1alpha1.AuthMethodPrivateKeyJWT, func(s *stage) { s.remove(s.reg) }, nil},
		"deleted, with its Secret": {v1alpha1.AuthMethodPrivateKeyJWT, func(s *stage) { s.remove(s.reg); s.broken["*v1.Secret"] = false }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "told-first")
			s.reg.Spec.TokenEndpointAuthMethod = c.method
			endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
			s.begin()
			if len(s.as.Clients()) != 1 {
				t.Fatal("there is no client")
			}
			c.leave(s)
			s.requests = nil
			var before []string
			told := false
			s.as.Switch(func(w *fake.Switches) {
				w.OnCall = func(_ context.Context, op fake.Operation) {
					if op == fake.Revoke && !told {
						told, before = true, append(before, slices.DeleteFunc(s.requests, ofServer)...)
					}
				}
			})
			s.settle()
			if !told || len(s.as.Clients()) != 0 {
				t.Fatalf("told %v, %d clients live", told, len(s.as.Clients()))
			}
			if diff := cmp.Diff(c.want, before); diff != "" {
				t.Errorf("asked before the server was told (-want +got):\n%s", diff)
			}
		})
	}
}

// ofServer is what the reconciler of authorization servers writes, for all clients.
func ofServer(request string) bool { return strings.HasSuffix(request, "v1alpha1.AuthorizationServer") }

// endGrant has the one grant end by its own time, and lets that come.
func endGrant(s *stage) {
	edit(s, s.grant, func(grant *v1alpha1.ScopeGrant) { endAt(grant, begun.Add(time.Minute).Format(time.RFC3339)) })
	s.settle()
	s.clock.SetTime(begun.Add(time.Minute))
}
