// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Namespace is the operator's own.
const Namespace = "mcp-registrar-system"

// The controllers, by the names that they have.
const (
	Registrations        = "mcpclientregistration"
	Grants               = "scopegrant"
	Servers              = "mcpserver"
	AuthorizationServers = "authorizationserver"
	Strays               = "stray"
)

// Options say what a sandbox is like.
type Options struct {
	// Connector leads to the authorization servers.
	Connector authserver.Connector
	// Start is the first moment of the operator's clock.
	Start time.Time
	// APIServerAhead is how far the clock of the API server is ahead of the
	// operator's.
	APIServerAhead time.Duration
	// Audit takes the audit record; nil discards it.
	Audit audit.Recorder
}

// Sandbox is an API server in memory with the reconcilers at work. One goroutine
// uses it.
type Sandbox struct {
	// Client is what users have: it reads and writes the objects themselves.
	client.Client
	// Clock is the operator's.
	Clock *testclock.FakePassiveClock
	// Ahead is how far the clock of the API server is ahead of it.
	Ahead time.Duration

	scheme      *runtime.Scheme
	controllers map[string]reconcile.Reconciler
	indexes     map[string]client.IndexerFunc
	due         map[task]*timer
	serial      int
	passes      map[string]int
}

// New makes a sandbox with the operator's namespace and nothing else in it.
func New(ctx context.Context, o Options) (*Sandbox, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	if o.Audit == nil {
		o.Audit = audit.Discard
	}
	s := &Sandbox{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(kinds()...).Build(),
		Clock:  testclock.NewFakePassiveClock(o.Start), Ahead: o.APIServerAhead,
		scheme: scheme, controllers: map[string]reconcile.Reconciler{}, indexes: map[string]client.IndexerFunc{},
		due: map[task]*timer{}, passes: map[string]int{},
	}
	err := controllers.Setup(ctx, stage{sandbox: s}, controllers.Options{
		Clock: s.Clock, Connector: o.Connector, Metrics: controllers.NewMetrics(prometheus.NewRegistry()),
		Audit: o.Audit, Namespace: Namespace, Cluster: "cluster-uid", Workers: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("setting the reconcilers up: %w", err)
	}
	return s, s.Put(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}})
}

func kinds() []client.Object {
	return []client.Object{&v1alpha1.AuthorizationServer{}, &v1alpha1.MCPServer{}, &v1alpha1.MCPClientRegistration{}, &v1alpha1.ScopeGrant{}}
}

// Put creates objects as an API server does, with its time, and wakes whom they
// concern.
func (s *Sandbox) Put(ctx context.Context, objects ...client.Object) error {
	for _, object := range objects {
		object.SetUID(types.UID(rand.Text()))
		object.SetGeneration(1)
		object.SetCreationTimestamp(metav1.NewTime(s.Clock.Now().Add(s.Ahead).Truncate(time.Second)))
		unseen(object)
		if err := s.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
		}
	}
	return s.WakeAll(ctx)
}

// unseen is the status that the schema gives to a new object.
func unseen(object client.Object) {
	switch o := object.(type) {
	case *v1alpha1.AuthorizationServer:
		o.Status.ObservedGeneration = -1
	case *v1alpha1.MCPServer:
		o.Status.ObservedGeneration = -1
	case *v1alpha1.MCPClientRegistration:
		o.Status.ObservedGeneration = -1
	case *v1alpha1.ScopeGrant:
		o.Status.ObservedGeneration = -1
	}
}

// Annotate sets an annotation of an object and wakes whom it concerns.
func (s *Sandbox) Annotate(ctx context.Context, object client.Object, key, value string) error {
	if err := s.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return err
	}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	object.SetAnnotations(annotations)
	if err := s.Client.Update(ctx, object); err != nil {
		return err
	}
	return s.WakeAll(ctx)
}

// Remove deletes an object and wakes whom it concerns.
func (s *Sandbox) Remove(ctx context.Context, object client.Object) error {
	if err := s.Client.Delete(ctx, object); err != nil {
		return err
	}
	return s.WakeAll(ctx)
}

// Passes says how many passes a controller has made.
func (s *Sandbox) Passes(controller string) int { return s.passes[controller] }
