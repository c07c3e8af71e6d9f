// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
)

// end is the place of a client whose end is on record.
const end = "End"

// place is where a box of the picture is.
type place struct{ x, y int }

const boxWidth, boxHeight = 150, 46

var places = map[string]place{
	lifecycle.Unconfirmed.String(): {60, 60}, lifecycle.Alive.String(): {60, 250},
	lifecycle.Deleted.String(): {470, 250}, end: {470, 60}, lifecycle.Gone.String(): {760, 60},
}

// edge is a way from one box to another, with the answers that lead there.
type edge struct{ from, to string }

// picture draws the standings and what leads from one to the next.
func picture(told []step) string {
	ways, order := map[edge][]string{}, []edge{}
	for _, s := range told {
		for _, r := range s.results {
			e := edge{s.from.String(), r.to.String()}
			if r.ended {
				e.to = end
			}
			label := s.label(r)
			if ways[e] == nil {
				order = append(order, e)
			}
			if !slices.Contains(ways[e], label) {
				ways[e] = append(ways[e], label)
			}
		}
	}
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 560" font-family="sans-serif" font-size="13">` + "\n" +
		`<title>The standings of a client that must not exist, and the answers that lead from one to the next</title>` + "\n" +
		`<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>` + "\n" +
		`<rect width="960" height="560" fill="#fff"/>` + "\n")
	for i, e := range order {
		draw(&b, i+1, e)
	}
	for _, name := range []string{lifecycle.Unconfirmed.String(), lifecycle.Alive.String(), lifecycle.Deleted.String(), end, lifecycle.Gone.String()} {
		p := places[name]
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="#eef3fa" stroke="#345"/><text x="%d" y="%d" text-anchor="middle" font-weight="bold">%s</text>`+"\n",
			p.x, p.y, boxWidth, boxHeight, p.x+boxWidth/2, p.y+28, name)
	}
	y := 340
	for i, e := range order {
		fmt.Fprintf(&b, `<text x="20" y="%d" font-weight="bold">%d</text>`+"\n", y, i+1)
		for _, line := range wrap(ways[e]) {
			fmt.Fprintf(&b, `<text x="40" y="%d">%s</text>`+"\n", y, html.EscapeString(strings.TrimSpace(line)))
			y += 20
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// label is what an answer is called in the picture.
func (s step) label(r result) string {
	switch {
	case s.call == lifecycle.None:
		return s.situation
	case s.note != "" && r.answer == "proven to be absent":
		return s.call.String() + ": " + r.answer + " (" + s.note + ")"
	}
	return s.call.String() + ": " + r.answer
}

// wrap breaks the names of a legend into lines.
func wrap(names []string) []string {
	lines := []string{""}
	for i, name := range names {
		if i < len(names)-1 {
			name += "; "
		}
		if last := len(lines) - 1; len(lines[last])+len(name) <= 130 {
			lines[last] += name
		} else {
			lines = append(lines, name)
		}
	}
	return lines
}

// draw draws one way and its number: a loop above its box, or a line between two.
func draw(b *strings.Builder, number int, e edge) {
	from, to := places[e.from], places[e.to]
	x1, y1, x2, y2 := from.x+boxWidth/2, from.y+boxHeight/2, to.x+boxWidth/2, to.y+boxHeight/2
	label := place{(x1 + x2) / 2, (y1+y2)/2 - 8}
	switch {
	case e.from == e.to:
		fmt.Fprintf(b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#345" marker-end="url(#a)"/>`+"\n",
			from.x+20, from.y, from.x-30, from.y-45, from.x+95, from.y-45, from.x+55, from.y)
		label = place{from.x + 22, from.y - 36}
	case y1 == y2:
		// Two ways between neighbours do not lie on each other.
		shift, start, stop := 8, from.x+boxWidth, to.x
		if x2 < x1 {
			shift, start, stop = -8, from.x, to.x+boxWidth
		}
		fmt.Fprintf(b, `<path d="M%d %dL%d %d" stroke="#345" marker-end="url(#a)"/>`+"\n", start, y1+shift, stop, y2+shift)
		label.y = y1 + shift*2 + 4
	case x1 == x2:
		start, stop := from.y, to.y+boxHeight
		if y2 > y1 {
			start, stop = from.y+boxHeight, to.y
		}
		fmt.Fprintf(b, `<path d="M%d %dL%d %d" stroke="#345" marker-end="url(#a)"/>`+"\n", x1, start, x2, stop)
		label = place{x1 + 14, (start + stop) / 2}
	default:
		fmt.Fprintf(b, `<path d="M%d %dL%d %d" stroke="#345" marker-end="url(#a)"/>`+"\n", from.x+boxWidth, from.y+6, to.x, to.y+boxHeight-6)
	}
	fmt.Fprintf(b, `<circle cx="%d" cy="%d" r="9" fill="#fff" stroke="#345"/><text x="%d" y="%d" text-anchor="middle" font-size="11">%d</text>`+"\n",
		label.x, label.y, label.x, label.y+4, number)
}
