// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindBinariesPrefersTheUsersAndFillsTheGaps(t *testing.T) {
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	users := t.TempDir()
	t.Setenv(assetsVariable, users)
	for name, mode := range map[string]os.FileMode{etcdName: 0o755, apiServerName: 0o644, tetherName: 0o755} {
		if err := os.WriteFile(filepath.Join(users, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	got, err := findBinaries(t.Context(), []string{etcdName, apiServerName, controllerManagerName, tetherName})
	if err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(root, "bin", "controlplane")
	want := map[string]string{
		etcdName:              filepath.Join(users, etcdName),
		apiServerName:         filepath.Join(ours, apiServerName),
		controllerManagerName: filepath.Join(ours, controllerManagerName),
		tetherName:            filepath.Join(ours, tetherName),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestModuleRootIsIndependentOfTheWorkingDirectory(t *testing.T) {
	here, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(here, "test", "controlplane", "build"))
	there, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	if here != there {
		t.Errorf("got %q below another module, want %q", there, here)
	}
	t.Chdir(t.TempDir())
	if outside, err := ModuleRoot(); err == nil {
		t.Errorf("got %q outside the repository, want an error", outside)
	}
}
