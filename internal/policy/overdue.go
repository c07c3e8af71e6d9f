// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

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
	if status.ClientID == "" {
		return time.Time{}, false
	}
	if r := status.Revocation; r != nil && r.ClientID == status.ClientID {
		return r.DueAt.Time, r.VerifiedAt == nil
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
