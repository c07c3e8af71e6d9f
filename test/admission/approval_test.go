// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const approval = "mcp-registrar-approval"

// fields is a part of an object as somebody writes it into a patch.
type fields map[string]any

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

// looked is what somebody decides who looked at a grant.
func looked(g *v1alpha1.ScopeGrant, requestedBy string) *v1alpha1.ScopeGrantApproval {
	a := beforehand("a-" + suffix())
	a.Spec = v1alpha1.ScopeGrantApprovalSpec{
		ServerRef:    v1alpha1.ApprovedServer{Name: "invoices", UID: "server"},
		GrantRef:     &v1alpha1.ApprovedGrant{Namespace: g.Namespace, Name: g.Name, UID: "grant", Generation: 1},
		Registration: &v1alpha1.ApprovedRegistration{UID: "registration", Generation: 1},
		Digest:       strings.Repeat("0a", 32), RequestedBy: requestedBy, Decision: v1alpha1.DecisionApproved,
	}
	return a
}

// beforehand is what somebody approves before it is asked for.
func beforehand(name string) *v1alpha1.ScopeGrantApproval {
	return &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: serversNamespace},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef: v1alpha1.ApprovedServer{Name: "invoices"}, ClientRef: &v1alpha1.ApprovedClient{Namespace: clientsNamespace, Name: "agent"},
			Scopes: []string{"invoices:pay"}, Decision: v1alpha1.DecisionApproved, ExpirationTime: new(metav1.NewTime(inDays(10))),
		},
	}
}

func denied(a *v1alpha1.ScopeGrantApproval) *v1alpha1.ScopeGrantApproval {
	a.Spec.Decision = v1alpha1.DecisionDenied
	return a
}

func approverOf(t *testing.T, a *v1alpha1.ScopeGrantApproval) string {
	t.Helper()
	return stored(t, a.DeepCopy()).Annotations[v1alpha1.AnnotationApprovedBy]
}

func TestApprovalIsStamped(t *testing.T) {
	own := with(looked(grant("g"), alice), v1alpha1.AnnotationApprovedBy, owner)
	for name, a := range map[string]*v1alpha1.ScopeGrantApproval{
		"looked at": looked(grant("g"), alice), "in one's own name": own, "beforehand": beforehand("b-" + suffix()),
		"with another annotation": with(looked(grant("g"), alice), "example.com/x", "y"), "a denial": denied(looked(grant("g"), alice)),
	} {
		given(t, owner, a)
		if got := approverOf(t, a); got != owner {
			t.Errorf("%s: approved by %q", name, got)
		}
	}
	must(t, bob, patching(own, annotations(v1alpha1.AnnotationApprovedBy, nil)))
	if got := approverOf(t, own); got != owner {
		t.Errorf("a name that was left out: approved by %q", got)
	}
}

// Who decides is RBAC on the kind in the namespace of the server, and nothing else.
func TestT14OwnersOfTheServerDecide(t *testing.T) {
	for _, who := range []string{tenant, operator, releaser, wildcard} {
		for name, a := range map[string]*v1alpha1.ScopeGrantApproval{"looked at": looked(grant("g"), alice), "beforehand": beforehand("b-" + suffix())} {
			if err := use(t).clients[who].Create(t.Context(), a); !apierrors.IsForbidden(err) {
				t.Errorf("%s, %s: %v", who, name, err)
			}
		}
	}
	a := given(t, owner, looked(grant("g"), alice))
	if err := use(t).clients[tenant].Delete(t.Context(), a); !apierrors.IsForbidden(err) {
		t.Errorf("deleted by the tenant: %v", err)
	}
	must(t, bob, func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), a) })
}

// Another person approves than the one who asked: not the same user, and not one who
// could have acted as that user.
func TestFourEyes(t *testing.T) {
	const account = "system:serviceaccount:clients:ci"
	eyes := []string{`user "alice" asked for this grant`, "cannot approve it", "ask another owner"}
	could := func(who, as string) []string {
		return []string{fmt.Sprintf("user %q could act as %q", who, as), "by impersonation, or by a token", "ask an owner of the MCPServer who could not"}
	}
	falseName := []string{"approved-by must be the user who creates the object", "leave it out", `approved-by: "olga"`}
	a := func(requestedBy string) func(*testing.T, client.Client) error {
		return one(looked(grant("g"), requestedBy))
	}
	try(t, []attempt{
		{"one's own", alice, a(alice), approval, eyes},
		{"one's own, denied", alice, one(denied(looked(grant("g"), alice))), "", nil},
		{"another's", alice, a(bob), "", nil},
		{"of a ServiceAccount", owner, a(account), "", nil},
		{"of a ServiceAccount that one may impersonate", alice, a(account), approval, could(alice, account)},
		{"of a ServiceAccount that one may have a token of", bob, a(account), approval, could(bob, account)},
		{"of a ServiceAccount of another namespace", bob, a("system:serviceaccount:elsewhere:ci"), "", nil},
		{"of a user whom one may impersonate", stranger, a(alice), approval, could(stranger, alice)},
		{"of another user", stranger, a(bob), "", nil},
		{"of anybody, by who may act as anybody", admin, a(alice), approval, could(admin, alice)},
		{"denied by who could act as the requester", stranger, one(denied(looked(grant("g"), alice))), "", nil},
		{"beforehand", alice, one(beforehand("b-" + suffix())), "", nil},
		{"in another's name", owner, one(with(looked(grant("g"), alice), v1alpha1.AnnotationApprovedBy, bob)), approval, falseName},
		{"in nobody's name", owner, one(with(looked(grant("g"), alice), v1alpha1.AnnotationApprovedBy, "")), approval, falseName},
		{"beforehand in another's name", owner, one(with(beforehand("b-"+suffix()), v1alpha1.AnnotationApprovedBy, bob)), approval, falseName},
	})
}

