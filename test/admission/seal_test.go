// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const sealing = "mcp-registrar-seal"

// and adds more fields.
func (f fields) and(more fields) fields {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

// putting reads a grant and writes its whole status back, as the operator does.
func putting(g *v1alpha1.ScopeGrant, change func(*v1alpha1.Approval)) func(*testing.T, client.Client) error {
	return func(t *testing.T, c client.Client) error {
		whole := stored(t, &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Name: g.Name, Namespace: g.Namespace}})
		whole.Status.ObservedGeneration = whole.Generation
		change(whole.Status.Approval)
		return c.Status().Update(t.Context(), whole)
	}
}

func sealed(a *v1alpha1.Approval) {
	a.ApprovedAt, a.Seal = new(metav1.NewTime(time.Now().Truncate(time.Second))), "s1"
}

func marked(a *v1alpha1.Approval) { a.ApprovedAt, a.Seal = nil, "unverified" }

// unverified is a grant whose approval by its server's owner was not checked.
func unverified(t *testing.T) *v1alpha1.ScopeGrant {
	t.Helper()
	g := asked(t, alice)
	must(t, owner, deciding(g, approved(1)))
	must(t, operator, putting(g, marked))
	return g
}

// Whoever takes a seal off makes a new decision of the old one. Who has the verb
// operate, by a wildcard in the own namespace, cannot.
func TestTakingASealOffIsDeciding(t *testing.T) {
	mayNot := []string{`user "wanda" may not decide about grants of MCPServer "invoices"`}
	notes := []string{"approvedAt and status.approval.seal are written by the operator only"}
	denial := asked(t, alice)
	must(t, owner, deciding(denial, fields{"decision": "Denied", "generation": 1}))
	must(t, operator, putting(denial, sealed))
	off := fields{"seal": nil, "approvedAt": nil}
	try(t, []attempt{
		{"unverified, by a wildcard", wildcard, deciding(unverified(t), fields{"seal": nil}), approval, mayNot},
		{"unverified, emptied by a wildcard", wildcard, deciding(unverified(t), fields{"seal": ""}), approval, mayNot},
		{"unverified, put by a wildcard", wildcard, putting(unverified(t), func(a *v1alpha1.Approval) { a.Seal = "" }), approval, mayNot},
		{"unverified, approved again by a wildcard", wildcard, deciding(unverified(t), approved(1).and(off)), approval, mayNot},
		{"unverified, in the approver's name by a wildcard", wildcard, deciding(unverified(t), fields{"approvedBy": owner}.and(off)), approval, mayNot},
		{"sealed, by a wildcard", wildcard, deciding(decided(t), off), approval, mayNot},
		{"denial, by a wildcard", wildcard, deciding(denial, off), approval, mayNot},
		{"unverified, by the operator", operator, deciding(unverified(t), off), approval, []string{"may not decide about grants of MCPServer"}},
		{"unverified, by its requester, who owns the server too", alice, deciding(unverified(t), off), approval, []string{`user "alice" asked for this grant`}},
		{"unverified, withdrawn by a wildcard", wildcard, deciding(unverified(t), nil), approval, mayNot},
		{"denial, withdrawn by a wildcard", wildcard, deciding(denial, nil), approval, mayNot},
		{"seal in place of the mark", wildcard, deciding(unverified(t), fields{"seal": "s2"}), approval, notes},
		{"time beside the mark", wildcard, deciding(unverified(t), fields{"approvedAt": "2026-09-02T00:00:00Z"}), approval, notes},
		{"another seal", wildcard, deciding(decided(t), fields{"seal": "s2"}), approval, notes},
		{"another time", wildcard, deciding(decided(t), fields{"approvedAt": "2026-09-02T00:00:00Z"}), approval, notes},
		{"no time", operator, deciding(decided(t), fields{"approvedAt": nil}), approval, notes},
		{"another time with the mark", operator, deciding(decided(t), fields{"approvedAt": "2026-09-02T00:00:00Z", "seal": "unverified"}), approval, notes},
	})
}

// What the operator writes passes with the roles of config/rbac alone.
func TestTheOperatorTakesDecisionsUp(t *testing.T) {
	fresh, foreign, free := asked(t, alice), decided(t), asked(t, alice)
	must(t, owner, deciding(fresh, approved(1)))
	must(t, owner, deciding(free, fields{"decision": "Approved", "generation": 1, "reason": "", "seal": "", "expiresAt": inDays(20).In(time.FixedZone("", 7200)).Format(time.RFC3339)}))
	for name, c := range map[string]struct {
		grant  *v1alpha1.ScopeGrant
		change func(*v1alpha1.Approval)
	}{
		"seals a new one":                 {fresh, sealed},
		"leaves it":                       {fresh, func(*v1alpha1.Approval) {}},
		"marks a new one":                 {unverified(t), func(*v1alpha1.Approval) {}},
		"marks one with a foreign seal":   {foreign, marked},
		"seals one that was written free": {free, sealed},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, operator, putting(c.grant, c.change))
		})
	}
	if got := approvalOf(t, foreign); got.Seal != "unverified" || got.ApprovedAt != nil || got.ApprovedBy != owner {
		t.Errorf("approval %+v", got)
	}
	if got := approvalOf(t, free); got.Seal != "s1" || got.ApprovedAt == nil || got.ApprovedBy != owner {
		t.Errorf("approval %+v", got)
	}
}

