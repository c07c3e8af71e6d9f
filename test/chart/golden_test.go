// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each set of values is rendered with testdata/<name>.values.yaml and compared with
// testdata/<name>.golden.yaml. CRDs and
// policies are left out: TestCRDs and TestPolicies compare those.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, set := range valueSets {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			compareWithGolden(t, set.name+".golden.yaml", set.render(t, "--set=crds.enabled=false", "--set=admission.enabled=false"))
		})
	}
}

func TestKustomizeGolden(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"rbac", "manager", "admission"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			compareWithGolden(t, "kustomize-"+folder+".golden.yaml", kustomizeBuild(t, folder))
		})
	}
}

func TestChartVersionNeedsNoOlderKubernetes(t *testing.T) {
	t.Parallel()
	output, ok := helmTemplate(t, "1.29.9")
	if ok || !strings.Contains(output, "chart requires kubeVersion: >=1.30.0-0") {
		t.Errorf("Kubernetes 1.29 was not refused: %s", output)
	}
}

func compareWithGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(testdata(t), name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-golden +rendered); if that is intended: go test ./test/chart -update\n%s", name, diff)
	}
}

func testdata(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
