// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// losses are the ways in which a registration itself, or what it is compared with, ends
// the client, and how that is taken back.
var losses = map[string]struct{ lose, restore func(s *stage) }{
	"its owner": {
		func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { delete(reg.Annotations, v1alpha1.AnnotationOwner) })
		},
		func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) {
				reg.Annotations[v1alpha1.AnnotationOwner] = "team-payments@example.com"
			})
		},
	},
	"its end": {
		func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { delete(reg.Annotations, v1alpha1.AnnotationExpiresAt) })
		},
		func(s *stage) { editOnce(s, s.reg, renewed) },
	},
	"it is suspended": {
		func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended })
		},
		func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateActive })
		},
	},
	"its place": {
		func(s *stage) {
			editOnce(s, s.issuer, func(as *v1alpha1.AuthorizationServer) { as.Spec.AllowedNamespaces = nil })
		},
		func(s *stage) {
			editOnce(s, s.issuer, func(as *v1alpha1.AuthorizationServer) {
				as.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}
			})
		},
	},
}

// What a registration lost and was given back after the server was told by a process
// that died: status tells that it may be gone, so that it is looked for.
func TestWhatIsTakenBackAfterTheServerWasTold(t *testing.T) {
	for name, loss := range losses {
		for silent, when := range map[bool]string{false: "the server answers", true: "the server is away at first"} {
			t.Run(name+", "+when, func(t *testing.T) {
				s := newStage(t, "lost")
				s.begin()
				first := s.registration().Status.ClientID
				s.clock.SetTime(begun.Add(time.Minute))
				loss.lose(s)
				s.others(1)
				s.turn()
				if len(s.as.Clients()) != 0 || s.stored().Cause != "" {
					t.Fatalf("%d clients, cause %q", len(s.as.Clients()), s.stored().Cause)
				}
				s.die()
				loss.restore(s)
				s.awayAtFirst(silent)
				requireAnew(t, s, first)
			})
		}
	}
}

// A process that dies after status told of an end and before the server was told leaves
// the next one to look: a client that is there and wanted again stays.
func TestWhatIsTakenBackBeforeTheServerWasTold(t *testing.T) {
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "lost")
			s.begin()
			first := s.registration().Status
			s.clock.SetTime(begun.Add(time.Minute))
			loss.lose(s)
			const died = "the process died"
			s.as.Switch(func(w *fake.Switches) {
				w.OnCall = func(_ context.Context, op fake.Operation) {
					if op == fake.Revoke {
						panic(died)
					}
				}
			})
			func() {
				defer func() {
					if got := recover(); got != died {
						t.Fatalf("recovered %v", got)
					}
				}()
				s.turn()
			}()
			if told := s.registration().Status; told.ExpiresAt.After(s.clock.Now()) || told.Revocation == nil {
				t.Fatalf("status tells of an end at %s", told.ExpiresAt)
			}
			s.die()
			loss.restore(s)
			s.settle()
			got := s.registration().Status
			if clients := s.as.Clients(); len(clients) != 1 || clients[0].ID != first.ClientID || got.ClientID != first.ClientID {
				t.Errorf("%d clients, status names %q, want %q", len(clients), got.ClientID, first.ClientID)
			}
			if got.Revocation != nil || !got.ExpiresAt.After(s.clock.Now()) {
				t.Errorf("status still tells of an end at %s, %+v", got.ExpiresAt, got.Revocation)
			}
		})
	}
}

// Status tells of an end ahead over the version that was decided on and over no other.
// What was changed meanwhile is read by itself: who only touches it does not keep the
// client, who takes it back does; and a status that is refused holds nothing back.
func TestStatusTellsOfWhatWasDecidedOn(t *testing.T) {
	const status, get, put = "update status of *v1alpha1.MCPClientRegistration", "get *v1alpha1.MCPClientRegistration", "update *v1.Secret"
	for name, c := range map[string]struct {
		meanwhile func(s *stage)
		refused   bool
		lives     bool
		want      []string
	}{
		"nothing":    {meanwhile: func(*stage) {}, want: []string{status}},
		"touched":    {meanwhile: func(s *stage) { editOnce(s, s.reg, touched) }, want: []string{status, get, put}},
		"taken back": {meanwhile: losses["its owner"].restore, lives: true},
		"refused":    {meanwhile: func(*stage) {}, refused: true, want: []string{status, get, put}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "ahead")
			s.begin()
			losses["its owner"].lose(s)
			cached := s.registration()
			c.meanwhile(s)
			if c.refused {
				s.refuseStatus()
			}
			s.requests = nil
			var before []string
			s.as.Switch(func(w *fake.Switches) {
				w.OnCall = func(_ context.Context, op fake.Operation) {
					if op == fake.Revoke {
						before = slices.Clone(s.requests)
					}
				}
			})
			if _, err := s.registrations.Reconcile(t.Context(), cached); err != nil && !c.refused {
				t.Error(err)
			}
			if lives := len(s.as.Clients()) == 1; lives != c.lives {
				t.Errorf("lives %v, want %v; asked %v", lives, c.lives, s.requests)
			}
			if diff := cmp.Diff(c.want, before); diff != "" {
				t.Errorf("asked before the server was told (-want +got):\n%s", diff)
			}
		})
	}
}

// refuseStatus has a third party's policy refuse every status of a registration.
func (s *stage) refuseStatus() {
	refusing, ok := s.Client.(client.WithWatch)
	if !ok {
		s.t.Fatal("the client cannot be wrapped")
	}
	s.registrations.Client = interceptor.NewClient(refusing, interceptor.Funcs{
		SubResourceUpdate: func(_ context.Context, _ client.Client, part string, _ client.Object, _ ...client.SubResourceUpdateOption) error {
			s.requests = append(s.requests, "update "+part+" of *v1alpha1.MCPClientRegistration")
			return errors.New("a policy refuses this")
		},
	})
}
