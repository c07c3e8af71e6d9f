// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	all := sourcePolicies(t)
	validating := maps.Clone(all)
	maps.DeleteFunc(validating, func(name string, _ unstructured.Unstructured) bool { return strings.HasPrefix(name, "Mutating") })
	if len(validating) == 0 || len(validating) == len(all) {
		t.Fatalf("%d of %d policies and bindings in config/admission are validating", len(validating), len(all))
	}
	for _, c := range []struct {
		name, kubeVersion, set string
		want                   map[string]unstructured.Unstructured
	}{
		{name: "a cluster that has the mutating API gets all", kubeVersion: "1.36.0", set: "admission.mutating=auto", want: all},
		{name: "a build of such a version counts as that version", kubeVersion: "1.36.2-gke.100", set: "admission.mutating=auto", want: all},
		{name: "an older one gets those that validate", kubeVersion: "1.35.9", set: "admission.mutating=auto", want: validating},
		{name: "mutating policies can be left out", kubeVersion: "1.37.0", set: "admission.mutating=never", want: validating},
		{name: "mutating policies can be insisted on", kubeVersion: "1.35.0", set: "admission.mutating=always", want: all},
		{name: "all can be left out", kubeVersion: "1.37.0", set: "admission.enabled=false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rendered := policies(parse(t, mustTemplate(t, c.kubeVersion, "--set="+c.set)))
			names := func(m map[string]unstructured.Unstructured) []string { return slices.Sorted(maps.Keys(m)) }
			if diff := cmp.Diff(names(c.want), names(rendered)); diff != "" {
				t.Fatalf("others than those in config/admission are rendered (-want +got)\n%s", diff)
			}
			for name, object := range rendered {
				if object.GetLabels()["app.kubernetes.io/managed-by"] != "Helm" {
					t.Errorf("%s has no labels of the release", name)
				}
				source := c.want[name]
				object.SetLabels(source.GetLabels())
				if diff := cmp.Diff(source.Object, object.Object); diff != "" {
					t.Errorf("%s differs from config/admission; if \"make generate\" does not help, look at the templates\n%s", name, diff)
				}
			}
		})
	}
}

// policies picks the objects of the admission API, by kind and name.
func policies(objects []unstructured.Unstructured) map[string]unstructured.Unstructured {
	found := map[string]unstructured.Unstructured{}
	for _, object := range objects {
		if strings.HasPrefix(object.GetAPIVersion(), "admissionregistration.k8s.io/") {
			found[object.GetKind()+" "+object.GetName()] = object
		}
	}
	return found
}

func sourcePolicies(t *testing.T) map[string]unstructured.Unstructured {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root(t), "config", "admission", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var objects []unstructured.Unstructured
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, parse(t, string(content))...)
	}
	return policies(objects)
}

// What is dropped into files/admission is rendered by its kind, or refused.
func TestAnyFileOfPoliciesIsHandled(t *testing.T) {
	t.Parallel()
	const policy = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata:\n  name: one\n"
	for _, c := range []struct {
		name, content, want string
		refused             bool
	}{
		{name: "several objects in one file", content: "# Two.\n---\n" + policy + "---\n" + strings.Replace(policy, "one", "two", 1), want: "name: two"},
		{name: "a kind that there is no rule for", content: strings.Replace(policy, "ValidatingAdmissionPolicy", "ConfigMap", 1), refused: true, want: "files/admission/added.yaml: there is no rule for the kind ConfigMap"},
		{name: "a file that is no YAML", content: "a: [", refused: true, want: "files/admission/added.yaml: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "mcp-registrar")
			if err := os.CopyFS(dir, os.DirFS(chartDir(t))); err != nil {
				t.Fatal(err)
			}
			added := filepath.Join(dir, "files", "admission", "added.yaml")
			if err := os.WriteFile(added, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			output, ok := run(t, helm, "template", release, dir, "--kube-version=1.37.0", "--set=image.repository=registry.example.com/mcp-registrar/manager", "--show-only=templates/admission.yaml")
			if ok == c.refused {
				t.Fatalf("helm template: success is %t", ok)
			}
			if !strings.Contains(output, c.want) {
				t.Errorf("%q is not in the output\n%s", c.want, output)
			}
		})
	}
}
