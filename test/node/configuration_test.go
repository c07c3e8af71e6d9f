// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package node

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/test/node/cell"
)

const (
	// snapshotter copies, and works on every file system.
	snapshotter = "native"
	pauseImage  = "localhost/mcp-registrar/pause:e2e-node"
)

// controllers are those that a node and a Deployment need beside the ones that the
// control plane runs already.
const controllers = "deployment-controller,replicaset-controller,node-lifecycle-controller," +
	"pod-garbage-collector-controller,endpointslice-controller,disruption-controller"

// settings are the kernel's that kubelet would change for good.
var settings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// mounts keep the node's files out of the machine's directories, and its hands off
// the machine's settings.
func (m *machine) mounts(t *testing.T) []cell.Mount {
	t.Helper()
	mounts := []cell.Mount{
		{From: filepath.Join(m.dir, "run"), To: "/run"},
		{From: filepath.Join(m.dir, "lib"), To: "/var/lib"},
		{From: filepath.Join(m.logs, "node"), To: "/var/log"},
	}
	for name, value := range settings {
		path := m.file(t, "settings/"+strings.ReplaceAll(name, "/", "."), value+"\n")
		mounts = append(mounts, cell.Mount{From: path, To: "/proc/sys/" + name})
	}
	return mounts
}

func (m *machine) containerdSocket() string { return filepath.Join(m.dir, "containerd.sock") }

func (m *machine) programs(t *testing.T) []cell.Program {
	t.Helper()
	m.file(t, "cni/conf/10-loopback.conflist", `{"cniVersion": "1.0.0", "name": "loopback", "plugins": [{"type": "loopback"}]}`)
	admin := m.kubeconfig(t, "kube-controller-manager", m.plane.Config)
	return []cell.Program{
		{
			Path: filepath.Join(m.bin, "containerd"), Args: []string{"--config=" + m.file(t, "containerd.toml", m.containerdConfig())},
			Env: []string{"PATH=" + m.bin + ":/usr/sbin:/usr/bin:/sbin:/bin"},
			Log: filepath.Join(m.logs, "containerd.log"), Ready: m.containerdSocket(),
		},
		{
			Path: filepath.Join(m.bin, "kubelet"), Log: filepath.Join(m.logs, "kubelet.log"),
			Args: []string{
				"--config=" + m.file(t, "kubelet.json", m.kubeletConfig(t)),
				"--kubeconfig=" + m.kubeconfig(t, "kubelet", m.user(t, "system:node:"+nodeName, "system:nodes")),
				"--hostname-override=" + nodeName, "--root-dir=" + filepath.Join(m.dir, "kubelet"),
			},
		},
		{
			Path: filepath.Join(m.bin, "kube-scheduler"), Log: filepath.Join(m.logs, "kube-scheduler.log"),
			Args: []string{
				"--kubeconfig=" + m.kubeconfig(t, "kube-scheduler", m.user(t, "system:kube-scheduler")),
				"--leader-elect=false", "--secure-port=0",
			},
		},
		{
			Path: filepath.Join(m.bin, "kube-controller-manager"), Log: filepath.Join(m.logs, "node-controllers.log"),
			Args: []string{
				"--kubeconfig=" + admin, "--controllers=" + controllers,
				"--use-service-account-credentials=false", "--leader-elect=false", "--secure-port=0",
			},
		},
	}
}

func (m *machine) containerdConfig() string {
	return fmt.Sprintf(`version = 3
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = %[3]q
[ttrpc]
address = %[4]q
[plugins."io.containerd.internal.v1.opt"]
path = %[5]q
[plugins."io.containerd.cri.v1.images"]
snapshotter = %[6]q
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %[7]q
[plugins."io.containerd.cri.v1.runtime"]
# A process of a machine that is itself confined may not lower it.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [%[8]q]
conf_dir = %[9]q
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = %[10]q
SystemdCgroup = false
`, filepath.Join(m.dir, "containerd", "root"), filepath.Join(m.dir, "containerd", "state"), m.containerdSocket(),
		m.containerdSocket()+".ttrpc", filepath.Join(m.dir, "containerd", "opt"), snapshotter, pauseImage,
		m.bin, filepath.Join(m.dir, "cni", "conf"), filepath.Join(m.bin, "runc"))
}

// kubeletConfig is for a machine without systemd and with control groups of either
// version. It leaves the firewall alone, and evicts nobody.
func (m *machine) kubeletConfig(t *testing.T) string {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": "127.0.0.1", "port": freePort(t), "readOnlyPort": 0, "healthzPort": 0,
		"authentication":           map[string]any{"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": false}},
		"authorization":            map[string]any{"mode": "AlwaysAllow"},
		"containerRuntimeEndpoint": "unix://" + m.containerdSocket(),
		"cgroupDriver":             "cgroupfs", "cgroupsPerQOS": false,
		"enforceNodeAllocatable": []string{}, "failCgroupV1": false, "failSwapOn": false,
		"localStorageCapacityIsolation": false, "makeIPTablesUtilChains": false, "protectKernelDefaults": true,
		"evictionHard": map[string]string{
			"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "memory.available": "0%",
		},
		"imageGCHighThresholdPercent": 100,
		"resolvConf":                  m.file(t, "resolv.conf", "nameserver 127.0.0.1\n"),
		"volumePluginDir":             filepath.Join(m.dir, "kubelet", "volume-plugins"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}
