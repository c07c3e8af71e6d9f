// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// crowd are the states of a grant and of a server in a crowded namespace.
func crowdedGrant(reason string, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	g := &v1alpha1.ScopeGrant{Spec: v1alpha1.ScopeGrantSpec{Scopes: scopes}}
	if reason == v1alpha1.ReasonAccepted {
		g.Status.Basis = v1alpha1.BasisAutomatic
	}
	g.Status.Conditions = crowdedBy(reason)
	return g
}

func crowdedServer(reason string, scopes ...v1alpha1.ScopeName) *v1alpha1.MCPServer {
	s := &v1alpha1.MCPServer{}
	for _, scope := range scopes {
		s.Spec.Scopes = append(s.Spec.Scopes, v1alpha1.Scope{Name: scope})
	}
	s.Status.Conditions = crowdedBy(reason)
	return s
}

func crowdedBy(reason string) []metav1.Condition {
	status := metav1.ConditionFalse
	switch reason {
	case "":
		return nil
	case v1alpha1.ReasonAccepted:
		status = metav1.ConditionTrue
	}
	return []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, Reason: reason}}
}

// Whoever may have made room wakes those that wait, whoever was let in wakes what decides
// on it by itself, and whoever begins to wait is looked at once more: what made room
// meanwhile found nobody waiting.
func TestNobodyMissesItsTurn(t *testing.T) {
	t.Parallel()
	const in, waits, other = v1alpha1.ReasonAccepted, v1alpha1.ReasonQuotaExceeded, v1alpha1.ReasonOwnerMissing
	for name, c := range map[string]struct {
		before, after       string
		had, has            []v1alpha1.ScopeName
		gives, gets, begins bool
	}{
		"it is as it was":                    {in, in, []v1alpha1.ScopeName{"a"}, []v1alpha1.ScopeName{"a"}, false, false, false},
		"it has fewer scopes":                {in, in, []v1alpha1.ScopeName{"a", "b"}, []v1alpha1.ScopeName{"a"}, true, false, false},
		"it has more scopes":                 {in, in, []v1alpha1.ScopeName{"a"}, []v1alpha1.ScopeName{"a", "b"}, false, false, false},
		"it has another scope in place":      {in, in, []v1alpha1.ScopeName{"a", "b"}, []v1alpha1.ScopeName{"a", "c"}, true, false, false},
		"it has more scopes, and others":     {in, in, []v1alpha1.ScopeName{"a"}, []v1alpha1.ScopeName{"b", "c"}, true, false, false},
		"it waits for other scopes":          {waits, waits, []v1alpha1.ScopeName{"a"}, []v1alpha1.ScopeName{"b"}, true, false, false},
		"it is refused":                      {in, other, nil, nil, true, false, false},
		"it does not wait any more":          {waits, other, nil, nil, true, true, false},
		"it is let in after it waited":       {waits, in, nil, nil, false, true, false},
		"it is let in at once":               {"", in, nil, nil, false, true, false},
		"it is let in after another refusal": {other, in, nil, nil, false, true, false},
		"it is new, and waits":               {"", waits, nil, nil, false, false, true},
		"it waits after another refusal":     {other, waits, nil, nil, false, false, true},
		"it has to wait again":               {in, waits, nil, nil, true, false, true},
	} {
		for _, pair := range [][2]client.Object{
			{crowdedGrant(c.before, c.had...), crowdedGrant(c.after, c.has...)},
			{crowdedServer(c.before, c.had...), crowdedServer(c.after, c.has...)},
		} {
			e := event.UpdateEvent{ObjectOld: pair[0], ObjectNew: pair[1]}
			if gives, gets, begins := givesRoom().Update(e), getsRoom().Update(e), beginsToWait().Update(e); gives != c.gives || gets != c.gets || begins != c.begins {
				t.Errorf("%s (%T): gives %t, gets %t, begins %t", name, pair[0], gives, gets, begins)
			}
		}
	}
}

// early makes registrations whose grants are older, and were refused for want of them.
func (s *stage) early(many int) (regs []*v1alpha1.MCPClientRegistration, grants []*v1alpha1.ScopeGrant) {
	s.t.Helper()
	for i := range many {
		reg, grant := s.reg.DeepCopy(), s.grant.DeepCopy()
		for _, o := range []client.Object{reg, grant} {
			o.SetName(fmt.Sprint("early-", i))
			o.SetResourceVersion("")
			o.SetUID(types.UID(fmt.Sprintf("%T-%d", o, i)))
			o.SetFinalizers(nil)
		}
		grant.Spec.ClientRef.Name = reg.Name
		s.create(reg, grant)
		grant.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRegistrationNotFound, LastTransitionTime: metav1.NewTime(begun)}}
		if err := s.Status().Update(s.t.Context(), grant); err != nil {
			s.t.Fatal(err)
		}
		for _, o := range []client.Object{reg, grant} {
			if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				s.t.Fatal(err)
			}
		}
		regs, grants = append(regs, reg), append(grants, grant)
	}
	return regs, grants
}

// Those that are decided on at one time, before the cache shows what became of any, have
// together the room that there is: by themselves, by their registrations, or by both.
func TestWhatIsDecidedOnAtOneTimeSharesTheRoom(t *testing.T) {
	t.Parallel()
	const many, most = 6, 2
	for name, by := range map[string]func(i int) (self, registration bool){
		"by themselves":         func(int) (bool, bool) { return true, false },
		"by their registration": func(int) (bool, bool) { return false, true },
		"by either":             func(i int) (bool, bool) { return i%2 == 0, i%2 == 1 },
		"by both":               func(int) (bool, bool) { return true, true },
	} {
		s := newStage(t, "room")
		s.begin()
		edited := &v1alpha1.AuthorizationServer{}
		if err := s.Get(t.Context(), client.ObjectKey{Name: s.reg.Spec.AuthorizationServerRef.Name}, edited); err != nil {
			t.Fatal(err)
		}
		if edited.Spec.Policy == nil {
			edited.Spec.Policy = &v1alpha1.RegistrationPolicy{}
		}
		// The stage has one in force of its own.
		edited.Spec.Policy.MaxGrantsPerNamespace = new(int32(most + 1))
		if err := s.Update(t.Context(), edited); err != nil {
			t.Fatal(err)
		}
		regs, grants := s.early(many)
		let := map[string]bool{}
		for i := range many {
			self, registration := by(i)
			if self {
				facts, _, err := s.scopeGrants.observe(t.Context(), grants[i])
				if err != nil {
					t.Fatal(err)
				}
				decision, err := s.grants.decide(t.Context(), &facts, begun)
				if err != nil {
					t.Fatal(err)
				}
				if decision.InForce {
					let[grants[i].Name] = true
				} else if decision.Verdict.Reason != v1alpha1.ReasonQuotaExceeded {
					t.Fatalf("%s: %+v", name, decision.Verdict)
				}
			}
			if registration {
				seen := s.registrations.observe(t.Context(), regs[i], begun)
				for _, one := range s.registrations.decide(t.Context(), &seen, begun).Grants {
					let[one.Grant.Name] = true
				}
			}
		}
		if len(let) != most {
			t.Errorf("%s: %d were let in, and there is room for %d", name, len(let), most)
		}
	}
}
