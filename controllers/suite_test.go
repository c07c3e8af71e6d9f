// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/connect"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	operatorNamespace = "mcp-registrar-system"
	// eventually bounds every wait: more than the longest time between two tries
	// of the operator, on a machine that is busy.
	eventually = 3 * time.Minute
	often      = 50 * time.Millisecond
)

// shared is the cluster with the running manager that the tests have in
// common; each test has its own namespace and authorization server.
var shared struct {
	client.Client
	cluster *env.ControlPlane
	audit   recordedEvents
	writes  writeLog
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(runShared(m))
}

func runShared(m *testing.M) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cluster, err := env.Start(ctx, env.Options{CRDs: true, ControllerManager: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stopped := make(chan error, 1)
	mgr, err := newManager(ctx, cluster)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { stopped <- mgr.Start(ctx) }()
	shared.cluster = cluster
	code := m.Run()
	cancel()
	for _, err := range []error{<-stopped, cluster.Stop()} {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// world is a namespace and an authorization server for one test.
type world struct {
	client.Client
	cluster *env.ControlPlane
	as      *devas.Server
	// name is that of the AuthorizationServer; namespace is the test's own.
	name, namespace string
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// newWorld makes a namespace, starts an authorization server and makes the
// object that names it.
func newWorld(t *testing.T, options devas.Options, adapt ...func(*v1alpha1.AuthorizationServer)) *world {
	t.Helper()
	return newWorldIn(t, shared.Client, shared.cluster, options, adapt...)
}

// newWorldIn is newWorld in some cluster.
func newWorldIn(t *testing.T, c client.Client, cluster *env.ControlPlane, options devas.Options, adapt ...func(*v1alpha1.AuthorizationServer)) *world {
	t.Helper()
	as, err := devas.New(options)
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
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
	w := &world{Client: c, cluster: cluster, as: as}
	w.create(t, namespace)
	w.namespace, w.name = namespace.Name, "as-"+namespace.Name
	object := &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: as.Issuer(), DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		},
	}
	if options.Hydra {
		object.Spec.DynamicRegistration, object.Spec.Hydra = nil, &v1alpha1.HydraManagement{AdminURL: as.HydraURL()}
	}
	for _, change := range adapt {
		change(object)
	}
	w.create(t, object, w.server("files"))
	return w
}

func newManager(ctx context.Context, cluster *env.ControlPlane) (manager.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	shared.Client, err = client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	if err := shared.Create(ctx, namespace); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(cluster.Config)
	config.Wrap(shared.writes.wrap)
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{operatorNamespace: {}}},
		}},
	})
	if err != nil {
		return nil, err
	}
	now := clock.RealClock{}
	registry := prometheus.NewRegistry()
	measured, err := instrumented.NewMetrics(registry, now.Now)
	if err != nil {
		return nil, err
	}
	connector := connect.New(connect.Options{Metrics: measured, Now: now.Now})
	return mgr, setupReconcilers(ctx, mgr, connector, registry, now)
}

func setupReconcilers(ctx context.Context, mgr manager.Manager, connector authserver.Connector, registry prometheus.Registerer, now clock.PassiveClock) error {
	return controllers.Setup(ctx, mgr, controllers.Options{
		Clock: now, Connector: connector, Metrics: controllers.NewMetrics(registry), Audit: &shared.audit,
		Namespace: operatorNamespace, Cluster: "cluster-uid", Workers: 16,
	})
}

// recordedEvents keeps the audit record of a test.
type recordedEvents struct {
	mu     sync.Mutex
	events []audit.Event
}

// Record implements audit.Recorder.
func (r *recordedEvents) Record(event audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// of returns the types of the events about a namespace, in order.
func (r *recordedEvents) of(namespace string) []audit.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []audit.Event
	for _, event := range r.events {
		if event.Data.Namespace == namespace {
			found = append(found, event)
		}
	}
	return found
}

func (w *world) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := w.Create(t.Context(), object); err != nil {
			t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
		}
	}
}
