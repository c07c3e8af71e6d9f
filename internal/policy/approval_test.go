// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	requester = "system:serviceaccount:payments:ci"
	approver  = "olga@example.com"
)

var awaitingApproval = waitingFor(Refused, v1alpha1.ReasonApprovalRequired, "")

// deciding has the approver decide about a grant as it stands.
func deciding(decision v1alpha1.ApprovalDecision) func(*GrantFacts) {
	return func(f *GrantFacts) {
		annotate(f.Grant, v1alpha1.AnnotationRequestedBy, requester)
		a := decidedBefore(f)
		a.Spec.Decision = decision
		a.Spec.GrantRef = &v1alpha1.ApprovedGrant{
			Namespace: f.Grant.Namespace, Name: f.Grant.Name, UID: string(f.Grant.UID), Generation: f.Grant.Generation,
		}
		if f.Registration != nil {
			looked := Look(f.Grant, f.Registration, f.Server.Object)
			a.Spec.Registration = &v1alpha1.ApprovedRegistration{UID: string(f.Registration.UID), Generation: f.Registration.Generation}
			a.Spec.Digest, a.Spec.RequestedBy, a.Status.LookedAt = looked.Digest(), requester, looked
			a.Spec.ToolsDigest = ToolsDigest(f.Grant, f.Server.Object)
		}
		f.Approvals = append(f.Approvals, a)
	}
}

// decidedBefore is a decision of the approver about nothing yet.
func decidedBefore(f *GrantFacts) *v1alpha1.ScopeGrantApproval {
	a := &v1alpha1.ScopeGrantApproval{ObjectMeta: meta("approval")}
	a.Namespace, a.Spec.ServerRef.Name = f.Grant.ServerNamespace(), f.Grant.Spec.ServerRef.Name
	if f.Server.Object != nil {
		a.Spec.ServerRef.UID = string(f.Server.Object.UID)
	}
	annotate(a, v1alpha1.AnnotationApprovedBy, approver)
	return a
}

// paying asks for a scope of tier Write for 10 days.
func paying(opts ...func(*v1alpha1.ScopeGrant)) *v1alpha1.ScopeGrant {
	g := asking("ticket 1", "invoices:pay")
	for _, opt := range opts {
		opt(g)
	}
	return g
}

// checked are the facts of a grant whose decisions were checked.
func checked(g *v1alpha1.ScopeGrant, opts ...func(*GrantFacts)) GrantFacts {
	f := grantFacts(g)
	f.AdmissionIs, f.AdmissionSince = Present, now.Add(-2*day)
	for _, opt := range opts {
		opt(&f)
	}
	return f
}

func approvedFacts(opts ...func(*GrantFacts)) GrantFacts {
	return checked(paying(), append([]func(*GrantFacts){deciding(v1alpha1.DecisionApproved)}, opts...)...)
}

// approval edits the first decision about a grant.
func approval(change func(*v1alpha1.ScopeGrantApproval)) func(*GrantFacts) {
	return func(f *GrantFacts) { change(f.Approvals[0]) }
}

func approvedBy(who string) func(*GrantFacts) {
	return approval(func(a *v1alpha1.ScopeGrantApproval) { annotate(a, v1alpha1.AnnotationApprovedBy, who) })
}

// preApproving adds what owners of the server approved beforehand.
func preApproving(entries ...*v1alpha1.ScopeGrantApproval) func(*GrantFacts) {
	return func(f *GrantFacts) { f.Approvals = append(f.Approvals, entries...) }
}

