// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// watch is the life of the warden: it starts the cell, waits until the input ends
// or the cell does, and cleans up. The input ends when whoever holds its other end
// closes it or dies; in the latter case without the last word.
func watch(input io.Reader) error {
	decoder := json.NewDecoder(input)
	var spec Spec
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("reading what the cell is like: %w", err)
	}
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGPIPE)
	word := make(chan string, 1)
	told := make(chan struct{})
	go func() {
		defer close(told)
		// An error is an end without a word.
		said, _ := io.ReadAll(io.MultiReader(decoder.Buffered(), input))
		word <- string(said)
	}()
	err := confine(spec, told)
	return errors.Join(err, removeCgroups(spec.Cgroup), removeDir(spec.Dir), removeOrphan(spec.Orphan, word))
}

// removeOrphan removes a directory if its owner died, which is silence. An owner
// that has said nothing yet, because the cell ended before, is alive.
func removeOrphan(dir string, word <-chan string) error {
	select {
	case said := <-word:
		if !strings.HasSuffix(said, lastWord) {
			return removeDir(dir)
		}
	default:
	}
	return nil
}

// confine starts the cell's first process and waits for its end, or ends it when
// told to. The process dies with the thread that started it.
func confine(spec Spec, told <-chan struct{}) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	encoded, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	first := again(context.Background(), insideName)
	first.Stdin, first.Stdout, first.Stderr = bytes.NewReader(encoded), os.Stderr, os.Stderr
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := first.Start(); err != nil {
		return fmt.Errorf("starting the first process: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case err := <-ended:
		return fmt.Errorf("the cell ended on its own: %w", err)
	case <-told:
	}
	if err := first.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing the first process: %w", err)
	}
	var killed *exec.ExitError
	if err := <-ended; err != nil && !errors.As(err, &killed) {
		return err
	}
	return nil
}

func removeDir(dir string) error {
	if dir == "" {
		return nil
	}
	return patiently(func() error { return os.RemoveAll(dir) })
}

// patiently repeats for some seconds what fails while the kernel still tidies up.
func patiently(do func() error) error {
	const tries, pause = 100, 100 * time.Millisecond
	var err error
	for range tries {
		if err = do(); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return err
}
