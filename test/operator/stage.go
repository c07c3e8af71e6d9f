// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// What a stage is furnished with.
const (
	// Namespace is the operator's own.
	Namespace = "mcp-registrar-system"
	// TeamNamespace is where servers are and registrations belong.
	TeamNamespace = "team"
	// AuthorizationServer is the name of the only one.
	AuthorizationServer = "devas"
	// Owner answers for everything.
	Owner = "team-a@example.com"
)

// StageOptions say what a stage is like.
type StageOptions struct {
	// Switches are those of the authorization server.
	Switches devas.Switches
	// OwnIDs makes it one where the register chooses client ids, like Ory
	// Hydra, rather than one with dynamic registration.
	OwnIDs bool
	// Admission installs the admission policies that are shipped.
	Admission bool
	// Servers are the MCPServers, by name, with their scopes, all of tier Read.
	Servers map[string][]v1alpha1.ScopeName
	// Manager is the path of the binary. If empty, it is built.
	Manager string
}

// Stage is a control plane and an authorization server, furnished with
// everything but registrations and grants, and the means to start managers.
type Stage struct {
	// WithWatch talks to the API server as the cluster admin, uncached.
	client.WithWatch
	// Config is for the cluster admin.
	Config *rest.Config
	// AS is the authorization server.
	AS *devas.Server
	// Manager is how to start a manager.
	Manager Options
}

// NewStage starts a stage that ends with the test.
func NewStage(t testing.TB, o StageOptions) *Stage {
	t.Helper()
	var err error
	if o.Manager == "" {
		if o.Manager, err = Build(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	cluster := env.StartForTest(t, envOptions(t, o))
	cluster.Config.QPS, cluster.Config.Burst = 10_000, 20_000
	s := &Stage{Config: cluster.Config, AS: startAS(t, o)}
	if s.WithWatch, err = newClient(cluster.Config); err != nil {
		t.Fatal(err)
	}
	s.Manager = Options{
		Path: o.Manager, Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), Namespace: Namespace,
		Log: filepath.Join(t.ArtifactDir(), "manager.log"),
	}
	if err := cluster.Kubeconfig(s.Manager.Kubeconfig, cluster.Config); err != nil {
		t.Fatal(err)
	}
	for _, object := range furniture(s.AS, o) {
		if err := s.furnish(t.Context(), object); err != nil {
			t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
		}
	}
	if err := s.awaitAdmission(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func envOptions(t testing.TB, o StageOptions) env.Options {
	t.Helper()
	options := env.Options{CRDs: true, ControllerManager: true}
	if !o.Admission {
		return options
	}
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	if options.Manifests, err = filepath.Glob(filepath.Join(root, "config", "admission", "*_polic*.yaml")); err != nil {
		t.Fatal(err)
	}
	return options
}

func newClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme})
}

func startAS(t testing.TB, o StageOptions) *devas.Server {
	t.Helper()
	as, err := devas.New(devas.Options{Switches: o.Switches, Hydra: o.OwnIDs})
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

// furniture is what an administrator makes before the teams come.
func furniture(as *devas.Server, o StageOptions) []client.Object {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: TeamNamespace}},
		authorizationServer(as, o),
	}
	for name, scopes := range o.Servers {
		server := &v1alpha1.MCPServer{
			ObjectMeta: metav1.ObjectMeta{Namespace: TeamNamespace, Name: name, Annotations: map[string]string{v1alpha1.AnnotationOwner: Owner}},
			Spec: v1alpha1.MCPServerSpec{
				Resource:               "https://mcp.example.com/" + name,
				AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: AuthorizationServer},
			},
		}
		for _, scope := range scopes {
			server.Spec.Scopes = append(server.Spec.Scopes, v1alpha1.Scope{Name: scope, Tier: v1alpha1.TierRead})
		}
		objects = append(objects, server)
	}
	return objects
}

func authorizationServer(as *devas.Server, o StageOptions) *v1alpha1.AuthorizationServer {
	server := &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: AuthorizationServer},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer:            as.Issuer(),
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			// All that is measured is in one namespace.
			Policy: &v1alpha1.RegistrationPolicy{MaxGrantsPerNamespace: new(int32(1_000_000))},
		},
	}
	if o.OwnIDs {
		server.Spec.Hydra = &v1alpha1.HydraManagement{AdminURL: as.HydraURL()}
	} else {
		server.Spec.DynamicRegistration = &v1alpha1.DynamicRegistration{}
	}
	return server
}

// furnish creates an object, again and again while the API server does not know the
// schema of its kind: what stamps it needs that.
func (s *Stage) furnish(ctx context.Context, object client.Object) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := s.Create(ctx, object)
		if apierrors.IsServiceUnavailable(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// awaitAdmission waits until a grant could be created: an API server refuses
// for some seconds what a mutating policy matches while the kind is new.
func (s *Stage) awaitAdmission(ctx context.Context) error {
	var last error
	trial := func(ctx context.Context) (bool, error) {
		last = s.Create(ctx, &v1alpha1.ScopeGrant{
			ObjectMeta: metav1.ObjectMeta{Namespace: TeamNamespace, Name: "trial", Annotations: Identity(time.Now().Add(time.Hour))},
			Spec: v1alpha1.ScopeGrantSpec{
				ClientRef: v1alpha1.LocalReference{Name: "trial"}, ServerRef: v1alpha1.ServerReference{Name: "trial"},
				Scopes: []v1alpha1.ScopeName{"trial"},
			},
		}, client.DryRunAll)
		return last == nil, nil
	}
	if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, trial); err != nil {
		return last
	}
	return nil
}

// Identity are the annotations of an object that ends at an instant.
func Identity(expires time.Time) map[string]string {
	return map[string]string{
		v1alpha1.AnnotationOwner: Owner, v1alpha1.AnnotationExpiresAt: expires.UTC().Format(time.RFC3339Nano),
	}
}
