// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const modulePath = "github.com/mcp-registrar/mcp-registrar/test/node/parts"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "node: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	module, err := moduleDir()
	if err != nil {
		return err
	}
	root := filepath.Join(module, "..", "..", "..")
	bin := filepath.Join(root, "bin", "node")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("creating the binary directory: %w", err)
	}
	m := maker{module: module, root: root, bin: bin}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"system packages", m.ensurePackages},
		{"containerd and the CNI plugin", m.buildStatic},
		{"runc", m.buildRunc},
		{"the pause image", m.makePauseImage},
		{"the manager's image", m.makeManagerImage},
	}
	for _, step := range steps {
		start := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("making %s: %w", step.name, errors.Join(err, context.Cause(ctx)))
		}
		fmt.Fprintf(out, "node: %s: %.1fs\n", step.name, time.Since(start).Seconds())
	}
	return nil
}

// maker makes the parts of module into bin, for the repository at root.
type maker struct {
	module, root, bin string
}

// moduleDir finds this module from the working directory upwards.
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains(string(content), "module "+modulePath+"\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("not run inside module %s: use go run -C test/node/parts ./build", modulePath)
		}
		dir = parent
	}
}
