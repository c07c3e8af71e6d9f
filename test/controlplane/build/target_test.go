// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOutdated(t *testing.T) {
	target := binary{name: "etcd"}
	cases := map[string]struct {
		mode  os.FileMode
		stamp string
		want  int
	}{
		"a binary stamped with the present pins is kept": {mode: 0o755, stamp: "now\n", want: 0},
		"other pins mean another build":                  {mode: 0o755, stamp: "before\n", want: 1},
		"no stamp means the build did not end":           {mode: 0o755, want: 1},
		"what cannot be executed is no binary":           {mode: 0o644, stamp: "now\n", want: 1},
		"a stamp without its binary says nothing":        {stamp: "now\n", want: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			if tc.mode != 0 {
				writeFile(t, filepath.Join(bin, target.name), "", tc.mode)
			}
			if tc.stamp != "" {
				writeFile(t, stampPath(bin, target), tc.stamp, 0o644)
			}
			if got := len(outdated(bin, "now", []binary{target})); got != tc.want {
				t.Errorf("got %d outdated, want %d", got, tc.want)
			}
		})
	}
}

func TestBuild(t *testing.T) {
	target := binary{name: "prog", pkg: "example.test/prog"}
	cases := map[string]struct {
		source string
		want   string
	}{
		"a good program is put in place and stamped":       {source: "package main\n\nfunc main() {}\n"},
		"a failure shows what the compiler said and stops": {source: "package main\n\nfunc main() { absent() }\n", want: "undefined: absent"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := builder{module: t.TempDir(), bin: t.TempDir(), pins: "now"}
			writeFile(t, filepath.Join(b.module, "go.mod"), "module example.test/prog\n\ngo 1.26.0\n", 0o644)
			writeFile(t, filepath.Join(b.module, "main.go"), tc.source, 0o644)
			err := b.build(t.Context(), target, "v1.2.3")
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
			if got, want := len(outdated(b.bin, b.pins, []binary{target})) == 0, tc.want == ""; got != want {
				t.Errorf("got built %t, want %t", got, want)
			}
			if left, err := filepath.Glob(filepath.Join(b.bin, ".*.new")); err != nil || len(left) > 0 {
				t.Errorf("left behind %q (error %v)", left, err)
			}
		})
	}
}

func TestChooseRefusesUnknownNames(t *testing.T) {
	if got, err := choose([]string{"etcd", "kube-proxy"}); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}

func TestLinkFlagsCarryTheVersion(t *testing.T) {
	flags := linkFlags("v1.37.2")
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=v1.37.2",
		"-X k8s.io/component-base/version.gitMinor=37",
		"-X k8s.io/client-go/pkg/version.gitMajor=1",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q lacks %q", flags, want)
		}
	}
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
