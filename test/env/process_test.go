// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package env

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// holderVariable makes this test binary a program that starts a control plane and
// then waits to be killed.
const holderVariable = "ENV_TEST_HOLD_CONTROL_PLANE"

func TestStopLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c, err := Start(t.Context(), Options{ControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	pids := servers(t, os.Getpid())
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	requireEnded(t, pids)
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (error %v)", left, err)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("stopping again: %v", err)
	}
}

func TestFailedStartLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c, err := Start(t.Context(), Options{Manifests: []string{"testdata/absent.yaml"}})
	if err == nil {
		t.Fatalf("got no error for a manifest that does not exist (stopped: %v)", c.Stop())
	}
	if !strings.Contains(err.Error(), "testdata/absent.yaml") {
		t.Errorf("error does not name the file: %v", err)
	}
	requireEnded(t, children(t, os.Getpid()))
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (error %v)", left, err)
	}
}

func TestServersEndWithKilledParent(t *testing.T) {
	holder := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldControlPlane$")
	holder.Env = append(os.Environ(), holderVariable+"=1", "TMPDIR="+t.TempDir())
	holder.Stderr = os.Stderr
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the holder said %q (error %v)", line, err)
	}
	pids := servers(t, holder.Process.Pid)
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := (*exec.ExitError)(nil); !errors.As(holder.Wait(), &exit) {
		t.Error("the holder was not killed")
	}
	requireEnded(t, pids)
}

func TestHoldControlPlane(t *testing.T) {
	if os.Getenv(holderVariable) == "" {
		t.Skip("only run by TestServersEndWithKilledParent")
	}
	StartForTest(t, Options{ControllerManager: true})
	fmt.Fprintln(os.Stdout, "ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Error(err)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	k := newKeeper()
	defer k.end()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = in
	p, err := k.start(cmd)
	if err := errors.Join(err, in.Close()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the process said %q (error %v)", line, err)
	}
	if err := p.stop(100 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got error %v, want one that says it was killed", err)
	}
	requireEnded(t, []int{cmd.Process.Pid})
}

// servers returns the children of a process and fails if they are not the three.
func servers(t *testing.T, parent int) []int {
	t.Helper()
	pids := children(t, parent)
	var names []string
	for _, pid := range pids {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(string(line), "\x00")
		names = append(names, filepath.Base(name))
	}
	slices.Sort(names)
	if want := []string{etcdName, apiServerName, controllerManagerName}; !slices.Equal(names, want) {
		t.Fatalf("got child processes %q, want %q", names, want)
	}
	return pids
}

func children(t *testing.T, parent int) []int {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			t.Fatal(err)
		}
		if fields := stat(pid); len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns what /proc says of a process from its state on, or nothing.
func stat(pid int) []string {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	_, after, _ := strings.Cut(string(content), ") ")
	return strings.Fields(after)
}

func requireEnded(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("process %d has ended", pid), func(context.Context) (bool, error) {
			fields := stat(pid)
			return len(fields) == 0 || fields[0] == "Z", nil
		})
	}
}