func entry(until time.Time, scopes ...string) *v1alpha1.ScopeGrantApproval {
	a := &v1alpha1.ScopeGrantApproval{ObjectMeta: meta("beforehand"), Spec: v1alpha1.ScopeGrantApprovalSpec{
		ServerRef: v1alpha1.ApprovedServer{Name: "invoices"}, Decision: v1alpha1.DecisionApproved,
		ClientRef: &v1alpha1.ApprovedClient{Namespace: "payments", Name: "agent"}, Scopes: scopes, ExpirationTime: timePtr(until),
	}}
	annotate(a, v1alpha1.AnnotationApprovedBy, approver)
	return a
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
	approved := deciding(v1alpha1.DecisionApproved)
	runConsents(t, []consentCase{
		{"an approval of the grant as it stands", approvedFacts(), by(v1alpha1.BasisApproved), nil},
		{"one approval covers every tier", checked(grant(giving("reader", "invoices:read", "invoices:pay", "invoices:void"), func(g *v1alpha1.ScopeGrant) {
			g.Spec.Reason = "ticket 1"
		}), approved), by(v1alpha1.BasisApproved), nil},
		{"nothing but the generation changed since", approvedFacts(func(f *GrantFacts) { f.Grant.Generation, f.Registration.Generation = 7, 8 }), by(v1alpha1.BasisApproved), nil},
		{"the operator never took it up, and nothing changed", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Status.LookedAt = nil })), by(v1alpha1.BasisApproved), nil},
		{"a third person changed the grant before", approvedFacts(func(f *GrantFacts) {
			annotate(f.Grant, v1alpha1.AnnotationChangedBy, "another@example.com")
		}), by(v1alpha1.BasisApproved), nil},
		{"a scope of tier Read where the server approves nothing by itself", checked(grant(), approving(), approved), by(v1alpha1.BasisApproved), nil},
		{"what the server approves by itself does not rest on an approval", checked(grant(), approved), by(v1alpha1.BasisAutomatic), nil},
		{"a void approval of what needs none", checked(grant(), approved, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Digest = "" })), by(v1alpha1.BasisAutomatic), nil},
		{"a void approval beside one that holds", approvedFacts(approved, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Digest = "" })), by(v1alpha1.BasisApproved), nil},
		{"one that has ended beside one that holds", approvedFacts(approved, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(now) })), by(v1alpha1.BasisApproved), nil},
		{"it ends later", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(now.Add(1)) })), by(v1alpha1.BasisApproved), nil},
		{"it was given when the policies came into force", approvedFacts(func(f *GrantFacts) { f.AdmissionSince = now.Add(-day) }), by(v1alpha1.BasisApproved), nil},
	})
}

