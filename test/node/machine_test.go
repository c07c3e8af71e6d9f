// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/node/cell"
)

const nodeName = "e2e-node"

// machine is a control plane with this machine as its only node.
type machine struct {
	plane *env.ControlPlane
	// root is the repository, bin has the parts of a node.
	root, bin string
	// dir is what the node has written and the cell will remove; its base name is
	// that of its control group, too. logs outlive it.
	dir, planeDir, logs string
	cell                *cell.Cell
}

// startMachine starts everything and returns when the node is Ready and has the
// images.
func startMachine(t *testing.T) *machine {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{root: root, bin: filepath.Join(root, "bin", "node")}
	m.requireParts(t)
	m.makeDirs(t)
	started := time.Now()
	m.plane = env.StartForTest(t, env.Options{
		ControllerManager: true,
		APIServerArgs: map[string][]string{
			"authorization-mode":       {"Node,RBAC"},
			"enable-admission-plugins": {"NodeRestriction"},
			// So that the tokens say for how long kubelet asked.
			"service-account-extend-token-expiration": {"false"},
		},
	})
	t.Logf("%5.1fs  control plane", time.Since(started).Seconds())
	started = time.Now()
	m.startCell(t)
	g := NewWithT(t)
	g.Eventually(m.containerdAnswers(t), patience, often).Should(Succeed(), "containerd does not answer")
	m.importImages(t)
	g.Eventually(m.nodeReady(t), patience, often).Should(Equal("True"), "the node is not Ready")
	t.Logf("%5.1fs  node: containerd, runc, kubelet %s, scheduler", time.Since(started).Seconds(), m.kubectl(t,
		"get", "node", nodeName, "--output=jsonpath={.status.nodeInfo.kubeletVersion}"))
	return m
}

func (m *machine) requireParts(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"containerd", "containerd-shim-runc-v2", "ctr", "runc", "loopback",
		"kubelet", "kube-scheduler", "kube-controller-manager", "pause.tar", "manager.tar",
	} {
		if _, err := os.Stat(filepath.Join(m.bin, name)); err != nil {
			t.Fatalf("a part of the node is not built: run make node first (%v)", err)
		}
	}
}

// makeDirs makes the directories for all that is written. The control plane makes
// its own in one that the cell removes if the test is killed.
func (m *machine) makeDirs(t *testing.T) {
	t.Helper()
	for _, dir := range []*string{&m.dir, &m.planeDir} {
		var err error
		if *dir, err = os.MkdirTemp("", "mcp-registrar-node-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(*dir); err != nil {
				t.Error(err)
			}
		})
	}
	t.Setenv("TMPDIR", m.planeDir)
	m.logs = t.ArtifactDir()
}

func (m *machine) cellLog() string { return filepath.Join(m.logs, "cell.log") }

// startCell starts the node's programs. They and all that they start end with the
// test, however it ends.
func (m *machine) startCell(t *testing.T) {
	t.Helper()
	log, err := os.Create(m.cellLog())
	if err != nil {
		t.Fatal(err)
	}
	spec := cell.Spec{
		Dir: m.dir, Orphan: m.planeDir, Cgroup: filepath.Base(m.dir), Mounts: m.mounts(t), Programs: m.programs(t),
	}
	m.cell, err = cell.Start(t.Context(), spec, log)
	if err := errors.Join(err, log.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.cell.Stop(); err != nil {
			t.Errorf("%v\n%s", err, tail(t, m.cellLog()))
		}
		m.requireNothingLeft(t)
	})
}

// requireNothingLeft checks what the cell promises.
func (m *machine) requireNothingLeft(t *testing.T) {
	name := filepath.Base(m.dir)
	for _, pattern := range []string{m.dir, "/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q (error %v)", left, err)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), name) {
		t.Errorf("a mount is left of %s (error %v):\n%s", name, err, mounts)
	}
}

// kubeconfig writes a kubeconfig file into the node's directory.
func (m *machine) kubeconfig(t *testing.T, name string, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(m.dir, name+".kubeconfig")
	if err := m.plane.Kubeconfig(path, config); err != nil {
		t.Fatal(err)
	}
	return path
}

// user is a config for a user with a certificate.
func (m *machine) user(t *testing.T, name string, groups ...string) *rest.Config {
	t.Helper()
	config, err := m.plane.UserConfig(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func (m *machine) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func (m *machine) ctr(t *testing.T, args ...string) error {
	all := append([]string{"--address=" + m.containerdSocket(), "--namespace=k8s.io"}, args...)
	if output, err := exec.CommandContext(t.Context(), filepath.Join(m.bin, "ctr"), all...).CombinedOutput(); err != nil {
		return fmt.Errorf("ctr %s: %w\n%s", args, err, output)
	}
	return nil
}

func (m *machine) containerdAnswers(t *testing.T) func() error {
	return func() error {
		m.requireAlive(t)
		return m.ctr(t, "version")
	}
}

func (m *machine) importImages(t *testing.T) {
	t.Helper()
	for _, name := range []string{"pause.tar", "manager.tar"} {
		if err := m.ctr(t, "images", "import", "--local", "--snapshotter="+snapshotter, filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *machine) nodeReady(t *testing.T) func() (string, error) {
	return func() (string, error) {
		m.requireAlive(t)
		return m.plane.RunKubectl(t.Context(), "get", "node", nodeName,
			`--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	}
}

// requireAlive saves the wait for what cannot happen any more.
func (m *machine) requireAlive(t *testing.T) {
	t.Helper()
	select {
	case <-m.cell.Ended():
		m.showLogs(t)
		t.Fatalf("the node has ended on its own:\n%s", tail(t, m.cellLog()))
	default:
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	address, err := env.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return int(at.Port())
}
