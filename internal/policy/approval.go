// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// UnverifiedSeal is the seal of an approval that nobody checked: it is never
// honoured, also when the admission policies are installed later.
const UnverifiedSeal = "unverified"

// consent is by whose word the scopes of a grant may be used.
type consent struct {
	basis v1alpha1.GrantBasis
	// until is when the word ends by time; zero means never.
	until time.Time
	// lapsed is when it ended by time, where it did and the grant rested on it.
	lapsed  time.Time
	refusal *Verdict
}

// consents asks whether the owners of the server consent to a grant, in this
// order: what an owner denied is denied; what the server approves by itself, or
// beforehand, needs nobody; the rest needs an approval that holds.
func consents(f GrantFacts, now time.Time) consent {
	if refusal := denied(f); refusal != nil {
		return consent{refusal: refusal}
	}
	open := scopesToApprove(f)
	if len(open) == 0 {
		return consent{basis: v1alpha1.BasisAutomatic}
	}
	until, all := preApprovedUntil(f, open)
	if all && !expired(now, until) {
		return consent{basis: v1alpha1.BasisPreApproved, until: until}
	}
	refusal := approvalRefusal(f, open[0])
	if refusal == nil {
		return consent{basis: v1alpha1.BasisApproved}
	}
	if rested := f.Grant.Status.Basis; rested == v1alpha1.BasisApproved || rested == v1alpha1.BasisAutomatic {
		return consent{refusal: refusal}
	}
	return consent{refusal: refusal, lapsed: until}
}

// scopesToApprove lists the scopes whose tier the server does not approve by
// itself.
func scopesToApprove(f GrantFacts) []v1alpha1.Scope {
	automatic := []v1alpha1.Tier{v1alpha1.TierRead}
	if g := f.Server.Object.Spec.Grants; g != nil && g.AutoApprovedTiers != nil {
		automatic = *g.AutoApprovedTiers
	}
	var open []v1alpha1.Scope
	for _, scope := range grantedScopes(f) {
		if !slices.Contains(automatic, scope.Tier) {
			open = append(open, scope)
		}
	}
	return open
}

