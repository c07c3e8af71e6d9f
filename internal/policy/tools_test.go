// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestReview(t *testing.T) {
	t.Parallel()
	then := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	now := then.Add(time.Hour)
	read, wipe := v1alpha1.ToolDigest{Name: "read", Digest: "r1"}, v1alpha1.ToolDigest{Name: "wipe", Digest: "w1"}
	newRead := v1alpha1.ToolDigest{Name: "read", Digest: "r2"}
	list := v1alpha1.ToolDigest{Name: "list", Digest: "l1"}
	approve := func(f *GrantFacts, at time.Time) {
		f.AdmissionIs = Present
		deciding(v1alpha1.DecisionApproved)(f)
		f.Approvals[0].CreationTimestamp.Time = at
	}
	for _, test := range []struct {
		name    string
		change  func(*GrantFacts, *GrantDecision)
		tools   []v1alpha1.ToolDigest
		taken   time.Time
		changed []string
	}{
		{"nothing changed", func(*GrantFacts, *GrantDecision) {}, []v1alpha1.ToolDigest{read}, then, nil},
		{"the first look", func(f *GrantFacts, _ *GrantDecision) { f.Grant.Status.ToolSnapshot = nil }, []v1alpha1.ToolDigest{read}, now, nil},
		{"the definition changed", func(f *GrantFacts, _ *GrantDecision) { f.Server.Object.Status.Tools[0] = newRead }, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"a tool of the scope is new", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools = append(f.Server.Object.Status.Tools, list)
		}, []v1alpha1.ToolDigest{read}, then, []string{"list"}},
		{"a tool of another scope is new", func(f *GrantFacts, _ *GrantDecision) { f.Server.Object.Status.Tools[1].Digest = "w2" }, []v1alpha1.ToolDigest{read}, then, nil},
		{"a tool of the scope is gone, and may be called all the same", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools = f.Server.Object.Status.Tools[1:]
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"a scope was added to the grant", func(f *GrantFacts, _ *GrantDecision) {
			f.Grant.Spec.Scopes = append(f.Grant.Spec.Scopes, "a:wipe")
		}, []v1alpha1.ToolDigest{read, wipe}, then, nil},
		{"a scope was given up and asked for again", func(f *GrantFacts, _ *GrantDecision) {
			f.Grant.Status.ToolSnapshot.Scopes, f.Server.Object.Status.Tools[0] = nil, newRead
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"the scope leads to one more tool", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Spec.Scopes[0].Tools = append(f.Server.Object.Spec.Scopes[0].Tools, "wipe")
		}, []v1alpha1.ToolDigest{read}, then, []string{"wipe"}},
		{"it was approved after the change", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools[0] = newRead
			approve(f, then.Add(time.Second))
		}, []v1alpha1.ToolDigest{newRead}, now, nil},
		{"it changed once more after who approved it had looked", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools[0] = newRead
			approve(f, then.Add(time.Second))
			f.Server.Object.Status.Tools[0].Digest = "r3"
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"who approved it looked while the tools were not known", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools[0] = newRead
			approve(f, then.Add(time.Second))
			f.Approvals[0].Spec.ToolsDigest = ""
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"it came into force by an approval of other definitions", func(f *GrantFacts, d *GrantDecision) {
			approve(f, then)
			d.Basis, d.Approval = v1alpha1.BasisApproved, f.Approvals[0]
			f.Grant.Status.ToolSnapshot, f.Server.Object.Status.Tools[0] = nil, newRead
		}, nil, now, []string{"read"}},
		{"it came into force by an approval of these definitions", func(f *GrantFacts, d *GrantDecision) {
			approve(f, then)
			d.Basis, d.Approval = v1alpha1.BasisApproved, f.Approvals[0]
			f.Grant.Status.ToolSnapshot = nil
		}, []v1alpha1.ToolDigest{read}, now, nil},
		{"it came into force by an approval from when none were known", func(f *GrantFacts, d *GrantDecision) {
			approve(f, then)
			f.Approvals[0].Spec.ToolsDigest = ""
			d.Basis, d.Approval = v1alpha1.BasisApproved, f.Approvals[0]
			f.Grant.Status.ToolSnapshot = nil
		}, []v1alpha1.ToolDigest{read}, now, nil},
		{"a scope was added and approved, and its tool changed after the look", func(f *GrantFacts, d *GrantDecision) {
			f.Grant.Spec.Scopes = append(f.Grant.Spec.Scopes, "a:wipe")
			approve(f, then.Add(time.Second))
			d.Basis, d.Approval = v1alpha1.BasisApproved, f.Approvals[0]
			f.Server.Object.Status.Tools[1].Digest = "w2"
		}, []v1alpha1.ToolDigest{read}, then, []string{"wipe"}},
		{"a scope was added and approved", func(f *GrantFacts, d *GrantDecision) {
			f.Grant.Spec.Scopes = append(f.Grant.Spec.Scopes, "a:wipe")
			approve(f, then.Add(time.Second))
			d.Basis, d.Approval = v1alpha1.BasisApproved, f.Approvals[0]
		}, []v1alpha1.ToolDigest{read, wipe}, now, nil},
		{"it was approved before", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools[0] = newRead
			approve(f, then)
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"nobody checked who approved", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools[0] = newRead
			approve(f, then.Add(time.Second))
			f.AdmissionIs = Absent
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"the approval is void", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools[0] = newRead
			approve(f, then.Add(time.Second))
			f.Grant.Spec.Reason = "another"
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"the tools are not known any more", func(f *GrantFacts, _ *GrantDecision) {
			f.Server.Object.Status.Tools, f.Grant.Status.ChangedTools = nil, []string{"read"}
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
		{"the server is not known", func(f *GrantFacts, d *GrantDecision) {
			f.Server.Object, d.Undecided, d.InForce = nil, true, false
		}, []v1alpha1.ToolDigest{read}, then, nil},
		{"the grant is not in force", func(f *GrantFacts, d *GrantDecision) {
			d.InForce, f.Grant.Status.ChangedTools, f.Server.Object.Status.Tools[0] = false, []string{"read"}, newRead
		}, []v1alpha1.ToolDigest{read}, then, []string{"read"}},
	} {
		server := &v1alpha1.MCPServer{}
		server.Spec.Scopes = []v1alpha1.Scope{{Name: "a:read", Tools: []string{"read", "list"}}, {Name: "a:wipe", Tools: []string{"wipe"}}}
		server.Status.Tools = []v1alpha1.ToolDigest{read, wipe}
		grant := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Generation: 2, Annotations: map[string]string{}}}
		grant.Spec.Scopes = []v1alpha1.ScopeName{"a:read"}
		grant.Status.ToolSnapshot = &v1alpha1.ToolSnapshot{TakenAt: metav1.NewTime(then), Scopes: []string{"a:read"}, Tools: []v1alpha1.ToolDigest{read}}
		facts, decision := GrantFacts{Grant: grant, Registration: registration(), Server: ServerFact{Is: Present, Object: server}}, GrantDecision{InForce: true}
		test.change(&facts, &decision)
		got := Review(facts, decision, now)
		if !slices.Equal(got.Changed, test.changed) {
			t.Errorf("%s: changed %q, want %q", test.name, got.Changed, test.changed)
		}
		if (got.Message == "") != (len(test.changed) == 0) || (len(test.changed) > 0 && !strings.Contains(got.Message, test.changed[0])) {
			t.Errorf("%s: says %q", test.name, got.Message)
		}
		others := strings.Contains(test.name, "who approved it") || strings.Contains(test.name, "after the look")
		if strings.Contains(got.Message, "does not repeat the toolsDigest") != others {
			t.Errorf("%s: says %q", test.name, got.Message)
		}
		switch {
		case got.Snapshot == nil && test.tools == nil:
		case got.Snapshot == nil, !slices.Equal(got.Snapshot.Tools, test.tools), !got.Snapshot.TakenAt.Time.Equal(test.taken):
			t.Errorf("%s: the snapshot is %v, want %v of %v", test.name, got.Snapshot, test.tools, test.taken)
		}
	}
}

