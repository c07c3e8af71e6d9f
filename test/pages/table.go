// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed commands.yaml
var table []byte

// Row says of one command of a page who runs it and what it does.
type Row struct {
	// Page and Command name it: the page, and the first line of the command without
	// what continues it. Where a page has it more than once, there is a row for each.
	Page    string `json:"page"`
	Command string `json:"command"`
	// By is the person who runs it.
	By string `json:"by,omitempty"`
	// After are the states of the world that are brought about before, in this order.
	After []string `json:"after,omitempty"`
	// Replace are the names and dates that a reader replaces too, and by what: a value
	// may name variables of the shell that a state has set.
	Replace map[string]string `json:"replace,omitempty"`
	// Shows are regular expressions that match what the command answers. Those for a
	// command whose answer the page shows match the page as well.
	Shows []string `json:"shows,omitempty"`
	// Fails says that the page shows a refusal.
	Fails bool `json:"fails,omitempty"`
	// NotHere is why the command cannot be run by a test; Instead is what is run in its
	// place, as the same person.
	NotHere string `json:"notHere,omitempty"`
	Instead string `json:"instead,omitempty"`
}

// Rows is the table.
func Rows() ([]Row, error) {
	var rows []Row
	if err := yaml.UnmarshalStrict(table, &rows); err != nil {
		return nil, fmt.Errorf("reading commands.yaml: %w", err)
	}
	return rows, nil
}

// Covered is a row with its command.
type Covered struct {
	Row
	Of Command
}

// Match gives each row its command, in the order of the rows, and says what is left of
// either.
func Match(rows []Row, all []Command) (covered []Covered, faults []string) {
	left := slices.Clone(all)
	for _, row := range rows {
		at := slices.IndexFunc(left, func(c Command) bool { return c.Page == row.Page && c.First() == row.Command })
		if at < 0 {
			faults = append(faults, fmt.Sprintf("%s has no command %q that no other row is of", row.Page, row.Command))
			continue
		}
		covered = append(covered, Covered{Row: row, Of: left[at]})
		left = slices.Delete(left, at, at+1)
	}
	for _, c := range left {
		if _, made := c.Make(); made {
			continue
		}
		faults = append(faults, fmt.Sprintf("%s:%d: nobody runs %q: it has no row in test/pages/commands.yaml", c.Page, c.Line, c.First()))
	}
	return covered, faults
}

// header is the first line of a table of kubectl.
var header = regexp.MustCompile(`^[A-Z][A-Z-]*(?: [A-Z-]+)*(?: {2,}[A-Z-]+(?: [A-Z-]+)*)+\s*$`)

// Header are the columns that the page shows of a table of kubectl, if it shows one.
func (c Command) Header() []string {
	first, _, _ := strings.Cut(c.Output, "\n")
	if !strings.HasPrefix(c.Text, "kubectl ") || !header.MatchString(first) {
		return nil
	}
	return strings.Fields(first)
}

// Faults are what is wrong with a row by itself.
func (c Covered) Faults() []string {
	var faults []string
	fault := func(format string, arguments ...any) {
		faults = append(faults, fmt.Sprintf("%s:%d: %q: ", c.Page, c.Of.Line, c.Command)+fmt.Sprintf(format, arguments...))
	}
	switch {
	case c.NotHere == "" && c.By == "":
		fault("nobody is named who runs it")
	case c.NotHere == "" && c.Instead != "":
		fault("it is run, and something else in its place")
	case c.NotHere != "" && c.Instead == "" && (c.By != "" || len(c.After) > 0 || len(c.Shows) > 0):
		fault("nothing is run, and the row says by whom, after what or with which answer")
	case c.Of.Output != "" && c.NotHere == "" && len(c.Shows) == 0 && c.Of.Header() == nil:
		fault("the page shows an answer, and the row does not say what of it holds")
	}
	for text := range c.Replace {
		if !strings.Contains(c.Of.Text, text) {
			fault("there is no %q to replace", text)
		}
	}
	for _, shows := range c.Shows {
		expression, err := regexp.Compile(shows)
		switch {
		case err != nil:
			fault("%v", err)
		case c.Of.Output != "" && !expression.MatchString(c.Of.Output):
			fault("the page does not show %q", shows)
		}
	}
	return faults
}

// Line is what is typed, as a reader would who replaces what is theirs.
func (c Covered) Line() string {
	if c.Instead != "" {
		return c.Instead
	}
	var pairs []string
	for text, with := range c.Replace {
		pairs = append(pairs, text, with)
	}
	return strings.NewReplacer(pairs...).Replace(c.Of.Text)
}

// definition is a command that only sets variables or defines functions for those after
// it on its page.
var definition = regexp.MustCompile(`^(?:[A-Za-z_]+=|[a-z_]+\(\) )`)

// Defines says that the command is of use only to those after it on its page.
func (c Covered) Defines() bool { return definition.MatchString(c.Of.Text) }

// Make are the arguments of a command of make. It needs no row: what it does takes long,
// or is what runs the tests.
func (c Command) Make() (arguments string, made bool) {
	arguments, made = strings.CutPrefix(c.First()+" ", "make ")
	arguments, _, _ = strings.Cut(" "+arguments, " #")
	return strings.TrimSpace(arguments), made
}
