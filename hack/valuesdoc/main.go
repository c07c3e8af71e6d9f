// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// What is read and what is written, from the top of the tree.
const (
	values = "charts/mcp-registrar/values.yaml"
	page   = "docs/helm.md"
)

// The table stands between these lines of the page.
const (
	begin = "<!-- values: begin. Written by \"make generate\" from the comments in values.yaml. -->\n"
	end   = "<!-- values: end -->\n"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "valuesdoc:", err)
		os.Exit(1)
	}
}

// run brings the page of a tree up to date.
func run(top string) error {
	tree, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	written, err := update(tree)
	if err == nil {
		err = tree.WriteFile(page, []byte(written), 0o644)
	}
	return errors.Join(err, tree.Close())
}

// update returns the page with the table of the values.
func update(tree *os.Root) (string, error) {
	content, err := tree.ReadFile(values)
	if err != nil {
		return "", err
	}
	rows, err := describe(content)
	if err != nil {
		return "", fmt.Errorf("%s: %w", values, err)
	}
	text, err := tree.ReadFile(page)
	if err != nil {
		return "", err
	}
	written, err := insert(string(text), table(rows))
	if err != nil {
		return "", fmt.Errorf("%s: %w", page, err)
	}
	return written, nil
}

// insert replaces what stands between the two marks.
func insert(text, table string) (string, error) {
	head, rest, found := strings.Cut(text, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", errors.New("the marks between which the table stands are missing")
	}
	return head + begin + "\n" + table + "\n" + end + tail, nil
}
