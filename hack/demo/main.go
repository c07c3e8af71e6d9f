// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// readyTimeout bounds the wait for the samples.
const readyTimeout = 2 * time.Minute

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctrl.SetLogger(logr.Discard())
	exitAfterReady := flag.Bool("exit-after-ready", false, "End once all samples are Ready and the calls through the guard went as they should, with exit code 0; with 1 if they did not.")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	// A second signal ends the program at once; what it started is tied to it.
	context.AfterFunc(ctx, cancel)
	go orphaned(cancel)
	if err := run(ctx, os.Stdout, *exitAfterReady); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// orphaned calls stop when whoever started the program has ended: a signal that
// ends "go run" or make does not reach what they run.
func orphaned(stop func()) {
	parent := os.Getppid()
	for range time.Tick(500 * time.Millisecond) {
		if os.Getppid() != parent {
			stop()
			return
		}
	}
}

// run starts everything, shows it, follows it, and takes it down.
func run(ctx context.Context, out io.Writer, exitAfterReady bool) (err error) {
	w, err := newWorld(out)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(out, "\nStopping.")
		err = errors.Join(err, w.close())
	}()
	err = w.start(ctx)
	if err == nil {
		err = w.show(ctx)
	}
	if err == nil {
		err = w.showBoundary(ctx)
	}
	if err == nil && !exitAfterReady {
		err = w.follow(ctx)
	}
	if ctx.Err() != nil {
		return nil // interrupted: that is how a demo ends
	}
	return err
}
