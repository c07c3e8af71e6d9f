// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/mcp-registrar/mcp-registrar/"

// imported is a package of the product and what it imports of it.
type imported struct {
	ImportPath string
	Imports    []string
}

// Each package of the product is in one layer and imports only what is in lower ones.
func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	layers := layersOf(t)
	packages := productPackages(t)
	for _, fault := range faults(layers, packages) {
		t.Error(fault)
	}
	// Were the table turned round, all would be wrong.
	var turned []layer
	for i := range layers {
		turned = append(turned, layers[len(layers)-1-i])
	}
	if len(faults(turned, packages)) < len(packages) {
		t.Errorf("%d packages import upwards in no order", len(packages))
	}
}

// faults says what the table and the imports have against each other.
func faults(layers []layer, packages []imported) (found []string) {
	at := map[string]int{}
	for i, l := range layers {
		for _, name := range l.packages {
			if _, twice := at[name]; twice {
				found = append(found, "docs/architecture.md: "+name+" is in two layers")
			}
			at[name] = i
		}
	}
	exists := map[string]bool{}
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module)
		exists[name] = true
		own, there := at[name]
		if !there {
			found = append(found, "docs/architecture.md: "+name+" is in no layer")
			continue
		}
		for _, path := range p.Imports {
			other, ours := strings.CutPrefix(path, module)
			if below, there := at[other]; ours && there && below <= own {
				found = append(found, name+" ("+layers[own].name+") imports "+other+", which is not below it")
			}
		}
	}
	for name := range at {
		if !exists[name] {
			found = append(found, "docs/architecture.md: there is no package "+name)
		}
	}
	return found
}

func root(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func layersOf(t *testing.T) []layer {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := read(string(page))
	if err != nil {
		t.Fatal(err)
	}
	return layers
}

func productPackages(t *testing.T) []imported {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./api/...", "./cmd/...", "./controllers/...", "./internal/...")
	list.Dir = root(t)
	output, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []imported
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var p imported
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestAPictureShowsEveryPackage(t *testing.T) {
	t.Parallel()
	layers := layersOf(t)
	drawn := picture(layers)
	for _, l := range layers {
		for _, name := range append(l.packages, l.name) {
			if !strings.Contains(drawn, ">"+name+"</text>") {
				t.Errorf("the picture lacks %s", name)
			}
		}
	}
}

func TestAPageWithoutLayers(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"", "| **Rules** | none | what |\n"} {
		if layers, err := read(page); err == nil {
			t.Errorf("%q has layers: %v", page, layers)
		}
	}
}