// An approval is void when it is not of what is there, or not of another person.
func TestApprovalIsVoid(t *testing.T) {
	open := without(awaitingApproval)
	runConsents(t, []consentCase{
		{"there is none", checked(paying()), open,
			[]string{`"invoices:pay"`, "tier Write", "an owner of the MCPServer", `status.pendingGrants of MCPServer "invoices" in namespace "payments"`, "create a ScopeGrantApproval there"}},
		{"its decision is a word that nobody knows", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Decision = "Maybe" })), open, []string{"needs the approval"}},
		{"its decision is empty", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Decision = "" })), open, []string{"needs the approval"}},
		{"it does not say who approved", approvedFacts(approvedBy("")), open, []string{"does not say who approved"}},
		{"the grant does not say who asked for it", approvedFacts(func(f *GrantFacts) { remove(f.Grant, v1alpha1.AnnotationRequestedBy) }), open,
			[]string{"mcp-registrar.dev/requested-by", "create it again"}},
		{"the one who asked approved", approvedFacts(approvedBy(requester)), open, []string{"asked for the grant approved it", "another person must"}},
		{"the one who changed it last approved", approvedFacts(func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationChangedBy, approver) }), open,
			[]string{"last changed the grant approved it", "another person must"}},
		{"another user is said to have asked", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.RequestedBy = "bob" })), open, []string{`request by "bob"`}},
		{"it is of another digest", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Digest = strings.Repeat("0", 64) })), open, []string{"its digest is not that"}},
		{"it is of an older generation of the grant", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Status.LookedAt = nil }), func(f *GrantFacts) {
			f.Grant.Spec.Reason, f.Grant.Generation = "ticket 2", 3
		}), open, []string{"generation 1 of the ScopeGrant was looked at", "it is at 3"}},
		{"it is of an older generation of the registration", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Status.LookedAt = nil }), func(f *GrantFacts) {
			f.Registration.Spec.ClientName, f.Registration.Generation = "Bank", 3
		}), open, []string{"generation 1 of the MCPClientRegistration was looked at", "it is at 3"}},
		{"the registration was made again before the operator looked", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Status.LookedAt = nil }), func(f *GrantFacts) {
			f.Registration.UID = "another"
		}), open, []string{"the MCPClientRegistration was deleted and created again"}},
		{"somebody wrote what was looked at", approvedFacts(func(f *GrantFacts) {
			f.Registration.Spec.ClientName = "Bank"
			f.Approvals[0].Status.LookedAt = Look(f.Grant, f.Registration, f.Server.Object)
		}), open, []string{"its digest is not that"}},
		{"it is of a grant of another name", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.GrantRef.Name = "writer" })), open, []string{"needs the approval"}},
		{"it is of a grant of another namespace", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.GrantRef.Namespace = "billing" })), open, []string{"needs the approval"}},
		{"it is in another namespace than the server", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Namespace = "billing" })), open, []string{"needs the approval"}},
		{"it is for another server", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ServerRef.Name = "files" })), open, []string{"needs the approval"}},
		{"it is being deleted", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { deleting(a) })), open, []string{"needs the approval"}},
		{"it has ended", approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(now) })), open, []string{"the approval ended at 2026-09-01T12:00:00Z"}},
		{"a tier that nobody knows has none", checked(asking("ticket 1", "invoices:read"), func(f *GrantFacts) { f.Server.Object.Spec.Scopes[0].Tier = "Harmless" }), open, []string{"Harmless"}},
		{"one approves where approvals cannot be checked", checked(paying(), func(f *GrantFacts) { f.AdmissionIs = Absent }), open, []string{"spec.clientRef", "admission policies"}},
	})
}

// For every member that an approver looks at, a change voids the approval and says
// which; one that takes something away does not.
func TestApprovalIsOfWhatWasLookedAt(t *testing.T) {
	approvedSight := func() (sight, GrantFacts) {
		s := seenByApprover()
		f := checked(s.grant)
		f.Registration, f.Server.Object = s.reg, s.server
		deciding(v1alpha1.DecisionApproved)(&f)
		return s, f
	}
	for _, c := range widenings() {
		s, f := approvedSight()
		equal(t, c.name+", before", by(v1alpha1.BasisApproved), standingOf(Grant(f, now)))
		c.change(s)
		mentions(t, Void(f, f.Approvals[0]), c.says)
		d := Grant(f, now)
		equal(t, c.name, false, d.InForce)
		if d.Verdict.Reason == v1alpha1.ReasonApprovalRequired {
			mentions(t, d.Verdict.Message, "the approval is void: ", c.says)
			mentions(t, d.Void, c.says)
		}
		deciding(v1alpha1.DecisionApproved)(&f)
		equal(t, c.name+", looked at again", "", Void(f, f.Approvals[1]))
	}
	for _, c := range append(narrowings(), sameSights()...) {
		s, f := approvedSight()
		c.change(s)
		equal(t, c.name, by(v1alpha1.BasisApproved), standingOf(Grant(f, now)))
		equal(t, c.name, "", Void(f, f.Approvals[0]))
	}
}

