// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// ApprovalFacts are what is known about one decision of an owner of a server.
type ApprovalFacts struct {
	Approval *v1alpha1.ScopeGrantApproval
	// GrantIs says whether the grant was found that was looked at, and Grant are
	// the facts about it.
	GrantIs Knowledge
	// Unwatched says that the operator does not watch the namespace of the grant.
	Unwatched bool
	Grant     GrantFacts
	// Server is the MCPServer that the decision names, where it is given beforehand
	// for one with a UID.
	Server ServerFact
}

// ApprovalDecision is what is said of one decision of an owner of a server.
type ApprovalDecision struct {
	Verdict Verdict
	// LookedAt is what was looked at, as far as it is known.
	LookedAt Looked
	// Next is when the answer can change with no event; zero means never.
	Next time.Time
}

// Approval decides whether a decision of an owner of a server counts. The grant
// itself is decided about by Grant.
func Approval(f ApprovalFacts, now time.Time) ApprovalDecision {
	d := ApprovalDecision{LookedAt: lookedAt(f)}
	if until := approvedUntil(f.Approval); until.After(now) {
		d.Next = until
	}
	d.Verdict = Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the decision counts"}
	if refusal := discounted(f, now); refusal != nil {
		d.Verdict = *refusal
	}
	return d
}

// lookedAt is what was looked at: what was known before, or what is there now, if
// that is what the approval is of.
func lookedAt(f ApprovalFacts) Looked {
	a := f.Approval
	if known := Looked(a.Status.LookedAt); a.Spec.Digest != "" && known.Digest() == a.Spec.Digest {
		return known
	}
	if f.GrantIs == Present && f.Grant.Registration != nil && f.Grant.Server.Object != nil {
		if now := Look(f.Grant.Grant, f.Grant.Registration, f.Grant.Server.Object); now.Digest() == a.Spec.Digest && now.fits() {
			return now
		}
	}
	return nil
}

// fits reports whether status has room for every value.
func (l Looked) fits() bool {
	const most, longest = 256, 2048
	return !slices.ContainsFunc(l, func(member v1alpha1.LookedAt) bool {
		return len(member.Values) > most || slices.ContainsFunc(member.Values, func(v string) bool { return len(v) > longest })
	})
}

// discounted says why a decision does not count; nil when it does.
func discounted(f ApprovalFacts, now time.Time) *Verdict {
	a := f.Approval
	switch {
	case over(a, now):
		return &Verdict{Reason: v1alpha1.ReasonExpired, Message: "ended at " + approvedUntil(a).UTC().Format(time.RFC3339) + ": delete it, or create another with a later spec.expirationTime"}
	case a.Spec.GrantRef == nil:
		return ofOtherServer(f)
	case f.Unwatched:
		return &Verdict{
			Standing: Undecided, Reason: v1alpha1.ReasonFactUnknown,
			Message: "spec.grantRef: the operator does not watch the namespace of the ScopeGrant (--watch-namespaces): the decision counts for nothing there; ask the platform team to add it",
		}
	case f.GrantIs == Unknown:
		return unknownVerdict("the ScopeGrant")
	case f.GrantIs == Absent:
		return &Verdict{Reason: v1alpha1.ReasonGrantNotFound, Message: "spec.grantRef: there is no ScopeGrant of that name: delete this ScopeGrantApproval"}
	case a.Spec.GrantRef.UID != string(f.Grant.Grant.UID):
		return voided("spec.grantRef: the ScopeGrant that was looked at was deleted, and another has its name")
	case a.Spec.Decision == v1alpha1.DecisionDenied:
		return nil
	}
	return unsound(f.Grant, a)
}

// ofOtherServer says why an approval that was given beforehand is not for the server
// that is there; nil when it is. A denial is of whatever has the name.
func ofOtherServer(f ApprovalFacts) *Verdict {
	ref := f.Approval.Spec.ServerRef
	if ref.UID == "" || f.Approval.Spec.Decision == v1alpha1.DecisionDenied {
		return nil
	}
	const remedy = ": create another ScopeGrantApproval with the uid of the MCPServer that is meant, or with none"
	switch {
	case f.Server.Is == Unknown:
		return unknownVerdict("the MCPServer")
	case f.Server.Is == Absent:
		return &Verdict{Reason: v1alpha1.ReasonApprovalVoid, Message: fmt.Sprintf("spec.serverRef: there is no MCPServer %q with UID %q", ref.Name, ref.UID) + remedy}
	case string(f.Server.Object.UID) != ref.UID:
		return &Verdict{Reason: v1alpha1.ReasonApprovalVoid, Message: fmt.Sprintf("spec.serverRef: MCPServer %q has UID %q, and the approval is for one with UID %q", ref.Name, f.Server.Object.UID, ref.UID) + remedy}
	}
	return nil
}

// unsound says why an approval of what was looked at does not count; nil when it does.
func unsound(f GrantFacts, a *v1alpha1.ScopeGrantApproval) *Verdict {
	verified := f.verified(a)
	switch {
	case f.RegistrationIs == Unknown:
		return unknownVerdict("the MCPClientRegistration")
	case f.Server.Is == Unknown:
		return unknownVerdict("the MCPServer")
	case verified == Unknown:
		return unknownVerdict("whether the approval was checked")
	case verified == Absent:
		return &Verdict{Reason: v1alpha1.ReasonApprovalUnverified, Message: "nobody checked who created this, because the admission policies were not installed as they are now: create it again when they are"}
	}
	if why := Void(f, a); why != "" {
		return voided(why)
	}
	return nil
}

func voided(why string) *Verdict {
	return &Verdict{Reason: v1alpha1.ReasonApprovalVoid, Message: why + ": look at the grant again, and create another ScopeGrantApproval"}
}