// An owner whose approval was not checked approves again, in the same words.
func TestTheSamePersonApprovesAgain(t *testing.T) {
	for name, words := range map[string]fields{
		"in the same words": approved(1),
		"marks taken off":   approved(1).and(fields{"seal": nil, "approvedAt": nil}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, who := range []string{owner, admin} {
				g := unverified(t)
				must(t, who, deciding(g, words))
				wantApproval(t, g, &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: who, ExpiresAt: endOf(t, g)})
				must(t, operator, putting(g, sealed))
			}
		})
	}
	t.Run("of a sealed one", func(t *testing.T) {
		g := decided(t)
		must(t, owner, deciding(g, fields{"seal": nil}))
		wantApproval(t, g, &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: owner, ExpiresAt: endOf(t, g)})
	})
	t.Run("where nothing is stamped", func(t *testing.T) {
		use(t).unstamped(t, func() {
			g := given(t, alice, with(grant("u-"+suffix()), v1alpha1.AnnotationRequestedBy, alice))
			words := approved(1).and(fields{"approvedBy": owner, "expiresAt": endOf(t, g).UTC().Format(time.RFC3339)})
			must(t, owner, deciding(g, words))
			must(t, operator, putting(g, marked))
			must(t, owner, deciding(g, words))
			if got := approvalOf(t, g); got.Seal != "unverified" {
				t.Errorf("the mark went without a word: %+v", got)
			}
			again := words.and(fields{"seal": nil, "approvedAt": nil})
			refused(t, deciding(g, again)(t, use(t).clients[admin]), approval, "approvedBy must be the user who decides")
			must(t, owner, deciding(g, again))
			wantApproval(t, g, &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: owner, ExpiresAt: endOf(t, g)})
			must(t, operator, putting(g, sealed))
			must(t, owner, deciding(g, again))
			wantApproval(t, g, &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: owner, ExpiresAt: endOf(t, g)})
		})
	})
}

// sealKey is the Secret that approvals are sealed with, as the operator makes it.
func sealKey() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "mcp-registrar-seal", Namespace: systemNamespace,
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue},
		},
		Data: map[string][]byte{"key": []byte("0123456789abcdef0123456789abcdef")},
	}
}

// Without a key that only the operator knows, a seal says nothing.
func TestTheKeyOfTheSealsBelongsToTheOperator(t *testing.T) {
	words := []string{"the key of the seals", "is written by the operator only", "ask a cluster admin"}
	named := func(change func(*corev1.Secret)) *corev1.Secret {
		key := sealKey()
		change(key)
		return key
	}
	deleting := func(s *corev1.Secret) func(*testing.T, client.Client) error {
		return func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), s) }
	}
	epoch := fields{"data": fields{"policies": "eA=="}}
	other := named(func(s *corev1.Secret) { s.Name = "other-" + suffix() })
	credentials := named(func(s *corev1.Secret) { s.Namespace, s.Type = clientsNamespace, v1alpha1.SecretTypeCredentials })
	unlabelled := named(func(s *corev1.Secret) { s.Namespace, s.Labels = clientsNamespace, nil })
	try(t, []attempt{
		{"made by who may write Secrets", tenant, one(sealKey()), sealing, words},
		{"made by the operator", operator, one(sealKey()), "", nil},
		{"replaced by who may write Secrets", tenant, patching(sealKey(), fields{"data": fields{"key": "eA=="}}), sealing, words},
		{"an epoch begun by who may release", releaser, patching(sealKey(), epoch), sealing, words},
		{"label taken off", tenant, patching(sealKey(), fields{"metadata": fields{"labels": nil}}), sealing, words},
		{"deleted by who may write Secrets", tenant, deleting(sealKey()), sealing, words},
		{"deleted with all others", tenant, func(t *testing.T, c client.Client) error {
			return c.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(systemNamespace), client.MatchingLabels(sealKey().Labels), client.MatchingFields{"metadata.name": sealing})
		}, sealing, words},
		{"an epoch begun by the operator", operator, patching(sealKey(), epoch), "", nil},
		{"deleted by the operator", operator, deleting(sealKey()), "", nil},
		{"restored by an admin", admin, one(sealKey()), "", nil},
		{"deleted by an admin", admin, deleting(sealKey()), "", nil},
		{"one of another name", tenant, one(other), "", nil},
		{"one of another name deleted", tenant, deleting(other), "", nil},
		{"credentials of that name", tenant, one(credentials), "", nil},
		{"credentials of that name deleted", tenant, deleting(credentials), "", nil},
		{"one of that name without the label", tenant, one(unlabelled), "", nil},
		{"the label put on it", tenant, patching(unlabelled, fields{"metadata": fields{"labels": sealKey().Labels}}), sealing, words},
		{"one of that name without the label deleted", tenant, deleting(unlabelled), "", nil},
	})
}
