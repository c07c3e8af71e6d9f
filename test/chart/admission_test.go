// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

func TestCreationIsStamped(t *testing.T) {
	t.Parallel()
	admission := filepath.Join(root(t), "config", "admission")
	plane := env.StartForTest(t, env.Options{CRDs: true, Manifests: []string{
		filepath.Join(admission, "mutating_policy.yaml"), filepath.Join(admission, "mutating_policy_binding.yaml"),
	}})
	alice, bob := user(t, plane, "alice"), user(t, plane, "bob")
	waitForPolicy(t, alice)

	t.Run("a registration gets who asked for it and the finalizer", func(t *testing.T) {
		created := create(t, alice, registration("plain"))
		want := stamp{RequestedBy: "alice", Finalizers: []string{v1alpha1.Finalizer}}
		if diff := cmp.Diff(want, stampOf(created)); diff != "" {
			t.Errorf("stamped otherwise (-want +got)\n%s", diff)
		}
	})
	t.Run("what the user wrote stays, but for a false name", func(t *testing.T) {
		wish := registration("other")
		wish.Finalizers = []string{"example.com/other"}
		wish.Annotations = map[string]string{
			v1alpha1.AnnotationRequestedBy: "alice",
			v1alpha1.AnnotationOwner:       "team-a@example.com",
		}
		created := create(t, bob, wish)
		want := stamp{
			RequestedBy: "bob", Owner: "team-a@example.com",
			Finalizers: []string{"example.com/other", v1alpha1.Finalizer},
		}
		if diff := cmp.Diff(want, stampOf(created)); diff != "" {
			t.Errorf("stamped otherwise (-want +got)\n%s", diff)
		}
	})
	t.Run("a finalizer that is there already stays one", func(t *testing.T) {
		wish := registration("ready")
		wish.Finalizers = []string{v1alpha1.Finalizer}
		want := stamp{RequestedBy: "alice", Finalizers: []string{v1alpha1.Finalizer}}
		if diff := cmp.Diff(want, stampOf(create(t, alice, wish))); diff != "" {
			t.Errorf("stamped otherwise (-want +got)\n%s", diff)
		}
	})
	t.Run("an apply without the stamp does not take it off", func(t *testing.T) {
		applied := apply(t, alice, "applied")
		again := apply(t, bob, "applied")
		want := stamp{RequestedBy: "alice", Finalizers: []string{v1alpha1.Finalizer}}
		if diff := cmp.Diff(want, stampOf(applied)); diff != "" {
			t.Errorf("stamped otherwise on creation (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(want, stampOf(again)); diff != "" {
			t.Errorf("stamped otherwise on update (-want +got)\n%s", diff)
		}
	})
	t.Run("a grant gets who asked for it and no finalizer", func(t *testing.T) {
		created := create(t, alice, grant("plain"))
		if diff := cmp.Diff(stamp{RequestedBy: "alice"}, stampOf(created)); diff != "" {
			t.Errorf("stamped otherwise (-want +got)\n%s", diff)
		}
	})
	t.Run("the samples are taken", func(t *testing.T) {
		samples := filepath.Join(t.TempDir(), "samples.yaml")
		if err := os.WriteFile(samples, []byte(kustomizeBuild(t, "samples")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := plane.Apply(t.Context(), samples); err != nil {
			t.Error(err)
		}
	})
	t.Run("a server gets nothing", func(t *testing.T) {
		created := create(t, alice, server("plain"))
		if diff := cmp.Diff(stamp{}, stampOf(created)); diff != "" {
			t.Errorf("stamped otherwise (-want +got)\n%s", diff)
		}
	})
}

// stamp is what the policy writes and what it must leave alone.
type stamp struct {
	RequestedBy, Owner string
	Finalizers         []string
}

func stampOf(object client.Object) stamp {
	return stamp{
		RequestedBy: object.GetAnnotations()[v1alpha1.AnnotationRequestedBy],
		Owner:       object.GetAnnotations()[v1alpha1.AnnotationOwner],
		Finalizers:  object.GetFinalizers(),
	}
}

// waitForPolicy returns once the API server has taken the policy up. Until it
// knows the schema of a new kind, it refuses what a mutating policy matches.
func waitForPolicy(t *testing.T, c client.Client) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true,
		func(ctx context.Context) (bool, error) {
			probe := registration("probe")
			err := c.Create(ctx, probe, client.DryRunAll)
			if apierrors.IsServiceUnavailable(err) {
				return false, nil
			}
			return stampOf(probe).RequestedBy != "", err
		})
	if err != nil {
		t.Fatalf("the policy did not take effect: %v", err)
	}
}

func user(t *testing.T, plane *env.ControlPlane, name string) client.Client {
	t.Helper()
	config, err := plane.UserConfig(name, "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, config)
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
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

func create[T client.Object](t *testing.T, c client.Client, object T) T {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

func registration(name string) *v1alpha1.MCPClientRegistration {
	return &v1alpha1.MCPClientRegistration{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
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
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: name},
			ServerRef: v1alpha1.ServerReference{Name: "invoices"},
			Scopes:    []v1alpha1.ScopeName{"invoices:read"},
		},
	}
}

func server(name string) *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/invoices",
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "company"},
			Scopes:                 []v1alpha1.Scope{{Name: "invoices:read", Tier: v1alpha1.TierRead}},
		},
	}
}

// apply sends what a GitOps tool would: a server-side apply of the spec alone.
func apply(t *testing.T, c client.Client, name string) client.Object {
	t.Helper()
	wish := registration(name)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&wish.Spec)
	if err != nil {
		t.Fatal(err)
	}
	object := unstructuredRegistration(name, content)
	configuration := client.ApplyConfigurationFromUnstructured(object)
	if err := c.Apply(t.Context(), configuration, client.FieldOwner("gitops"), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
	stored := &v1alpha1.MCPClientRegistration{}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(wish), stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

func unstructuredRegistration(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "MCPClientRegistration",
		"metadata":   map[string]any{"name": name, "namespace": "default"},
		"spec":       spec,
	}}
}
