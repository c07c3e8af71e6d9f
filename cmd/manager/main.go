// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/agreedtime"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/connect"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/internal/command"
	"github.com/mcp-registrar/mcp-registrar/internal/kubewrites"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "audit" {
		os.Exit(auditCommand(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	s, err := parse(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if s.version {
		fmt.Fprintln(os.Stdout, command.Version("manager"))
		return
	}
	ctrl.SetLogger(zap.New(s.logOptions()...))
	command.LimitMemory(ctrl.Log)
	// Nobody reading the audit record must not end the process: the write fails
	// and is counted.
	signal.Ignore(syscall.SIGPIPE)
	if err := run(ctrl.SetupSignalHandler(), s); err != nil {
		ctrl.Log.Error(err, "Stopped")
		os.Exit(1)
	}
}

// run builds the manager and runs it until the context ends.
func run(ctx context.Context, s settings) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("reading kubeconfig: %w", err)
	}
	config.QPS, config.Burst = float32(s.kubeQPS), s.kubeBurst
	config.Wrap(kubewrites.New(metrics.Registry).Wrap)
	now := agreedtime.New(agreedtime.Registrar, agreedtime.Machine(), metrics.Registry, ctrl.Log.WithName("clock"))
	config.Wrap(now.Wrap)
	wanted := s.watchNamespaces
	if s.watchNamespaces, err = accessible(ctx, config, wanted); err != nil {
		return err
	}
	mgr, err := newManager(config, s)
	if err != nil {
		return fmt.Errorf("creating manager: %w", err)
	}
	cluster, err := clusterUID(ctx, mgr.GetAPIReader())
	if err != nil {
		return err
	}
	if err := awaitMissing(mgr, config, wanted, s.watchNamespaces); err != nil {
		return err
	}
	record, err := openRecord(ctx, mgr, s, cluster, now)
	if err != nil {
		return err
	}
	if err := setup(ctx, mgr, s, cluster, now, record); err != nil {
		return errors.Join(err, record.close(ctx))
	}
	return errors.Join(mgr.Start(ctx), record.close(ctx))
}

func newManager(config *rest.Config, s settings) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	serving := metricsserver.Options{BindAddress: s.metricsAddress, SecureServing: s.metricsSecure}
	if s.metricsSecure {
		serving.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	stop := 30 * time.Second
	return ctrl.NewManager(config, manager.Options{
		Scheme:                        scheme,
		Metrics:                       serving,
		HealthProbeBindAddress:        s.probeAddress,
		LeaderElection:                s.leaderElect,
		LeaderElectionID:              "mcp-registrar.dev",
		LeaderElectionNamespace:       s.operatorNamespace,
		LeaderElectionReleaseOnCancel: true,
		// A crash is noticed within 20 s, an orderly end within 2 s.
		LeaseDuration:           new(12 * time.Second),
		RenewDeadline:           new(8 * time.Second),
		RetryPeriod:             new(500 * time.Millisecond),
		GracefulShutdownTimeout: &stop,
		Cache: cache.Options{
			DefaultTransform:  cache.TransformStripManagedFields(),
			DefaultNamespaces: watched(s.watchNamespaces),
			// Only the operator's own Secrets are watched.
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Secret{}: {Namespaces: map[string]cache.Config{s.operatorNamespace: {}}},
				// Of all Leases only those that guards keep.
				&coordinationv1.Lease{}: {Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelGuard: "true"})},
			},
		},
	})
}

// watched turns names into the cache's form; nil means all namespaces.
func watched(namespaces []string) map[string]cache.Config {
	if len(namespaces) == 0 {
		return nil
	}
	configs := map[string]cache.Config{}
	for _, name := range namespaces {
		configs[name] = cache.Config{}
	}
	return configs
}

// setup gives the reconcilers what they need.
func setup(ctx context.Context, mgr manager.Manager, s settings, cluster string, now *agreedtime.Clock, record *record) error {
	measured, err := instrumented.NewMetrics(metrics.Registry, now.Now)
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	documents := newDocuments(s.documentsAddress, now)
	counted := controllers.NewMetrics(metrics.Registry)
	history := &controllers.History{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: now, Namespace: s.operatorNamespace, Elected: mgr.Elected(), Metrics: counted,
	}
	if err := errors.Join(history.Holds(ctx), mgr.Add(history)); err != nil {
		return fmt.Errorf("adding the look at the history of the API server: %w", err)
	}
	if err := record.publish(mgr, counted); err != nil {
		return fmt.Errorf("adding the publication of the audit record's end: %w", err)
	}
	err = controllers.Setup(ctx, mgr, controllers.Options{
		Clock: now, Ahead: now.Ahead,
		Connector: connect.New(connect.Options{
			Metrics: measured, Now: now.Now, AllowPrivate: s.allowPrivate, Documents: documents.host,
		}),
		Metrics: counted, History: history,
		Audit: record.recorder, Cluster: cluster, Namespace: s.operatorNamespace,
		WatchNamespaces: s.watchNamespaces, Workers: s.concurrent,
		Prober: s.prober(), ProbeInterval: s.probeInterval,
	})
	if err != nil {
		return fmt.Errorf("starting controllers: %w", err)
	}
	if err := documents.setup(ctx, mgr, now, s.operatorNamespace); err != nil {
		return err
	}
	metrics.Registry.MustRegister(controllers.NewCollector(ctx, mgr.GetCache(), now))
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding health check: %w", err)
	}
	return mgr.AddReadyzCheck("caches", func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), 100*time.Millisecond)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	})
}

// clusterUID names the cluster in ownership marks: the UID of kube-system.
func clusterUID(ctx context.Context, reader client.Reader) (string, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := reader.Get(ctx, types.NamespacedName{Name: metav1.NamespaceSystem}, namespace); err != nil {
		return "", fmt.Errorf("reading the namespace %s, whose UID names the cluster: %w", metav1.NamespaceSystem, err)
	}
	return string(namespace.UID), nil
}
