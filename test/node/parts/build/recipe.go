// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// staticPackages are the main packages that need no C.
var staticPackages = []string{
	"github.com/containerd/containerd/v2/cmd/containerd",
	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	"github.com/containerd/containerd/v2/cmd/ctr",
	"github.com/containernetworking/plugins/plugins/main/loopback",
	modulePath + "/pause",
}

const runcPackage = "github.com/opencontainers/runc"

// buildStatic builds all in one call: Go then looks at what they share only once.
func (m maker) buildStatic(ctx context.Context) error {
	return m.goBuild(ctx, "CGO_ENABLED=0", append([]string{"-ldflags=-s -w"}, staticPackages...)...)
}

// buildRunc links runc statically, too, so that what was built runs where
// libseccomp is not installed.
func (m maker) buildRunc(ctx context.Context) error {
	return m.goBuild(ctx, "CGO_ENABLED=1", "-tags=seccomp netgo osusergo",
		"-ldflags=-s -w -linkmode external -extldflags -static", runcPackage)
}

func (m maker) goBuild(ctx context.Context, cgo string, args ...string) error {
	all := append([]string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", m.bin + "/"}, args...)
	cmd := exec.CommandContext(ctx, "go", all...)
	cmd.Dir = m.module
	cmd.Env = append(os.Environ(), cgo, "GOWORK=off", "PWD="+m.module)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return nil
}