// Void is a state: what was looked at is again what is there, and the approval holds.
func TestVoidApprovalHoldsWhenTheChangeIsUndone(t *testing.T) {
	f := approvedFacts()
	f.Registration.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://evil.example"}
	equal(t, "changed", without(awaitingApproval), standingOf(Grant(f, now)))
	f.Registration.Spec.RedirectURIs = nil
	equal(t, "undone", by(v1alpha1.BasisApproved), standingOf(Grant(f, now)))
	annotate(f.Grant, v1alpha1.AnnotationChangedBy, approver)
	equal(t, "changed by the approver", without(awaitingApproval), standingOf(Grant(f, now)))
	annotate(f.Grant, v1alpha1.AnnotationChangedBy, "another@example.com")
	equal(t, "changed by another", by(v1alpha1.BasisApproved), standingOf(Grant(f, now)))
}

// The scope goes at the instant at which the approval ends.
func TestApprovalEnds(t *testing.T) {
	end := now.Add(time.Hour)
	f := approvedFacts(approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(end) }))
	d := Grant(f, end.Add(-1))
	equal(t, "before", by(v1alpha1.BasisApproved), standingOf(d))
	equal(t, "end", end, d.ExpiresAt)
	f.Grant.Status.Basis = v1alpha1.BasisApproved
	d = Grant(f, end)
	equal(t, "then", without(awaitingApproval), standingOf(d))
	equal(t, "ended", end, d.EndedAt)
}

// Void speaks of who decided before what was decided about.
func TestVoid(t *testing.T) {
	faults := []struct {
		says   string
		commit func(*GrantFacts)
	}{
		{"client name", func(f *GrantFacts) { f.Registration.Spec.ClientName = "Bank" }},
		{"request by", func(f *GrantFacts) { f.Approvals[0].Spec.RequestedBy = "bob" }},
		{"last changed", func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationChangedBy, approver) }},
		{"asked for the grant approved", func(f *GrantFacts) { annotate(f.Grant, v1alpha1.AnnotationRequestedBy, approver) }},
		{"does not say who asked", func(f *GrantFacts) { remove(f.Grant, v1alpha1.AnnotationRequestedBy) }},
		{"does not say who approved", func(f *GrantFacts) { remove(f.Approvals[0], v1alpha1.AnnotationApprovedBy) }},
	}
	f := approvedFacts()
	equal(t, "no fault", "", Void(f, f.Approvals[0]))
	for _, fault := range faults {
		fault.commit(&f)
		if got := Void(f, f.Approvals[0]); !strings.Contains(got, fault.says) {
			t.Errorf("%q does not say %q", got, fault.says)
		}
	}
}

// Both sides see why a grant above Read is not in force: the reason is asked
// for first, whoever approved.
func TestReasonIsNeededWhoeverApproved(t *testing.T) {
	missing := without(refusedFor(v1alpha1.ReasonReasonMissing, ""))
	silent := func(f *GrantFacts) { f.Grant.Spec.Reason = " \n" }
	runConsents(t, []consentCase{
		{"approved", approvedFacts(silent), missing, []string{"spec.reason"}},
		{"approved beforehand", checked(paying(), silent, preApproving(entry(now.Add(day), "invoices:pay"))), missing, []string{"spec.reason"}},
		{"approved by itself", checked(paying(), silent, approving(v1alpha1.TierWrite)), missing, []string{"spec.reason"}},
		{"not approved", checked(paying(), silent), missing, []string{"spec.reason"}},
		{"only scopes of tier Read", checked(grant(), silent), by(v1alpha1.BasisAutomatic), nil},
	})
}

