// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hack

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mapEntry is a line of the README's map of the tree.
var mapEntry = regexp.MustCompile("(?m)^\\| `([^`/]+)/` \\|")

func TestTheReadmeMapsEveryTopLevelFolder(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	var mapped []string
	for _, match := range mapEntry.FindAllStringSubmatch(read(t, filepath.Join(root, "README.md")), -1) {
		mapped = append(mapped, match[1])
	}
	slices.Sort(mapped)
	if diff := cmp.Diff(topLevelFolders(t, root), mapped); diff != "" {
		t.Errorf("the map of the tree in README.md (-folders +map)\n%s", diff)
	}
}

// topLevelFolders lists the folders that belong to the source: those that git
// does not ignore.
func topLevelFolders(t *testing.T, root string) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	ignored := strings.Fields(read(t, filepath.Join(root, ".gitignore")))
	var folders []string
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() && name != ".git" && !slices.Contains(ignored, "/"+name+"/") && !slices.Contains(ignored, name+"/") {
			folders = append(folders, name)
		}
	}
	return folders
}

// link finds the target of a Markdown link that is not an absolute URL, and the
// heading in it.
var link = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)

func TestLinksBetweenThePagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	for _, page := range append(pages(t), filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			place := page
			if match[1] != "" {
				place = filepath.Join(filepath.Dir(page), match[1])
			}
			if _, err := os.Stat(place); err != nil {
				t.Errorf("%s: the link to %s: %v", page, match[1], err)
				continue
			}
			if match[2] != "" && !slices.Contains(headings(read(t, place)), match[2]) {
				t.Errorf("%s: %s has no heading #%s", page, place, match[2])
			}
		}
	}
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	dropped = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// headings lists the anchors of a page, as they are made from its headings.
func headings(text string) []string {
	var anchors []string
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		anchor := dropped.ReplaceAllString(strings.ToLower(match[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

// target finds the targets of make that a page tells people to run.
var target = regexp.MustCompile(`(?m)(?:^\$ |\x60)make ([a-z0-9-]+)`)

func TestTheMakeTargetsInThePagesExist(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	makefile := read(t, filepath.Join(root, "Makefile"))
	for _, page := range append(pages(t), filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		for _, match := range target.FindAllStringSubmatch(read(t, page), -1) {
			if !strings.Contains(makefile, "\n"+match[1]+":") {
				t.Errorf("%s: there is no target %s in the Makefile", page, match[1])
			}
		}
	}
}
