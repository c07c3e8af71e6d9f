// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command architecturedoc draws the table of layers in docs/architecture.md as
// docs/architecture.svg. Its test holds the table against the imports of the product.
package main

import (
	"errors"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	root := flag.String("root", ".", "Folder of the module.")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "architecturedoc:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md")) //nolint:gosec // The caller names the folder.
	if err != nil {
		return err
	}
	layers, err := read(string(page))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "architecture.svg"), []byte(picture(layers)), 0o644) //nolint:gosec // pages are for everyone to read
}

// layer is one row of the table: packages that may import what is below them, and
// nothing beside them or above.
type layer struct {
	name     string
	packages []string
}

var (
	row         = regexp.MustCompile(`(?m)^\| \*\*(.+?)\*\* \| (.+?) \|`)
	packageName = regexp.MustCompile("`([a-z0-9/]+)`")
)

// read finds the layers of the page, from top to bottom.
func read(page string) ([]layer, error) {
	var layers []layer
	for _, match := range row.FindAllStringSubmatch(page, -1) {
		l := layer{name: match[1]}
		for _, name := range packageName.FindAllStringSubmatch(match[2], -1) {
			l.packages = append(l.packages, name[1])
		}
		if len(l.packages) == 0 {
			return nil, fmt.Errorf("docs/architecture.md: the layer %q has no packages", l.name)
		}
		layers = append(layers, l)
	}
	if len(layers) == 0 {
		return nil, errors.New("docs/architecture.md: there is no table of layers")
	}
	return layers, nil
}

// Measures of the picture, in its own units.
const (
	width, margin          = 1000, 16
	captionWidth           = 150
	boxHeight, boxGap      = 30, 10
	letterWidth, textInset = 7, 12
)

// picture draws each layer as a band, with a box for each package.
func picture(layers []layer) string {
	var bands strings.Builder
	y := margin
	for i, l := range layers {
		boxes, height := band(l, y)
		shade := "#eef3fa"
		if i%2 == 1 {
			shade = "#f7f9fc"
		}
		fmt.Fprintf(&bands, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/><text x="%d" y="%d" font-weight="bold">%s</text>`+"\n%s",
			margin, y, width-2*margin, height, shade, margin+textInset, y+boxGap+20, html.EscapeString(l.name), boxes)
		y += height + 6
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">
<title>The layers of the product: a package imports what is below it</title>
<rect width="%d" height="%d" fill="#fff"/>
%s</svg>
`, width, y+margin-6, width, y+margin-6, bands.String())
}

// band draws the boxes of a layer in as many lines as they take.
func band(l layer, y int) (boxes string, height int) {
	var b strings.Builder
	left := margin + captionWidth
	x, line := left, y+boxGap
	for _, name := range l.packages {
		box := letterWidth*len(name) + 2*textInset
		if x > left && x+box > width-margin-boxGap {
			x, line = left, line+boxHeight+boxGap
		}
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="5" fill="#fff" stroke="#345"/><text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, line, box, boxHeight, x+box/2, line+20, html.EscapeString(name))
		x += box + boxGap
	}
	return b.String(), line - y + boxHeight + boxGap
}
