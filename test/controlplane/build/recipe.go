// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const modulePath = "github.com/mcp-registrar/mcp-registrar/test/controlplane"

// binary is one program to build: the name of its file and its main package.
type binary struct {
	name string
	pkg  string
}

// binaries lists those of the control plane, the quickest first. They are what is
// built if nothing is named.
var binaries = []binary{
	{name: "tether", pkg: modulePath + "/tether"},
	{name: "etcd", pkg: "go.etcd.io/etcd/server/v3"},
	{name: "kube-apiserver", pkg: "k8s.io/kubernetes/cmd/kube-apiserver"},
	{name: "kube-controller-manager", pkg: "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{name: "kubectl", pkg: "k8s.io/kubernetes/cmd/kubectl"},
}

// nodeBinaries are what a node takes of Kubernetes itself. They are here, and not
// with the other parts of a node, so that there is one pinned version.
var nodeBinaries = []binary{
	{name: "kube-scheduler", pkg: "k8s.io/kubernetes/cmd/kube-scheduler"},
	{name: "kubelet", pkg: "k8s.io/kubernetes/cmd/kubelet"},
}

// choose returns the binaries of these names, or the control plane's if there are
// none.
func choose(names []string) ([]binary, error) {
	if len(names) == 0 {
		return binaries, nil
	}
	var chosen []binary
	for _, name := range names {
		found := false
		for _, b := range slices.Concat(binaries, nodeBinaries) {
			if b.name == name {
				chosen, found = append(chosen, b), true
			}
		}
		if !found {
			return nil, fmt.Errorf("unknown binary %q", name)
		}
	}
	return chosen, nil
}

// moduleDir finds this module from the working directory upwards.
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains(string(content), "module "+modulePath+"\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("not run inside module %s: use go run -C test/controlplane ./build", modulePath)
		}
		dir = parent
	}
}

func kubernetesVersion(ctx context.Context, module string) (string, error) {
	cmd := goCommand(ctx, module, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking for the pinned Kubernetes version: %w", withStderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// linkFlags makes the binaries report the version they were built from; without
// them kube-apiserver would call itself v0.0.0-master.
func linkFlags(version string) string {
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, "-X", pkg+".gitVersion="+version)
		if len(numbers) == 3 {
			flags = append(flags, "-X", pkg+".gitMajor="+numbers[0], "-X", pkg+".gitMinor="+numbers[1])
		}
	}
	return strings.Join(flags, " ")
}

func goCommand(ctx context.Context, module string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return cmd
}
