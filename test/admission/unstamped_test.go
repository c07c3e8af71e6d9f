// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// Without MutatingAdmissionPolicy people write themselves what else is stamped;
// the same things are refused.
func TestClustersWithoutStamps(t *testing.T) {
	use(t).unstamped(t, func() {
		own := func() *v1alpha1.ScopeGrant {
			return given(t, alice, with(grant("u-"+suffix()), v1alpha1.AnnotationRequestedBy, alice))
		}
		bare, g := given(t, alice, registration("u-"+suffix())), own()
		wantStamp(t, bare, stamp{})
		signed := func(who string) client.Object { return with(looked(g, alice), v1alpha1.AnnotationApprovedBy, who) }
		nobodys, approvedByOlga := given(t, owner, beforehand("u-"+suffix())), given(t, owner, signed(owner))
		try(t, []attempt{
			{"created in another's name", alice, one(with(registration("u-"+suffix()), v1alpha1.AnnotationRequestedBy, bob)), requester, []string{"names another user"}},
			{"named afterwards", alice, patching(bare, annotations(v1alpha1.AnnotationRequestedBy, alice)), requester, []string{"never changes", "create it again"}},
			{"named afterwards by who may operate", wildcard, patching(bare, annotations(v1alpha1.AnnotationRequestedBy, bob)), requester, []string{"never changes", "create it again"}},
			{"the name left out", alice, patching(g, annotations(v1alpha1.AnnotationRequestedBy, nil)), requester, []string{"never changes", "kubectl apply"}},
			{"approved unsigned", owner, one(looked(g, alice)), approval, []string{"approved-by must be the user who creates the object", `approved-by: "olga"`}},
			{"approved in another's name", owner, one(signed(bob)), approval, []string{`approved-by: "olga"`}},
			{"approved", owner, one(signed(owner)), "", nil},
			{"approved beforehand, unsigned", owner, one(beforehand("u-" + suffix())), "", nil},
			{"signed afterwards", owner, patching(nobodys, annotations(v1alpha1.AnnotationApprovedBy, owner)), approval, []string{"never changes", "create it again"}},
			{"the approver left out", owner, patching(approvedByOlga, annotations(v1alpha1.AnnotationApprovedBy, nil)), approval, []string{"never changes", "kubectl apply"}},
		})
	})
}

// Who may approve a grant notes the own change of it where nothing is stamped.
func TestChangesAreOwnedWithoutStamps(t *testing.T) {
	use(t).unstamped(t, func() {
		own := func() *v1alpha1.ScopeGrant {
			return given(t, bob, with(grant("u-"+suffix()), v1alpha1.AnnotationRequestedBy, bob))
		}
		words := []string{"annotation mcp-registrar.dev/changed-by must name who changes a grant", `for example mcp-registrar.dev/changed-by: "alice"`}
		spec := fields{"spec": fields{"reason": "another"}}
		named := fields{"spec": fields{"reason": "another"}, "metadata": fields{"annotations": fields{v1alpha1.AnnotationChangedBy: alice}}}
		g, r := own(), given(t, alice, registration("u-"+suffix()))
		try(t, []attempt{
			{"spec", alice, patching(own(), spec), requester, words},
			{"owner", alice, patching(own(), annotations(v1alpha1.AnnotationOwner, "team-b@example.com")), requester, words},
			{"end", alice, patching(own(), annotations(v1alpha1.AnnotationExpiresAt, inDays(20).Format(time.RFC3339))), requester, words},
			{"spec by an admin", admin, patching(own(), spec), requester, []string{"must name who changes a grant", `changed-by: "admin"`}},
			{"spec by another who may approve", bob, patching(own(), spec), requester, []string{`changed-by: "bob"`}},
			{"spec by who has no say", tenant, patching(own(), spec), "", nil},
			{"label", alice, patching(own(), fields{"metadata": fields{"labels": fields{"team": "b"}}}), "", nil},
			{"registration", alice, patching(r, fields{"spec": fields{"clientName": "Other"}}), "", nil},
			{"spec in one's own name", alice, patching(g, named), "", nil},
			{"spec once more", alice, patching(g, fields{"spec": fields{"reason": "yet another"}}), "", nil},
			{"the name taken off", alice, patching(g, annotations(v1alpha1.AnnotationChangedBy, nil)), requester, []string{"names another user"}},
		})
	})
}

// What the documentation tells people to apply is admitted.
func TestSamplesAreAdmitted(t *testing.T) {
	w := use(t)
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	samples := filepath.Join(root, "config", "samples")
	for _, file := range []string{"namespaces.yaml", "authorizationserver.yaml"} {
		if err := w.Apply(t.Context(), filepath.Join(samples, file)); err != nil {
			t.Fatal(err)
		}
	}
	w.until(t, func() bool {
		return w.clients[alice].Create(t.Context(), at("company", owned(registration("probe"), "x")), client.DryRunAll) != nil
	})
	for range 2 {
		if _, err := w.RunKubectl(t.Context(), "apply", "--server-side", "--kustomize", samples); err != nil {
			t.Error(err)
		}
	}
}
