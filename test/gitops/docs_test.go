// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page shows the files as they are.
func TestThePageShowsWhatIsShipped(t *testing.T) {
	page := content(t, shipped(t, "..", "..", "docs", "gitops.md"))
	var indented strings.Builder
	for line := range strings.Lines(content(t, shipped(t, "argocd", "health.lua"))) {
		if line != "\n" {
			indented.WriteString("    ")
		}
		indented.WriteString(line)
	}
	_, clients, _ := strings.Cut(content(t, shipped(t, "flux", "clients.yaml")), "apiVersion: ")
	for what, text := range map[string]string{
		"the script for Argo CD": "_MCPClientRegistration: |\n" + indented.String() + "```",
		"the example for Flux":   "```yaml\napiVersion: " + clients + "```",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("docs/gitops.md does not show %s as it is shipped:\n%s", what, text)
		}
	}
}

// The page names every file's folder.
func TestThePageNamesEveryFolder(t *testing.T) {
	page := content(t, shipped(t, "..", "..", "docs", "gitops.md"))
	folders, err := os.ReadDir(shipped(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !strings.Contains(page, "(../config/gitops/"+folder.Name()+")") {
			t.Errorf("docs/gitops.md does not link to %s", filepath.Join("config", "gitops", folder.Name()))
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
