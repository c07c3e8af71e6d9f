// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// A registration is its team's: it may be filled to the API server's limit, or a
// third party's policy may refuse what is written to it. What guards must know to
// refuse does not depend on it.

// writeStatus stores the status of a registration. Where that cannot be, the
// smallest that says what matters is; and the client that must not be used is
// denied beside the object, until its status says so.
func (r *RegistrationReconciler) writeStatus(ctx context.Context, reg, after *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, record policy.Record) error {
	w := reporter{r.Client, r.Recorder, &r.written}
	err := w.write(ctx, reg, after)
	if err == nil {
		return r.undeny(ctx, reg)
	}
	if !refusesStatus(err) || (d.Verdict.Standing != policy.Refused && d.Action != policy.Revoke) {
		return err
	}
	if w.write(ctx, reg, least(reg, after)) == nil {
		return r.undeny(ctx, reg)
	}
	return errors.Join(err, r.deny(ctx, reg, d, record))
}

// refusesStatus reports whether a status cannot be written as it is: not for a
// moment, and not because there is a newer one.
func refusesStatus(err error) bool {
	passing := errors.Is(err, errStale) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) ||
		apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err)
	return err != nil && !passing
}

// least is a registration with the smallest status that tells of the end of its
// client.
func least(before, after *v1alpha1.MCPClientRegistration) *v1alpha1.MCPClientRegistration {
	small := before.DeepCopy()
	small.Status = v1alpha1.MCPClientRegistrationStatus{
		Conditions: after.Status.Conditions, ObservedGeneration: after.Status.ObservedGeneration,
		ClientID: after.Status.ClientID, Revocation: after.Status.Revocation,
		ExpiresAt: after.Status.ExpiresAt, Term: after.Status.Term,
	}
	return small
}

// deny has guards refuse the client of a registration that cannot say so itself.
func (r *RegistrationReconciler) deny(ctx context.Context, reg *v1alpha1.MCPClientRegistration, d policy.RegistrationDecision, record policy.Record) error {
	id := cmp.Or(record.Client.ID, reg.Status.ClientID)
	if r.Denials == nil || id == "" {
		return nil
	}
	server := cmp.Or(record.Connection.Name, reg.Spec.AuthorizationServerRef.Name)
	logf.FromContext(ctx).Info("The status of a registration cannot be written: its client is denied by an AccessDenial", "clientID", id, "authorizationServer", server)
	r.Recorder.Eventf(reg, nil, corev1.EventTypeWarning, "StatusRefused", "Deny",
		"the status of this registration cannot be written, for example because the object is too large: guards refuse its client by an AccessDenial")
	return r.Denials.Ensure(ctx, client.ObjectKeyFromObject(reg), reg.UID, server, id,
		"the client must not be used ("+d.Verdict.Reason+"), and the status of its registration cannot be written")
}

// undeny takes a denial back: the object says now what it said.
func (r *RegistrationReconciler) undeny(ctx context.Context, reg *v1alpha1.MCPClientRegistration) error {
	if r.Denials == nil {
		return nil
	}
	return r.Denials.Remove(ctx, reg.UID)
}