// grantedScopes are the catalogue's entries of the scopes that are asked for.
func grantedScopes(f GrantFacts) []v1alpha1.Scope {
	var scopes []v1alpha1.Scope
	for _, scope := range f.Server.Object.Spec.Scopes {
		if slices.Contains(f.Grant.Spec.Scopes, scope.Name) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// preApprovedUntil says until when each of some scopes is approved beforehand
// for the client; false when one of them is not listed at all.
func preApprovedUntil(f GrantFacts, scopes []v1alpha1.Scope) (until time.Time, all bool) {
	policy := f.Server.Object.Spec.Grants
	if policy == nil {
		return time.Time{}, false
	}
	for _, scope := range scopes {
		var latest time.Time
		for _, entry := range policy.PreApproved {
			ours := entry.Namespace == f.Grant.Namespace && entry.Client == f.Grant.Spec.ClientRef.Name
			if ours && slices.Contains(entry.Scopes, v1alpha1.PreApprovedScope(scope.Name)) && entry.Until.After(latest) {
				latest = entry.Until.Time
			}
		}
		if latest.IsZero() {
			return time.Time{}, false
		}
		until = earliest(until, latest)
	}
	return until, true
}

// What an owner of the server denied, as it stands, is denied.
func denied(f GrantFacts) *Verdict {
	a := f.Grant.Status.Approval
	if a == nil || a.Decision != v1alpha1.DecisionDenied || a.Generation != f.Grant.Generation {
		return nil
	}
	switch f.verified() {
	case Present:
		return &Verdict{Reason: v1alpha1.ReasonApprovalDenied, Message: deniedMessage(a)}
	case Unknown:
		return unknownVerdict("whether the denial of the grant was checked")
	case Absent:
	}
	return nil
}

func deniedMessage(a *v1alpha1.Approval) string {
	why := ""
	if reason := strings.TrimSpace(a.Reason); reason != "" {
		why = " (" + shorten(reason) + ")"
	}
	return fmt.Sprintf("%s, an owner of the MCPServer, denied the grant%s: change spec to what they would approve, or delete the grant", shorten(a.ApprovedBy), why)
}

// approvalRefusal says why the approval of a grant does not hold, or that there
// is none. scope is one that needs it.
func approvalRefusal(f GrantFacts, scope v1alpha1.Scope) *Verdict {
	a := f.Grant.Status.Approval
	if a == nil || a.Decision != v1alpha1.DecisionApproved {
		return awaiting(f, fmt.Sprintf("scope %q is of tier %s and needs the approval of an owner of the MCPServer", scope.Name, scope.Tier))
	}
	switch f.verified() {
	case Unknown:
		return unknownVerdict("whether the approval of the grant was checked")
	case Absent:
		return &Verdict{
			Reason:  v1alpha1.ReasonApprovalUnverified,
			Message: unverifiedMessage(f),
		}
	case Present:
	}
	if void := Void(f.Grant); void != "" {
		return awaiting(f, void)
	}
	return nil
}

func unverifiedMessage(f GrantFacts) string {
	if f.AdmissionIs == Absent {
		return "approvals count only while the admission policies are installed, which check who approves: ask the platform team to install them and then an owner of the MCPServer to approve again, or to list the client in spec.grants.preApproved of the MCPServer"
	}
	return "the approval was given before the admission policies were installed as they are now, so that nobody checked who gave it: ask an owner of the MCPServer to approve again: " + approve(f.Grant, `,"seal":null,"approvedAt":null`)
}

// Void says why an approval does not hold for the grant as it stands; empty
// when it does. An approval holds for one generation, up to the end date that
// was approved, and is given by somebody who neither asked for the grant nor
// changed it.
func Void(grant *v1alpha1.ScopeGrant) string {
	a := grant.Status.Approval
	by := func(annotation string) bool { return grant.Annotations[annotation] == a.ApprovedBy }
	end := readEnd(grant)
	switch {
	case a.ApprovedBy == "":
		return "the approval does not say who approved"
	case grant.Annotations[v1alpha1.AnnotationRequestedBy] == "":
		return "the grant does not say who asked for it (annotation mcp-registrar.dev/requested-by), so that nobody can approve it: create it again"
	case by(v1alpha1.AnnotationRequestedBy):
		return "the one who asked for the grant approved it: another person must"
	case by(v1alpha1.AnnotationChangedBy):
		return "the one who last changed the grant approved it: another person must"
	case a.Generation != grant.Generation:
		return fmt.Sprintf("generation %d of the grant was approved and its spec was changed since", a.Generation)
	case a.ExpiresAt == nil:
		return "the approval does not say which end date was approved"
	case end.verdict == nil && end.at.Truncate(time.Second).After(a.ExpiresAt.Time):
		return fmt.Sprintf("the annotation mcp-registrar.dev/expires-at was moved beyond %s, which was approved", a.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return ""
}

// awaiting is the verdict on a grant that waits for an owner of its server.
func awaiting(f GrantFacts, why string) *Verdict {
	how := "ask one to run " + approve(f.Grant, "")
	if f.AdmissionIs == Absent {
		how = "ask one to list the client in spec.grants.preApproved of the MCPServer (approvals of a single grant count only where the admission policies are installed)"
	}
	return &Verdict{Reason: v1alpha1.ReasonApprovalRequired, Waiting: true, Message: why + ": " + how}
}

// approve is the command that approves a grant as it stands, up to the end date
// that it has now, with further members of the approval.
func approve(grant *v1alpha1.ScopeGrant, more string) string {
	return fmt.Sprintf(`kubectl patch scopegrant %s -n %s --subresource=status --type=merge -p '{"status":{"approval":{"decision":"Approved","generation":%d,"expiresAt":"%s"%s}}}'`,
		grant.Name, grant.Namespace, grant.Generation, readEnd(grant).at.UTC().Truncate(time.Second).Format(time.RFC3339), more)
}

// verified says whether somebody checked who wrote the approval: the admission
// policies are in force, and it is new, or carries the seal that the operator
// gave it since they were installed. Without the policies anybody could write
// again what was taken back.
func (f GrantFacts) verified() Knowledge {
	switch seal := f.Grant.Status.Approval.Seal; {
	case seal == UnverifiedSeal:
		return Absent
	case seal == "", f.AdmissionIs != Present:
		return f.AdmissionIs
	}
	return f.SealIs
}

// SealAction is what the operator does about the seal of an approval.
type SealAction int

// The values of SealAction.
const (
	// LeaveSeal: there is nothing to do.
	LeaveSeal SealAction = iota
	// SetSeal: the approval was checked; note when it was taken up.
	SetSeal
	// MarkUnverified: nobody checked it, and nobody ever can.
	MarkUnverified
)

// sealAction decides about the seal: it follows from the facts alone. A seal
// that is not the operator's is marked when that is certain, so that the same
// decision can be written again.
func sealAction(f GrantFacts) SealAction {
	a := f.Grant.Status.Approval
	switch {
	case a == nil, a.Seal == UnverifiedSeal:
		return LeaveSeal
	case a.Seal == "" && f.AdmissionIs == Present:
		return SetSeal
	case a.Seal == "" && f.AdmissionIs == Absent,
		a.Seal != "" && f.AdmissionIs == Present && f.SealIs == Absent:
		return MarkUnverified
	}
	return LeaveSeal
}
