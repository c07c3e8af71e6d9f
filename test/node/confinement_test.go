// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package node

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// confinement is what the kernel says of a process, in /proc.
type confinement struct {
	User, Group, Capabilities, Bounding string
	NoNewPrivileges, Seccomp            string
	ReadOnlyRoot                        bool
}

// confined is what the chart promises: nobody's user, no capability, none to be
// had, a filter of system calls, and nothing to write to.
var confined = confinement{
	User: "65532 65532 65532 65532", Group: "65532 65532 65532 65532",
	Capabilities: "0000000000000000", Bounding: "0000000000000000",
	NoNewPrivileges: "1", Seccomp: "2", ReadOnlyRoot: true,
}

func (s *story) confinement(t *testing.T) {
	manager := s.managerPod(t, "")
	process := processOf(t, manager)
	seen := observe(t, process)
	t.Logf("%s: uid %s, effective capabilities %s, bounding set %s, no new privileges %s, seccomp %s, read-only root %t",
		process, seen.User, seen.Capabilities, seen.Bounding, seen.NoNewPrivileges, seen.Seccomp, seen.ReadOnlyRoot)
	if diff := cmp.Diff(confined, seen); diff != "" {
		t.Errorf("the manager's process (-want +got):\n%s", diff)
	}
	if executable, err := os.Readlink(filepath.Join(process, "exe")); err != nil || executable != "/manager" {
		t.Errorf("the process runs %q (error %v), want /manager", executable, err)
	}
	requireOwnToken(t, process, manager.name)
	const restricted = `{.spec.securityContext.runAsNonRoot} {.spec.securityContext.seccompProfile.type} ` +
		`{.spec.containers[0].securityContext.readOnlyRootFilesystem} {.spec.containers[0].securityContext.allowPrivilegeEscalation} ` +
		`{.spec.containers[0].securityContext.capabilities.drop[*]} {.spec.containers[0].securityContext.capabilities.add[*]}`
	said := s.kubectl(t, "get", "pod", manager.name, "--namespace="+operatorNamespace, "--output=jsonpath="+restricted)
	if want := "true RuntimeDefault true false ALL"; said != want {
		t.Errorf("the API says %q of the pod, want %q", said, want)
	}
	requireRestricted(t, s.machine)
}

// requireRestricted asks the API server what it would say if the namespace allowed
// only restricted pods: the network of the node, which is this machine's need and
// not the chart's default, and nothing else.
func requireRestricted(t *testing.T, m *machine) {
	t.Helper()
	kubectl, err := env.Kubectl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), kubectl, "--kubeconfig="+m.kubeconfig(t, "kubectl", m.plane.Config),
		"label", "namespace", operatorNamespace, "pod-security.kubernetes.io/enforce=restricted", "--dry-run=server").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	_, violations, found := strings.Cut(string(said), "Warning: "+release+"-")
	_, violations, _ = strings.Cut(violations, ": ")
	violations, _, _ = strings.Cut(violations, "\n")
	if want := "host namespaces, hostPort"; !found || violations != want {
		t.Errorf("what is not restricted about the pod: %q, want %q:\n%s", violations, want, said)
	}
}

// processOf is the directory in /proc of the process in a pod's container, seen
// from outside of it.
func processOf(t *testing.T, p pod) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(content), "/"+p.container) {
			return filepath.Dir(file)
		}
	}
	t.Fatalf("no process is in the control group of container %s", p.container)
	return ""
}

func observe(t *testing.T, process string) confinement {
	t.Helper()
	status, err := os.ReadFile(filepath.Join(process, "status"))
	mounts, mountsErr := os.ReadFile(filepath.Join(process, "mountinfo"))
	if err := errors.Join(err, mountsErr); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		said[name] = strings.Join(strings.Fields(value), " ")
	}
	c := confinement{
		User: said["Uid"], Group: said["Gid"], Capabilities: said["CapEff"], Bounding: said["CapBnd"],
		NoNewPrivileges: said["NoNewPrivs"], Seccomp: said["Seccomp"],
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); fields[4] == "/" {
			c.ReadOnlyRoot = strings.HasPrefix(fields[5]+",", "ro,")
		}
	}
	return c
}

// tokenSeconds is the lifetime that kubelet asks for; it adds some seconds.
const tokenSeconds = 3607

// requireOwnToken checks that the token the manager has is one that ends by
// itself, and with its pod.
func requireOwnToken(t *testing.T, process, podName string) {
	t.Helper()
	const account = "/var/run/secrets/kubernetes.io/serviceaccount"
	root, err := os.OpenRoot(filepath.Join(process, "root", account))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	token, err := fs.ReadFile(root.FS(), "token")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts, want 3", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Subject    string `json:"sub"`
		Issued     int64  `json:"iat"`
		Expires    int64  `json:"exp"`
		Kubernetes struct {
			Pod struct{ Name string } `json:"pod"`
		} `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	t.Logf("token of %s, bound to pod %s, valid for %ds", claims.Subject, claims.Kubernetes.Pod.Name, claims.Expires-claims.Issued)
	if want := "system:serviceaccount:" + operatorNamespace + ":" + release; claims.Subject != want {
		t.Errorf("the token is for %q, want %q", claims.Subject, want)
	}
	if claims.Kubernetes.Pod.Name != podName || claims.Expires-claims.Issued != tokenSeconds {
		t.Errorf("the token is not bound to pod %s and to %ds: %+v", podName, tokenSeconds, claims)
	}
}
