// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package cell

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// starterName is the name under which this program starts a cell and does not end.
const starterName = "cell-test-starter"

func TestMain(m *testing.M) {
	Enter()
	if os.Args[0] == starterName {
		startAndStay()
	}
	os.Exit(m.Run())
}

// startAndStay starts the cell that the standard input describes, says so, and
// waits to be killed.
func startAndStay() {
	var spec Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		panic(err)
	}
	if _, err := Start(context.Background(), spec, os.Stderr); err != nil {
		panic(err)
	}
	select {}
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a cell needs root: it has mounts and control groups of its own")
	}
}

// newSpec is a cell with one program that leaves its parent, and its group, and
// writes what it sees into a file that it then renames to "ready".
func newSpec(t *testing.T) Spec {
	t.Helper()
	dir, err := os.MkdirTemp("", "mcp-registrar-cell-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte("inside\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `setsid sh -c 'for d in /sys/fs/cgroup/*/; do mkdir -p "$d/inner"; done
cat /etc/hosts >"$1.new"; echo $$ >>"$1.new"; mv "$1.new" "$1"; exec sleep 1000' ` + filepath.Base(dir) + ` "$0" &
exec sleep 1000`
	return Spec{
		Dir: dir, Orphan: t.TempDir(), Cgroup: filepath.Base(dir),
		Mounts: []Mount{{From: filepath.Join(dir, "hosts"), To: "/etc/hosts"}},
		Programs: []Program{{
			Path: "/bin/sh", Args: []string{"-c", script, filepath.Join(dir, "ready")},
			Env: []string{"CELL_TEST=" + filepath.Base(dir)}, Log: filepath.Join(t.ArtifactDir(), "program.log"),
			Ready: filepath.Join(dir, "ready"),
		}},
	}
}

func TestStopLeavesNothing(t *testing.T) {
	requireRoot(t)
	spec := newSpec(t)
	c, err := Start(t.Context(), spec, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	seen := waitReady(t, spec)
	if !strings.HasPrefix(seen, "inside\n") {
		t.Errorf("the program sees %q, want the file mounted for it", seen)
	}
	if outside, err := os.ReadFile("/etc/hosts"); err != nil || bytes.HasPrefix(outside, []byte("inside")) {
		t.Errorf("the mount is seen outside of the cell (error %v)", err)
	}
	if inner, err := filepath.Glob(filepath.Join(cgroupRoot, "*", spec.Cgroup, "inner")); err != nil || len(inner) == 0 {
		if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err != nil {
			t.Error("the groups that the program made are not in the cell's")
		}
	}
	if got := running(t, spec); got != 2 {
		t.Errorf("%d processes of the program are running, want 2", got)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	requireGone(t, spec)
	if _, err := os.Stat(spec.Orphan); err != nil {
		t.Errorf("the directory that the living remove: %v", err)
	}
}

func TestTheCellEndsWithWhoeverStartedIt(t *testing.T) {
	requireRoot(t)
	spec := newSpec(t)
	encoded, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	starter := again(t.Context(), starterName)
	starter.Stdin = bytes.NewReader(encoded)
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	waitReady(t, spec)
	if err := starter.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := starter.Wait(); err == nil {
		t.Error("the starter ended well, though it was killed")
	}
	waitFor(t, "the end of the cell", func() bool {
		_, err := os.Stat(spec.Dir)
		_, orphanErr := os.Stat(spec.Orphan)
		return os.IsNotExist(err) && os.IsNotExist(orphanErr)
	})
	requireGone(t, spec)
}

func TestTheCellEndsWithAProgram(t *testing.T) {
	requireRoot(t)
	spec := newSpec(t)
	failing := Program{Path: "/bin/sh", Args: []string{"-c", "exit 3"}, Log: filepath.Join(t.ArtifactDir(), "failing.log")}
	spec.Programs = append(spec.Programs, failing)
	log, err := os.Create(filepath.Join(t.ArtifactDir(), "cell.log"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(t.Context(), spec, log)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of the cell", func() bool {
		select {
		case <-c.Ended():
			return true
		default:
			return false
		}
	})
	if err := c.Stop(); err == nil {
		t.Error("the cell had ended on its own, and Stop says nothing")
	}
	said, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(said), "/bin/sh has ended: exit code 3") {
		t.Errorf("the log says %q (error %v)", said, err)
	}
	requireGone(t, spec)
}

func waitReady(t *testing.T, spec Spec) string {
	t.Helper()
	var content []byte
	waitFor(t, "the program", func() bool {
		var err error
		content, err = os.ReadFile(filepath.Join(spec.Dir, "ready"))
		return err == nil
	})
	return string(content)
}

func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-deadline:
			t.Fatalf("waiting for %s took too long", what)
		case <-tick.C:
		}
	}
}

// running counts the processes that the cell's program is or has started.
func running(t *testing.T, spec Spec) int {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, path := range environments {
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(content, []byte("CELL_TEST="+spec.Cgroup)) {
			count++
		}
	}
	return count
}

func requireGone(t *testing.T, spec Spec) {
	t.Helper()
	if got := running(t, spec); got != 0 {
		t.Errorf("%d processes of the program are running, want none", got)
	}
	for _, pattern := range []string{spec.Dir, filepath.Join(cgroupRoot, spec.Cgroup), filepath.Join(cgroupRoot, "*", spec.Cgroup)} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q (error %v)", left, err)
		}
	}
}
