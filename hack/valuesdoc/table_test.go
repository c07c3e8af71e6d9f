// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

func TestValuesAreDescribed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, values string
		want         []row
		refused      string
	}{
		{
			name:   "the first value of the file",
			values: "# How many.\nreplicas: 1\n",
			want:   []row{{"replicas", "1", "How many."}},
		},
		{
			name:   "a comment of several lines becomes one",
			values: "# How\n# many.\nreplicas: 1\n\n# Which.\nname: \"\"\n",
			want:   []row{{"replicas", "1", "How many."}, {"name", `""`, "Which."}},
		},
		{
			name:   "members that are described each have a row, and so has their group",
			values: "# All of it.\nimage:\n  # Where.\n  repository: a\n  # Which.\n  tag: null\n",
			want:   []row{{"image", "", "All of it."}, {"image.repository", "a", "Where."}, {"image.tag", "null", "Which."}},
		},
		{
			name:   "a group need not be described itself",
			values: "rbac:\n  roles:\n    # Whether.\n    create: true\n",
			want:   []row{{"rbac.roles.create", "true", "Whether."}},
		},
		{
			name:   "members that are not described are part of the default",
			values: "# How much.\nresources:\n  limits:\n    memory: 1Gi\n  claims: []\n",
			want:   []row{{"resources", "{claims: [], limits: {memory: 1Gi}}", "How much."}},
		},
		{name: "a value without a comment", values: "replicas: 1\n", refused: "line 1: replicas has no comment"},
		{
			name:    "a member without a comment among others",
			values:  "image:\n  # Where.\n  repository: a\n  tag: b\n",
			refused: "line 4: image.tag has no comment",
		},
		{name: "no mapping", values: "- 1\n", refused: "not a mapping"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := describe([]byte(c.values))
			if c.refused != "" {
				if err == nil || err.Error() != c.refused {
					t.Fatalf("the error is %v, want %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("described otherwise (-want +got)\n%s", diff)
			}
		})
	}
}

func TestATableNeedsItsMarks(t *testing.T) {
	t.Parallel()
	if _, err := insert("# Page\n"+begin, "new"); err == nil {
		t.Error("a page without the second mark was written")
	}
	got, err := insert("# Page\n"+begin+"old\n"+end+"tail\n", "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Page\n" + begin + "\nnew\n\n" + end + "tail\n"; got != want {
		t.Errorf("the page is %q, want %q", got, want)
	}
}

func TestAPipeDoesNotEndACell(t *testing.T) {
	t.Parallel()
	got := table([]row{{"a", "b|c", "d|e"}})
	if !strings.Contains(got, "| `a` | `b\\|c` | d\\|e |\n") {
		t.Errorf("the table is %q", got)
	}
}

func TestThePageIsCurrent(t *testing.T) {
	t.Parallel()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	for _, path := range []string{values, page} {
		if err := os.MkdirAll(filepath.Join(tree, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, path), []byte(read(t, filepath.Join(root, path))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(tree); err != nil {
		t.Fatal(err)
	}
	before, after := read(t, filepath.Join(root, page)), read(t, filepath.Join(tree, page))
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(after, "\n")); diff != "" {
		t.Errorf("%s is behind %s: make generate (-is +should be)\n%s", page, values, diff)
	}
	if !strings.Contains(after, "| `replicas` | `1` | ") {
		t.Error("the table has no row for replicas")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
