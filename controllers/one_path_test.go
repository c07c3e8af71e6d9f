// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A client is deleted in one place, whatever the cause and whoever knows of it: the
// executor of the lifecycle's plans. The decorator of the port passes the call on.
func TestOneRevokePath(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../cmd/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for _, name := range append(files, more...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if method, ok := call.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "Revoke" {
				calls[name]++
			}
			return true
		})
	}
	if diff := cmp.Diff(map[string]int{"executor.go": 1, "servers.go": 1}, calls); diff != "" {
		t.Errorf("where the port's Revoke is called (-want +got):\n%s", diff)
	}
}

// What is done next about a client's record, and what is said of it, is decided by the
// lifecycle and by policy: a reconciler asks them and does not compare states. Only the
// stored form knows their names.
func TestStatesAreNotDecidedOnHere(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "records_stored.go" {
			continue
		}
		read++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			state := x.Name == "policy" && strings.HasPrefix(s.Sel.Name, "Record") && s.Sel.Name != "Record" && s.Sel.Name != "RecordState"
			standing := x.Name == "lifecycle" && slices.Contains([]string{"StandingOf", "Gone", "Unconfirmed", "Alive", "Deleted"}, s.Sel.Name)
			if state || standing {
				t.Errorf("%s names %s.%s", name, x.Name, s.Sel.Name)
			}
			return true
		})
	}
	if read < 30 {
		t.Errorf("%d files were read; want those of the package", read)
	}
}
