// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Overdue reports whether a registration has a client that must not exist and is
// not proven to be gone, and since when it must not. It is read from the object:
// its deletion, its end, its owner, and what status says of its client. What a
// revocation would have written is not needed: a status may be impossible to write.
func Overdue(reg *v1alpha1.MCPClientRegistration, now time.Time) (since time.Time, overdue bool) {
	if at := reg.DeletionTimestamp; at != nil {
		return at.Time, slices.Contains(reg.Finalizers, v1alpha1.Finalizer)
	}
	status := reg.Status
	if r := status.Revocation; r != nil && r.VerifiedAt == nil && revokes(r, status) {
		return r.DueAt.Time, true
	}
	if status.ClientID == "" || (status.Revocation != nil && status.Revocation.ClientID == status.ClientID) {
		return time.Time{}, false
	}
	end := readEnd(reg)
	switch {
	case end.verdict != nil, readOwner(reg) != nil:
		return lastChange(reg), true
	case expired(now, end.at):
		return end.at, true
	}
	return time.Time{}, false
}

// revokes reports whether a revocation is of the present client: not of one before it,
// nor of one that a person let go of. Before a client is known to exist status names
// none.
func revokes(r *v1alpha1.Revocation, status v1alpha1.MCPClientRegistrationStatus) bool {
	if r.ClientID == status.ClientID {
		return r.ClientID != ""
	}
	registered := apimeta.FindStatusCondition(status.Conditions, v1alpha1.ConditionRegistered)
	return status.ClientID == "" && registered != nil && registered.Status == metav1.ConditionUnknown
}

// lastChange is when an object was last changed, as far as it tells.
func lastChange(reg *v1alpha1.MCPClientRegistration) time.Time {
	last := reg.CreationTimestamp.Time
	for _, entry := range reg.ManagedFields {
		if entry.Subresource == "" && entry.Time != nil && entry.Time.After(last) {
			last = entry.Time.Time
		}
	}
	return last
}
