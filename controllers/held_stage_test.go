// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
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
	for _, named := range []bool{true, false} {
		for conflicts := range 5 {
			t.Run(fmt.Sprintf("named %t, %d conflicts", named, conflicts), func(t *testing.T) {
				s := newStage(t, "held")
				s.begin()
				reg := s.registration()
				id := reg.Status.ClientID
				reg.Finalizers = append(reg.Finalizers, "example.com/others")
				if err := s.Update(t.Context(), reg); err != nil {
					t.Fatal(err)
				}
				if !named {
					reg.Status = reg.DeepCopy().Status
					reg.Status.ClientID, reg.Status.Conditions, reg.Status.ObservedGeneration = "", nil, 0
					if err := s.Status().Update(t.Context(), reg); err != nil {
						t.Fatal(err)
					}
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
