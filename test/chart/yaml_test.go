// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// What a person types without quotation marks must be read as it is meant: YAML takes
// On, Off, Yes, No and their like for booleans.
func TestNoValueIsEatenByYAML(t *testing.T) {
	t.Parallel()
	for name, crd := range byName(generatedCRDs(t)) {
		versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
		if err != nil || len(versions) == 0 {
			t.Fatalf("%s: %d versions, %v", name, len(versions), err)
		}
		for _, version := range versions {
			spec, found, err := unstructured.NestedMap(version.(map[string]any), "schema", "openAPIV3Schema", "properties", "spec")
			if err != nil || !found {
				t.Fatalf("%s: no schema of spec, %v", name, err)
			}
			words(spec, func(word string) { typed(t, name, word) })
		}
	}
	raw, err := os.ReadFile(filepath.Join(chartDir(t), "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	found := 0
	words(schema, func(word string) { typed(t, "the schema of values", word); found++ })
	if found < 5 {
		t.Errorf("only %d words in the schema of values", found)
	}
	// The words of values that have a pattern.
	for _, word := range []string{"disabled"} {
		typed(t, "audit.log", word)
		mustTemplate(t, "1.37.0", "--set-json=audit.log="+string(must(json.Marshal(word))))
	}
	refused(t, "at '/audit/log': got boolean, want string", "audit.log=false")
}

func must(raw []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return raw
}

// words calls a function with every text that an enum has, at whatever depth.
func words(schema any, each func(string)) {
	switch part := schema.(type) {
	case map[string]any:
		if enum, ok := part["enum"].([]any); ok {
			for _, value := range enum {
				if word, ok := value.(string); ok {
					each(word)
				}
			}
		}
		for _, value := range part {
			words(value, each)
		}
	case []any:
		for _, value := range part {
			words(value, each)
		}
	}
}

func typed(t *testing.T, where, word string) {
	t.Helper()
	var read map[string]any
	if err := yaml.Unmarshal([]byte("value: "+word), &read); err != nil {
		t.Errorf("%s: %s: %v", where, word, err)
	}
	if read["value"] != word {
		t.Errorf("%s: %s is read as %v (%T)", where, word, read["value"], read["value"])
	}
}
