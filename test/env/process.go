// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// keeper runs functions on one operating system thread that lives until end. A
// tethered process is tied to the thread that started it, and an ordinary one may
// be ended by the Go runtime at any time.
type keeper struct {
	jobs chan func()
}

func newKeeper() *keeper {
	k := &keeper{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for job := range k.jobs {
			job()
		}
	}()
	return k
}

func (k *keeper) do(job func()) {
	done := make(chan struct{})
	k.jobs <- func() {
		defer close(done)
		job()
	}
	<-done
}

// end lets the thread go, and with it whatever tethered process is still there.
func (k *keeper) end() {
	if k.jobs != nil {
		close(k.jobs)
		k.jobs = nil
	}
}

// process is a server that was started and will be waited for.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts cmd in a process group of its own, so that an interrupt typed at
// the terminal reaches only the program that will then stop it in order.
func (k *keeper) start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	k.do(func() { err = cmd.Start() })
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	return p, nil
}

// stop asks the process to end and, after the grace time, makes it.
func (p *process) stop(grace time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(grace):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing %s: %w", p.cmd.Path, err)
	}
	<-p.ended
	return fmt.Errorf("stopping %s: killed after %s", p.cmd.Path, grace)
}

// logs are the servers' log files by the name of the server.
type logs map[string]*os.File

func openLogs(dir, fallback string) (logs, error) {
	if dir == "" {
		dir = filepath.Join(fallback, "logs")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the log directory: %w", err)
	}
	opened := logs{}
	for _, name := range []string{etcdName, apiServerName, controllerManagerName} {
		file, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening a log: %w", err), opened.close())
		}
		opened[name] = file
	}
	return opened, nil
}

// explain adds the end of these servers' logs to the error.
func (l logs) explain(err error, names ...string) error {
	const size = 2048
	for _, name := range names {
		info, statErr := l[name].Stat()
		if statErr != nil {
			return errors.Join(err, statErr)
		}
		tail, readErr := io.ReadAll(io.NewSectionReader(l[name], max(0, info.Size()-size), size))
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		err = fmt.Errorf("%w\n--- end of %s\n%s", err, l[name].Name(), tail)
	}
	return err
}

func (l logs) close() error {
	var errs []error
	for name, file := range l {
		errs = append(errs, file.Close())
		delete(l, name)
	}
	return errors.Join(errs...)
}
