// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// kindPages are the pages whose tables say what conditions and reasons mean.
var kindPages = []string{"authorizationserver.md", "mcpserver.md", "mcpclientregistration.md", "scopegrant.md", "scopegrantapproval.md", "accessdenial.md"}

// reasonRow is a row of a table of reasons: | `Reason` | kstatus | meaning | remedy |.
var reasonRow = regexp.MustCompile("(?m)^\\| `([A-Za-z0-9]+)` \\| ([^|]+) \\| [^|]+ \\| [^|]+ \\|$")

// kstatusCell is what a row may say of kstatus. TestReasons in controllers
// compares it with the truth.
var kstatusCell = regexp.MustCompile("^(Current|InProgress|Failed|Terminating)( or (InProgress|Failed|Terminating))?$")

// shortRow is a row of a table of reasons that lacks the column.
var shortRow = regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z0-9]+)` \\| [^|]+ \\| [^|]+ \\|$")

// conditionRow is a row of the table of condition types: | **`Type`** | … |.
var conditionRow = regexp.MustCompile("(?m)^\\| \\*\\*`([A-Za-z]+)`\\*\\* \\|")

func TestEveryConditionAndReasonIsDocumented(t *testing.T) {
	t.Parallel()
	reasons, conditions := vocabulary(t)
	documented := map[string]bool{}
	types := map[string]bool{}
	for _, page := range kindPages {
		text := read(t, filepath.Join(moduleRoot(t), "docs", page))
		for _, match := range reasonRow.FindAllStringSubmatch(text, -1) {
			documented[match[1]] = true
			if !slices.Contains(reasons, match[1]) {
				t.Errorf("docs/%s: there is no reason %s in conditions.go", page, match[1])
			}
			if !kstatusCell.MatchString(match[2]) {
				t.Errorf("docs/%s: kstatus of %s is %q", page, match[1], match[2])
			}
		}
		for _, match := range shortRow.FindAllStringSubmatch(text, -1) {
			if slices.Contains(reasons, match[1]) {
				t.Errorf("docs/%s: the row of %s does not say what kstatus is", page, match[1])
			}
		}
		for _, match := range conditionRow.FindAllStringSubmatch(text, -1) {
			types[match[1]] = true
			if !slices.Contains(conditions, match[1]) {
				t.Errorf("docs/%s: there is no condition type %s in conditions.go", page, match[1])
			}
		}
	}
	for _, reason := range reasons {
		if !documented[reason] {
			t.Errorf("the reason %s has no row with meaning and remedy in any page", reason)
		}
	}
	for _, condition := range conditions {
		if !types[condition] {
			t.Errorf("the condition type %s has no row in any page", condition)
		}
	}
}

// mention finds what looks like a condition with its reason: Ready=False/Expired.
var mention = regexp.MustCompile(`\b([A-Z][A-Za-z]+)=(True|False|Unknown)/([A-Z][A-Za-z0-9]+)\b`)

func TestReasonsThatThePagesMentionExist(t *testing.T) {
	t.Parallel()
	reasons, conditions := vocabulary(t)
	found := 0
	for _, page := range append(pages(t), filepath.Join(moduleRoot(t), "README.md")) {
		for _, match := range mention.FindAllStringSubmatch(read(t, page), -1) {
			found++
			if !slices.Contains(conditions, match[1]) || !slices.Contains(reasons, match[3]) {
				t.Errorf("%s: %s is not in conditions.go", page, match[0])
			}
		}
	}
	if found == 0 {
		t.Error("no page mentions a condition with its reason: the pattern is wrong")
	}
}

// vocabulary reads the values of the constants of conditions.go.
func vocabulary(t *testing.T) (reasons, conditions []string) {
	t.Helper()
	path := filepath.Join(moduleRoot(t), "api", "v1alpha1", "conditions.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values[spec.Names[0].Name] = value
			}
		}
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case strings.HasPrefix(name, "Reason"):
			reasons = append(reasons, values[name])
		case strings.HasPrefix(name, "Condition"):
			conditions = append(conditions, values[name])
		}
	}
	if len(reasons) < 40 || len(conditions) < 7 {
		t.Fatalf("%d reasons and %d condition types in %s: too few", len(reasons), len(conditions), path)
	}
	return reasons, conditions
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// pages lists the pages in docs that are written by hand.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(moduleRoot(t), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(path string) bool { return filepath.Base(path) == "reference.md" })
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
