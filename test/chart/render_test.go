// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	namespace = "mcp-registrar-system"
	release   = "mcp-registrar"
)

// helmTemplate renders the chart for a version of Kubernetes. Output is what
// helm printed, on standard error if it failed.
func helmTemplate(t *testing.T, kubeVersion string, args ...string) (output string, ok bool) {
	t.Helper()
	all := append([]string{
		"template", release, chartDir(t), "--namespace=" + namespace, "--kube-version=" + kubeVersion, "--values=" + filepath.Join(testdata(t), "image.yaml"),
	}, args...)
	return run(t, helm, all...)
}

// mustTemplate is helmTemplate for values that the chart takes.
func mustTemplate(t *testing.T, kubeVersion string, args ...string) string {
	t.Helper()
	output, ok := helmTemplate(t, kubeVersion, args...)
	if !ok {
		t.Fatalf("helm refused %s: %s", args, output)
	}
	return output
}

// kustomizeBuild renders a folder of config.
func kustomizeBuild(t *testing.T, folder string) string {
	t.Helper()
	output, ok := run(t, kustomize, "build", filepath.Join(root(t), "config", folder))
	if !ok {
		t.Fatalf("kustomize refused config/%s: %s", folder, output)
	}
	return output
}

// run calls one of the tools that hack/tools/go.mod pins.
func run(t *testing.T, tool func() (string, error), args ...string) (output string, ok bool) {
	t.Helper()
	path, err := tool()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return stderr.String(), false
	}
	if err != nil {
		t.Fatalf("running %s: %v", path, err)
	}
	return stdout.String(), true
}

// Each tool is built once, however many tests want it at the same time: that
// takes minutes when Go's build cache is empty.
var (
	helm      = sync.OnceValues(func() (string, error) { return build("helm") })
	kustomize = sync.OnceValues(func() (string, error) { return build("kustomize") })
)

// build returns the path of a tool in Go's build cache.
func build(tool string) (string, error) {
	dir, err := env.ModuleRoot()
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(context.Background(), "go", "tool", "-n", "-modfile=hack/tools/go.mod", tool)
	command.Dir = dir
	output, err := command.Output()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("building %s: %w", tool, err)
	}
	return strings.TrimSpace(string(output)), nil
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// parse splits a stream of YAML documents into objects.
func parse(t *testing.T, stream string) []unstructured.Unstructured {
	t.Helper()
	var objects []unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+stream, "\n---\n") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			t.Fatalf("parsing %s: %v", document, err)
		}
		if len(content) > 0 {
			objects = append(objects, unstructured.Unstructured{Object: content})
		}
	}
	return objects
}

// ofKind returns the objects of one kind.
func ofKind(objects []unstructured.Unstructured, kind string) []unstructured.Unstructured {
	var found []unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == kind {
			found = append(found, object)
		}
	}
	return found
}
