// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// ofFirst are the facts about the first decision about a grant.
func ofFirst(f GrantFacts) ApprovalFacts {
	return ApprovalFacts{Approval: f.Approvals[0], GrantIs: Present, Grant: f}
}

func TestApprovalCounts(t *testing.T) {
	end := now.Add(time.Hour)
	ending := approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(end) })
	forServer := func(uid string, found ServerFact) ApprovalFacts {
		a := entry(end, "invoices:pay")
		a.Spec.ServerRef.UID = uid
		return ApprovalFacts{Approval: a, Server: found}
	}
	cases := []struct {
		name   string
		facts  ApprovalFacts
		reason string
		next   time.Time
		says   string
	}{
		{"of the grant as it is", ofFirst(approvedFacts()), v1alpha1.ReasonAccepted, time.Time{}, ""},
		{"with an end", ofFirst(approvedFacts(ending)), v1alpha1.ReasonAccepted, end, ""},
		{"over", ofFirst(approvedFacts(ending, approval(func(a *v1alpha1.ScopeGrantApproval) { a.Spec.ExpirationTime = timePtr(now) }))), v1alpha1.ReasonExpired, time.Time{}, "ended at 2026-09-01T12:00:00Z"},
		{"a denial", ofFirst(checked(paying(), deciding(v1alpha1.DecisionDenied))), v1alpha1.ReasonAccepted, time.Time{}, ""},
		{"beforehand, for any server of the name", ApprovalFacts{Approval: entry(end, "invoices:pay")}, v1alpha1.ReasonAccepted, end, ""},
		{"beforehand, for the server that is there", forServer("uid-of-invoices", ServerFact{Is: Present, Object: server()}), v1alpha1.ReasonAccepted, end, ""},
		{"beforehand, for another server", forServer("another", ServerFact{Is: Present, Object: server()}), v1alpha1.ReasonApprovalVoid, end, `spec.serverRef: MCPServer "invoices" has UID "uid-of-invoices", and the approval is for one with UID "another"`},
		{"beforehand, for a server that is gone", forServer("another", ServerFact{Is: Absent}), v1alpha1.ReasonApprovalVoid, end, `there is no MCPServer "invoices" with UID "another"`},
		{"beforehand, and the server is not known", forServer("another", ServerFact{}), v1alpha1.ReasonFactUnknown, end, "MCPServer"},
		{"a denial beforehand, for another server", func() ApprovalFacts {
			f := forServer("another", ServerFact{Is: Present, Object: server()})
			f.Approval.Spec.Decision = v1alpha1.DecisionDenied
			return f
		}(), v1alpha1.ReasonAccepted, end, ""},
		{"the grant is not known", func() ApprovalFacts { f := ofFirst(approvedFacts()); f.GrantIs = Unknown; return f }(), v1alpha1.ReasonFactUnknown, time.Time{}, "ScopeGrant"},
		{"the grant is gone", ApprovalFacts{Approval: approvedFacts().Approvals[0], GrantIs: Absent}, v1alpha1.ReasonGrantNotFound, time.Time{}, "no ScopeGrant"},
		{"the grant is not watched", ApprovalFacts{Approval: approvedFacts().Approvals[0], Unwatched: true}, v1alpha1.ReasonFactUnknown, time.Time{}, "does not watch"},
		{"the grant is another", ofFirst(approvedFacts(func(f *GrantFacts) { f.Grant.UID = "another" })), v1alpha1.ReasonApprovalVoid, time.Time{}, "another has its name"},
		{"the client changed", ofFirst(approvedFacts(func(f *GrantFacts) { f.Registration.Spec.ClientName = "Bank" })), v1alpha1.ReasonApprovalVoid, time.Time{}, `client name: was "Payments agent", is "Bank": look at the grant again`},
		{"the client is gone", ofFirst(approvedFacts(func(f *GrantFacts) { f.RegistrationIs, f.Registration = Absent, nil })), v1alpha1.ReasonApprovalVoid, time.Time{}, "not there"},
		{"the client is not known", ofFirst(approvedFacts(func(f *GrantFacts) { f.RegistrationIs, f.Registration = Unknown, nil })), v1alpha1.ReasonFactUnknown, time.Time{}, "MCPClientRegistration"},
		{"nobody checked", ofFirst(approvedFacts(func(f *GrantFacts) { f.AdmissionIs = Absent })), v1alpha1.ReasonApprovalUnverified, time.Time{}, "create it again"},
		{"it is not known whether somebody checked", ofFirst(approvedFacts(func(f *GrantFacts) { f.AdmissionIs = Unknown })), v1alpha1.ReasonFactUnknown, time.Time{}, "checked"},
	}
	for _, c := range cases {
		d := Approval(c.facts, now)
		equal(t, c.name, c.reason, d.Verdict.Reason)
		equal(t, c.name+": next", c.next, d.Next)
		mentions(t, d.Verdict.Message, c.says)
	}
}

// What was looked at is kept as it was when it was first found, and is never what
// the approval is not of.
func TestApprovalKeepsWhatWasLookedAt(t *testing.T) {
	f := approvedFacts()
	looked := Looked(f.Approvals[0].Status.LookedAt)
	setEnd(f.Grant, now.Add(time.Hour))
	equal(t, "kept", looked, Approval(ofFirst(f), now).LookedAt)
	f.Approvals[0].Status.LookedAt = nil
	equal(t, "not found any more", Looked(nil), Approval(ofFirst(f), now).LookedAt)
	setEnd(f.Grant, now.Add(10*day))
	equal(t, "found", looked, Approval(ofFirst(f), now).LookedAt)
	f.Approvals[0].Status.LookedAt = looked[1:]
	setEnd(f.Grant, now.Add(time.Hour))
	equal(t, "written by somebody else", Looked(nil), Approval(ofFirst(f), now).LookedAt)
}
