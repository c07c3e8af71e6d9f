// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// valueSet is a set of values, testdata/<name>.values.yaml, and what it renders
// to for a version of Kubernetes.
type valueSet struct {
	name        string
	kubeVersion string
}

var valueSets = []valueSet{
	{name: "defaults", kubeVersion: "1.37.0"},
	{name: "older-cluster", kubeVersion: "1.30.0"},
	{name: "every-value", kubeVersion: "1.37.0"},
	{name: "least", kubeVersion: "1.37.0"},
	{name: "host-network", kubeVersion: "1.37.0"},
	{name: "watch-cluster", kubeVersion: "1.37.0"},
	{name: "watch-list", kubeVersion: "1.37.0"},
	{name: "watch-single", kubeVersion: "1.37.0"},
	{name: "available", kubeVersion: "1.37.0"},
	{name: "monitored", kubeVersion: "1.37.0"},
	{name: "openshift", kubeVersion: "1.37.0"},
}

func (s valueSet) file(t *testing.T) string {
	return filepath.Join(testdata(t), s.name+".values.yaml")
}

func (s valueSet) render(t *testing.T, args ...string) string {
	t.Helper()
	return mustTemplate(t, s.kubeVersion, append([]string{"--values=" + s.file(t)}, args...)...)
}

func TestLint(t *testing.T) {
	t.Parallel()
	for _, set := range valueSets {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			output, ok := run(t, helm, "lint", "--strict", "--kube-version="+set.kubeVersion, "--values="+filepath.Join(testdata(t), "image.yaml"), "--values="+set.file(t), chartDir(t))
			if !ok {
				t.Errorf("helm lint: %s", output)
			}
		})
	}
}

// Taken together the sets change every value, so that no template goes unseen.
func TestEveryValueIsTriedOut(t *testing.T) {
	t.Parallel()
	var defaults any
	readYAML(t, filepath.Join(chartDir(t), "values.yaml"), &defaults)
	tried := map[string]bool{}
	for _, set := range valueSets {
		var values any
		readYAML(t, set.file(t), &values)
		for path := range leaves("", values) {
			tried[path] = true
		}
	}
	for path := range leaves("", defaults) {
		if !tried[path] && !strings.HasPrefix(path, "podSecurityContext.") && !strings.HasPrefix(path, "securityContext.") {
			t.Errorf("%s is in no set of values in testdata", path)
		}
	}
}

// leaves are the paths of the values that have no members, and of those above
// them.
func leaves(path string, value any) map[string]bool {
	found := map[string]bool{}
	members, ok := value.(map[string]any)
	if !ok || len(members) == 0 {
		found[path] = true
		return found
	}
	for name, member := range members {
		for leaf := range leaves(strings.TrimPrefix(path+"."+name, "."), member) {
			found[leaf] = true
			// Values of any shape: {} by default, with members when set.
			found[strings.TrimPrefix(path+"."+name, ".")] = true
		}
	}
	return found
}

func chartDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(root(t), "charts", "mcp-registrar")
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
