// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tableWord finds the words of a row of a table.
var tableWord = regexp.MustCompile("`([A-Za-z0-9]+)`")

// Words that users and machines read have a row in the page that explains them: whoever
// adds one is told here where.
func TestEveryWordOfAClosedSetIsDocumented(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	for _, set := range []struct {
		file, of, page string
		fewest         int
	}{
		{"internal/guard/reasons.go", "Reason", "boundary.md", 20},
		{"internal/policy/access.go", "Refusal", "boundary.md", 9},
		{"api/v1alpha1/mcpclientregistration_types.go", "RevocationCause", "mcpclientregistration.md", 8},
	} {
		t.Run(set.of, func(t *testing.T) {
			t.Parallel()
			var rows []string
			for line := range strings.Lines(read(t, filepath.Join(root, "docs", set.page))) {
				if !strings.HasPrefix(line, "|") {
					continue
				}
				for _, word := range tableWord.FindAllStringSubmatch(line, -1) {
					rows = append(rows, word[1])
				}
			}
			words := constantsOf(t, filepath.Join(root, set.file), set.of)
			if len(words) < set.fewest {
				t.Fatalf("%s: %d constants of type %s: too few", set.file, len(words), set.of)
			}
			for _, word := range words {
				if !slices.Contains(rows, word) {
					t.Errorf("docs/%s: no row of a table explains %s (%s)", set.page, word, set.file)
				}
			}
		})
	}
}

// constantsOf are the values of the constants of a type in a file.
func constantsOf(t *testing.T, path, name string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		of, named := spec.Type.(*ast.Ident)
		literal, text := spec.Values[0].(*ast.BasicLit)
		if !named || !text || of.Name != name {
			return true
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
		return true
	})
	return values
}
