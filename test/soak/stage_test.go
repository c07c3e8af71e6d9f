// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

const (
	operatorNamespace = "mcp-registrar-system"
	teamNamespace     = "team"
	asName            = "devas"
)

// scopes are those of each server.
var (
	servers = []string{"files", "notes"}
	scopes  = []v1alpha1.ScopeName{"list:read", "item:read", "tree:read", "size:read"}
)

// stage is a control plane, an authorization server and the means to start
// managers.
type stage struct {
	client.Client
	as      *devas.Server
	manager operator.Options
}

func newStage(t *testing.T, manager string, switches devas.Switches) *stage {
	t.Helper()
	cluster := env.StartForTest(t, env.Options{CRDs: true, ControllerManager: true})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Config.QPS, cluster.Config.Burst = 1000, 2000
	direct, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cluster.Kubeconfig(kubeconfig, cluster.Config); err != nil {
		t.Fatal(err)
	}
	s := &stage{Client: direct, as: startAS(t, switches), manager: operator.Options{
		Path: manager, Kubeconfig: kubeconfig, Namespace: operatorNamespace,
		Log: filepath.Join(t.ArtifactDir(), "manager.log"),
	}}
	s.furnish(t)
	return s
}

func startAS(t *testing.T, switches devas.Switches) *devas.Server {
	t.Helper()
	as, err := devas.New(devas.Options{Switches: switches})
	if err != nil {
		t.Fatal(err)
	}
	if err := as.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := as.Close(); err != nil {
			t.Error(err)
		}
	})
	return as
}

// furnish makes what the script finds in place: namespaces, the
// AuthorizationServer and the servers.
func (s *stage) furnish(t *testing.T) {
	t.Helper()
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: teamNamespace}},
		&v1alpha1.AuthorizationServer{
			ObjectMeta: metav1.ObjectMeta{Name: asName},
			Spec: v1alpha1.AuthorizationServerSpec{
				Issuer: s.as.Issuer(), DynamicRegistration: &v1alpha1.DynamicRegistration{},
				AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			},
		},
	}
	for _, name := range servers {
		server := &v1alpha1.MCPServer{
			ObjectMeta: metav1.ObjectMeta{Namespace: teamNamespace, Name: name, Annotations: map[string]string{v1alpha1.AnnotationOwner: owner}},
			Spec: v1alpha1.MCPServerSpec{
				Resource:               "https://mcp.example.com/" + name,
				AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: asName},
			},
		}
		for _, scope := range scopes {
			server.Spec.Scopes = append(server.Spec.Scopes, v1alpha1.Scope{Name: scopeOf(name, scope), Tier: v1alpha1.TierRead})
		}
		objects = append(objects, server)
	}
	for _, object := range objects {
		if err := s.Create(t.Context(), object); err != nil {
			t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
		}
	}
}

// scopeOf names a scope after its server, so that a scope at the authorization
// server says where it comes from.
func scopeOf(server string, scope v1alpha1.ScopeName) v1alpha1.ScopeName {
	return v1alpha1.ScopeName(server + ":" + string(scope))
}

// ready is the Ready condition in short: "True/Ready", or "unseen" if it does
// not speak of the object as it now is.
func ready(conditions []metav1.Condition, observed, generation int64) string {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if c == nil || observed != generation {
		return "unseen"
	}
	return fmt.Sprintf("%s/%s", c.Status, c.Reason)
}

// gone says that an object had been deleted before.
func gone(err error) error { return client.IgnoreNotFound(err) }
