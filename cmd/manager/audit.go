// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// Exit codes of the subcommand audit.
const (
	auditFine    = 0
	auditDamaged = 1
	auditUsage   = 2
)

const auditHelp = `usage: manager audit verify [--expect-sequence N] [--ignore-other-lines] FILE...

Checks that no line of an audit stream was altered, removed, moved or added.
FILE - is the standard input. If FILE.head is there, FILE must reach the line
that it names. Several files are parts of one stream, the oldest first.

Exit code 0: all is as it was written. 1: something is damaged. 2: wrong usage,
or a file cannot be read.

`

// auditCommand is the subcommand audit. arguments are what follows that word.
func auditCommand(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &auditCheck{stdin: stdin, stdout: stdout, stderr: stderr}
	flags := flag.NewFlagSet("manager audit verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, auditHelp)
		flags.PrintDefaults()
	}
	expect := flags.Uint64("expect-sequence", 0,
		"Sequence number that the last line must have at least: the value of the metric mcp_registrar_audit_sequence. 0 expects nothing.")
	flags.BoolVar(&c.ignore, "ignore-other-lines", false,
		"Skip lines that are not of the stream, as in the captured log of a pod.")
	if len(arguments) == 0 || arguments[0] != "verify" {
		fmt.Fprintln(stderr, `The subcommand audit needs the word "verify".`)
		flags.Usage()
		return auditUsage
	}
	switch err := flags.Parse(arguments[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return auditFine
	case err != nil:
		return auditUsage
	case flags.NArg() == 0:
		fmt.Fprintln(stderr, `No file is named; "-" is the standard input.`)
		flags.Usage()
		return auditUsage
	case lateFlag(flags.Args()) != "":
		fmt.Fprintf(stderr, "%q stands after a file: flags come before the files; a file of that name is written ./%[1]s.\n", lateFlag(flags.Args()))
		return auditUsage
	case *expect > 0 && flags.NArg() > 1:
		fmt.Fprintln(stderr, "--expect-sequence is about one file: name only the last one.")
		return auditUsage
	}
	c.expect = audit.Sequence(*expect)
	return c.files(flags.Args())
}

// lateFlag is the first of the files that looks like a flag; empty where none does.
func lateFlag(files []string) string {
	for _, file := range files {
		if file != "-" && strings.HasPrefix(file, "-") {
			return file
		}
	}
	return ""
}

// auditCheck checks one file after the other.
type auditCheck struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	expect         audit.Sequence
	ignore         bool
}

func (c *auditCheck) files(names []string) int {
	code := auditFine
	var before audit.Report
	for i, name := range names {
		report, err := c.file(name)
		var damages audit.Damages
		if err != nil && !errors.As(err, &damages) {
			fmt.Fprintf(c.stderr, "%s: cannot be checked: %v\n", name, err)
			return auditUsage
		}
		if i > 0 && !follows(report, before) {
			damages = append(damages, audit.Damage{
				Line:   1,
				What:   fmt.Sprintf("the file goes on after sequence %d of chain %s, which is not in %s", report.Continues.Sequence, report.Continues.Chain, names[i-1]),
				Advice: "name the files in their order, the oldest first, and look for a missing one",
			})
		}
		if len(damages) > 0 {
			code = auditDamaged
		}
		c.print(name, report, damages, i > 0)
		before = report
	}
	return code
}

// file checks one file against the head beside it.
func (c *auditCheck) file(name string) (audit.Report, error) {
	expect := audit.Expect{Sequence: c.expect, IgnoreOtherLines: c.ignore}
	if name == "-" {
		return audit.Verify(c.stdin, expect)
	}
	head, found, err := audit.ReadHead(name)
	if err != nil {
		return audit.Report{}, err
	}
	if found {
		expect.Head = &head
	}
	file, err := os.Open(name) //nolint:gosec // The file that the user names.
	if err != nil {
		return audit.Report{}, err
	}
	report, err := audit.Verify(file, expect)
	return report, errors.Join(err, file.Close())
}

// follows says whether a file goes on from the end of the one before, as far
// as it says so. The head that it was begun from may be behind.
func follows(report, before audit.Report) bool {
	from := report.Continues
	return from == nil || *from == before.Last ||
		from.Chain == before.Last.Chain && from.Sequence < before.Last.Sequence
}

func (c *auditCheck) print(name string, report audit.Report, damages audit.Damages, partOfMany bool) {
	for _, damage := range damages {
		fmt.Fprintf(c.stderr, "%s: %v\n", name, damage)
	}
	verdict := "complete"
	if len(damages) > 0 {
		verdict = "DAMAGED"
	}
	fmt.Fprintf(c.stdout, "%s: %s: %s in %s, the last with sequence %d", name, verdict,
		counted(report.Events, "event"), counted(report.Chains, "chain"), report.Last.Sequence)
	var notes []string
	if report.Continues != nil && !partOfMany {
		notes = append(notes, fmt.Sprintf("goes on after sequence %d of chain %s: verify the file before it too, in front of this one",
			report.Continues.Sequence, report.Continues.Chain))
	}
	if report.Torn > 0 {
		notes = append(notes, counted(report.Torn, "line")+" cut off and recorded as such")
	}
	if report.Lost > 0 {
		notes = append(notes, fmt.Sprintf("%d lost, which the stream itself records", report.Lost))
	}
	if report.Ignored > 0 {
		notes = append(notes, counted(report.Ignored, "line")+" of other origin ignored")
	}
	if report.AfterHead > 1 {
		notes = append(notes, counted(report.AfterHead, "line")+" after the one that the head names")
	}
	fmt.Fprintln(c.stdout, strings.Join(append([]string{""}, notes...), "; "))
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