// A snapshot has room for so many scopes and tools: of the scopes those go that are
// granted no more, and what is left out of the tools is counted.
func TestSnapshotsAreBounded(t *testing.T) {
	f := grantFacts(grant(giving("reader", "now:read")))
	snapshot := &v1alpha1.ToolSnapshot{TakenAt: metav1.NewTime(now)}
	for i := range 256 {
		snapshot.Scopes = append(snapshot.Scopes, fmt.Sprintf("old:%03d", i))
		snapshot.Tools = append(snapshot.Tools, v1alpha1.ToolDigest{Name: fmt.Sprintf("tool-%03d", i), Digest: "d"})
	}
	f.Server.Object.Spec.Scopes = []v1alpha1.Scope{{Name: "now:read", Tier: v1alpha1.TierRead, Tools: []string{"new-1", "new-2"}}}
	f.Server.Object.Status.Tools = []v1alpha1.ToolDigest{{Name: "new-1", Digest: "a"}, {Name: "new-2", Digest: "b"}}
	longer := extended(snapshot, f, false)
	equal(t, "scopes", 256, len(longer.Scopes))
	equal(t, "the first is gone", "old:001", longer.Scopes[0])
	equal(t, "the last", "now:read", longer.Scopes[255])
	equal(t, "tools", 256, len(longer.Tools))
	equal(t, "left out", int32(2), longer.ToolsOmitted)
	equal(t, "what is left out counts as changed", []string{"new-1", "new-2"}, changedTools(longer, f.Server.Object.Status.Tools, f))
	equal(t, "again", longer, extended(longer, f, false))

	f.Grant.Status.ToolSnapshot = &v1alpha1.ToolSnapshot{TakenAt: metav1.NewTime(now), Scopes: []string{"now:read"}}
	f.Server.Object.Status.Tools, f.Server.Object.Spec.Scopes[0].Tools = nil, nil
	for i := range 300 {
		name := fmt.Sprintf("tool-%03d", i)
		f.Server.Object.Spec.Scopes[0].Tools = append(f.Server.Object.Spec.Scopes[0].Tools, name)
		f.Server.Object.Status.Tools = append(f.Server.Object.Status.Tools, v1alpha1.ToolDigest{Name: name, Digest: "d"})
	}
	review := Review(f, inForce(defaultTokenLifetime), now)
	equal(t, "changed", maxChangedTools, len(review.Changed))
	equal(t, "omitted", 44, review.Omitted)
}

