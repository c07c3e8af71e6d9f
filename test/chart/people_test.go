// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// The roles and policies of the chart and the bindings of docs/helm.md together:
// what a team asks for is stamped, its server's owners decide, nobody else does.
func TestRolesAndPoliciesTogether(t *testing.T) {
	t.Parallel()
	plane := env.StartForTest(t, env.Options{CRDs: true})
	createNamespaces(t, plane, namespace)
	rendered := mustTemplate(t, "1.37.0", "--show-only=templates/roles.yaml", "--show-only=templates/admission.yaml")
	// The samples bring the namespaces invoices, payments and assistants.
	samples := written(t, kustomizeBuild(t, "samples"))
	if err := plane.Apply(t.Context(), samples, written(t, rendered), filepath.Join(testdata(t), "bindings.yaml")); err != nil {
		t.Fatal(err)
	}
	developer := person(t, plane, "dora", "team-payments")
	waitForPolicies(t, developer)

	t.Run("the samples are taken with the policies in force", func(t *testing.T) {
		if err := plane.Apply(t.Context(), samples); err != nil {
			t.Error(err)
		}
	})
	t.Run("a registration is stamped and gets the finalizer", func(t *testing.T) {
		reg := registration("plain")
		if err := developer.Create(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
		if by := reg.Annotations[v1alpha1.AnnotationRequestedBy]; by != "dora" {
			t.Errorf("requested by %q", by)
		}
		if len(reg.Finalizers) != 1 || reg.Finalizers[0] != v1alpha1.Finalizer {
			t.Errorf("the finalizers are %q", reg.Finalizers)
		}
	})
	t.Run("the commands of the pages about credentials and adoption", func(t *testing.T) {
		mayRotateAndAdopt(t, plane, developer)
	})
	t.Run("a deletion is confirmed by who may delete", func(t *testing.T) {
		mayConfirmDeletions(t, plane)
	})
	asked := grant("asked")
	if err := developer.Create(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, user, group, refused string
	}{
		{name: "who asked may not approve", user: "dora", group: "team-payments", refused: `cannot create resource "scopegrantapprovals"`},
		{name: "the platform team may not approve", user: "paul", group: "platform-team", refused: `cannot create resource "scopegrantapprovals"`},
		{name: "an auditor may not approve", user: "anna", group: "auditors", refused: `cannot create resource "scopegrantapprovals"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := approve(t.Context(), person(t, plane, c.user, c.group), asked)
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("the answer is %v, want a refusal with %q", err, c.refused)
			}
		})
	}
	t.Run("an owner of the server may", func(t *testing.T) {
		owner := person(t, plane, "otto", "team-invoices")
		var last error
		// The policy that stamps approvals may be taken up after the others.
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 2*time.Minute, true,
			func(ctx context.Context) (bool, error) {
				last = approve(ctx, owner, asked)
				return last == nil, nil
			})
		if err != nil {
			t.Errorf("not within two minutes: %v", last)
		}
	})
}

// mayRotateAndAdopt holds that who the pages tell to rotate and to adopt can, by
// the roles of the chart alone, and that others cannot.
func mayRotateAndAdopt(t *testing.T, plane *env.ControlPlane, developer client.Client) {
	t.Helper()
	reg := registration("rotated")
	if err := developer.Create(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	annotate := func(c client.Client, key string) error {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"2027-03-31T00:00:00Z"}}}`, key)
		return c.Patch(t.Context(), reg.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	}
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = annotate(developer, "mcp-registrar.dev/probe")
		return last != nil && strings.Contains(last.Error(), "mcp-registrar-operator"), nil
	})
	if err != nil {
		t.Fatalf("the policy mcp-registrar-operator did not take effect: %v: %v", err, last)
	}
	for _, key := range []string{v1alpha1.AnnotationRotate, v1alpha1.AnnotationAdopt} {
		for who, c := range map[string]client.Client{"a client developer": developer, "a registrar admin": person(t, plane, "paul", "platform-team")} {
			if err := annotate(c, key); err != nil {
				t.Errorf("%s by %s: %v", key, who, err)
			}
		}
		for _, who := range [][2]string{{"otto", "team-invoices"}, {"anna", "auditors"}} {
			err := annotate(person(t, plane, who[0], who[1]), key)
			if err == nil || !strings.Contains(err.Error(), "cannot patch resource") {
				t.Errorf("%s by one of %s: %v", key, who[1], err)
			}
		}
	}
	adopting := registration("adopting")
	adopting.Annotations[v1alpha1.AnnotationAdopt] = "desktop-app"
	if err := developer.Create(t.Context(), adopting); err != nil {
		t.Errorf("adopting on creation: %v", err)
	}
}

// approve is the word of somebody who looked at a grant.
func approve(ctx context.Context, c client.Client, asked *v1alpha1.ScopeGrant) error {
	approval := &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: "invoices", GenerateName: asked.Name + "-"},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef:    v1alpha1.ApprovedServer{Name: asked.Spec.ServerRef.Name, UID: "server"},
			GrantRef:     &v1alpha1.ApprovedGrant{Namespace: asked.Namespace, Name: asked.Name, UID: string(asked.UID), Generation: 1},
			Registration: &v1alpha1.ApprovedRegistration{UID: "registration", Generation: 1},
			Digest:       strings.Repeat("0", 64), RequestedBy: "dora", Decision: v1alpha1.DecisionApproved,
		},
	}
	if err := c.Create(ctx, approval); err != nil {
		return err
	}
	if by := approval.Annotations[v1alpha1.AnnotationApprovedBy]; by == "" {
		return errors.New("nobody is noted")
	}
	return nil
}

