// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const keepAnnotation = "helm.sh/resource-policy"

func TestCRDs(t *testing.T) {
	t.Parallel()
	sources := byName(generatedCRDs(t))
	if len(sources) != 6 {
		t.Fatalf("%d CRDs are generated, want 6", len(sources))
	}

	t.Run("not kept, they are what was generated", func(t *testing.T) {
		t.Parallel()
		compareCRDs(t, sources, renderedCRDs(t, "--set=crds.keep=false"))
	})
	t.Run("kept, they are that and one annotation", func(t *testing.T) {
		t.Parallel()
		rendered := renderedCRDs(t)
		for name, crd := range rendered {
			annotations := crd.GetAnnotations()
			if annotations[keepAnnotation] != "keep" {
				t.Errorf("%s would be deleted with the release", name)
			}
			delete(annotations, keepAnnotation)
			crd.SetAnnotations(annotations)
		}
		compareCRDs(t, sources, rendered)
	})
	t.Run("switched off, there are none", func(t *testing.T) {
		t.Parallel()
		if rendered := renderedCRDs(t, "--set=crds.enabled=false"); len(rendered) != 0 {
			t.Errorf("%d CRDs are rendered, want none", len(rendered))
		}
	})
	t.Run("kustomize has all of them", func(t *testing.T) {
		t.Parallel()
		compareCRDs(t, sources, byName(parse(t, kustomizeBuild(t, "crd"))))
	})
}

// compareCRDs names the CRDs that differ: the difference itself fills pages.
func compareCRDs(t *testing.T, generated, rendered map[string]unstructured.Unstructured) {
	t.Helper()
	names := slices.Sorted(maps.Keys(generated))
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(rendered))); diff != "" {
		t.Errorf("other CRDs are rendered (-generated +rendered)\n%s", diff)
	}
	for _, name := range names {
		if !cmp.Equal(generated[name], rendered[name]) {
			t.Errorf("%s differs from config/crd/bases; if \"make generate\" does not help, look at the templates", name)
		}
	}
}

func renderedCRDs(t *testing.T, args ...string) map[string]unstructured.Unstructured {
	t.Helper()
	return byName(ofKind(parse(t, mustTemplate(t, "1.37.0", args...)), "CustomResourceDefinition"))
}

func generatedCRDs(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root(t), "config", "crd", "bases", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crds []unstructured.Unstructured
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		crds = append(crds, parse(t, string(content))...)
	}
	return crds
}

func byName(objects []unstructured.Unstructured) map[string]unstructured.Unstructured {
	named := map[string]unstructured.Unstructured{}
	for _, object := range objects {
		named[object.GetName()] = object
	}
	return named
}
