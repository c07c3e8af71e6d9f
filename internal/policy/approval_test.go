// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	requester = "system:serviceaccount:payments:ci"
	approver  = "olga@example.com"
	testSeal  = "a-seal"
)

var awaitingApproval = waitingFor(Refused, v1alpha1.ReasonApprovalRequired, "")

// decided puts a decision of the approver on a grant as it stands.
func decided(decision v1alpha1.ApprovalDecision) func(*v1alpha1.ScopeGrant) {
	return func(g *v1alpha1.ScopeGrant) {
		annotate(g, v1alpha1.AnnotationRequestedBy, requester)
		g.Status.Approval = &v1alpha1.Approval{
			Decision: decision, Generation: g.Generation, ApprovedBy: approver,
			ExpiresAt: timePtr(readEnd(g).at.Truncate(time.Second)), Seal: testSeal,
		}
	}
}

// paying asks for a scope of tier Write for 10 days.
func paying(opts ...func(*v1alpha1.ScopeGrant)) *v1alpha1.ScopeGrant {
	g := asking("ticket 1", "invoices:pay")
	for _, opt := range opts {
		opt(g)
	}
	return g
}

// sealed are the facts of a grant whose decision was checked.
func sealed(g *v1alpha1.ScopeGrant, opts ...func(*GrantFacts)) GrantFacts {
	f := grantFacts(g)
	f.AdmissionIs, f.SealIs = Present, Present
	for _, opt := range opts {
		opt(&f)
	}
	return f
}

func approvedFacts(opts ...func(*GrantFacts)) GrantFacts {
	return sealed(paying(decided(v1alpha1.DecisionApproved)), opts...)
}

// approval edits the approval of a grant.
func approval(change func(*v1alpha1.Approval)) func(*GrantFacts) {
	return func(f *GrantFacts) { change(f.Grant.Status.Approval) }
}

// preApproving lists what a server approves beforehand.
func preApproving(entries ...v1alpha1.PreApproval) func(*GrantFacts) {
	return func(f *GrantFacts) { f.Server.Object.Spec.Grants = &v1alpha1.GrantPolicy{PreApproved: entries} }
}

func entry(until time.Time, scopes ...v1alpha1.PreApprovedScope) v1alpha1.PreApproval {
	return v1alpha1.PreApproval{Namespace: "payments", Client: "agent", Scopes: scopes, Until: metav1.NewTime(until)}
}

// standing is the part of a GrantDecision that tables about consent compare.
type standing struct {
	InForce   bool
	Undecided bool
	Basis     v1alpha1.GrantBasis
	Verdict   verdict
}

func standingOf(d GrantDecision) standing {
	return standing{InForce: d.InForce, Undecided: d.Undecided, Basis: d.Basis, Verdict: brief(d.Verdict)}
}

func by(basis v1alpha1.GrantBasis) standing {
	return standing{InForce: true, Basis: basis, Verdict: verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}}
}

func without(v verdict) standing {
	return standing{Undecided: v.Standing == Undecided, Verdict: v}
}

type consentCase struct {
	name  string
	facts GrantFacts
	want  standing
	says  []string
}

func runConsents(t *testing.T, cases []consentCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Grant(c.facts, now)
			equal(t, "standing", c.want, standingOf(d))
			mentions(t, d.Verdict.Message, c.says...)
		})
	}
}

