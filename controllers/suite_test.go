// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/connect"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	operatorNamespace = "mcp-registrar-system"
	eventually        = 30 * time.Second
	often             = 50 * time.Millisecond
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// world is one cluster, one authorization server and one running manager.
type world struct {
	client.Client
	cluster *env.ControlPlane
	as      *devas.Server
}

func newScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// startWorld starts everything, with an AuthorizationServer named "as".
func startWorld(t *testing.T, options devas.Options) *world {
	t.Helper()
	cluster := env.StartForTest(t, env.Options{CRDs: true, ControllerManager: true})
	as, err := devas.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	if err := as.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	scheme := newScheme(t)
	direct, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Client: direct, cluster: cluster, as: as}
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})
	w.create(t, &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: "as"},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: as.Issuer(), DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		},
	})
	startManager(t, ctx, cluster, scheme)
	return w
}

func startManager(t *testing.T, ctx context.Context, cluster *env.ControlPlane, scheme *runtime.Scheme) {
	t.Helper()
	mgr, err := ctrl.NewManager(cluster.Config, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{operatorNamespace: {}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := clock.RealClock{}
	registry := prometheus.NewRegistry()
	measured, err := instrumented.NewMetrics(registry, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	connector := connect.New(connect.Options{Metrics: measured, Now: now.Now})
	if err := setupReconcilers(ctx, mgr, connector, registry, now); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	managerCtx, stop := context.WithCancel(ctx)
	go func() { stopped <- mgr.Start(managerCtx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the manager stopped with: %v", err)
		}
	})
}

func setupReconcilers(ctx context.Context, mgr manager.Manager, connector authserver.Connector, registry prometheus.Registerer, now clock.PassiveClock) error {
	if err := controllers.SetupIndexes(ctx, mgr); err != nil {
		return err
	}
	servers := &controllers.Servers{Connector: connector, Client: mgr.GetClient(), Namespace: operatorNamespace}
	metrics, recorder := controllers.NewMetrics(registry), mgr.GetEventRecorder("test")
	for _, r := range []interface {
		SetupWithManager(manager.Manager, int) error
	}{
		&controllers.RegistrationReconciler{
			Client: mgr.GetClient(), Clock: now, Servers: servers, Cluster: "cluster-uid",
			Records:     &controllers.Records{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: operatorNamespace},
			Credentials: &controllers.Credentials{Client: mgr.GetClient(), Live: mgr.GetAPIReader()},
			Drift:       controllers.NewDriftSchedule(now.Now()), Recorder: recorder, Metrics: metrics,
		},
		&controllers.ScopeGrantReconciler{Client: mgr.GetClient(), Clock: now, Recorder: recorder},
		&controllers.MCPServerReconciler{Client: mgr.GetClient(), Clock: now, Recorder: recorder},
		&controllers.AuthorizationServerReconciler{
			Client: mgr.GetClient(), Clock: now, Servers: servers, Recorder: recorder, Metrics: metrics, Namespace: operatorNamespace,
		},
	} {
		if err := r.SetupWithManager(mgr, 8); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := w.Create(t.Context(), object); err != nil {
			t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
		}
	}
}
