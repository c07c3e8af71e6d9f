// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// stopTimeout bounds how long a stopped process may take to end.
const stopTimeout = time.Minute

// Build builds the manager into a directory, as make build does, and returns
// its path.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := env.ModuleRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "manager")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/manager")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD="+root)
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the manager: %w\n%s", err, said)
	}
	return path, nil
}

// Options say what to start.
type Options struct {
	// Path is that of the binary.
	Path string
	// Kubeconfig is the file that says which cluster, and as whom.
	Kubeconfig string
	// Namespace is the operator's own; it must exist.
	Namespace string
	// Log is the file that the process writes its log to, at the end of what
	// is there.
	Log string
	// Metrics serves the metrics on a free port of loopback, without TLS.
	Metrics bool
	// Args are further flags.
	Args []string
}

// Process is a manager that runs, or has ended.
type Process struct {
	// Started is when it was started.
	Started time.Time

	cmd     *exec.Cmd
	metrics string
	ended   chan struct{}
}

// Start starts a manager. It ends at the latest with the context.
func Start(ctx context.Context, o Options) (*Process, error) {
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the manager's log: %w", err)
	}
	defer log.Close()
	p := &Process{ended: make(chan struct{})}
	address := "0"
	if o.Metrics {
		if address, err = env.FreeAddress(ctx); err != nil {
			return nil, err
		}
		p.metrics = "http://" + address + "/metrics"
	}
	p.cmd = exec.CommandContext(ctx, o.Path, append([]string{
		"--kubeconfig=" + o.Kubeconfig, "--operator-namespace=" + o.Namespace,
		"--metrics-bind-address=" + address, "--metrics-secure=false", "--health-probe-bind-address=0", "--probe-interval=0",
	}, o.Args...)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.Started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the manager: %w", err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	return p, nil
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the process as a crash of its node would, and returns when it has
// ended. A process that had ended before by itself is an error.
func (p *Process) Kill() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the manager ended by itself: %s", p.cmd.ProcessState)
	default:
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing the manager: %w", err)
	}
	<-p.ended
	return nil
}

// Stop asks the process to end, and returns when it has.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the manager: %w", err)
	}
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("the manager did not stop within %s", stopTimeout), p.Kill())
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("the manager ended with %s", p.cmd.ProcessState)
	}
	return nil
}

// ResidentBytes is the memory of the process as Linux counts it.
func (p *Process) ResidentBytes() (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("reading the manager's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kibibytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kibibytes << 10, err
		}
	}
	return 0, errors.New("reading the manager's memory: no VmRSS")
}

// CPUTime is the processor time that the process has used.
func (p *Process) CPUTime() (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("reading the manager's processor time: %w", err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, errors.New("reading the manager's processor time: unknown format")
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the manager's processor time: %w", err)
		}
		ticks += n
	}
	// Linux tells it in hundredths of a second.
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