// waitForPolicies returns once the API server has taken the policies up. Until it
// knows the schema of a new kind, it refuses what a mutating policy matches.
func waitForPolicies(t *testing.T, c client.Client) {
	t.Helper()
	var last error
	by := func(ctx context.Context, policy string, probe client.Object) bool {
		last = c.Create(ctx, probe, client.DryRunAll)
		return last != nil && strings.Contains(last.Error(), policy)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true,
		func(ctx context.Context) (bool, error) {
			unowned, forged := registration("probe"), registration("probe")
			delete(unowned.Annotations, v1alpha1.AnnotationOwner)
			forged.Annotations[v1alpha1.AnnotationRequestedBy] = "somebody"
			if !by(ctx, "mcp-registrar-identity", unowned) || !by(ctx, "mcp-registrar-requester", forged) {
				return false, nil
			}
			probe := registration("probe")
			last = c.Create(ctx, probe, client.DryRunAll)
			return last == nil && probe.Annotations[v1alpha1.AnnotationRequestedBy] != "", nil
		})
	if err != nil {
		t.Fatalf("the policies did not take effect: %v: %v", err, last)
	}
}

func person(t *testing.T, plane *env.ControlPlane, name, group string) client.Client {
	t.Helper()
	config, err := plane.UserConfig(name, group)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "payments", Annotations: map[string]string{
		v1alpha1.AnnotationOwner:     "team-payments@example.com",
		v1alpha1.AnnotationExpiresAt: time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339),
	}}
}

func registration(name string) *v1alpha1.MCPClientRegistration {
	return &v1alpha1.MCPClientRegistration{
		ObjectMeta: meta(name),
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef:  v1alpha1.AuthorizationServerReference{Name: "company"},
			ClientName:              "Client " + name,
			ApplicationType:         v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: v1alpha1.AuthMethodPrivateKeyJWT,
		},
	}
}

func grant(name string) *v1alpha1.ScopeGrant {
	return &v1alpha1.ScopeGrant{
		ObjectMeta: meta(name),
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: name},
			ServerRef: v1alpha1.ServerReference{Name: "invoices", Namespace: "invoices"},
			Scopes:    []v1alpha1.ScopeName{"invoices:read"},
			Reason:    "monthly close",
		},
	}
}

// mayConfirmDeletions holds that who the pages tell to confirm a deletion can, by the
// roles of the chart alone, and that others cannot.
func mayConfirmDeletions(t *testing.T, plane *env.ControlPlane) {
	t.Helper()
	admin := person(t, plane, "admin", "system:masters")
	kept := &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Name: "lived-on", Namespace: "invoices"}}
	kept.Annotations = map[string]string{v1alpha1.AnnotationOwner: "team-invoices@example.com"}
	kept.Spec = v1alpha1.MCPServerSpec{
		Resource: "https://mcp.example.com/lived-on", AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "company"},
		Scopes: []v1alpha1.Scope{{Name: "files:read", Tier: v1alpha1.TierRead}},
	}
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "lived-on"}}
	as.Spec.Issuer, as.Spec.DynamicRegistration = "https://lived-on.example.com", &v1alpha1.DynamicRegistration{}
	for _, object := range []client.Object{kept, as} {
		if err := admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	// Who has every verb has operate.
	for object, seen := range map[client.Object]string{
		kept: `{"status":{"grants":{"inForce":59,"pending":0,"clients":59}}}`,
		as:   `{"status":{"clients":{"managed":59,"possibleOrphans":0}}}`,
	} {
		if err := admin.Status().Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(seen))); err != nil {
			t.Fatal(err)
		}
	}
	confirm := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"59"}}}`, v1alpha1.AnnotationConfirmDeletion)
	for _, c := range []struct {
		user, group string
		object      client.Object
	}{{"otto", "team-invoices", kept}, {"paul", "platform-team", as}} {
		by := person(t, plane, c.user, c.group)
		var last error
		// The policy may be taken up after the others.
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			last = by.Delete(ctx, c.object, client.DryRunAll)
			return last != nil && strings.Contains(last.Error(), "mcp-registrar.dev/confirm-deletion=59"), nil
		})
		if err != nil {
			t.Fatalf("%s deletes what 59 clients live on: %v", c.user, last)
		}
		for _, who := range [][2]string{{"dora", "team-payments"}, {"anna", "auditors"}} {
			err := person(t, plane, who[0], who[1]).Patch(t.Context(), c.object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, confirm))
			if !apierrors.IsForbidden(err) {
				t.Errorf("%s confirms: %v", who[0], err)
			}
		}
		if err := by.Patch(t.Context(), c.object, client.RawPatch(types.MergePatchType, confirm)); err != nil {
			t.Errorf("%s confirms: %v", c.user, err)
		}
		if err := by.Delete(t.Context(), c.object); err != nil {
			t.Errorf("%s deletes what was confirmed: %v", c.user, err)
		}
	}
}
