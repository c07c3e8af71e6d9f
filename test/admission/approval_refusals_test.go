// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"maps"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// asked is a grant that one person asked for.
func asked(t *testing.T, who string) *v1alpha1.ScopeGrant {
	t.Helper()
	return given(t, who, grant("g-"+suffix()))
}

// decided is a grant that was approved and taken up by the operator.
func decided(t *testing.T) *v1alpha1.ScopeGrant {
	t.Helper()
	g := asked(t, alice)
	must(t, owner, deciding(g, approved(1)))
	must(t, operator, deciding(g, fields{"approvedAt": "2026-09-01T00:00:00Z", "seal": "s1"}))
	return g
}

func TestT14OwnersOfTheServerDecide(t *testing.T) {
	mayNot := []string{"may not decide about grants of MCPServer", `"invoices" in namespace "servers"`, "ask one of its owners", "verbs: [grant]"}
	local := grant("g-" + suffix())
	local.Spec.ServerRef.Namespace = ""
	given(t, alice, local)
	other := grant("g-" + suffix())
	other.Spec.ServerRef.Name = "another"
	given(t, alice, other)
	try(t, []attempt{
		{"approved by an owner of the server", owner, deciding(asked(t, alice), approved(1)), "", nil},
		{"denied by an owner of the server", owner, deciding(asked(t, alice), fields{"decision": "Denied", "generation": 1, "reason": "no"}), "", nil},
		{"approved by an admin", admin, deciding(asked(t, alice), approved(1)), "", nil},
		{"approved by the tenant's admin", tenant, deciding(asked(t, alice), approved(1)), approval, mayNot},
		{"denied by the tenant's admin", tenant, deciding(asked(t, alice), fields{"decision": "Denied", "generation": 1}), approval, mayNot},
		{"approved by who may grant in the client's namespace only", stranger, deciding(asked(t, alice), approved(1)), approval, mayNot},
		{"approved by who may grant where the server is", stranger, deciding(local, approved(1)), "", nil},
		{"approved where the server is not", owner, deciding(localTo(t), approved(1)), approval, []string{"may not decide about grants of MCPServer", `in namespace "clients"`}},
		{"approved by who may grant this server", bob, deciding(asked(t, alice), approved(1)), "", nil},
		{"approved by who may grant another server", bob, deciding(other, approved(1)), approval, []string{`MCPServer "another"`}},
		{"approved by the operator", operator, deciding(asked(t, alice), approved(1)), approval, mayNot},
		{"denied by the operator", operator, deciding(decided(t), fields{"decision": "Denied"}), approval, mayNot},
		{"end moved by the operator", operator, deciding(decided(t), fields{"expiresAt": inDays(30)}), approval, mayNot},
		{"reason given by the operator", operator, deciding(decided(t), fields{"reason": "x"}), approval, mayNot},
		{"name changed by the operator", operator, deciding(decided(t), fields{"approvedBy": "x"}), approval, mayNot},
		{"withdrawn by an owner", owner, deciding(decided(t), nil), "", nil},
		{"withdrawn by its requester, who owns the server too", alice, deciding(decided(t), nil), "", nil},
		{"denied by its requester, who owns the server too", alice, deciding(decided(t), fields{"decision": "Denied"}), "", nil},
		{"withdrawn by the tenant's admin", tenant, deciding(decided(t), nil), approval, mayNot},
		{"withdrawn by the operator", operator, deciding(decided(t), nil), approval, mayNot},
		{"written without effect", tenant, deciding(decided(t), approved(1)), "", nil},
	})
}

// localTo is a grant of a server in the grant's own namespace.
func localTo(t *testing.T) *v1alpha1.ScopeGrant {
	t.Helper()
	g := grant("g-" + suffix())
	g.Spec.ServerRef.Namespace = ""
	return given(t, alice, g)
}

func TestFourEyes(t *testing.T) {
	eyes := []string{`user "alice" asked for this grant`, "cannot approve it", "ask another owner"}
	edited, moved, handed := asked(t, bob), asked(t, bob), asked(t, bob)
	must(t, alice, patching(edited, fields{"spec": fields{"reason": "another"}}))
	must(t, alice, patching(moved, annotations(v1alpha1.AnnotationExpiresAt, inDays(20).Format(time.RFC3339))))
	must(t, alice, patching(handed, annotations(v1alpha1.AnnotationOwner, "team-b@example.com")))
	changed := []string{`user "alice" changed this grant last`, "cannot approve it", "ask another owner"}
	byAdmin := asked(t, alice)
	must(t, admin, patching(byAdmin, fields{"spec": fields{"reason": "another"}}))
	nobody := grant("g-" + suffix())
	use(t).unstamped(t, func() { given(t, alice, nobody) })
	try(t, []attempt{
		{"one's own", alice, deciding(asked(t, alice), approved(1)), approval, eyes},
		{"one's own in another's name", alice, deciding(asked(t, alice), fields{"decision": "Approved", "generation": 1, "approvedBy": owner}), approval, []string{"approvedBy must be the user who decides"}},
		{"another's", alice, deciding(asked(t, bob), approved(1)), "", nil},
		{"edited oneself", alice, deciding(edited, approved(2)), approval, changed},
		{"moved oneself", alice, deciding(moved, approved(1)), approval, changed},
		{"handed over oneself", alice, deciding(handed, approved(1)), approval, changed},
		{"edited by another", owner, deciding(edited, approved(2)), "", nil},
		{"edited oneself, as admin", admin, deciding(byAdmin, approved(2)), approval, []string{`user "admin" changed this grant last`}},
		{"one's own as admin", admin, deciding(asked(t, admin), approved(1)), approval, []string{`user "admin" asked for this grant`}},
		{"nobody is known to have asked", owner, deciding(nobody, approved(1)), approval,
			[]string{"nobody is noted as who asked for this grant", "deleted and created again"}},
		{"nobody is known to have asked: denied", owner, deciding(nobody, fields{"decision": "Denied", "generation": 1}), "", nil},
	})
}

