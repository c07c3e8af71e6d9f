// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// stopTimeout bounds how long a manager may take to end when it is told to: as
// long as a kubelet waits for a pod.
const stopTimeout = 30 * time.Second

// manager is the product's binary, running.
type manager struct {
	cmd             *exec.Cmd
	log             string
	metrics, health string
	// ended is closed when the process has ended, with err.
	ended chan struct{}
	err   error
}

// startManager runs the binary as the chart's Deployment does: its arguments, its
// ServiceAccount, and the namespace from the environment. Only addresses and the
// log level are chosen here. The manager lives as long as the world does, and so
// does its log.
func (w *world) startManager(t *testing.T) {
	t.Helper()
	pod := w.chart.deployment.Spec.Template.Spec
	account, err := w.plane.ServiceAccountConfig(t.Context(), operatorNamespace, pod.ServiceAccountName)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(w.root.TempDir(), "kubeconfig")
	if err := w.plane.Kubeconfig(kubeconfig, account); err != nil {
		t.Fatal(err)
	}
	m := &manager{metrics: freeAddress(t), health: freeAddress(t), ended: make(chan struct{})}
	arguments := append(pod.Containers[0].Args,
		"--metrics-bind-address="+m.metrics, "--health-probe-bind-address="+m.health, "--log-level=debug", "--probe-interval=0")
	m.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), cmp.Or(w.binary, binary(t)), arguments...)
	m.cmd.Env = append([]string{"KUBECONFIG=" + kubeconfig, "POD_NAMESPACE=" + operatorNamespace}, w.environment...)
	log, err := os.Create(filepath.Join(w.root.ArtifactDir(), fmt.Sprintf("manager-%d.log", w.runs.Add(1))))
	if err != nil {
		t.Fatal(err)
	}
	m.log, m.cmd.Stdout, m.cmd.Stderr = log.Name(), log, log
	if err := errors.Join(m.cmd.Start(), log.Close()); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(m.ended)
		m.err = m.cmd.Wait()
	}()
	w.root.Cleanup(func() { m.end(w.root) })
	w.manager = m
	w.seen.logs = append(w.seen.logs, m.log)
	g := NewWithT(t)
	g.Eventually(m.healthy(t), patience, often).Should(Equal("ok"), "the manager is not ready")
	g.Eventually(func() int {
		status, _ := w.getMetrics(t, w.scrapeToken)
		return status
	}, patience, often).Should(Equal(http.StatusOK), "the manager shows no metrics")
}

// binary is bin/manager, or what the environment variable MANAGER names.
func binary(t *testing.T) string { return built(t, "manager") }

// built is a binary in bin, or what the environment variable of its name names.
func built(t *testing.T, name string) string {
	t.Helper()
	if named := os.Getenv(strings.ToUpper(name)); named != "" {
		return named
	}
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the %s is not built: run make build first (%v)", name, err)
	}
	return path
}

func (m *manager) healthy(t *testing.T) func() string {
	return func() string {
		for _, path := range []string{"/healthz", "/readyz"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.health+path, nil)
			if err != nil {
				return err.Error()
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err.Error()
			}
			if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
				return response.Status
			}
		}
		return "ok"
	}
}

// stop tells the manager to end, as a kubelet would; it must end well, and soon.
func (m *manager) stop(t *testing.T) {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the manager has ended on its own: %v", err)
	}
	select {
	case <-m.ended:
	case <-time.After(stopTimeout):
		t.Errorf("after SIGTERM the manager still runs after %s", stopTimeout)
		if err := m.cmd.Process.Kill(); err != nil {
			t.Errorf("killing the manager: %v", err)
		}
		<-m.ended
	}
	if m.err != nil {
		t.Errorf("the manager ended with: %v", m.err)
	}
}

// end is the last that happens to a manager; it shows the log if a test failed.
func (m *manager) end(t *testing.T) {
	select {
	case <-m.ended:
	default:
		m.stop(t)
	}
	if t.Failed() {
		t.Logf("the end of the manager's log:\n%s", tail(t, m.log))
	}
}

func tail(t *testing.T, path string) []byte {
	const size = 32 << 10
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-size), size))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := env.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}
