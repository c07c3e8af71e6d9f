// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The manager takes the arguments that each set of values gives it.
func TestTheManagerKnowsItsArguments(t *testing.T) {
	t.Parallel()
	manager := filepath.Join(t.TempDir(), "manager")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", manager, "./cmd/manager")
	command.Dir = root(t)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building the manager: %v: %s", err, output)
	}
	for _, set := range valueSets {
		args := managerArgs(t, set.render(t))
		if said := usage(t, manager, args); !strings.HasPrefix(said, "Usage") {
			t.Errorf("%s: given %s, the manager says: %s", set.name, args, said)
		}
	}
	if said := usage(t, manager, []string{"--no-such-flag"}); strings.HasPrefix(said, "Usage") {
		t.Errorf("given an unknown flag, the manager says: %s", said)
	}
}

// usage is what the manager says to these arguments and then -h. Arguments that
// it does not know come first in it.
func usage(t *testing.T, manager string, args []string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), manager, append(args, "-h")...)
	command.Env = []string{"POD_NAMESPACE=" + namespace}
	output, err := command.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return string(output)
}

func managerArgs(t *testing.T, rendered string) []string {
	t.Helper()
	deployments := ofKind(parse(t, rendered), "Deployment")
	if len(deployments) != 1 {
		t.Fatalf("%d Deployments are rendered, want 1", len(deployments))
	}
	var deployment appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(deployments[0].Object, &deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Spec.Containers[0].Args
}
