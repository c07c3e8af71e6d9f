// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const requester = "mcp-registrar-requester"

func TestCreationIsStamped(t *testing.T) {
	own := with(registration("s-"+suffix()), v1alpha1.AnnotationRequestedBy, alice)
	own.Finalizers = []string{"example.com/other"}
	bare := registration("s-" + suffix())
	held := registration("s-" + suffix())
	held.Finalizers = []string{v1alpha1.Finalizer}
	for name, c := range map[string]struct {
		object client.Object
		want   stamp
	}{
		"bare":          {bare, stamp{RequestedBy: alice, Finalizers: []string{v1alpha1.Finalizer}}},
		"own name":      {own, stamp{RequestedBy: alice, Finalizers: []string{"example.com/other", v1alpha1.Finalizer}}},
		"own finalizer": {held, stamp{RequestedBy: alice, Finalizers: []string{v1alpha1.Finalizer}}},
		"grant":         {grant("s-" + suffix()), stamp{RequestedBy: alice}},
	} {
		t.Run(name, func(t *testing.T) {
			given(t, alice, c.object)
			wantStamp(t, c.object, c.want)
		})
	}
	t.Run("server", func(t *testing.T) {
		wantStamp(t, given(t, owner, server("s-"+suffix())), stamp{ChangedBy: owner})
		wantStamp(t, given(t, admin, open("s-"+suffix())), stamp{ChangedBy: admin})
	})
}

func TestRequesterIsNotForged(t *testing.T) {
	kinds := map[string]func() client.Object{
		"registration": func() client.Object { return registration("q-" + suffix()) },
		"grant":        func() client.Object { return grant("q-" + suffix()) },
	}
	for kind, make := range kinds {
		forged := func(key, value string) func(*testing.T, client.Client) error {
			return creating(func() client.Object { return with(make(), key, value) })
		}
		stays := []string{"requested-by never changes", `requested-by: "alice"`}
		falseName := []string{"requested-by names another user", `for example mcp-registrar.dev/requested-by: "alice"`}
		object := given(t, alice, make())
		try(t, []attempt{
			{kind + " created in another's name", alice, forged(v1alpha1.AnnotationRequestedBy, bob), requester, falseName},
			{kind + " created in nobody's name", alice, forged(v1alpha1.AnnotationRequestedBy, ""), requester, falseName},
			{kind + " created in another's name by who may do so in the namespace", wildcard, forged(v1alpha1.AnnotationRequestedBy, bob), requester, []string{"names another user"}},
			{kind + " created as changed", alice, forged(v1alpha1.AnnotationChangedBy, alice), requester, []string{"changed-by cannot be given to a new object", "remove it"}},
			{kind + " taken over", bob, patching(object, annotations(v1alpha1.AnnotationRequestedBy, bob)), requester, stays},
			{kind + " with no name", tenant, patching(object, annotations(v1alpha1.AnnotationRequestedBy, "")), requester, stays},
			{kind + " taken over by who may operate", admin, patching(object, annotations(v1alpha1.AnnotationRequestedBy, "x")), requester, stays},
			{kind + " changed in another's name", bob, patching(object, annotations(v1alpha1.AnnotationChangedBy, alice)), requester,
				[]string{"changed-by names another user", `for example mcp-registrar.dev/changed-by: "bob"`}},
			{kind + " changed and told in another's name", bob, patching(object, annotations(v1alpha1.AnnotationChangedBy, alice, v1alpha1.AnnotationOwner, "team-b@example.com")), requester,
				[]string{"changed-by names another user"}},
			{kind + " touched", bob, patching(object, fields{"metadata": fields{"labels": fields{"team": "b"}}}), "", nil},
		})
		wantStamp(t, object, stamp{RequestedBy: alice, Finalizers: object.GetFinalizers()})
	}
}

// Who restores a backup is believed about who asked for what and who changed it. What is
// left out is noted of them, and what they change later is theirs.
func TestRestoredObjectsKeepTheirNames(t *testing.T) {
	for _, who := range []string{restorer, admin} {
		for kind, make := range map[string]func() client.Object{
			"registration": func() client.Object { return registration("v-" + suffix()) },
			"grant":        func() client.Object { return grant("v-" + suffix()) },
		} {
			object := given(t, who, with(with(make(), v1alpha1.AnnotationRequestedBy, alice), v1alpha1.AnnotationChangedBy, bob))
			finalizers := object.GetFinalizers()
			wantStamp(t, object, stamp{RequestedBy: alice, ChangedBy: bob, Finalizers: finalizers})
			try(t, []attempt{{kind + " given to another later", admin, patching(object, annotations(v1alpha1.AnnotationRequestedBy, bob)), requester, []string{"requested-by never changes"}}})
			bare := given(t, who, make())
			wantStamp(t, bare, stamp{RequestedBy: who, Finalizers: bare.GetFinalizers()})
		}
		s := given(t, who, with(server("v-"+suffix()), v1alpha1.AnnotationChangedBy, bob))
		wantStamp(t, s, stamp{ChangedBy: bob})
	}
}

