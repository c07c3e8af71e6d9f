// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// need is something of the system that a build takes, and Debian's packages that
// bring it.
type need struct {
	there    func(context.Context) bool
	packages []string
}

var needs = []need{
	{there: runs("gcc", "--version"), packages: []string{"gcc", "libc6-dev"}},
	{there: runs("pkg-config", "--exists", "libseccomp"), packages: []string{"pkg-config", "libseccomp-dev"}},
	{there: exists("/etc/ssl/certs/ca-certificates.crt"), packages: []string{"ca-certificates"}},
}

func runs(name string, args ...string) func(context.Context) bool {
	return func(ctx context.Context) bool { return exec.CommandContext(ctx, name, args...).Run() == nil }
}

func exists(path string) func(context.Context) bool {
	return func(context.Context) bool {
		_, err := os.Stat(path)
		return err == nil
	}
}

func (m maker) ensurePackages(ctx context.Context) error {
	var missing []string
	for _, n := range needs {
		if !n.there(ctx) {
			missing = append(missing, n.packages...)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("missing: install what Debian calls %s", strings.Join(missing, ", "))
	}
	install := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)
	for _, args := range [][]string{{"update", "-qq"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, output)
		}
	}
	return nil
}
