// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

// stopTimeout is how long a process may finish what it began.
const stopTimeout = 30 * time.Second

// spawn builds a main program of cmd/ and runs it with a kubeconfig of its own.
func (w *world) spawn(ctx context.Context, name string, config *rest.Config, args ...string) (*process, error) {
	binary := filepath.Join(w.dir, name+".bin")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/"+name) //nolint:gosec // the path is this program's own
	build.Dir = w.root
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the %s: %w\n%s", name, err, said)
	}
	kubeconfig := filepath.Join(w.dir, name+".kubeconfig")
	if err := w.plane.Kubeconfig(kubeconfig, config); err != nil {
		return nil, err
	}
	path, err := w.tethered(name, binary)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, args...) //nolint:gosec // the path is this program's own
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	return startProcess(name, cmd, filepath.Join(w.dir, name+".log"))
}

// tethered returns a path that runs the binary in such a way that it ends with
// this program, even if that is killed.
func (w *world) tethered(name, binary string) (string, error) {
	path := filepath.Join(w.dir, name)
	return path, errors.Join(
		os.Symlink(filepath.Join(w.root, "bin", "controlplane", "tether"), path),
		os.Symlink(binary, path+".target"),
	)
}

// process is a program that was started and will be stopped.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{}
}

// startProcess starts a program in a process group of its own, so that a Ctrl-C
// reaches this program only. A tether ties to the thread that starts it, which
// is therefore kept until the end.
func startProcess(name string, cmd *exec.Cmd, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) //nolint:gosec // the path is this program's own
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{name: name, cmd: cmd, log: log, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return p, nil
}

// check says whether the process has ended, which it should not.
func (p *process) check() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the %s has ended (%s); the end of its log:\n%s", p.name, p.cmd.ProcessState, p.tail())
	default:
		return nil
	}
}

// tail is the end of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// stop asks the process to end and, after some time, makes it.
func (p *process) stop() error {
	defer p.log.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
	}
	err := p.cmd.Process.Kill()
	<-p.ended
	return errors.Join(fmt.Errorf("the %s did not end within %s and was killed", p.name, stopTimeout), err)
}
