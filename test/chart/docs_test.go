// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// example finds a block of YAML in the page that is a file of testdata.
var example = regexp.MustCompile("(?s)<!-- test/chart/testdata/([a-z.-]+) -->\n```yaml\n(.*?)```\n")

// What docs/helm.md shows is what is rendered, linted and applied here.
func TestTheExamplesOfThePageAreTestedHere(t *testing.T) {
	t.Parallel()
	var shown []string
	for _, match := range example.FindAllStringSubmatch(readText(t, filepath.Join(root(t), "docs", "helm.md")), -1) {
		shown = append(shown, match[1])
		if diff := cmp.Diff(readText(t, filepath.Join(testdata(t), match[1])), match[2]); diff != "" {
			t.Errorf("docs/helm.md shows %s otherwise (-testdata +page)\n%s", match[1], diff)
		}
		if set, isValues := strings.CutSuffix(match[1], ".values.yaml"); isValues {
			if !slices.ContainsFunc(valueSets, func(s valueSet) bool { return s.name == set }) {
				t.Errorf("%s is in the page and not among the tested sets of values", match[1])
			}
		}
	}
	want := []string{
		"watch-cluster.values.yaml", "watch-list.values.yaml", "watch-single.values.yaml",
		"available.values.yaml", "monitored.values.yaml", "openshift.values.yaml", "bindings.yaml",
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("the examples of docs/helm.md (-want +shown)\n%s", diff)
	}
}

// annotation reads an annotation of Chart.yaml.
func annotation(t *testing.T, name string) string {
	t.Helper()
	var chart struct{ Annotations map[string]string }
	readYAML(t, filepath.Join(chartDir(t), "Chart.yaml"), &chart)
	if chart.Annotations[name] == "" {
		t.Fatalf("Chart.yaml has no annotation %s", name)
	}
	return chart.Annotations[name]
}

// crd is what Artifact Hub shows of a CRD.
type crd struct{ Kind, Version, Name string }

func TestChartYAMLNamesTheCRDs(t *testing.T) {
	t.Parallel()
	var named []struct {
		crd
		DisplayName, Description string
	}
	if err := yaml.Unmarshal([]byte(annotation(t, "artifacthub.io/crds")), &named); err != nil {
		t.Fatal(err)
	}
	got := map[string]crd{}
	for _, n := range named {
		got[n.Name] = n.crd
		if n.DisplayName == "" || n.Description == "" {
			t.Errorf("%s has no displayName or no description", n.Name)
		}
	}
	want := map[string]crd{}
	for _, generated := range generatedCRDs(t) {
		var typed struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct{ Name string }
			}
		}
		convert(t, generated.Object, &typed)
		want[generated.GetName()] = crd{Kind: typed.Spec.Names.Kind, Version: typed.Spec.Versions[0].Name, Name: generated.GetName()}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("artifacthub.io/crds in Chart.yaml (-generated +named)\n%s", diff)
	}
}

// listOf makes a stream of documents of a YAML list.
func listOf(t *testing.T, list string) string {
	t.Helper()
	var objects []map[string]any
	if err := yaml.Unmarshal([]byte(list), &objects); err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, object := range objects {
		document, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, string(document))
	}
	return strings.Join(documents, "---\n")
}

func convert(t *testing.T, from, into any) {
	t.Helper()
	content, err := yaml.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