// Definitions are no part of what an approval holds by, and the digest of them is of
// those that the scopes lead to.
func TestToolsDigest(t *testing.T) {
	f := approvedFacts()
	f.Server.Object.Spec.Scopes[2].Tools = []string{"pay", "refund"}
	f.Server.Object.Status.Tools = []v1alpha1.ToolDigest{{Name: "pay", Digest: "p1"}, {Name: "wipe", Digest: "w1"}}
	f.Approvals = nil
	deciding(v1alpha1.DecisionApproved)(&f)
	before := ToolsDigest(f.Grant, f.Server.Object)
	equal(t, "repeated", before, f.Approvals[0].Spec.ToolsDigest)
	equal(t, "shown", before, Pending(f.Grant, f.Registration, f.Server.Object).ToolsDigest)
	f.Server.Object.Status.Tools[1].Digest = "w2"
	equal(t, "a tool of another scope", before, ToolsDigest(f.Grant, f.Server.Object))
	for name, tools := range map[string][]v1alpha1.ToolDigest{
		"another definition": {{Name: "pay", Digest: "p2"}},
		"one more":           {{Name: "pay", Digest: "p1"}, {Name: "refund", Digest: "r1"}},
		"one less":           {{Name: "wipe", Digest: "w1"}},
		"none known":         nil,
	} {
		f.Server.Object.Status.Tools = tools
		if ToolsDigest(f.Grant, f.Server.Object) == before {
			t.Errorf("%s: the digest is the same", name)
		}
		equal(t, name, by(v1alpha1.BasisApproved), standingOf(Grant(f, now)))
	}
	f.Server.Object.Status.Tools = nil
	equal(t, "of none", "", ToolsDigest(f.Grant, f.Server.Object))
}

// Who looks again sees which tools changed, by what the server offers at that time.
func TestPendingShowsChangedTools(t *testing.T) {
	s := seenByApprover()
	equal(t, "no snapshot", []string(nil), s.pending().ChangedTools)
	s.grant.Status.ToolSnapshot = &v1alpha1.ToolSnapshot{Scopes: []string{"invoices:pay", "invoices:void"}, Tools: []v1alpha1.ToolDigest{
		{Name: "pay", Digest: "p1"}, {Name: "refund", Digest: "r1"},
	}}
	s.grant.Status.ChangedTools = []string{"stale"}
	equal(t, "not known", []string{"stale"}, s.pending().ChangedTools)
	s.server.Status.Tools = []v1alpha1.ToolDigest{{Name: "pay", Digest: "p2"}, {Name: "refund", Digest: "r1"}, {Name: "void", Digest: "v1"}}
	equal(t, "changed and new", []string{"pay", "void"}, s.pending().ChangedTools)
	s.server.Status.Tools = s.server.Status.Tools[1:2]
	equal(t, "gone", []string{"pay"}, s.pending().ChangedTools)
	equal(t, "digest", s.look().Digest(), s.pending().Digest)
}
