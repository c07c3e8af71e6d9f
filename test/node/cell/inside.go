// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cell

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// readyTimeout bounds how long a program may take until the next can be started.
const readyTimeout = time.Minute

// live is the life of the cell's first process: it arranges the mounts, starts the
// programs and waits for whatever ends in the cell. It returns when one of the
// programs has ended, and with it all others end.
func live(input io.Reader) error {
	var spec Spec
	if err := json.NewDecoder(input).Decode(&spec); err != nil {
		return fmt.Errorf("reading what the cell is like: %w", err)
	}
	if err := arrange(spec); err != nil {
		return err
	}
	running := map[int]string{}
	for _, program := range spec.Programs {
		pid, err := start(program)
		if err != nil {
			return fmt.Errorf("starting %s: %w", program.Path, err)
		}
		running[pid] = program.Path
	}
	return reap(running)
}

// arrange makes the mounts private to the cell, and shared within it, as the
// programs of a node expect them. /proc shows the cell's processes.
func arrange(spec Spec) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	stage, err := os.MkdirTemp(spec.Dir, "stage-")
	if err != nil {
		return err
	}
	if err := enclose(spec.Cgroup, stage); err != nil {
		return fmt.Errorf("enclosing the control groups: %w", err)
	}
	for _, m := range spec.Mounts {
		if _, err := os.Stat(m.From); errors.Is(err, os.ErrNotExist) {
			if err := os.MkdirAll(m.From, 0o755); err != nil {
				return err
			}
		}
		if err := syscall.Mount(m.From, m.To, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.From, m.To, err)
		}
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing the mounts within the cell: %w", err)
	}
	return nil
}

// start starts a program and waits until the next can be started.
func start(p Program) (int, error) {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // it ends with the cell
	cmd.Dir = filepath.Dir(p.Log)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(readyTimeout); p.Ready != ""; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(p.Ready); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s is not there after %s", p.Ready, readyTimeout)
		}
	}
	return cmd.Process.Pid, nil
}

// reap waits for every process of the cell that has lost its parent, as the first
// process must, until one of the programs ends.
func reap(running map[int]string) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for the programs: %w", err)
		}
		if path, ok := running[pid]; ok {
			return fmt.Errorf("%s has ended: exit code %d, signal %d", path, status.ExitStatus(), status.Signal())
		}
	}
}
