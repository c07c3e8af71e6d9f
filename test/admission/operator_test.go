// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const operatorOnly = "mcp-registrar-operator"

func TestT18StatusBelongsToTheOperator(t *testing.T) {
	r, g := given(t, alice, registration("o-"+suffix())), given(t, alice, grant("o-"+suffix()))
	s := server("o-" + suffix())
	s.Namespace = clientsNamespace
	given(t, tenant, s)
	as := given(t, admin, open("status-"+suffix()))
	seen := fields{"observedGeneration": 1}
	words := []string{"status is written by the operator only", "for example spec.state: Suspended"}
	onGrant := []string{"status is written by the operator only", "to decide about a ScopeGrant create a ScopeGrantApproval"}
	put := func(c client.Client, o client.Object, t *testing.T) error { return c.Status().Update(t.Context(), o) }
	try(t, []attempt{
		{"registration by the tenant", tenant, patchingStatus(r, seen), operatorOnly, words},
		{"server by the tenant", tenant, patchingStatus(s, seen), operatorOnly, words},
		{"authorization server by the tenant", tenant, patchingStatus(as, seen), operatorOnly, words},
		{"grant by the tenant", tenant, patchingStatus(g, seen), operatorOnly, onGrant},
		{"grant by a server's owner", stranger, patchingStatus(g, fields{"approval": fields{
			"name": "a", "uid": "u", "decision": "Approved", "decisionTime": "2027-01-01T00:00:00Z",
		}}), operatorOnly, onGrant},
		{"registration as a whole", tenant, func(t *testing.T, c client.Client) error {
			whole := stored(t, r.DeepCopy())
			whole.Status.ClientID = "forged"
			return put(c, whole, t)
		}, operatorOnly, words},
		{"registration by the operator", operator, patchingStatus(r, seen), "", nil},
		{"server by the operator", operator, patchingStatus(s, seen), "", nil},
		{"authorization server by the operator", operator, patchingStatus(as, seen), "", nil},
		{"grant by the operator", operator, patchingStatus(g, seen), "", nil},
		{"part of it taken away", tenant, patchingStatus(g, fields{"observedGeneration": nil}), operatorOnly, onGrant},
		{"status given on creation is dropped", alice, func(t *testing.T, c client.Client) error {
			forged := registration("o-" + suffix())
			forged.Status = v1alpha1.MCPClientRegistrationStatus{ClientID: "forged", ObservedGeneration: 1}
			err := c.Create(t.Context(), forged)
			if got := stored(t, forged).Status; got.ClientID != "" || got.ObservedGeneration != -1 {
				t.Errorf("status %+v", got)
			}
			return err
		}, "", nil},
	})
}

// A request to the status subresource changes no metadata, so that no rule
// about annotations, labels and finalizers is passed by there.
func TestT18StatusRequestsLeaveMetadataAlone(t *testing.T) {
	r := given(t, alice, registration("o-"+suffix()))
	g := given(t, alice, grant("o-"+suffix()))
	for _, object := range []client.Object{r, g} {
		before := stored(t, object.DeepCopyObject().(client.Object))
		changed := before.DeepCopyObject().(client.Object)
		changed.SetAnnotations(map[string]string{"mcp-registrar.dev/requested-by": "x"})
		changed.SetLabels(map[string]string{"mcp-registrar.dev/x": "x"})
		changed.SetFinalizers(nil)
		changed.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Secret", Name: "x", UID: "x"}})
		if err := use(t).clients[operator].Status().Update(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		after := stored(t, object.DeepCopyObject().(client.Object))
		if stampOf(after).RequestedBy != alice || len(after.GetLabels()) > 0 || len(after.GetOwnerReferences()) > 0 ||
			len(after.GetFinalizers()) != len(before.GetFinalizers()) || after.GetAnnotations()[v1alpha1.AnnotationOwner] != testOwner {
			t.Errorf("a status request changed the metadata: %+v", after)
		}
	}
}

func TestFinalizerBelongsToTheOperator(t *testing.T) {
	fresh := func() *v1alpha1.MCPClientRegistration { return given(t, alice, registration("o-"+suffix())) }
	dying := func() *v1alpha1.MCPClientRegistration {
		r := fresh()
		must(t, alice, func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), r) })
		return r
	}
	off := func(r *v1alpha1.MCPClientRegistration) func(*testing.T, client.Client) error {
		return updating(r, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = nil })
	}
	words := []string{"finalizer mcp-registrar.dev/client is taken off by the operator", "ask somebody with the verb release"}
	try(t, []attempt{
		{"by its requester", alice, off(fresh()), operatorOnly, words},
		{"by the tenant", tenant, off(fresh()), operatorOnly, words},
		{"by the tenant, with a patch", tenant, patching(fresh(), fields{"metadata": fields{"finalizers": nil}}), operatorOnly, words},
		{"by the tenant while it is deleted", tenant, off(dying()), operatorOnly, words},
		{"by who may release", releaser, off(fresh()), "", nil},
		{"by who may release while it is deleted", releaser, off(dying()), "", nil},
		{"by the operator", operator, off(fresh()), "", nil},
		{"by the operator while it is deleted", operator, off(dying()), "", nil},
		{"by an admin", admin, off(dying()), "", nil},
		{"another one", tenant, updating(fresh(), func(r *v1alpha1.MCPClientRegistration) {
			r.Finalizers = append(r.Finalizers, "example.com/other")
		}), "", nil},
	})
}

