// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// Where the objects of the tests live.
const (
	clientsNamespace = "clients"
	serversNamespace = "servers"
	systemNamespace  = "mcp-registrar-system"
)

// The people of the tests; people_test.go says what they may do.
const (
	admin    = "admin"
	alice    = "alice"
	bob      = "bob"
	tenant   = "tina"
	owner    = "olga"
	stranger = "sven"
	releaser = "rita"
	wildcard = "wanda"
	restorer = "velma"
	operator = "operator"
	deployer = "deployer"
)

// world is a control plane with the policies, and everybody's client.
type world struct {
	*env.ControlPlane
	configs map[string]*rest.Config
	clients map[string]client.Client
	scheme  *runtime.Scheme
}

// shared is the world of all tests. It starts with the first test that needs
// it and ends with the last.
var shared = sync.OnceValues(func() (*world, error) { return create(context.Background()) })

var started *env.ControlPlane

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		if err := started.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func use(t *testing.T) *world {
	t.Helper()
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func create(ctx context.Context) (*world, error) {
	files, err := policyFiles()
	if err != nil {
		return nil, err
	}
	plane, err := env.Start(ctx, env.Options{CRDs: true, ControllerManager: true, Manifests: files})
	if err != nil {
		return nil, err
	}
	started = plane
	w := &world{ControlPlane: plane, scheme: runtime.NewScheme(), configs: map[string]*rest.Config{}, clients: map[string]client.Client{}}
	utilruntime.Must(clientgoscheme.AddToScheme(w.scheme))
	utilruntime.Must(v1alpha1.AddToScheme(w.scheme))
	if err := w.enter(admin, plane.Config); err != nil {
		return nil, err
	}
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	return w, w.awaitPolicies(ctx)
}

// policyFiles are the policies and their bindings, as the kustomization lists
// them.
func policyFiles() ([]string, error) {
	root, err := env.ModuleRoot()
	if err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(root, "config", "admission", "*_policy*.yaml"))
}

// enter makes the client of one person.
func (w *world) enter(name string, config *rest.Config) error {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	c, err := client.New(config, client.Options{Scheme: w.scheme})
	if err != nil {
		return err
	}
	w.configs[name], w.clients[name] = config, c
	return nil
}

// awaitPolicies returns once the API server has taken every policy up.
func (w *world) awaitPolicies(ctx context.Context) error {
	probes := map[string]func(context.Context) error{
		"mcp-registrar-identity": func(ctx context.Context) error {
			return w.clients[alice].Create(ctx, without(registration("probe"), v1alpha1.AnnotationOwner), client.DryRunAll)
		},
		"mcp-registrar-requester": func(ctx context.Context) error {
			return w.clients[alice].Create(ctx, with(registration("probe"), v1alpha1.AnnotationRequestedBy, bob), client.DryRunAll)
		},
		"mcp-registrar-limits": func(ctx context.Context) error {
			return w.clients[alice].Create(ctx, endingAt(registration("probe"), time.Now().Add(1000*time.Hour)), client.DryRunAll)
		},
		"mcp-registrar-patterns": func(ctx context.Context) error {
			return w.clients[alice].Create(ctx, with(registration("probe"), v1alpha1.AnnotationOwner, "nobody"), client.DryRunAll)
		},
		"mcp-registrar-operator": func(ctx context.Context) error {
			return w.clients[alice].Create(ctx, with(registration("probe"), "mcp-registrar.dev/probe", "x"), client.DryRunAll)
		},
		sizeOnly: func(ctx context.Context) error {
			return w.clients[alice].Create(ctx, filled(registration("probe"), 65537, "a"), client.DryRunAll)
		},
		"mcp-registrar-records": func(ctx context.Context) error {
			return w.clients[releaser].Create(ctx, record("probe", clientsNamespace), client.DryRunAll)
		},
		approval: func(ctx context.Context) error {
			return w.clients[alice].Create(ctx, looked(grant("probe"), alice), client.DryRunAll)
		},
		secretsOnly: func(ctx context.Context) error {
			return w.clients[operator].Create(ctx, secretOf(corev1.SecretTypeOpaque, clientsNamespace, nil), client.DryRunAll)
		},
		deletionOnly: func(ctx context.Context) error {
			return w.clients[admin].Delete(ctx, server("lived-on"), client.DryRunAll)
		},
		"mcp-registrar-creation": func(ctx context.Context) error {
			probe := registration("probe")
			err := w.clients[alice].Create(ctx, probe, client.DryRunAll)
			if err == nil && probe.Annotations[v1alpha1.AnnotationRequestedBy] == alice {
				return fmt.Errorf("mcp-registrar-creation is there")
			}
			return err
		},
	}
	for name, probe := range probes {
		var last error
		err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			last = probe(ctx)
			return last != nil && strings.Contains(last.Error(), name), nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the policy %s: %w: %w", name, err, last)
		}
	}
	return nil
}

// refused fails unless err is a refusal by a policy that mentions the words.
func refused(t *testing.T, err error, policy string, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("this was admitted, want a refusal by %s with %q", policy, words)
		return
	}
	if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
		t.Errorf("refused in another way: %v", err)
	}
	for _, word := range append(words, policy) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the refusal does not mention %q: %v", word, err)
		}
	}
}

// attempt is one thing that one person tries.
type attempt struct {
	name string
	who  string
	do   func(t *testing.T, c client.Client) error
	// policy refuses it with these words; empty: it is admitted.
	policy string
	words  []string
}

func try(t *testing.T, attempts []attempt) {
	t.Helper()
	w := use(t)
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			err := a.do(t, w.clients[a.who])
			if a.policy == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refused(t, err, a.policy, a.words...)
		})
	}
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
