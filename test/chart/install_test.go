// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// A release goes through its life on a real API server, by the commands that
// docs/helm.md shows. No node is there: its pods never run.
func TestInstallUpgradeUninstall(t *testing.T) {
	t.Parallel()
	plane := env.StartForTest(t, env.Options{})
	createNamespaces(t, plane, "invoices", "payments")
	helm := helmAt(t, plane)
	const image = "--set=image.repository=registry.example.com/mcp-registrar/manager"
	helm("install", release, chartDir(t), "--create-namespace", "--set=crds.keep=true", image)
	want(t, plane, true, "crd/mcpclientregistrations.mcp-registrar.dev", "clusterrole/mcp-registrar", "deployment/mcp-registrar",
		"validatingadmissionpolicy/mcp-registrar-identity", "mutatingadmissionpolicy/mcp-registrar-creation")
	want(t, plane, false, "role/mcp-registrar-watched -n payments", "pdb/mcp-registrar")
	sample := "apiVersion: mcp-registrar.dev/v1alpha1\nkind: AuthorizationServer\nmetadata: {name: company}\n" +
		"spec: {issuer: https://auth.example.com, dynamicRegistration: {}, allowedNamespaces: {from: All}, allowedServers: {from: All}}\n"
	// Until it knows the schema of a new kind, the API server refuses what a mutating
	// policy matches.
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = plane.Apply(ctx, written(t, sample))
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}

	values := valueSet{name: "watch-list"}
	helm("upgrade", release, chartDir(t), "--reset-then-reuse-values", "--values="+values.file(t), "--set=replicas=2")
	want(t, plane, true, "role/mcp-registrar-watched -n invoices", "role/mcp-registrar-watched -n payments", "pdb/mcp-registrar")
	helm("upgrade", release, chartDir(t), "--reset-then-reuse-values", "--set-json=watchNamespaces=[]", "--set=admission.enabled=false")
	want(t, plane, true, "pdb/mcp-registrar", "crd/mcpclientregistrations.mcp-registrar.dev")
	want(t, plane, false, "role/mcp-registrar-watched -n payments", "validatingadmissionpolicy/mcp-registrar-identity")

	helm("uninstall", release)
	want(t, plane, true, "crd/mcpclientregistrations.mcp-registrar.dev", "authorizationserver/company")
	want(t, plane, false, "deployment/mcp-registrar", "clusterrole/mcp-registrar", "mutatingadmissionpolicy/mcp-registrar-creation")

	helm("install", release, chartDir(t), image)
	want(t, plane, true, "deployment/mcp-registrar", "authorizationserver/company", "validatingadmissionpolicy/mcp-registrar-identity")
}

// helmAt calls helm against a control plane, with no files but its own.
func helmAt(t *testing.T, plane *env.ControlPlane) func(args ...string) {
	t.Helper()
	path, err := helm()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	kubeconfig := filepath.Join(home, "kubeconfig")
	if err := plane.Kubeconfig(kubeconfig, plane.Config); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), path, append(args, "--namespace="+namespace)...)
		command.Env = append(os.Environ(), "HOME="+home, "KUBECONFIG="+kubeconfig)
		var output bytes.Buffer
		command.Stdout, command.Stderr = &output, &output
		if err := command.Run(); err != nil {
			t.Fatalf("helm %s: %v: %s", args[0], err, output.String())
		}
	}
}

// want checks that objects are there, or that they are not. Each is written as
// for kubectl get.
func want(t *testing.T, plane *env.ControlPlane, there bool, objects ...string) {
	t.Helper()
	for _, object := range objects {
		args := append([]string{"get", "--ignore-not-found", "--output=name"}, strings.Fields(object)...)
		if !strings.Contains(object, " -n ") {
			args = append(args, "-n", namespace)
		}
		output, err := plane.RunKubectl(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		if found := output != ""; found != there {
			t.Errorf("%s: found is %t, want %t", object, found, there)
		}
	}
}
