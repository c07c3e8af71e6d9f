// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// What must be gone and is not proven to be is told from the object, also where the
// status that a revocation writes could never be written.
func TestOverdue(t *testing.T) {
	changed, ended := now.Add(-3*time.Minute), now.Add(-time.Hour)
	with := func(changes ...func(*v1alpha1.MCPClientRegistration)) *v1alpha1.MCPClientRegistration {
		reg := registration()
		reg.Status.ClientID, reg.Finalizers = "client-1", []string{v1alpha1.Finalizer}
		reg.CreationTimestamp = metav1.NewTime(now.Add(-day))
		reg.ManagedFields = []metav1.ManagedFieldsEntry{
			{Time: timePtr(changed)}, {Time: timePtr(now), Subresource: "status"}, {Time: timePtr(now.Add(-time.Hour))},
		}
		for _, change := range changes {
			change(reg)
		}
		return reg
	}
	clientless := func(reg *v1alpha1.MCPClientRegistration) { reg.Status.ClientID = "" }
	expired := func(reg *v1alpha1.MCPClientRegistration) { setEnd(reg, ended) }
	revoking := func(verified *metav1.Time, client string) func(*v1alpha1.MCPClientRegistration) {
		return func(reg *v1alpha1.MCPClientRegistration) {
			reg.Status.Revocation = &v1alpha1.Revocation{ClientID: client, DueAt: *timePtr(ended), VerifiedAt: verified}
		}
	}
	for name, c := range map[string]struct {
		reg     *v1alpha1.MCPClientRegistration
		since   time.Time
		overdue bool
	}{
		"as it should be":                          {with(), time.Time{}, false},
		"never had a client and ended":             {with(clientless, expired), time.Time{}, false},
		"ended, and status says nothing of it":     {with(expired), ended, true},
		"being deleted":                            {with(deleteIt), now.Add(-time.Minute), true},
		"being deleted, its status never written":  {with(deleteIt, clientless), now.Add(-time.Minute), true},
		"being deleted, held by others only":       {with(deleteIt, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = []string{"other"} }), now.Add(-time.Minute), false},
		"its owner was removed":                    {with(func(r *v1alpha1.MCPClientRegistration) { remove(r, v1alpha1.AnnotationOwner) }), changed, true},
		"its end was removed":                      {with(func(r *v1alpha1.MCPClientRegistration) { remove(r, v1alpha1.AnnotationExpiresAt) }), changed, true},
		"a revocation that began":                  {with(revoking(nil, "client-1")), ended, true},
		"a revocation that is proven":              {with(revoking(timePtr(now), "client-1")), ended, false},
		"the revocation of the client before":      {with(revoking(nil, "client-0")), time.Time{}, false},
		"ended, and an earlier client was revoked": {with(expired, revoking(timePtr(now), "client-0")), ended, true},
	} {
		since, overdue := Overdue(c.reg, now)
		equal(t, name, c.overdue, overdue)
		if c.overdue {
			equal(t, name+": since", c.since, since)
		}
	}
}

func deleteIt(reg *v1alpha1.MCPClientRegistration) { deleting(reg) }
