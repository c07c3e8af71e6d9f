// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// builder puts binaries into bin, built from module at the state pins.
type builder struct {
	module string
	bin    string
	pins   string
}

// sources are the files that decide what is built.
var sources = []string{"go.mod", "go.sum", "build/recipe.go", "build/target.go", "tether/main.go", "tether/main_linux.go", "tether/main_other.go"}

// fingerprint identifies the pinned versions, the recipe and the compiler.
func fingerprint(module string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range sources {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", fmt.Errorf("reading what pins the build: %w", err)
		}
		fmt.Fprintf(sum, "%s %x\n", name, sha256.Sum256(content))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func outdated(bin, pins string, wanted []binary) []binary {
	var todo []binary
	for _, b := range wanted {
		stamp, err := os.ReadFile(stampPath(bin, b))
		info, statErr := os.Stat(filepath.Join(bin, b.name))
		current := err == nil && strings.TrimSpace(string(stamp)) == pins &&
			statErr == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
		if !current {
			todo = append(todo, b)
		}
	}
	return todo
}

func stampPath(bin string, b binary) string {
	return filepath.Join(bin, "."+b.name+".stamp")
}

// build compiles under another name and renames, so that nobody ever sees half a
// binary and one that is running can be replaced. The stamp comes last.
func (b builder) build(ctx context.Context, target binary, version string) error {
	temporary := filepath.Join(b.bin, fmt.Sprintf(".%s.new", target.name))
	cmd := goCommand(ctx, b.module, "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-ldflags", linkFlags(version), "-o", temporary, target.pkg)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if output, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("go build: %w\n%s", err, output), removeIfThere(temporary))
	}
	if err := os.Rename(temporary, filepath.Join(b.bin, target.name)); err != nil {
		return err
	}
	stamp := stampPath(b.bin, target)
	if err := os.WriteFile(stamp+".new", []byte(b.pins+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(stamp+".new", stamp)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	return err
}
