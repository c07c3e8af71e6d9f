// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// verified reports whether somebody checked who gave an approval: the admission
// policies were in force when it was created.
func (f GrantFacts) verified(a *v1alpha1.ScopeGrantApproval) Knowledge {
	if f.AdmissionIs == Present && a.CreationTimestamp.Time.Before(f.AdmissionSince) {
		return Absent
	}
	return f.AdmissionIs
}

// Void says why an approval does not hold for the grant, the client and the server
// as they are; empty when it does. It is given by somebody who neither asked for the
// grant nor changed it, and is of what was looked at, or less.
func Void(f GrantFacts, a *v1alpha1.ScopeGrantApproval) string {
	if faces := foureyes(f.Grant, a); faces != "" {
		return faces
	}
	if f.Registration == nil || f.Server.Object == nil {
		return "the client or the MCPServer that was looked at is not there"
	}
	now := Look(f.Grant, f.Registration, f.Server.Object)
	if now.Digest() == a.Spec.Digest {
		return ""
	}
	before := Looked(a.Status.LookedAt)
	if before.Digest() != a.Spec.Digest {
		return notLookedAt(f, a)
	}
	var changes []string
	for _, change := range before.Widened(now) {
		changes = append(changes, change.String())
	}
	const most = 5
	if more := len(changes) - most; more > 0 {
		changes = append(changes[:most], fmt.Sprintf("%d changes more", more))
	}
	return strings.Join(changes, "; ")
}

// foureyes says why an approval is not that of another person than the one who
// asked; empty when it is.
func foureyes(grant *v1alpha1.ScopeGrant, a *v1alpha1.ScopeGrantApproval) string {
	approver, requester := approverOf(a), grant.Annotations[v1alpha1.AnnotationRequestedBy]
	switch {
	case approver == "":
		return "the approval does not say who approved (annotation mcp-registrar.dev/approved-by)"
	case requester == "":
		return "the grant does not say who asked for it (annotation mcp-registrar.dev/requested-by), so that nobody can approve it: create it again"
	case approver == requester:
		return "the one who asked for the grant approved it: another person must"
	case approver == grant.Annotations[v1alpha1.AnnotationChangedBy]:
		return "the one who last changed the grant approved it: another person must"
	case a.Spec.RequestedBy != "" && a.Spec.RequestedBy != requester:
		return fmt.Sprintf("it is of a request by %q, and %q asked for the grant", shorten(a.Spec.RequestedBy), shorten(requester))
	}
	return ""
}

// notLookedAt says what is other than an approval says, where the operator never
// found what was looked at.
func notLookedAt(f GrantFacts, a *v1alpha1.ScopeGrantApproval) string {
	ref, reg := a.Spec.GrantRef, a.Spec.Registration
	for _, c := range []struct{ kind, was, is string }{
		{"ScopeGrant", ref.UID, string(f.Grant.UID)},
		{"MCPServer", a.Spec.ServerRef.UID, string(f.Server.Object.UID)},
		{"MCPClientRegistration", registrationUID(reg), string(f.Registration.UID)},
	} {
		if c.was != c.is {
			return Change{Member: "UID of the " + c.kind, Before: []string{c.was}, After: []string{c.is}}.String()
		}
	}
	switch {
	case ref.Generation != f.Grant.Generation:
		return fmt.Sprintf("generation %d of the ScopeGrant was looked at, and it was changed since: it is at %d", ref.Generation, f.Grant.Generation)
	case reg.Generation != f.Registration.Generation:
		return fmt.Sprintf("generation %d of the MCPClientRegistration was looked at, and it was changed since: it is at %d", reg.Generation, f.Registration.Generation)
	}
	return "its digest is not that of what is there: the owner or the end of the grant or the client, or the catalogue of the MCPServer, was changed since"
}

func registrationUID(reg *v1alpha1.ApprovedRegistration) string {
	if reg == nil {
		return ""
	}
	return reg.UID
}
