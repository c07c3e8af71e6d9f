// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	operatorNamespace = "mcp-registrar-system"
	operatorAccount   = "mcp-registrar-manager"
	// tokenSecret and tokenKey are what the sample AuthorizationServer names.
	tokenSecret = "company-initial-access-token"
	tokenKey    = "token"
)

// world is everything that runs.
type world struct {
	out io.Writer
	// root is the repository, dir holds all files of this run.
	root, dir  string
	kubeconfig string

	plane   *env.ControlPlane
	as      *devas.Server
	token   string
	manager *process
	scheme  *runtime.Scheme
	client  client.Client

	// mcp is the sample MCP server, guardURL where the guard in front of it
	// speaks MCP.
	mcp      *mcpserver.Server
	guard    *process
	guardURL string
	// wide is a session of the clerk with all of its scopes.
	wide *caller
}

func newWorld(out io.Writer) (*world, error) {
	root, err := env.ModuleRoot()
	if err != nil {
		return nil, fmt.Errorf("%w\nRun the demo in the repository: make demo", err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mcp-registrar-demo-")
	if err != nil {
		return nil, fmt.Errorf("creating a directory for this run: %w\nFree some space, or point TMPDIR somewhere else", err)
	}
	return &world{
		out: out, root: root, dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"),
		token: rand.Text(), scheme: scheme,
	}, nil
}

// step is one part of the start, with what to do when it fails.
type step struct {
	name   string
	do     func(context.Context) error
	remedy string
}

func (w *world) steps() []step {
	return []step{
		{"control plane", w.startControlPlane,
			"It is built from Go modules by \"make controlplane\", which needs Go and a module proxy. \"make clean\" removes what is half built."},
		{"authorization server", w.startAuthorizationServer,
			"It listens on 127.0.0.1: allow that."},
		{"CRDs, RBAC, admission policy", w.install,
			"These are the files in config/. If you changed the API, run \"make generate\" first."},
		{"operator", w.startManager,
			"It is built by \"go build ./cmd/manager\": correct what the compiler says."},
		{"MCP server and guard", w.startGuard,
			"They listen on 127.0.0.1; the guard is built by \"go build ./cmd/guard\"."},
		{"samples", w.applySamples,
			"These are the files in config/samples: correct what the API server says."},
	}
}

func (w *world) start(ctx context.Context) error {
	fmt.Fprintln(w.out, "MCP Registrar on this machine. Ctrl-C ends it and leaves nothing behind.")
	for _, s := range w.steps() {
		begun := time.Now()
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w\n%s", s.name, err, s.remedy)
		}
		fmt.Fprintf(w.out, "  %-30s %5.1f s\n", s.name, time.Since(begun).Seconds())
	}
	return nil
}

func (w *world) startControlPlane(ctx context.Context) error {
	var err error
	if w.plane, err = env.Start(ctx, env.Options{CRDs: true, ControllerManager: true}); err != nil {
		return err
	}
	if err = w.plane.Kubeconfig(w.kubeconfig, w.plane.Config); err != nil {
		return err
	}
	w.client, err = client.New(w.plane.Config, client.Options{Scheme: w.scheme})
	return err
}

func (w *world) startAuthorizationServer(ctx context.Context) error {
	as, err := devas.New(devas.Options{InitialAccessToken: w.token})
	if err != nil {
		return err
	}
	w.as = as
	return as.Start(context.WithoutCancel(ctx))
}

// install applies config/ as it stands, but for the Deployment: there is no node
// that could run it.
func (w *world) install(ctx context.Context) error {
	if err := w.plane.Apply(ctx, filepath.Join(w.root, "config", "manager", "namespace.yaml")); err != nil {
		return err
	}
	for _, folder := range []string{"rbac", "admission"} {
		_, err := w.plane.RunKubectl(ctx, "apply", "--server-side", "-k", filepath.Join(w.root, "config", folder))
		if err != nil {
			return err
		}
	}
	return w.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: tokenSecret},
		StringData: map[string]string{tokenKey: w.token},
	})
}

// close stops everything, in the order in which one needs the other, and
// removes the files.
func (w *world) close() error {
	var errs []error
	for _, p := range []*process{w.guard, w.manager} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	if w.mcp != nil {
		errs = append(errs, w.mcp.Close())
	}
	if w.as != nil {
		errs = append(errs, w.as.Close())
	}
	if w.plane != nil {
		errs = append(errs, w.plane.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}