func TestWhatIsDecided(t *testing.T) {
	stale, dying := asked(t, alice), asked(t, alice)
	must(t, bob, patching(stale, fields{"spec": fields{"reason": "another"}}))
	must(t, alice, patching(dying, fields{"metadata": fields{"finalizers": []string{"example.com/hold"}}}))
	must(t, alice, func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), dying) })
	edited := decided(t)
	must(t, bob, patching(edited, fields{"spec": fields{"reason": "another"}}))
	notes := []string{"approvedAt and status.approval.seal", "written by the operator only"}
	with := func(more fields) fields {
		all := approved(1)
		maps.Copy(all, more)
		return all
	}
	early := []string{"status.approval.expiresAt must be the end date that is approved", "for example expiresAt:"}
	generation := []string{"status.approval.generation must be the generation that the grant has now", "for example generation: 2"}
	try(t, []attempt{
		{"an old generation", owner, deciding(stale, approved(1)), approval, generation},
		{"a future generation", owner, deciding(stale, approved(3)), approval, generation},
		{"an old generation denied", owner, deciding(stale, fields{"decision": "Denied", "generation": 1}), approval, generation},
		{"the present generation", owner, deciding(stale, approved(2)), "", nil},
		{"in another's name", owner, deciding(asked(t, alice), with(fields{"approvedBy": admin})), approval,
			[]string{"status.approval.approvedBy must be the user who decides", `for example approvedBy: "olga"`}},
		{"in one's own name", owner, deciding(asked(t, alice), with(fields{"approvedBy": owner})), "", nil},
		{"the name changed later", owner, deciding(decided(t), fields{"approvedBy": alice}), approval, []string{"approvedBy must be the user who decides"}},
		{"with a time of its own", owner, deciding(asked(t, alice), with(fields{"approvedAt": "2026-09-01T00:00:00Z"})), approval, notes},
		{"with a seal of its own", owner, deciding(asked(t, alice), with(fields{"seal": "s1"})), approval, notes},
		{"sealed afterwards", owner, deciding(decided(t), fields{"seal": "s2"}), approval, notes},
		{"time changed", owner, deciding(decided(t), fields{"approvedAt": "2026-09-02T00:00:00Z"}), approval, notes},
		{"seal of the tenant", tenant, deciding(decided(t), fields{"seal": "s2"}), approval, notes},
		{"another seal of the operator", operator, deciding(decided(t), fields{"seal": "s2"}), approval, notes},
		{"void at once", owner, deciding(asked(t, alice), with(fields{"expiresAt": inDays(5)})), approval, early},
		{"longer than asked", owner, deciding(asked(t, alice), with(fields{"expiresAt": inDays(50)})), "", nil},
		{"being deleted", owner, deciding(dying, approved(2)), approval, []string{"the grant is being deleted and cannot be approved"}},
		{"being deleted, denied", owner, deciding(dying, fields{"decision": "Denied", "generation": 2}), "", nil},
		{"replaying time and seal of the old generation", owner, deciding(edited, fields{"decision": "Approved", "generation": 2, "approvedAt": "2026-09-01T00:00:00Z", "seal": "s1"}), "", nil},
	})
	if got := approvalOf(t, edited); got.Seal != "" || got.ApprovedAt != nil || got.Generation != 2 {
		t.Errorf("the seal of the old generation was carried over: %+v", got)
	}
}

// A grant whose status request carries a false end date is stamped with the
// one that is stored.
func TestEndIsReadFromTheStoredObject(t *testing.T) {
	g := asked(t, alice)
	must(t, owner, func(t *testing.T, c client.Client) error {
		whole := stored(t, g.DeepCopy())
		endingAt(whole, inDays(300))
		with(whole, v1alpha1.AnnotationRequestedBy, "nobody")
		whole.Status.Approval = &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1}
		return c.Status().Update(t.Context(), whole)
	})
	wantApproval(t, g, &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: owner, ExpiresAt: endOf(t, stored(t, g))})
	own := asked(t, alice)
	err := func() error {
		whole := stored(t, own.DeepCopy())
		with(whole, v1alpha1.AnnotationRequestedBy, "nobody")
		whole.Status.Approval = &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1}
		return use(t).clients[alice].Status().Update(t.Context(), whole)
	}()
	refused(t, err, approval, "asked for this grant")
}
