// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// conflict has the next few statuses of registrations meet a newer version.
func (s *stage) conflict(statuses int) {
	whole, ok := s.Client.(client.WithWatch)
	if !ok {
		s.t.Fatal("the client cannot be wrapped")
	}
	s.registrations.Client = interceptor.NewClient(whole, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, part string, object client.Object, opts ...client.SubResourceUpdateOption) error {
			if statuses--; statuses >= 0 {
				return apierrors.NewConflict(schema.GroupResource{}, object.GetName(), nil)
			}
			return c.SubResource(part).Update(ctx, object, opts...)
		},
	})
}

// A registration that stays for the sake of others says that its client was revoked,
// whichever writes fail meanwhile, and whether or not its status named the client before.
func TestWhatIsHeldByOthersTellsOfItsClient(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"named", "unnamed", "to be revoked"} {
		for conflicts := range 5 {
			t.Run(fmt.Sprintf("%s, %d conflicts", before, conflicts), func(t *testing.T) {
				s := newStage(t, "held")
				s.begin()
				reg := s.registration()
				id := reg.Status.ClientID
				reg.Finalizers = append(reg.Finalizers, "example.com/others")
				if err := s.Update(t.Context(), reg); err != nil {
					t.Fatal(err)
				}
				switch before {
				case "unnamed":
					reg.Status.ClientID, reg.Status.Conditions, reg.Status.ObservedGeneration = "", nil, 0
				case "to be revoked":
					reg.Status.Revocation = &v1alpha1.Revocation{Cause: v1alpha1.CauseDeleted, ClientID: id, DueAt: metav1.NewTime(begun)}
				}
				if err := s.Status().Update(t.Context(), reg); err != nil {
					t.Fatal(err)
				}
				s.conflict(conflicts)
				s.remove(reg)
				s.settle()
				s.settle()
				left := s.registration()
				if len(s.as.Clients()) != 0 || s.leftRecord(left) != nil || len(left.Finalizers) != 1 {
					t.Errorf("%d clients, finalizers %v", len(s.as.Clients()), left.Finalizers)
				}
				if told := left.Status.Revocation; told == nil || told.ClientID != id || told.RevokedAtASAt == nil {
					t.Errorf("it says %+v of client %s", told, id)
				}
			})
		}
	}
}