func TestApprovalHolds(t *testing.T) {
	runConsents(t, []consentCase{
		{"an approval of the grant as it stands", approvedFacts(), by(v1alpha1.BasisApproved), nil},
		{"one approval covers every tier", sealed(grant(giving("reader", "invoices:read", "invoices:pay", "invoices:void"), func(g *v1alpha1.ScopeGrant) {
			g.Spec.Reason = "ticket 1"
		}, decided(v1alpha1.DecisionApproved))), by(v1alpha1.BasisApproved), nil},
		{"an approval of a later generation, of the grant changed since", approvedFacts(func(f *GrantFacts) {
			f.Grant.Generation, f.Grant.Status.Approval.Generation = 7, 7
		}), by(v1alpha1.BasisApproved), nil},
		{"a third person changed the grant before", approvedFacts(func(f *GrantFacts) {
			annotate(f.Grant, v1alpha1.AnnotationChangedBy, "another@example.com")
		}), by(v1alpha1.BasisApproved), nil},
		{"a scope of tier Read where the server approves nothing by itself", sealed(grant(decided(v1alpha1.DecisionApproved)), approving()),
			by(v1alpha1.BasisApproved), nil},
		{"what the server approves by itself does not rest on an approval", sealed(grant(decided(v1alpha1.DecisionApproved))),
			by(v1alpha1.BasisAutomatic), nil},
		{"a void approval of what needs none", sealed(grant(decided(v1alpha1.DecisionApproved)), approval(func(a *v1alpha1.Approval) { a.Generation = 9 })),
			by(v1alpha1.BasisAutomatic), nil},
		{"the end was moved forward to an earlier instant", approvedFacts(func(f *GrantFacts) { setEnd(f.Grant, now.Add(time.Hour)) }),
			by(v1alpha1.BasisApproved), nil},
	})
}

// An approval is void when it is not of the grant as it stands, or not of
// another person.
func TestApprovalIsVoid(t *testing.T) {
	runConsents(t, []consentCase{
		{"there is none", sealed(paying()), without(awaitingApproval),
			[]string{`"invoices:pay"`, "tier Write", "an owner of the MCPServer", "kubectl patch scopegrant reader -n payments --subresource=status", `"generation":1`}},
		{"its decision is a word that nobody knows", approvedFacts(approval(func(a *v1alpha1.Approval) { a.Decision = "Maybe" })), without(awaitingApproval), []string{"needs the approval"}},
		{"its decision is empty", approvedFacts(approval(func(a *v1alpha1.Approval) { a.Decision = "" })), without(awaitingApproval), []string{"needs the approval"}},
		{"it does not say who approved", approvedFacts(approval(func(a *v1alpha1.Approval) { a.ApprovedBy = "" })), without(awaitingApproval), []string{"does not say who approved"}},
		{"nobody is named who asked and nobody who approved", approvedFacts(func(f *GrantFacts) {
			remove(f.Grant, v1alpha1.AnnotationRequestedBy)
			f.Grant.Status.Approval.ApprovedBy = ""
		}), without(awaitingApproval), []string{"does not say who approved"}},
		{"the grant does not say who asked for it", approvedFacts(func(f *GrantFacts) { remove(f.Grant, v1alpha1.AnnotationRequestedBy) }), without(awaitingApproval),
			[]string{"mcp-registrar.dev/requested-by", "create it again"}},
		{"the grant says with an empty word who asked for it", approvedFacts(func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationRequestedBy, "") }), without(awaitingApproval),
			[]string{"mcp-registrar.dev/requested-by", "create it again"}},
		{"the one who asked approved", approvedFacts(func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationRequestedBy, approver) }), without(awaitingApproval),
			[]string{"asked for the grant approved it", "another person must"}},
		{"the one who changed it last approved", approvedFacts(func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationChangedBy, approver) }), without(awaitingApproval),
			[]string{"last changed the grant approved it", "another person must"}},
		{"an older generation was approved", approvedFacts(func(f *GrantFacts) { f.Grant.Generation = 3 }), without(awaitingApproval),
			[]string{"generation 1 of the grant was approved", "changed since", `"generation":3`}},
		{"a generation that is yet to come was approved", approvedFacts(approval(func(a *v1alpha1.Approval) { a.Generation = 2 })), without(awaitingApproval), []string{"generation 2"}},
		{"it does not say which end was approved", approvedFacts(approval(func(a *v1alpha1.Approval) { a.ExpiresAt = nil })), without(awaitingApproval), []string{"which end date"}},
		{"the end was moved beyond what was approved", approvedFacts(func(f *GrantFacts) { setEnd(f.Grant, now.Add(11*day)) }), without(awaitingApproval),
			[]string{"mcp-registrar.dev/expires-at was moved beyond 2026-09-11T12:00:00Z"}},
		{"a tier that nobody knows has none", sealed(asking("ticket 1", "invoices:read"), func(f *GrantFacts) { f.Server.Object.Spec.Scopes[0].Tier = "Harmless" }),
			without(awaitingApproval), []string{"Harmless"}},
		{"it was withdrawn", approvedFacts(func(f *GrantFacts) { f.Grant.Status.Approval = nil }), without(awaitingApproval), []string{"needs the approval"}},
		{"one approves where approvals cannot be checked", sealed(paying(), func(f *GrantFacts) { f.AdmissionIs, f.SealIs = Absent, Absent }),
			without(awaitingApproval), []string{"spec.grants.preApproved", "admission policies"}},
	})
}

