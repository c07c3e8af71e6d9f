// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hack

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// testMention finds a list of tests with the folder that they are in:
	// `TestOne`, `FuzzTwo` (internal/policy). The folder may be left out.
	testMention = regexp.MustCompile("((?:`(?:Test|Fuzz)[A-Z]\\w*`(?:, )?)+)(?: \\(([\\w./-]+)\\))?")
	// testName finds the names in such a list.
	testName = regexp.MustCompile("`(\\w+)`")
	// testFunction finds the tests of a file.
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
)

// What docs/security.md says to be held is held by tests that exist, where it says.
func TestTheTestsThatThePagesNameExist(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	folders := testsByFolder(t, root)
	found := 0
	for _, list := range testMention.FindAllStringSubmatch(read(t, filepath.Join(root, "docs", "security.md")), -1) {
		for _, name := range testName.FindAllStringSubmatch(list[1], -1) {
			found++
			if !slices.ContainsFunc(folders[name[1]], func(folder string) bool { return list[2] == "" || list[2] == folder }) {
				t.Errorf("docs/security.md: there is no test %s in the folder %q: it is in %q", name[1], list[2], folders[name[1]])
			}
		}
	}
	if found < 60 {
		t.Errorf("docs/security.md names %d tests: the pattern is wrong", found)
	}
}

// testsByFolder are the folders of each test of the tree, by its name.
func testsByFolder(t *testing.T, root string) map[string][]string {
	t.Helper()
	folders := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "bin" || entry.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		for _, match := range testFunction.FindAllStringSubmatch(read(t, path), -1) {
			folders[match[1]] = append(folders[match[1]], filepath.ToSlash(folder))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// The tests that the Makefile has run beside the others are those of test/e2e.
func TestThePartsOfTheMakefileExist(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	part := regexp.MustCompile(`(?m)^E2E_PART\s+= \^Test\((.+)\)\$\$$`).FindStringSubmatch(read(t, filepath.Join(root, "Makefile")))
	if part == nil {
		t.Fatal("the Makefile has no E2E_PART")
	}
	folders := testsByFolder(t, root)
	for name := range strings.SplitSeq(part[1], "|") {
		if !slices.Contains(folders["Test"+name], "test/e2e") {
			t.Errorf("Makefile, E2E_PART: there is no Test%s in test/e2e", name)
		}
	}
}
