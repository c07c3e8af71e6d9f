// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// consent is by whose word the scopes of a grant may be used.
type consent struct {
	basis v1alpha1.GrantBasis
	// approval is the word that counts for the grant, also where it does not rest
	// on it; nil where there is none.
	approval *v1alpha1.ScopeGrantApproval
	// until is when the word ends by time; zero means never.
	until time.Time
	// lapsed is when it ended by time, where it did and the grant rested on it.
	lapsed time.Time
	// void says why an approval of the grant does not hold.
	void    string
	refusal *Verdict
}

// consents asks whether the owners of the server consent to a grant, in this
// order: what an owner denied is denied; what the server approves by itself, or
// an owner beforehand, needs nobody; the rest needs an approval that holds.
func consents(f GrantFacts, now time.Time) consent {
	if f.ApprovalsAre != Present {
		return consent{refusal: unknownVerdict("what owners of the MCPServer decided")}
	}
	if d := denial(f, now); d != nil {
		refusal := &Verdict{Reason: v1alpha1.ReasonApprovalDenied, Message: deniedMessage(d)}
		return consent{approval: d, refusal: refusal}
	}
	word := judge(f, now)
	open := scopesToApprove(f)
	if len(open) == 0 {
		return consent{basis: v1alpha1.BasisAutomatic, approval: word.holds}
	}
	before := beforehand(f, open, now)
	if before.covers && !expired(now, before.until) {
		return consent{basis: v1alpha1.BasisPreApproved, approval: before.approval, until: before.until}
	}
	if word.holds != nil {
		return consent{basis: v1alpha1.BasisApproved, approval: word.holds, until: approvedUntil(word.holds)}
	}
	lapsed := time.Time{}
	switch f.Grant.Status.Basis {
	case v1alpha1.BasisApproved:
		lapsed = word.lapsed
	case v1alpha1.BasisPreApproved, "":
		lapsed = before.until
	case v1alpha1.BasisAutomatic:
	}
	return consent{lapsed: lapsed, void: word.void, refusal: word.refusal(f, open[0], before.why)}
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

// concerns reports whether an approval is about the grant that is decided on, by
// name. One that is being deleted is about nothing.
func concerns(a *v1alpha1.ScopeGrantApproval, grant *v1alpha1.ScopeGrant) bool {
	if a.DeletionTimestamp != nil || a.Namespace != grant.ServerNamespace() || a.Spec.ServerRef.Name != grant.Spec.ServerRef.Name {
		return false
	}
	if ref := a.Spec.GrantRef; ref != nil {
		return ref.Namespace == grant.Namespace && ref.Name == grant.Name
	}
	ref := a.Spec.ClientRef
	return ref != nil && ref.Namespace == grant.Namespace && ref.Name == grant.Spec.ClientRef.Name
}

// approvedUntil is when a decision ends by time; zero means never.
func approvedUntil(a *v1alpha1.ScopeGrantApproval) time.Time {
	if a.Spec.ExpirationTime == nil {
		return time.Time{}
	}
	return a.Spec.ExpirationTime.Time
}

// nextToEnd is when the next of the decisions about a grant ends by time; zero means
// never.
func nextToEnd(f GrantFacts, now time.Time) time.Time {
	var next time.Time
	for _, a := range f.Approvals {
		if until := approvedUntil(a); until.After(now) && concerns(a, f.Grant) {
			next = earliest(next, until)
		}
	}
	return next
}

func over(a *v1alpha1.ScopeGrantApproval, now time.Time) bool {
	until := approvedUntil(a)
	return !until.IsZero() && expired(now, until)
}

// denial is the decision by which a grant is denied, the longest of several. It
// stands whatever becomes of the grant: nobody gets round it by a change.
func denial(f GrantFacts, now time.Time) *v1alpha1.ScopeGrantApproval {
	var longest *v1alpha1.ScopeGrantApproval
	for _, a := range f.Approvals {
		if a.Spec.Decision == v1alpha1.DecisionDenied && concerns(a, f.Grant) && denies(a, f.Grant) && !over(a, now) && outlasts(a, longest) {
			longest = a
		}
	}
	return longest
}

func denies(a *v1alpha1.ScopeGrantApproval, grant *v1alpha1.ScopeGrant) bool {
	if ref := a.Spec.GrantRef; ref != nil {
		return ref.UID == string(grant.UID)
	}
	return slices.ContainsFunc(grant.Spec.Scopes, func(s v1alpha1.ScopeName) bool { return slices.Contains(a.Spec.Scopes, string(s)) })
}

// outlasts reports whether a decision ends later than another; of two that end at one
// time the later one does, then the one whose name is first.
func outlasts(a, b *v1alpha1.ScopeGrantApproval) bool {
	if b == nil {
		return true
	}
	x, y := approvedUntil(a), approvedUntil(b)
	if !x.Equal(y) {
		return x.IsZero() || (!y.IsZero() && x.After(y))
	}
	return newer(a, b)
}

// newer reports whether a decision was made after another.
func newer(a, b *v1alpha1.ScopeGrantApproval) bool {
	if b == nil {
		return true
	}
	return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), strings.Compare(a.Name, b.Name)) < 0
}

