// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inner makes this test's program play the test that is killed.
const inner = "KEYCLOAK_TEST_INNER"

func TestMain(m *testing.M) {
	if os.Getenv(inner) == "" {
		os.Exit(m.Run())
	}
	started, err := start(exec.CommandContext(context.Background(), "sleep", "600"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(started.cmd.Process.Pid)
	<-started.ended
}

func TestAServerEndsWithTheTestThatIsKilled(t *testing.T) {
	killed := exec.CommandContext(t.Context(), os.Args[0])
	killed.Env = append(os.Environ(), inner+"=1")
	killed.Stderr = os.Stderr
	stdout, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("the server does not run")
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // it was killed
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-deadline:
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the server outlives the test")
		case <-tick.C:
		}
	}
}

func TestStopEndsAServer(t *testing.T) {
	p, err := start(exec.CommandContext(t.Context(), "sleep", "600"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if alive(p.cmd.Process.Pid) {
		t.Error("it still runs")
	}
	if err := p.stop(time.Second); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

// alive says that there is such a process, and that it is not only waited for.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