// What was decided does not change, nor the name under it.
func TestDecisionsStay(t *testing.T) {
	a := given(t, owner, looked(grant("g"), alice))
	stays := []string{"approved-by never changes", `approved-by: "olga"`}
	try(t, []attempt{
		{"taken over", bob, patching(a, annotations(v1alpha1.AnnotationApprovedBy, bob)), approval, stays},
		{"with no name", owner, patching(a, annotations(v1alpha1.AnnotationApprovedBy, "")), approval, stays},
		{"touched", bob, patching(a, fields{"metadata": fields{"labels": fields{"team": "b"}}}), "", nil},
		{"status by who approves", owner, patchingStatus(a, fields{"observedGeneration": 1}), operatorOnly, []string{"status is written by the operator only"}},
		{"status by the operator", operator, patchingStatus(a, fields{"observedGeneration": 1}), "", nil},
	})
	for name, change := range map[string]fields{
		"the decision": {"decision": "Denied"}, "the digest": {"digest": strings.Repeat("b", 64)}, "the end": {"expirationTime": inDays(3)},
	} {
		err := patching(a, fields{"spec": change})(t, use(t).clients[owner])
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec is immutable") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who may impersonate the requester for this one thing only (constrained impersonation,
// on by default since Kubernetes 1.36) could have asked too.
func TestConstrainedImpersonationIsActingAsTheRequester(t *testing.T) {
	w := use(t)
	const connie = "connie"
	for i, r := range []role{
		{connie, serversNamespace, []rbacv1.PolicyRule{rule(everyVerb, "scopegrantapprovals")}},
		{connie, "", []rbacv1.PolicyRule{{
			APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"users"}, ResourceNames: []string{alice}, Verbs: []string{"impersonate:user-info"},
		}}},
		{connie, clientsNamespace, []rbacv1.PolicyRule{rule([]string{"impersonate-on:user-info:create"}, "scopegrants")}},
	} {
		if err := grantRole(t.Context(), w.clients[admin], connie+"-"+string(rune('a'+i)), r); err != nil {
			t.Fatal(err)
		}
	}
	config, err := w.UserConfig(connie)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.enter(connie, config); err != nil {
		t.Fatal(err)
	}
	as := rest.CopyConfig(config)
	as.Impersonate.UserName = alice
	// Discovery would need rights of its own.
	asAlice, err := client.New(as, client.Options{Scheme: w.scheme, Mapper: w.clients[admin].RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	g := grant("by-connie")
	var last error
	err = wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		last = asAlice.Create(ctx, g)
		return last == nil, nil
	})
	if err != nil {
		t.Skipf("this API server has no constrained impersonation: %v", last)
	}
	if got := stored(t, g.DeepCopy()).Annotations[v1alpha1.AnnotationRequestedBy]; got != alice {
		t.Fatalf("asked for by %q", got)
	}
	refused(t, w.clients[connie].Create(t.Context(), looked(g, alice)), approval, "could act as")
}

// Who restores a backup is believed about who approved beforehand, and not about who
// looked at something.
func TestRestoredApprovalsKeepTheirApprover(t *testing.T) {
	const by = v1alpha1.AnnotationApprovedBy
	g := given(t, alice, grant("v-"+suffix()))
	for _, who := range []string{restorer, admin} {
		a := given(t, who, with(beforehand("v-"+suffix()), by, owner))
		if got := stored(t, a.DeepCopy()).Annotations[by]; got != owner {
			t.Errorf("approved by %q after %s restored it", got, who)
		}
		refused(t, use(t).clients[who].Create(t.Context(), with(looked(g, alice), by, owner)), approval, "approved-by must be the user who creates the object")
	}
	refused(t, use(t).clients[bob].Create(t.Context(), with(beforehand("v-"+suffix()), by, owner)), approval, "approved-by must be the user who creates the object")
}
