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
	longer := extended(snapshot, f)
	equal(t, "scopes", 256, len(longer.Scopes))
	equal(t, "the first is gone", "old:001", longer.Scopes[0])
	equal(t, "the last", "now:read", longer.Scopes[255])
	equal(t, "tools", 256, len(longer.Tools))
	equal(t, "left out", int32(2), longer.ToolsOmitted)
	equal(t, "what is left out counts as changed", []string{"new-1", "new-2"}, changedTools(longer, f.Server.Object.Status.Tools, f))
	equal(t, "again", longer, extended(longer, f))

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