// What is approved is an end date: one up to that second, in whatever spelling.
func TestApprovalHoldsUpToItsEndDate(t *testing.T) {
	end := now.Add(10 * day)
	inDelhi := time.FixedZone("", 5*3600+1800)
	for text, want := range map[string]bool{
		end.Add(-time.Second).Format(time.RFC3339):            true,
		end.Add(-1).Format(time.RFC3339Nano):                  true,
		end.Format(time.RFC3339):                              true,
		end.In(inDelhi).Format(time.RFC3339):                  true,
		end.Add(1).Format(time.RFC3339Nano):                   true,
		end.Add(time.Second - 1).Format(time.RFC3339Nano):     true,
		end.Add(time.Second).Format(time.RFC3339):             false,
		end.Add(time.Second).In(inDelhi).Format(time.RFC3339): false,
		end.Add(time.Second + 1).Format(time.RFC3339Nano):     false,
		end.Add(time.Hour).Format(time.RFC3339):               false,
	} {
		f := approvedFacts(func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationExpiresAt, text) })
		equal(t, "in force with the end "+text, want, Grant(f, now).InForce)
	}
}

// A sub-second end is approved as the second that the API stores.
func TestApprovalOfASubSecondEnd(t *testing.T) {
	for _, fraction := range []time.Duration{1, time.Millisecond, 500 * time.Millisecond, time.Second - 1} {
		f := sealed(paying(endingAt(now.Add(day+fraction)), decided(v1alpha1.DecisionApproved)))
		equal(t, "approved end", now.Add(day), f.Grant.Status.Approval.ExpiresAt.Time)
		equal(t, "in force", true, Grant(f, now).InForce)
		setEnd(f.Grant, now.Add(day+time.Second))
		equal(t, "in force when moved to the next second", false, Grant(f, now).InForce)
	}
}

// Void speaks of each fault, the gravest first, and of none where there is none.
func TestVoid(t *testing.T) {
	faults := []struct {
		says   string
		commit func(*v1alpha1.ScopeGrant)
	}{
		{"was moved beyond", func(g *v1alpha1.ScopeGrant) { setEnd(g, now.Add(99*day)) }},
		{"which end date", func(g *v1alpha1.ScopeGrant) { g.Status.Approval.ExpiresAt = nil }},
		{"generation 1", func(g *v1alpha1.ScopeGrant) { g.Generation = 2 }},
		{"last changed", func(g *v1alpha1.ScopeGrant) { annotate(g, v1alpha1.AnnotationChangedBy, approver) }},
		{"asked for the grant approved", func(g *v1alpha1.ScopeGrant) { annotate(g, v1alpha1.AnnotationRequestedBy, approver) }},
		{"does not say who asked", func(g *v1alpha1.ScopeGrant) { remove(g, v1alpha1.AnnotationRequestedBy) }},
		{"does not say who approved", func(g *v1alpha1.ScopeGrant) { g.Status.Approval.ApprovedBy = "" }},
	}
	g := paying(decided(v1alpha1.DecisionApproved))
	equal(t, "no fault", "", Void(g))
	for _, fault := range faults {
		fault.commit(g)
		if got := Void(g); !strings.Contains(got, fault.says) {
			t.Errorf("%q does not say %q", got, fault.says)
		}
	}
}