// A denial is of the grant, whatever becomes of it; it needs no second person, and
// nobody who checks.
func TestDenial(t *testing.T) {
	refused := without(refusedFor(v1alpha1.ReasonApprovalDenied, ""))
	denial := deciding(v1alpha1.DecisionDenied)
	all := entry(now.Add(day), "invoices:pay", "invoices:read")
	clientDenied := entry(now.Add(day), "invoices:pay")
	clientDenied.Spec.Decision = v1alpha1.DecisionDenied
	runConsents(t, []consentCase{
		{"a denial of the grant as it stands", checked(paying(), denial), refused, []string{approver, "denied the grant: delete it", `ScopeGrantApproval "approval"`}},
		{"a denial with a reason", checked(paying(), denial, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Reason = " not before the audit " })), refused, []string{"(not before the audit)"}},
		{"a denial with a blank reason", checked(paying(), denial, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Reason = " " })), refused, []string{"denied the grant: "}},
		{"a denial with control characters", checked(paying(), denial, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.Reason = "a\x1b[31m" })), refused, []string{"(a?[31m)"}},
		{"a denial of which nobody knows who", checked(paying(), denial, approvedBy("")), refused, []string{"an owner of the MCPServer denied"}},
		{"the grant was changed since", checked(paying(), denial, func(f *GrantFacts) { f.Grant.Spec.Reason, f.Grant.Generation = "please", 2 }), refused, nil},
		{"the grant became less since", checked(paying(), denial, func(f *GrantFacts) { setEnd(f.Grant, now.Add(time.Hour)) }), refused, nil},
		{"the grant was made again since", checked(paying(), denial, func(f *GrantFacts) { f.Grant.UID = "another" }), without(awaitingApproval), []string{"needs the approval"}},
		{"a denial of what the server approves by itself", checked(grant(), denial), refused, nil},
		{"a denial of what is approved beforehand", checked(paying(), denial, preApproving(all)), refused, nil},
		{"a denial of what is approved", approvedFacts(denial), refused, nil},
		{"a denial that the one who asked made", checked(paying(), denial, approvedBy(requester)), refused, nil},
		{"a denial that nobody checked", checked(paying(), denial, func(f *GrantFacts) { f.AdmissionIs = Absent }), refused, nil},
		{"a denial that has ended", checked(grant(), denial, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(now) })), by(v1alpha1.BasisAutomatic), nil},
		{"a denial that was deleted", checked(grant(), denial, approval(func(a *v1alpha1.ScopeGrantApproval) { deleting(a) })), by(v1alpha1.BasisAutomatic), nil},
		{"a denial of the client beforehand", approvedFacts(preApproving(clientDenied)), refused, nil},
		{"a denial of other scopes beforehand", checked(grant(), preApproving(clientDenied)), by(v1alpha1.BasisAutomatic), nil},
		{"it is not known what was decided", checked(grant(), func(f *GrantFacts) { f.ApprovalsAre = Unknown }), without(waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")), []string{"decided"}},
	})
	end := now.Add(time.Hour)
	f := checked(grant(), denial, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(end) }))
	equal(t, "looked at again when it ends", end, Grant(f, now).AcceptableAt)
	equal(t, "after it", by(v1alpha1.BasisAutomatic), standingOf(Grant(f, end)))
}

// An approval counts only while the admission policies are in force, and if they
// were when it was given.
func TestWhoCheckedAnApproval(t *testing.T) {
	for admission, want := range map[Knowledge]standing{
		Unknown: without(waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")),
		Absent:  without(refusedFor(v1alpha1.ReasonApprovalUnverified, "")),
		Present: by(v1alpha1.BasisApproved),
	} {
		equal(t, "standing", want, standingOf(Grant(approvedFacts(func(f *GrantFacts) { f.AdmissionIs = admission }), now)))
	}
	old := approvedFacts(func(f *GrantFacts) { f.AdmissionSince = now.Add(-day + 1) })
	d := Grant(old, now)
	equal(t, "given before", without(refusedFor(v1alpha1.ReasonApprovalUnverified, "")), standingOf(d))
	mentions(t, d.Verdict.Message, "before the admission policies were installed")
	unchecked := func(f *GrantFacts) { f.AdmissionIs = Absent }
	runConsents(t, []consentCase{
		{"approved by itself", checked(grant(), deciding(v1alpha1.DecisionApproved), unchecked), by(v1alpha1.BasisAutomatic), nil},
		{"approved beforehand", approvedFacts(unchecked, preApproving(entry(now.Add(day), "invoices:pay"))), by(v1alpha1.BasisPreApproved), nil},
	})
}