// approverOf is the user who decided, as the API server saw it.
func approverOf(a *v1alpha1.ScopeGrantApproval) string {
	return a.Annotations[v1alpha1.AnnotationApprovedBy]
}

func deniedMessage(a *v1alpha1.ScopeGrantApproval) string {
	who, why := "an owner of the MCPServer", ""
	if by := approverOf(a); by != "" {
		who = shorten(by) + ", " + who + ","
	}
	if reason := strings.TrimSpace(a.Spec.Reason); reason != "" {
		why = " (" + shorten(reason) + ")"
	}
	return fmt.Sprintf("%s denied the grant%s: delete it and ask for what they would approve, or ask them to delete ScopeGrantApproval %q", who, why, a.Name)
}

// judgement is what became of the approvals that somebody gave a grant which they
// looked at.
type judgement struct {
	// holds is the one that holds, the longest of several.
	holds *v1alpha1.ScopeGrantApproval
	// lapsed is when the last of those ended that would hold.
	lapsed time.Time
	// void says why the newest of the others does not hold, and unverified that
	// nobody checked who gave it.
	void       string
	unverified bool
	// unknown says that it is not known whether one holds.
	unknown bool
}

func judge(f GrantFacts, now time.Time) judgement {
	var j judgement
	var newest *v1alpha1.ScopeGrantApproval
	for _, a := range f.Approvals {
		if !approves(a, f.Grant) {
			continue
		}
		verified, void := f.verified(a), Void(f, a)
		switch {
		case over(a, now):
			j.ended(a, verified == Present && void == "")
		case void == "" && verified == Present:
			j.held(a)
		case void == "" && verified == Unknown:
			j.unknown = true
		case newer(a, newest):
			newest, j.void, j.unverified = a, void, verified == Absent
		}
	}
	return j
}

// approves reports whether an approval is of a grant that somebody looked at.
func approves(a *v1alpha1.ScopeGrantApproval, grant *v1alpha1.ScopeGrant) bool {
	return a.Spec.GrantRef != nil && a.Spec.Decision == v1alpha1.DecisionApproved && concerns(a, grant)
}

// held notes an approval that holds.
func (j *judgement) held(a *v1alpha1.ScopeGrantApproval) {
	if outlasts(a, j.holds) {
		j.holds = a
	}
}

// ended notes an approval that ended by time, and whether it would hold.
func (j *judgement) ended(a *v1alpha1.ScopeGrantApproval, sound bool) {
	if sound {
		j.lapsed = latestOf(j.lapsed, approvedUntil(a))
	}
}

func latestOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// refusal is the verdict on a grant of which no approval holds. scope is one that
// needs it.
func (j judgement) refusal(f GrantFacts, scope v1alpha1.Scope, beforehand string) *Verdict {
	switch {
	case j.unknown:
		return unknownVerdict("whether the approval of the grant was checked")
	case j.unverified:
		return &Verdict{Reason: v1alpha1.ReasonApprovalUnverified, Message: unverifiedMessage(f)}
	case j.void != "":
		return awaiting(f, "the approval is void: "+j.void)
	case beforehand != "":
		return awaiting(f, beforehand)
	case !j.lapsed.IsZero():
		return awaiting(f, "the approval ended at "+j.lapsed.UTC().Format(time.RFC3339))
	}
	return awaiting(f, fmt.Sprintf("scope %q is of tier %s and needs the approval of an owner of the MCPServer", scope.Name, scope.Tier))
}

func unverifiedMessage(f GrantFacts) string {
	if f.AdmissionIs == Absent {
		return "approvals of what was looked at count only while the admission policies are installed, which note who approves: ask the platform team to install them and then an owner of the MCPServer to approve again, or to approve the client beforehand (spec.clientRef of a ScopeGrantApproval)"
	}
	return "the approval was given before the admission policies were installed as they are now, so that nobody checked who gave it: " + ask(f)
}

// awaiting is the verdict on a grant that waits for an owner of its server.
func awaiting(f GrantFacts, why string) *Verdict {
	how := ask(f)
	switch {
	case f.AdmissionIs == Absent:
		how = "ask one to approve the client beforehand (spec.clientRef of a ScopeGrantApproval); approvals of what was looked at count only where the admission policies are installed"
	case !showable(f):
		how = tooMuch
	}
	return &Verdict{Reason: v1alpha1.ReasonApprovalRequired, Waiting: true, Message: why + ": " + how}
}

// ask says how the owners of the server approve.
func ask(f GrantFacts) string {
	return fmt.Sprintf("ask an owner to look at it in status.pendingGrants of MCPServer %q in namespace %q, and to create a ScopeGrantApproval there", f.Grant.Spec.ServerRef.Name, f.Grant.ServerNamespace())
}
