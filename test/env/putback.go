// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"k8s.io/apimachinery/pkg/util/wait"
)

// CopyStore copies what etcd has stored into a folder that is not there yet. etcd
// and kube-apiserver are away meanwhile. Linux only.
func (c *ControlPlane) CopyStore(ctx context.Context, into string) error {
	return c.whileAway(ctx, func() error { return os.CopyFS(into, os.DirFS(c.store())) })
}

// PutBack has etcd begin again from a copy, as somebody would who restores it
// without raising its revision: versions go back. Linux only.
func (c *ControlPlane) PutBack(ctx context.Context, copied string) error {
	return c.whileAway(ctx, func() error {
		if err := os.RemoveAll(c.store()); err != nil {
			return err
		}
		return os.CopyFS(c.store(), os.DirFS(copied))
	})
}

func (c *ControlPlane) store() string { return filepath.Join(c.dir, "data") }

// whileAway does something while neither etcd nor kube-apiserver runs.
func (c *ControlPlane) whileAway(ctx context.Context, do func() error) error {
	if err := c.KillAPIServer(ctx); err != nil {
		return err
	}
	if err := c.kill(ctx, etcdName, "--data-dir="+c.store()); err != nil {
		return err
	}
	if err := do(); err != nil {
		return fmt.Errorf("copying the store: %w", err)
	}
	var err error
	c.keeper.do(func() { err = c.plane.ControlPlane.Etcd.Start() })
	if err != nil {
		return c.logs.explain(fmt.Errorf("starting %s again: %w", etcdName, err), etcdName)
	}
	return c.StartAPIServer(ctx)
}

// kill ends the process that was started with a flag that no other one has, as a
// crash of its node would. It returns when the process is gone.
func (c *ControlPlane) kill(ctx context.Context, name, flag string) error {
	pid, err := running(flag)
	if err != nil {
		return fmt.Errorf("killing %s: %w", name, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s: %w", name, err)
	}
	return wait.PollUntilContextTimeout(ctx, pollEvery, stopTimeout, true, func(context.Context) (bool, error) {
		_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
		return errors.Is(err, os.ErrNotExist), nil
	})
}
