// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// A registration that is let go may stay, held by a finalizer of others. It does not
// go on to say that its client lives.

// heldByOthers says that an object stays for somebody else's sake when it is let go.
func heldByOthers(object client.Object) bool {
	return slices.ContainsFunc(object.GetFinalizers(), func(name string) bool { return name != v1alpha1.Finalizer })
}

// reportGone ends what is told of a registration that was let go. What stays for the
// sake of others has told of it before.
func (r *RegistrationReconciler) reportGone(ctx context.Context, reg *v1alpha1.MCPClientRegistration, done outcome) (ctrl.Result, error) {
	if !heldByOthers(reg) {
		r.tellOfRelease(reg, done)
	}
	err := errors.Join(done.err, r.undeny(ctx, reg))
	return classify(err).result(err)
}

// owesStatus says that a registration stays for the sake of others, and that its
// stored status names a client, or does not say why there is none.
func owesStatus(reg *v1alpha1.MCPClientRegistration) bool {
	ready := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
	tells := reg.Status.ClientID == "" && ready != nil && ready.Status != metav1.ConditionTrue
	return heldByOthers(reg) && !tells
}

// untold says that neither the stored status nor an AccessDenial tells of the end of the
// client of a record, which nobody knows any more once that is gone.
func (s *step) untold(ctx context.Context, record policy.Record) bool {
	told := s.reg.Status.Revocation
	ends := told != nil && told.ClientID == record.Client.ID && (told.RevokedAtASAt == nil) == record.DeletedAt.IsZero()
	if record.Client.ID == "" || record.Cause == "" || ends {
		return false
	}
	return s.Denials == nil || !s.Denials.Has(ctx, s.reg.UID, record.Client.ID)
}
