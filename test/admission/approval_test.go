// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const approval = "mcp-registrar-approval"

// fields is a part of an object as somebody writes it into a patch.
type fields map[string]any

// deciding sends a merge patch of status.approval; nil removes it.
func deciding(g *v1alpha1.ScopeGrant, wish fields) func(*testing.T, client.Client) error {
	return patchingStatus(g, fields{"approval": wish})
}

func patchingStatus(object client.Object, status fields) func(*testing.T, client.Client) error {
	return func(t *testing.T, c client.Client) error {
		return patch(t, c.SubResource("status").Patch, object, fields{"status": status})
	}
}

func patching(object client.Object, change fields) func(*testing.T, client.Client) error {
	return func(t *testing.T, c client.Client) error {
		send := func(ctx context.Context, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
			return c.Patch(ctx, o, p)
		}
		return patch(t, send, object, change)
	}
}

func patch(t *testing.T, send func(context.Context, client.Object, client.Patch, ...client.SubResourcePatchOption) error,
	object client.Object, change fields,
) error {
	t.Helper()
	content, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	return send(t.Context(), object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, content))
}

func annotations(pairs ...any) fields {
	all := fields{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
	}
	return fields{"metadata": fields{"annotations": all}}
}

func approved(generation int) fields {
	return fields{"decision": "Approved", "generation": generation}
}

// must does what is to succeed.
func must(t *testing.T, who string, do func(*testing.T, client.Client) error) {
	t.Helper()
	if err := do(t, use(t).clients[who]); err != nil {
		t.Fatal(err)
	}
}

// stored reads an object as it is stored.
func stored[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := use(t).clients[admin].Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	return object
}

func approvalOf(t *testing.T, g *v1alpha1.ScopeGrant) *v1alpha1.Approval {
	t.Helper()
	return stored(t, &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Name: g.Name, Namespace: g.Namespace}}).Status.Approval
}

func endOf(t *testing.T, object client.Object) *metav1.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, object.GetAnnotations()[v1alpha1.AnnotationExpiresAt])
	if err != nil {
		t.Fatal(err)
	}
	return new(metav1.NewTime(at))
}

func wantApproval(t *testing.T, g *v1alpha1.ScopeGrant, want *v1alpha1.Approval) {
	t.Helper()
	if diff := cmp.Diff(want, approvalOf(t, g)); diff != "" {
		t.Errorf("approval (-want +got)\n%s", diff)
	}
}

func TestApprovalIsStamped(t *testing.T) {
	g := given(t, alice, grant("a-"+suffix()))
	must(t, owner, deciding(g, approved(1)))
	first := &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: owner, ExpiresAt: endOf(t, g)}
	wantApproval(t, g, first)

	t.Run("the operator takes it up", func(t *testing.T) {
		now := metav1.NewTime(time.Now().Truncate(time.Second))
		must(t, operator, deciding(g, fields{"approvedAt": now, "seal": "s1"}))
		want := *first
		want.ApprovedAt, want.Seal = &now, "s1"
		wantApproval(t, g, &want)
	})
	t.Run("a merge patch over it is a new decision", func(t *testing.T) {
		must(t, admin, deciding(g, fields{"decision": "Denied", "generation": 1, "reason": "not now"}))
		wantApproval(t, g, &v1alpha1.Approval{
			Decision: v1alpha1.DecisionDenied, Generation: 1, Reason: "not now", ApprovedBy: "admin", ExpiresAt: endOf(t, g),
		})
	})
	t.Run("the end date moves and is approved again", func(t *testing.T) {
		must(t, owner, deciding(g, fields{"decision": "Approved", "generation": 1, "reason": nil}))
		must(t, operator, deciding(g, fields{"approvedAt": "2026-09-01T00:00:00Z", "seal": "s1"}))
		later := inDays(20)
		must(t, bob, patching(g, annotations(v1alpha1.AnnotationExpiresAt, later.Format(time.RFC3339))))
		must(t, operator, patchingStatus(g, fields{"observedGeneration": 1}))
		if got := approvalOf(t, g); got.Seal != "s1" || !got.ExpiresAt.Equal(first.ExpiresAt) {
			t.Errorf("a write of the operator changed the decision: %+v", got)
		}
		must(t, owner, deciding(g, approved(1)))
		wantApproval(t, g, &v1alpha1.Approval{
			Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: owner, ExpiresAt: new(metav1.NewTime(later.Local())),
		})
	})
	t.Run("withdrawn", func(t *testing.T) {
		must(t, owner, deciding(g, nil))
		wantApproval(t, g, nil)
	})
}

// What no longer holds is decided anew by writing the same once more, which a
// merge patch alone would take for nothing.
func TestTheSameOnceMore(t *testing.T) {
	again := func(t *testing.T, g *v1alpha1.ScopeGrant, who string) *v1alpha1.Approval {
		t.Helper()
		must(t, who, deciding(g, approved(1)))
		return approvalOf(t, g)
	}
	t.Run("over one that could not be verified", func(t *testing.T) {
		g := decided(t)
		must(t, operator, deciding(g, fields{"seal": "unverified"}))
		if got := again(t, g, admin); got.Seal != "" || got.ApprovedAt != nil || got.ApprovedBy != "admin" {
			t.Errorf("approval %+v", got)
		}
	})
	t.Run("over one by who then moved the end date", func(t *testing.T) {
		g := decided(t)
		must(t, owner, patching(g, annotations(v1alpha1.AnnotationExpiresAt, inDays(9).Format(time.RFC3339))))
		refused(t, deciding(g, approved(1))(t, use(t).clients[owner]), approval, "changed this grant last")
		if got := again(t, g, admin); got.Seal != "" || got.ApprovedBy != "admin" || !got.ExpiresAt.Equal(endOf(t, stored(t, g))) {
			t.Errorf("approval %+v", got)
		}
	})
	t.Run("with another end", func(t *testing.T) {
		g := decided(t)
		must(t, bob, patching(g, annotations(v1alpha1.AnnotationExpiresAt, inDays(15).Format(time.RFC3339))))
		must(t, admin, deciding(g, fields{"expiresAt": inDays(20)}))
		want := &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, Generation: 1, ApprovedBy: "admin", ExpiresAt: new(metav1.NewTime(inDays(20).Local()))}
		wantApproval(t, g, want)
	})
	t.Run("over one that holds", func(t *testing.T) {
		g := decided(t)
		if got := again(t, g, admin); got.Seal != "s1" || got.ApprovedBy != owner {
			t.Errorf("approval %+v", got)
		}
	})
	t.Run("by who has no say", func(t *testing.T) {
		g := decided(t)
		must(t, operator, deciding(g, fields{"seal": "unverified"}))
		if got := again(t, g, tenant); got.Seal != "unverified" || got.ApprovedBy != owner {
			t.Errorf("approval %+v", got)
		}
	})
}

// What Go leaves out and what somebody wrote as empty are the same.
func TestEmptyFieldsAreNoDecision(t *testing.T) {
	g := asked(t, alice)
	must(t, owner, deciding(g, fields{"decision": "Approved", "generation": 1, "reason": "", "seal": "", "approvedBy": ""}))
	must(t, operator, func(t *testing.T, c client.Client) error {
		whole := stored(t, g.DeepCopy())
		whole.Status.ObservedGeneration = 1
		whole.Status.Approval.Seal = "s1"
		return c.Status().Update(t.Context(), whole)
	})
	must(t, operator, deciding(g, fields{"reason": ""}))
	if got := approvalOf(t, g); got.Seal != "s1" || got.ApprovedBy != owner {
		t.Errorf("approval %+v", got)
	}
}
