// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package node

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// chartValues are the values of the chart that this machine needs: the network and
// the image are the node's, and there is no service network.
type chartValues struct {
	MetricsPort, HealthPort int
	LogLevel                string
}

// write writes a values file.
func (v chartValues) write(t *testing.T, m *machine) string {
	t.Helper()
	host, port, found := strings.Cut(strings.TrimPrefix(m.plane.Config.Host, "https://"), ":")
	if !found {
		host, port, _ = strings.Cut(m.plane.Config.Host, ":")
	}
	content, err := json.MarshalIndent(map[string]any{
		"image":       map[string]string{"repository": "mcp-registrar/manager", "tag": "e2e-node", "pullPolicy": "Never"},
		"hostNetwork": true,
		"manager": map[string]any{
			"logLevel": v.LogLevel,
			"extraEnv": []map[string]string{
				{"name": "KUBERNETES_SERVICE_HOST", "value": host}, {"name": "KUBERNETES_SERVICE_PORT", "value": port},
			},
		},
		"metrics": map[string]int{"port": v.MetricsPort}, "healthPort": v.HealthPort,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return m.file(t, "values.json", string(content))
}

// helm runs the pinned Helm as the cluster admin.
func (m *machine) helm(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-modfile=hack/tools/go.mod", "helm"}, args...)...)
	cmd.Dir = m.root
	cmd.Env = append(os.Environ(), "PWD="+m.root, "KUBECONFIG="+m.kubeconfig(t, "helm", m.plane.Config))
	for _, home := range []string{"CACHE", "CONFIG", "DATA"} {
		cmd.Env = append(cmd.Env, "HELM_"+home+"_HOME="+filepath.Join(m.dir, "helm"))
	}
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", args, err, output)
	}
	return string(output)
}

// kubectl runs kubectl as the cluster admin; it must succeed.
func (m *machine) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, err := m.plane.RunKubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(output)
}

// apply applies a manifest, again while the API server has yet to learn about the
// kinds in it.
func (m *machine) apply(t *testing.T, manifest string) {
	t.Helper()
	path := m.file(t, "manifest.yaml", manifest)
	NewWithT(t).Eventually(func() error {
		_, err := m.plane.RunKubectl(t.Context(), "apply", "--filename="+path)
		return err
	}, patience, often).Should(Succeed())
}

// await waits for a condition as users do, with kubectl wait, a little at a time: it
// would outlive a test that is killed.
func (m *machine) await(t *testing.T, condition, namespace, kind, name string) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		m.requireAlive(t)
		_, err := m.plane.RunKubectl(t.Context(), "wait", "--namespace="+namespace, "--for=condition="+condition,
			"--timeout=3s", kind, name)
		if err != nil {
			state, stateErr := m.plane.RunKubectl(t.Context(), "get", kind, name, "--namespace="+namespace, "--output=jsonpath={.status}")
			err = errors.Join(err, stateErr, errors.New(state))
		}
		return err
	}, patience, often).Should(Succeed())
}

// pod is what the tests need of a pod.
type pod struct {
	name, container string
}

// managerPod waits until the Deployment is available with one pod and no other,
// and that pod is not the one given.
func (m *machine) managerPod(t *testing.T, other string) pod {
	t.Helper()
	m.await(t, "Available", operatorNamespace, "deployment", release)
	var lines []string
	NewWithT(t).Eventually(func() (int, error) {
		m.requireAlive(t)
		output, err := m.plane.RunKubectl(t.Context(), "get", "pods", "--namespace="+operatorNamespace,
			"--selector=app.kubernetes.io/name=mcp-registrar", "--output=jsonpath={range .items[*]}{.metadata.name} "+
				"{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount} "+
				`{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		lines = strings.Split(strings.TrimSpace(output), "\n")
		if err == nil && len(lines) == 1 && (strings.HasPrefix(lines[0], other+" ") || !strings.HasSuffix(lines[0], " True")) {
			return 0, nil
		}
		return len(lines), err
	}, patience, often).Should(Equal(1), "one ready pod that is not %q", other)
	fields := strings.Fields(lines[0])
	if fields[2] != "0" {
		t.Errorf("the manager in pod %s was restarted %s times", fields[0], fields[2])
	}
	return pod{name: fields[0], container: strings.TrimPrefix(fields[1], "containerd://")}
}

// showLogs shows what the API server tells about the pods, and the end of what
// they and the programs that run them wrote.
func (m *machine) showLogs(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods", "--all-namespaces", "--output=wide"}, {"get", "events", "--all-namespaces"},
	} {
		output, err := m.plane.RunKubectl(t.Context(), args...)
		t.Logf("kubectl %s: (error %v)\n%s", args, err, output)
	}
	logs, err := filepath.Glob(filepath.Join(m.logs, "node", "pods", "*", "*", "*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"containerd", "kubelet"} {
		logs = append(logs, filepath.Join(m.logs, name+".log"))
	}
	for _, path := range logs {
		t.Logf("the end of %s:\n%s", path, tail(t, path))
	}
}

func tail(t *testing.T, path string) []byte {
	const size = 3 << 10
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