// The annotation is put back where it is left out, as kubectl replace does, and
// names who changed the object, not who labelled it.
func TestChangeIsStamped(t *testing.T) {
	finalizers := []string{v1alpha1.Finalizer}
	r := given(t, alice, registration("c-"+suffix()))
	must(t, bob, patching(r, annotations(v1alpha1.AnnotationRequestedBy, nil)))
	wantStamp(t, r, stamp{RequestedBy: alice, Finalizers: finalizers})
	for name, change := range map[string]fields{
		"the spec":    {"spec": fields{"clientName": "Other"}},
		"the owner":   annotations(v1alpha1.AnnotationOwner, "team-b@example.com"),
		"the end":     annotations(v1alpha1.AnnotationExpiresAt, "2026-01-01T00:00:00Z"),
		"in own name": annotations(v1alpha1.AnnotationExpiresAt, "2026-02-01T00:00:00Z", v1alpha1.AnnotationChangedBy, bob),
	} {
		t.Run(name, func(t *testing.T) {
			r := given(t, alice, registration("c-"+suffix()))
			must(t, bob, patching(r, change))
			wantStamp(t, r, stamp{RequestedBy: alice, ChangedBy: bob, Finalizers: finalizers})
			must(t, alice, patching(r, fields{"metadata": fields{"labels": fields{"team": "b"}}}))
			wantStamp(t, r, stamp{RequestedBy: alice, ChangedBy: bob, Finalizers: finalizers})
			must(t, tenant, patching(r, annotations(v1alpha1.AnnotationChangedBy, nil)))
			wantStamp(t, r, stamp{RequestedBy: alice, ChangedBy: bob, Finalizers: finalizers})
			must(t, admin, patching(r, annotations(v1alpha1.AnnotationOwner, "team-c@example.com")))
			wantStamp(t, r, stamp{RequestedBy: alice, ChangedBy: "admin", Finalizers: finalizers})
		})
	}
}

// Who set a server up, or changed what it allows, is noted, and not forged.
func TestServersTellWhoChangedThem(t *testing.T) {
	s, as := given(t, owner, server("s-"+suffix())), given(t, admin, open("s-"+suffix()))
	for name, change := range map[string]fields{
		"the spec":  {"spec": fields{"grants": fields{"autoApprovedTiers": []string{"Read", "Elevated"}}}},
		"the owner": annotations(v1alpha1.AnnotationOwner, "team-b@example.com"),
	} {
		must(t, bob, patching(s, change))
		wantStamp(t, s.DeepCopy(), stamp{ChangedBy: bob})
		must(t, owner, patching(s, fields{"metadata": fields{"labels": fields{"x": name[4:]}}}))
		wantStamp(t, s.DeepCopy(), stamp{ChangedBy: bob})
		must(t, owner, patching(s, annotations(v1alpha1.AnnotationChangedBy, nil)))
		wantStamp(t, s.DeepCopy(), stamp{ChangedBy: bob})
		must(t, owner, patching(s, fields{"spec": fields{"accessTokenLifetimeSeconds": 60 + len(name)}}))
		wantStamp(t, s.DeepCopy(), stamp{ChangedBy: owner})
	}
	must(t, tenant, patching(as, annotations(v1alpha1.AnnotationPaused, "true")))
	wantStamp(t, as.DeepCopy(), stamp{ChangedBy: tenant})
	falseName := []string{"changed-by", "names another user"}
	try(t, []attempt{
		{"changed in another's name", bob, patching(s, annotations(v1alpha1.AnnotationChangedBy, alice, v1alpha1.AnnotationOwner, "team-c@example.com")), requester, falseName},
		{"created in another's name", owner, one(with(server("s-"+suffix()), v1alpha1.AnnotationChangedBy, bob)), requester, []string{"cannot be given to a new object"}},
		{"created in one's own name", owner, one(with(server("s-"+suffix()), v1alpha1.AnnotationChangedBy, owner)), "", nil},
		{"paused in another's name", tenant, patching(as, annotations(v1alpha1.AnnotationPaused, "x", v1alpha1.AnnotationChangedBy, alice)), requester, falseName},
	})
	use(t).unstamped(t, func() {
		must(t, bob, patching(given(t, owner, server("s-"+suffix())), fields{"spec": fields{"accessTokenLifetimeSeconds": 61}}))
		try(t, []attempt{
			{"another's name stays, where nothing is stamped", bob, patching(s, fields{"spec": fields{"accessTokenLifetimeSeconds": 62}}), requester, []string{"names another user than the one who changes the object", `changed-by: "bob"`}},
			{"one's own name", bob, patching(s, fields{"spec": fields{"accessTokenLifetimeSeconds": 63}, "metadata": fields{"annotations": fields{v1alpha1.AnnotationChangedBy: bob}}}), "", nil},
		})
	})
}
