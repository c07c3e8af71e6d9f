// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// What is fetched. The digest is that of the archive.
const (
	version = "26.7.3"
	digest  = "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47"
)

// buildArgs is what the server is prepared for: a database in memory, and
// client authentication by tokens of a Kubernetes cluster.
var buildArgs = []string{"build", "--db=dev-mem", "--features=client-auth-federated,kubernetes-service-accounts"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "keycloak: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	root, err := env.ModuleRoot()
	if err != nil {
		return err
	}
	bin := filepath.Join(root, "bin", "keycloak")
	if current(bin) {
		return nil
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("creating the folder: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(bin, ".lock"), out)
	if err != nil {
		return err
	}
	defer unlock()
	if current(bin) {
		return nil
	}
	return put(ctx, out, bin)
}

// put fetches, unpacks and prepares the server. The stamp comes last.
func put(ctx context.Context, out io.Writer, bin string) error {
	start := time.Now()
	fmt.Fprintf(out, "keycloak: fetching and preparing %s (once; about a minute)\n", version)
	archive, err := fetch(ctx, bin)
	if err != nil {
		return fmt.Errorf("fetching the archive: %w", err)
	}
	server := filepath.Join(bin, "server")
	if err := os.RemoveAll(server); err != nil {
		return err
	}
	if err := unpack(archive, server); err != nil {
		return fmt.Errorf("unpacking the archive: %w", err)
	}
	prepare := exec.CommandContext(ctx, filepath.Join(server, "bin", "kc.sh"), buildArgs...)
	if said, err := prepare.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("preparing the server: %w\n%s", err, said), context.Cause(ctx))
	}
	if err := os.WriteFile(stampPath(bin), []byte(stamp()), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "keycloak: ready after %ds\n", int(time.Since(start).Seconds()))
	return nil
}

func current(bin string) bool {
	content, err := os.ReadFile(stampPath(bin))
	return err == nil && string(content) == stamp()
}

func stampPath(bin string) string { return filepath.Join(bin, "server", ".stamp") }

func stamp() string {
	return version + " " + digest + " " + strings.Join(buildArgs, " ") + "\n"
}

// lock takes an exclusive lock that ends with this process at the latest.
func lock(ctx context.Context, path string, out io.Writer) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for waited := 0; ; waited++ {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), file.Close())
		}
		if waited%50 == 0 {
			fmt.Fprintln(out, "keycloak: waiting for another process that is fetching")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for the lock: %w", ctx.Err()), file.Close())
		case <-tick.C:
		}
	}
}