func TestPrefixBelongsToTheOperator(t *testing.T) {
	r := given(t, alice, registration("o-"+suffix()))
	as := given(t, admin, open("prefix-"+suffix()))
	label := func(value any) fields {
		return fields{"metadata": fields{"labels": fields{"mcp-registrar.dev/x": value}}}
	}
	annotation := []string{"annotation mcp-registrar.dev/x: annotations of mcp-registrar.dev/ are set by the operator only", "for example example.com/team"}
	labels := []string{"label mcp-registrar.dev/x: labels of mcp-registrar.dev/ are set by the operator only", "for example example.com/team"}
	release := []string{"mcp-registrar.dev/release does not belong here", "registration record", "with the verb release", "for example mcp-registrar.dev/release"}
	labelled := registration("o-" + suffix())
	labelled.Labels = map[string]string{"mcp-registrar.dev/x": "x"}
	try(t, []attempt{
		{"annotation on creation", alice, one(with(grant("o-"+suffix()), "mcp-registrar.dev/x", "x")), operatorOnly, annotation},
		{"label on creation", alice, one(labelled), operatorOnly, labels},
		{"annotation", tenant, patching(r, annotations("mcp-registrar.dev/x", "x")), operatorOnly, annotation},
		{"label", tenant, patching(r, label("x")), operatorOnly, labels},
		{"release", tenant, patching(r, annotations(v1alpha1.AnnotationRelease, "x")), operatorOnly, release},
		{"release by who may release", releaser, patching(r, annotations(v1alpha1.AnnotationRelease, "x")), operatorOnly, release},
		{"paused on a registration", tenant, patching(r, annotations(v1alpha1.AnnotationPaused, "x")), operatorOnly, []string{"annotation mcp-registrar.dev/paused"}},
		{"paused on an authorization server", tenant, patching(as, annotations(v1alpha1.AnnotationPaused, "true")), "", nil},
		{"other on an authorization server", tenant, patching(as, annotations("mcp-registrar.dev/x", "x")), operatorOnly, annotation},
		{"of others", tenant, patching(r, annotations("example.com/x", "x")), "", nil},
		{"annotation and label by who may operate", admin, func(t *testing.T, c client.Client) error {
			if err := patching(r, annotations("mcp-registrar.dev/x", "x"))(t, c); err != nil {
				return err
			}
			return patching(r, label("x"))(t, c)
		}, "", nil},
		{"a stale one stays", tenant, patching(r, annotations("example.com/x", "y")), "", nil},
		{"annotation taken away", tenant, patching(r, annotations("mcp-registrar.dev/x", nil)), operatorOnly, annotation},
		{"label taken away", tenant, patching(r, label(nil)), operatorOnly, labels},
	})
}
