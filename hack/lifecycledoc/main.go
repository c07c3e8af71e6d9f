// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command lifecycledoc writes docs/lifecycle.md and its picture. It asks
// internal/lifecycle what it does in each situation and after each answer, so that
// the page cannot say anything else.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "Folder of the module.")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "lifecycledoc:", err)
		os.Exit(1)
	}
}

// run writes the page and the picture.
func run(root string) error {
	told := tell()
	for name, content := range map[string]string{"lifecycle.md": page(told), "lifecycle.svg": picture(told)} {
		if err := os.WriteFile(filepath.Join(root, "docs", name), []byte(content), 0o644); err != nil { //nolint:gosec // pages are for everyone to read
			return err
		}
	}
	return nil
}
