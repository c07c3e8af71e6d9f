// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

func main() {
	// The tie belongs to a thread: the one that asks for it must be the one that
	// becomes the other program.
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tether: error:", err)
		os.Exit(1)
	}
}

func run() error {
	target, err := os.Readlink(os.Args[0] + ".target")
	if err != nil {
		return fmt.Errorf("finding the program to run: %w", err)
	}
	parent := os.Getppid()
	if err := dieWithParent(); err != nil {
		return fmt.Errorf("tying to the parent: %w", err)
	}
	if os.Getppid() != parent {
		return fmt.Errorf("parent %d has ended", parent)
	}
	return syscall.Exec(target, append([]string{target}, os.Args[1:]...), os.Environ())
}
