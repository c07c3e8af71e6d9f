// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestEnforced(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	plain := func() EnforcementFacts {
		denial := &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{Name: "incident", ResourceVersion: "120"}}
		denial.Spec.Registration = &v1alpha1.DeniedRegistration{Namespace: "agents", Name: "bot"}
		guard := func(name string) Guard {
			return Guard{Namespace: "tools", Name: name, Servers: []string{"tools/invoices"}, Until: at.Add(time.Minute), Denials: GuardDenials{Seen: "120"}}
		}
		return EnforcementFacts{
			Denial: denial, Version: "120", GuardsAre: Present, Guards: []Guard{guard("b"), guard("a")},
			Servers: map[string][]string{"tools/invoices": {"tools"}, "tools/open": nil},
		}
	}
	for _, test := range []struct {
		name    string
		change  func(*EnforcementFacts)
		reason  string
		by      int
		pending []string
	}{
		{"all have it", func(*EnforcementFacts) {}, v1alpha1.ReasonEnforced, 2, nil},
		{"its status was written since", func(f *EnforcementFacts) { f.Denial.ResourceVersion = "130" }, v1alpha1.ReasonEnforced, 2, nil},
		{"two are behind", func(f *EnforcementFacts) { f.Guards[0].Denials.Seen, f.Guards[1].Denials.Seen = "119", "" }, v1alpha1.ReasonGuardsPending, 0, []string{"tools/a", "tools/b"}},
		{"one does not act on it", func(f *EnforcementFacts) { f.Guards[0].Denials.Open = []string{"incident"} }, v1alpha1.ReasonGuardsPending, 1, []string{"tools/b"}},
		{"one does not act on another", func(f *EnforcementFacts) { f.Guards[0].Denials.Open = []string{"other"} }, v1alpha1.ReasonEnforced, 2, nil},
		{"one does not act on more than it says", func(f *EnforcementFacts) { f.Guards[0].Denials.More = true }, v1alpha1.ReasonGuardsPending, 1, []string{"tools/b"}},
		{"one is over", func(f *EnforcementFacts) { f.Guards[0].Denials.Seen, f.Guards[0].Until = "", at.Add(-guardTolerance) }, v1alpha1.ReasonEnforced, 1, nil},
		{"its clock may go slower", func(f *EnforcementFacts) {
			f.Guards[0].Denials.Seen, f.Guards[0].Until = "", at.Add(-guardTolerance+time.Second)
		}, v1alpha1.ReasonGuardsPending, 1, []string{"tools/b"}},
		{"one is a stranger's", func(f *EnforcementFacts) { f.Guards[0].Denials.Seen, f.Guards[0].Namespace = "", "elsewhere" }, v1alpha1.ReasonEnforced, 1, nil},
		{"one is in front of an open server", func(f *EnforcementFacts) {
			f.Guards[0].Denials.Seen, f.Guards[0].Namespace, f.Guards[0].Servers = "", "elsewhere", []string{"gone/server", "tools/open"}
		}, v1alpha1.ReasonGuardsPending, 1, []string{"elsewhere/b"}},
		{"there is none", func(f *EnforcementFacts) { f.Guards = nil }, v1alpha1.ReasonNoGuard, 0, nil},
		{"guards are not known", func(f *EnforcementFacts) { f.GuardsAre, f.Guards = Unknown, nil }, v1alpha1.ReasonGuardsUnknown, 0, nil},
		{"it has ended", func(f *EnforcementFacts) { f.Denial.Spec.ExpirationTime = &metav1.Time{Time: at} }, v1alpha1.ReasonExpired, 2, nil},
		{"it ends a second later", func(f *EnforcementFacts) { f.Denial.Spec.ExpirationTime = &metav1.Time{Time: at.Add(time.Second)} }, v1alpha1.ReasonEnforced, 2, nil},
		{"it names nobody known", func(f *EnforcementFacts) { f.Denial.Spec.Registration = nil }, v1alpha1.ReasonNotUnderstood, 2, nil},
	} {
		facts := plain()
		test.change(&facts)
		got := Enforced(facts, at)
		if got.Verdict.Reason != test.reason || got.By != test.by || !slices.Equal(got.Pending, test.pending) || got.Enforced != (test.reason == v1alpha1.ReasonEnforced) {
			t.Errorf("%s: got %+v", test.name, got)
		}
	}
}

// A denial goes before everything that is known of the client.
func TestADenialGoesFirst(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	facts := CallFacts{Denials: []DenialEntry{{Name: "over", EndsAt: at}}}
	if got := Call(facts, at).Refusal; got != RefusedUnknownClient {
		t.Errorf("one that is over: %q", got)
	}
	facts.Denials = append(facts.Denials, DenialEntry{Name: "now", EndsAt: at.Add(time.Second)})
	if got := Call(facts, at).Refusal; got != RefusedDenied {
		t.Errorf("of nobody known: %q", got)
	}
	facts.Clients = []ClientEntry{{Name: "bot", ClientID: "c1", Left: RefusedSuspended}}
	if got := Call(facts, at); got.Refusal != RefusedDenied || got.Client.Name != "bot" {
		t.Errorf("of a suspended client: %+v", got)
	}
}
