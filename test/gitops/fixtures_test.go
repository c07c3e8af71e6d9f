// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// kinds are the kinds of the product.
var kinds = []string{"AuthorizationServer", "MCPServer", "MCPClientRegistration", "ScopeGrant", "ScopeGrantApproval", "AccessDenial"}

// fixtures reads the objects as the reconcilers leave them.
func fixtures(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	seen := map[string]int{}
	for _, path := range paths {
		for _, object := range documents(t, path) {
			objects = append(objects, object)
			seen[object.GetKind()]++
		}
	}
	for _, kind := range kinds {
		if seen[kind] < 5 {
			t.Fatalf("%d objects of kind %s in testdata: too few", seen[kind], kind)
		}
	}
	return objects
}

// documents reads the objects of a file.
func documents(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	var objects []*unstructured.Unstructured
	for {
		var document runtime.RawExtension
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return objects
		}
		object := &unstructured.Unstructured{}
		if err == nil && len(document.Raw) > 0 {
			err = object.UnmarshalJSON(document.Raw)
			objects = append(objects, object)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

// one returns a copy of the object of a kind and name.
func one(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range fixtures(t) {
		if object.GetKind() == kind && object.GetName() == name {
			return object.DeepCopy()
		}
	}
	t.Fatalf("there is no %s %s in testdata", kind, name)
	return nil
}

func id(object *unstructured.Unstructured) string { return object.GetKind() + "/" + object.GetName() }

// kstatus is what the library makes of an object.
func kstatus(t *testing.T, object *unstructured.Unstructured) status.Status {
	t.Helper()
	computed, err := status.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return computed.Status
}

// readiness is the Ready condition of an object.
func readiness(t *testing.T, object *unstructured.Unstructured) metav1.Condition {
	t.Helper()
	var shown struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &shown); err != nil {
		t.Fatal(err)
	}
	ready := apimeta.FindStatusCondition(shown.Status.Conditions, "Ready")
	if ready == nil {
		t.Fatalf("%s has no condition Ready", id(object))
	}
	return *ready
}

// The states in which no reconciler leaves an object, as changes of one.
var (
	unseen = func(object *unstructured.Unstructured) {
		object.Object["status"] = map[string]any{"observedGeneration": int64(-1)}
	}
	without = func(object *unstructured.Unstructured) { delete(object.Object, "status") }
	edited  = func(object *unstructured.Unstructured) { object.SetGeneration(object.GetGeneration() + 1) }
	deleted = func(object *unstructured.Unstructured) {
		object.SetDeletionTimestamp(new(metav1.Now()))
	}
)

// shipped is a path in config/gitops.
func shipped(t *testing.T, elements ...string) string {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root, "config", "gitops"}, elements...)...)
}
