// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stderr, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	into := flags.String("into", "controlplane", "the folder in bin of the repository to build into")
	if err := flags.Parse(args); err != nil {
		return err
	}
	module, err := moduleDir()
	if err != nil {
		return err
	}
	wanted, err := choose(flags.Args())
	if err != nil {
		return err
	}
	bin := filepath.Join(module, "..", "..", "bin", *into)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("creating the binary directory: %w", err)
	}
	pins, err := fingerprint(module)
	if err != nil {
		return err
	}
	if len(outdated(bin, pins, wanted)) == 0 {
		return nil
	}
	unlock, err := lock(ctx, filepath.Join(bin, ".lock"), out)
	if err != nil {
		return err
	}
	defer unlock()
	return buildAll(ctx, out, builder{module: module, bin: bin, pins: pins}, wanted)
}

// buildAll builds what is still outdated now that the lock is held: the process
// that held it before may have done the work.
func buildAll(ctx context.Context, out io.Writer, b builder, wanted []binary) error {
	todo := outdated(b.bin, b.pins, wanted)
	if len(todo) == 0 {
		return nil
	}
	version, err := kubernetesVersion(ctx, b.module)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "controlplane: building %d binaries for Kubernetes %s (once; several minutes on a small machine)\n",
		len(todo), version)
	for i, target := range todo {
		label := fmt.Sprintf("controlplane: [%d/%d] %s", i+1, len(todo), target.name)
		start := time.Now()
		stop := heartbeat(out, label, start)
		err := b.build(ctx, target, version)
		stop()
		if err != nil {
			return fmt.Errorf("building %s: %w", target.name, errors.Join(err, context.Cause(ctx)))
		}
		fmt.Fprintf(out, "%s: built in %ds\n", label, int(time.Since(start).Seconds()))
	}
	return nil
}

// heartbeat prints a line every ten seconds until the returned function is called.
func heartbeat(out io.Writer, label string, start time.Time) func() {
	fmt.Fprintf(out, "%s: building\n", label)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				fmt.Fprintf(out, "%s: still building, %ds\n", label, int(now.Sub(start).Seconds()))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
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
			fmt.Fprintln(out, "controlplane: waiting for another process that is building")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for the lock: %w", ctx.Err()), file.Close())
		case <-tick.C:
		}
	}
}
