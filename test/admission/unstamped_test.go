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
		bare, edited := given(t, alice, registration("u-"+suffix())), own()
		wantStamp(t, bare, stamp{})
		signed := func(who string, g *v1alpha1.ScopeGrant) fields {
			return fields{"decision": "Approved", "generation": 1, "approvedBy": who, "expiresAt": endOf(t, g).UTC().Format(time.RFC3339)}
		}
		renewed := func(g *v1alpha1.ScopeGrant) fields {
			all := signed(owner, g)
			all["reason"] = "once more"
			return all
		}
		must(t, alice, patching(edited, annotations(v1alpha1.AnnotationOwner, "team-b@example.com", v1alpha1.AnnotationChangedBy, alice)))
		g, taken := own(), own()
		must(t, owner, deciding(taken, signed(owner, taken)))
		must(t, operator, deciding(taken, fields{"approvedAt": "2026-09-01T00:00:00Z", "seal": "s1"}))
		cleared := renewed(taken)
		cleared["approvedAt"], cleared["seal"] = nil, nil
		try(t, []attempt{
			{"created in another's name", alice, one(with(registration("u-"+suffix()), v1alpha1.AnnotationRequestedBy, bob)), requester, []string{"names another user"}},
			{"named afterwards", alice, patching(bare, annotations(v1alpha1.AnnotationRequestedBy, alice)), requester, []string{"never changes", "create it again"}},
			{"named afterwards by who may operate", wildcard, patching(bare, annotations(v1alpha1.AnnotationRequestedBy, bob)), requester, []string{"never changes", "create it again"}},
			{"the name left out", alice, patching(g, annotations(v1alpha1.AnnotationRequestedBy, nil)), requester, []string{"never changes", "kubectl apply"}},
			{"approved unsigned", owner, deciding(g, approved(1)), approval, []string{"approvedBy must be the user who decides", `for example approvedBy: "olga"`}},
			{"approved without an end", owner, deciding(g, fields{"decision": "Approved", "generation": 1, "approvedBy": owner}), approval, []string{"status.approval.expiresAt must be"}},
			{"approved", owner, deciding(g, signed(owner, g)), "", nil},
			{"edited by another and approved", owner, deciding(edited, signed(owner, edited)), "", nil},
			{"approved anew with the old seal", owner, deciding(taken, renewed(taken)), approval, []string{"belong to the decision before", `{"approvedAt":null,"seal":null}`}},
			{"approved anew", owner, deciding(taken, cleared), "", nil},
		})
	})
}

// Who may approve a grant notes the own change of it where nothing is stamped.
func TestChangesAreOwnedWithoutStamps(t *testing.T) {
	use(t).unstamped(t, func() {
		own := func(more ...string) *v1alpha1.ScopeGrant {
			g := with(grant("u-"+suffix()), v1alpha1.AnnotationRequestedBy, bob)
			if len(more) > 0 {
				g.Spec.ServerRef.Name = more[0]
			}
			return given(t, bob, g)
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
			{"spec by who may grant another server", bob, patching(own("another"), spec), "", nil},
			{"spec by who may grant this server", bob, patching(own(), spec), requester, []string{`changed-by: "bob"`}},
			{"spec by who has no say", tenant, patching(own(), spec), "", nil},
			{"label", alice, patching(own(), fields{"metadata": fields{"labels": fields{"team": "b"}}}), "", nil},
			{"registration", alice, patching(r, fields{"spec": fields{"clientName": "Other"}}), "", nil},
			{"spec in one's own name", alice, patching(g, named), "", nil},
			{"spec once more", alice, patching(g, fields{"spec": fields{"reason": "yet another"}}), "", nil},
			{"the name taken off", alice, patching(g, annotations(v1alpha1.AnnotationChangedBy, nil)), requester, []string{"names another user"}},
			{"approved then", alice, deciding(g, fields{"decision": "Approved", "generation": 3, "approvedBy": alice, "expiresAt": endOf(t, g).UTC().Format(time.RFC3339)}), approval,
				[]string{`user "alice" changed this grant last`}},
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