// Where an end cannot be read there is none that was moved; other rules refuse.
func TestApprovalWithoutAReadableEnd(t *testing.T) {
	f := approvedFacts(func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationExpiresAt, "never") })
	equal(t, "void", "", Void(f.Grant))
	equal(t, "reason", v1alpha1.ReasonExpiryInvalid, Grant(f, now).Verdict.Reason)
}

// Both sides see why a grant above Read is not in force: the reason is asked
// for first, whoever approved.
func TestReasonIsNeededWhoeverApproved(t *testing.T) {
	missing := without(refusedFor(v1alpha1.ReasonReasonMissing, ""))
	silent := func(f *GrantFacts) { f.Grant.Spec.Reason = " \n" }
	runConsents(t, []consentCase{
		{"approved", approvedFacts(silent), missing, []string{"spec.reason"}},
		{"approved beforehand", sealed(paying(), silent, preApproving(entry(now.Add(day), "invoices:pay"))), missing, []string{"spec.reason"}},
		{"approved by itself", sealed(paying(), silent, approving(v1alpha1.TierWrite)), missing, []string{"spec.reason"}},
		{"not approved", sealed(paying(), silent), missing, []string{"spec.reason"}},
		{"only scopes of tier Read", sealed(grant(), silent), by(v1alpha1.BasisAutomatic), nil},
	})
}

func TestDenial(t *testing.T) {
	denied := without(refusedFor(v1alpha1.ReasonApprovalDenied, ""))
	denial := decided(v1alpha1.DecisionDenied)
	all := entry(now.Add(day), "invoices:pay", "invoices:read")
	old := approval(func(a *v1alpha1.Approval) { a.Generation = 0 })
	runConsents(t, []consentCase{
		{"a denial of the grant as it stands", sealed(paying(denial)), denied, []string{approver, "denied the grant: change spec", "or delete the grant"}},
		{"a denial with a reason", sealed(paying(denial), approval(func(a *v1alpha1.Approval) { a.Reason = " not before the audit " })), denied, []string{"(not before the audit)"}},
		{"a denial with a blank reason", sealed(paying(denial), approval(func(a *v1alpha1.Approval) { a.Reason = " " })), denied, []string{"denied the grant: "}},
		{"a denial with control characters", sealed(paying(denial), approval(func(a *v1alpha1.Approval) { a.Reason = "a\x1b[31m" })), denied, []string{"(a?[31m)"}},
		{"a denial of an older generation", sealed(paying(denial), old), without(awaitingApproval), []string{"needs the approval"}},
		{"a denial of an older generation of what needs no approval", sealed(grant(denial), old), by(v1alpha1.BasisAutomatic), nil},
		{"a denial of what the server approves by itself", sealed(grant(denial)), denied, nil},
		{"a denial of what is approved beforehand", sealed(paying(denial), preApproving(all)), denied, nil},
		{"a denial of an older generation of what is approved beforehand", sealed(paying(denial), old, preApproving(all)), by(v1alpha1.BasisPreApproved), nil},
		{"a denial that the one who asked wrote", sealed(paying(denial), func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationRequestedBy, approver) }), denied, nil},
		{"a denial that does not say which end was meant", sealed(paying(denial), approval(func(a *v1alpha1.Approval) { a.ExpiresAt = nil })), denied, nil},
		{"a denial that nobody checked", sealed(paying(denial), func(f *GrantFacts) { f.SealIs = Absent }), without(awaitingApproval), nil},
		{"a denial that nobody checked, of what the server approves by itself", sealed(grant(denial), func(f *GrantFacts) { f.SealIs = Absent }),
			by(v1alpha1.BasisAutomatic), nil},
		{"a denial that nobody checked, of what is approved beforehand", sealed(paying(denial), preApproving(all), func(f *GrantFacts) { f.SealIs = Absent }),
			by(v1alpha1.BasisPreApproved), nil},
		{"a denial of which it is not known", sealed(grant(denial), func(f *GrantFacts) { f.SealIs = Unknown }),
			without(waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")), []string{"denial"}},
		{"an old denial of which it is not known", sealed(grant(denial), old, func(f *GrantFacts) { f.SealIs = Unknown }), by(v1alpha1.BasisAutomatic), nil},
	})
}
