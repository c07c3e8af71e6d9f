// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	root := flag.String("root", ".", "Folder of the module.")
	flag.Parse()
	if err := run(context.Background(), *root); err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}

// run writes the generated files.
func run(ctx context.Context, root string) error {
	files, err := generate(ctx, root)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(root, name), files[name], 0o644); err != nil { //nolint:gosec // sources are for everyone to read
			return err
		}
	}
	return nil
}

// generate returns the generated files by their place in the module.
func generate(ctx context.Context, root string) (map[string][]byte, error) {
	words, err := readVocabulary(filepath.Join(root, "api", "v1alpha1"))
	if err != nil {
		return nil, fmt.Errorf("reading the constants of the API: %w", err)
	}
	own, err := ours(ctx)
	if err != nil {
		return nil, fmt.Errorf("describing the metrics: %w", err)
	}
	boundary, err := guards()
	if err != nil {
		return nil, fmt.Errorf("describing the metrics of the guard: %w", err)
	}
	page, err := render(catalogue{own, boundary, libraries()}, words)
	if err != nil {
		return nil, fmt.Errorf("rendering the page: %w", err)
	}
	return map[string][]byte{
		"docs/metrics.md":                    page,
		"controllers/zz_generated.labels.go": words.source(),
	}, nil
}
