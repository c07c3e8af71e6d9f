// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// shared is the control plane of all schema tests. It starts with the first
// test that needs it and ends with the last.
var shared = sync.OnceValues(func() (*cluster, error) {
	plane, err := env.Start(context.Background(), env.Options{CRDs: true})
	if err != nil {
		return nil, err
	}
	started = plane
	return connect(plane)
})

var started *env.ControlPlane

// cluster is a control plane and the clients of its admin.
type cluster struct {
	*env.ControlPlane
	client.Client
	rest rest.Interface
}

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

func connect(plane *env.ControlPlane) (*cluster, error) {
	// The tests put hundreds of questions to the API server, by intent.
	config := rest.CopyConfig(plane.Config)
	config.QPS = -1
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	typed, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	raw, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{ControlPlane: plane, Client: typed, rest: raw.Discovery().RESTClient()}, nil
}

// useCluster returns the shared control plane and a new namespace in it.
func useCluster(t *testing.T) (*cluster, string) {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "schema-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return c, namespace.Name
}
