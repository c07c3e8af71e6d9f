// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

var knowledge = []Knowledge{Unknown, Absent, Present}

// A decision counts only while the admission policies are in force; one with a
// seal only if that is the operator's, too.
func TestWhoCheckedADecision(t *testing.T) {
	words := map[v1alpha1.ApprovalDecision]map[Knowledge]standing{
		v1alpha1.DecisionApproved: {
			Unknown: without(waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")),
			Absent:  without(refusedFor(v1alpha1.ReasonApprovalUnverified, "")),
			Present: by(v1alpha1.BasisApproved),
		},
		v1alpha1.DecisionDenied: {
			Unknown: without(waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")),
			Absent:  without(awaitingApproval),
			Present: without(refusedFor(v1alpha1.ReasonApprovalDenied, "")),
		},
	}
	for decision, want := range words {
		for _, admission := range knowledge {
			for _, seal := range knowledge {
				f := grantFacts(paying(decided(decision)))
				f.AdmissionIs, f.SealIs = admission, seal
				name := fmt.Sprintf("%s, admission %d, seal %d", decision, admission, seal)
				both := seal
				if admission != Present {
					both = admission
				}
				equal(t, name+", sealed", want[both], standingOf(Grant(f, now)))
				f.Grant.Status.Approval.Seal = ""
				equal(t, name+", not sealed", want[admission], standingOf(Grant(f, now)))
			}
		}
	}
}

// An approval that was marked as unverified stays so when the admission
// policies come, and its message says what helps.
func TestUnverifiedApprovalIsNeverHonoured(t *testing.T) {
	f := approvedFacts(approval(func(a *v1alpha1.Approval) { a.Seal = UnverifiedSeal }), func(f *GrantFacts) { f.SealIs = Absent })
	for _, admission := range knowledge {
		f.AdmissionIs = admission
		d := Grant(f, now)
		equal(t, "standing", without(refusedFor(v1alpha1.ReasonApprovalUnverified, "")), standingOf(d))
		equal(t, "seal", LeaveSeal, d.Seal)
		mentions(t, d.Verdict.Message, "admission policies", "approve again")
	}
}

// An approval that nobody checked does not stand in the way of a word that
// counts.
func TestUnverifiedApprovalTakesNothing(t *testing.T) {
	unchecked := func(f *GrantFacts) { f.AdmissionIs, f.SealIs = Absent, Absent }
	runConsents(t, []consentCase{
		{"approved by itself", sealed(grant(decided(v1alpha1.DecisionApproved)), unchecked), by(v1alpha1.BasisAutomatic), nil},
		{"approved beforehand", approvedFacts(unchecked, preApproving(entry(now.Add(day), "invoices:pay"))), by(v1alpha1.BasisPreApproved), nil},
	})
}

func TestSealAction(t *testing.T) {
	for _, decision := range []v1alpha1.ApprovalDecision{v1alpha1.DecisionApproved, v1alpha1.DecisionDenied} {
		for admission, want := range map[Knowledge]SealAction{Unknown: LeaveSeal, Absent: MarkUnverified, Present: SetSeal} {
			for _, seal := range knowledge {
				f := grantFacts(paying(decided(decision)))
				f.AdmissionIs, f.SealIs = admission, seal
				name := fmt.Sprintf("%s, admission %d, seal %d", decision, admission, seal)
				sealed := LeaveSeal
				if admission == Present && seal == Absent {
					sealed = MarkUnverified
				}
				equal(t, name+", sealed", sealed, Grant(f, now).Seal)
				f.Grant.Status.Approval.Seal = ""
				equal(t, name+", not sealed", want, Grant(f, now).Seal)
				f.Grant.Status.Approval = nil
				equal(t, name+", no decision", LeaveSeal, Grant(f, now).Seal)
			}
		}
	}
}

// The seal follows from the decision and the policies alone: a grant that is
// refused for another reason must not keep a decision open that nobody checked.
func TestSealIsDecidedWhateverElseIsTheMatter(t *testing.T) {
	for name, change := range map[string]func(*GrantFacts){
		"nothing":           func(*GrantFacts) {},
		"it is deleted":     func(f *GrantFacts) { deleting(f.Grant) },
		"it has no owner":   func(f *GrantFacts) { remove(f.Grant, v1alpha1.AnnotationOwner) },
		"it has expired":    func(f *GrantFacts) { setEnd(f.Grant, now) },
		"it is unreadable":  func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationExpiresAt, "x") },
		"no registration":   func(f *GrantFacts) { f.RegistrationIs = Absent },
		"server unknown":    func(f *GrantFacts) { f.Server = ServerFact{} },
		"server unwatched":  func(f *GrantFacts) { f.Server = ServerFact{Unwatched: true} },
		"an old generation": func(f *GrantFacts) { f.Grant.Generation = 5 },
		"no reason":         func(f *GrantFacts) { f.Grant.Spec.Reason = "" },
		"too long":          lifetimes(map[v1alpha1.Tier]int32{v1alpha1.TierWrite: 60}),
	} {
		for admission, want := range map[Knowledge]SealAction{Absent: MarkUnverified, Present: SetSeal} {
			f := approvedFacts(approval(func(a *v1alpha1.Approval) { a.Seal = "" }), func(f *GrantFacts) { f.AdmissionIs = admission }, change)
			equal(t, name, want, Grant(f, now).Seal)
		}
	}
}
