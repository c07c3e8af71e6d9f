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
			Message: "nobody checked who approved the grant, because the admission policies were not installed: ask the platform team to install them and an owner of the MCPServer to approve again, or to list the client in spec.grants.preApproved of the MCPServer",
		}
	case Present:
	}
	if void := Void(f.Grant); void != "" {
		return awaiting(f, void)
	}
	return nil
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
	how := fmt.Sprintf(`ask one to run kubectl patch scopegrant %s -n %s --subresource=status --type=merge -p '{"status":{"approval":{"decision":"Approved","generation":%d}}}'`,
		f.Grant.Name, f.Grant.Namespace, f.Grant.Generation)
	if f.AdmissionIs == Absent {
		how = "ask one to list the client in spec.grants.preApproved of the MCPServer (approvals of a single grant count only where the admission policies are installed)"
	}
	return &Verdict{Reason: v1alpha1.ReasonApprovalRequired, Waiting: true, Message: why + ": " + how}
}

// verified says whether somebody checked who wrote the approval: the operator
// has sealed it, or it is new and the admission policies are in force.
func (f GrantFacts) verified() Knowledge {
	if f.Grant.Status.Approval.Seal == "" {
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

// sealAction decides about the seal: it follows from the facts alone.
func sealAction(f GrantFacts) SealAction {
	a := f.Grant.Status.Approval
	if a == nil || a.Seal != "" {
		return LeaveSeal
	}
	switch f.AdmissionIs {
	case Present:
		return SetSeal
	case Absent:
		return MarkUnverified
	case Unknown:
	}
	return LeaveSeal
}
