// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// startTimeout bounds the start of each process and stopTimeout its end. They are
// generous because several control planes may start at once on a small machine.
const (
	startTimeout = 3 * time.Minute
	stopTimeout  = time.Minute
)

// Options says what to start. The zero value is etcd and kube-apiserver, empty.
type Options struct {
	// CRDs installs the CRDs of config/crd/bases. Install CRDs here rather than
	// after the start where garbage collection matters: kube-controller-manager
	// looks for new kinds only every 30 seconds.
	CRDs bool
	// CRDPaths are further files or directories of CRDs to install.
	CRDPaths []string
	// Manifests are files or directories applied, in order, after the CRDs.
	Manifests []string
	// ControllerManager also starts kube-controller-manager: garbage collector,
	// namespace deletion, service accounts and their tokens, root CA publisher,
	// ClusterRole aggregation and type checking of admission policies.
	ControllerManager bool
	// APIServerArgs are flags for kube-apiserver, names without dashes, that
	// replace the defaults.
	APIServerArgs map[string][]string
	// LogDir receives etcd.log, kube-apiserver.log and kube-controller-manager.log.
	// If empty, they go to a directory that Stop removes.
	LogDir string
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	// Config is for the cluster admin (group system:masters).
	Config *rest.Config

	plane   *envtest.Environment
	manager *process
	keeper  *keeper
	assets  assets
	logs    logs
	dir     string
}

// Start starts a control plane and returns when it answers, its CRDs are served,
// its manifests are applied and, if asked for, its controllers work. The context
// bounds the start only. After an error nothing is left running.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	dir, err := os.MkdirTemp("", "mcp-registrar-env-")
	if err != nil {
		return nil, fmt.Errorf("creating the control plane's directory: %w", err)
	}
	c := &ControlPlane{dir: dir, keeper: newKeeper()}
	if err := c.start(ctx, opts); err != nil {
		return nil, fmt.Errorf("starting the control plane: %w", errors.Join(err, c.Stop()))
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context, opts Options) error {
	var err error
	if c.assets, err = findAssets(ctx, c.dir, opts.ControllerManager); err != nil {
		return err
	}
	if c.logs, err = openLogs(opts.LogDir, c.dir); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx, opts); err != nil {
		return err
	}
	if err := c.Apply(ctx, opts.Manifests...); err != nil {
		return err
	}
	if opts.ControllerManager {
		return c.startControllerManager(ctx)
	}
	return nil
}

func (c *ControlPlane) startAPIServer(ctx context.Context, opts Options) error {
	crds, err := crdPaths(opts)
	if err != nil {
		return err
	}
	c.plane = &envtest.Environment{
		UseExistingCluster:       new(false),
		CRDDirectoryPaths:        crds,
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  stopTimeout,
	}
	if err := c.configure(opts); err != nil {
		return err
	}
	c.keeper.do(func() { c.Config, err = c.plane.Start() })
	if err != nil && c.Config == nil {
		return c.logs.explain(err, etcdName, apiServerName)
	}
	return errors.Join(err, ctx.Err())
}

// configure tells envtest which binaries, directories and flags to use.
func (c *ControlPlane) configure(opts Options) error {
	certs, data := filepath.Join(c.dir, "certs"), filepath.Join(c.dir, "data")
	for _, dir := range []string{certs, data} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	c.plane.ControlPlane.KubectlPath = c.assets.kubectl
	c.plane.ControlPlane.Etcd = &envtest.Etcd{
		Path: c.assets.etcd, DataDir: data,
		Out: c.logs[etcdName], Err: c.logs[etcdName],
	}
	server := c.plane.ControlPlane.GetAPIServer()
	server.Path, server.CertDir = c.assets.apiServer, certs
	server.Out, server.Err = c.logs[apiServerName], c.logs[apiServerName]
	args := server.Configure()
	if opts.ControllerManager {
		// envtest turns the ServiceAccount plugin off for want of the controller
		// that makes the accounts.
		args.Disable("disable-admission-plugins")
	}
	for name, values := range opts.APIServerArgs {
		args.Set(name, values...)
	}
	return nil
}

func crdPaths(opts Options) ([]string, error) {
	if !opts.CRDs {
		return opts.CRDPaths, nil
	}
	root, err := ModuleRoot()
	if err != nil {
		return nil, err
	}
	return append([]string{filepath.Join(root, "config", "crd", "bases")}, opts.CRDPaths...), nil
}

// Stop ends all processes and removes what they stored. It may be called again.
func (c *ControlPlane) Stop() error {
	var errs []error
	if c.manager != nil {
		errs = append(errs, c.manager.stop(stopTimeout))
	}
	if c.plane != nil {
		errs = append(errs, c.plane.Stop())
	}
	c.keeper.end()
	return errors.Join(append(errs, c.logs.close(), os.RemoveAll(c.dir))...)
}
