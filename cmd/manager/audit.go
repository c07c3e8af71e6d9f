// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// Exit codes of the subcommand audit.
const (
	auditFine     = 0
	auditDamaged  = 1
	auditUsage    = 2
	auditUnproven = 3
)

const auditHelp = `usage: manager audit verify --key FILE [--head FILE [--parts]] [--expect-sequence N [--expect-hash N]] [--ignore-other-lines] FILE...

Checks that every line of an audit stream was written by who has the key, and
that none was altered, removed, moved or added. --head and --expect-sequence show
what was removed at the end. FILE - is the standard input. If FILE.head is there,
FILE must reach the line that it names. Several files are parts of one stream, the
oldest first.

Exit code 0: all is as it was written by who has the key. 1: something is damaged.
2: wrong usage, or a file cannot be read. 3: not shown: no key was given, so that
whoever can write the file may have written it; or a chain of --head is in none of
the files, which may have been emptied. --parts says that it is in others.

`

// auditFlags are what the flags of the subcommand say.
type auditFlags struct {
	sequence          uint64
	hash              float64
	keyFile, headFile string
	ignore, parts     bool
}

func (f *auditFlags) define(stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("manager audit verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, auditHelp)
		flags.PrintDefaults()
	}
	flags.Uint64Var(&f.sequence, "expect-sequence", 0,
		"Sequence number that the last line must have at least: the value of the metric mcp_registrar_audit_sequence. 0 expects nothing.")
	flags.Float64Var(&f.hash, "expect-hash", 0,
		"With --expect-sequence: what the hash of that line begins with, the value of the metric mcp_registrar_audit_hash. 0 expects nothing.")
	flags.StringVar(&f.keyFile, "key", "",
		"Key file: a key a line, the newest first. The operator's is the member keys of the Secret mcp-registrar-audit-key.")
	flags.StringVar(&f.headFile, "head", "",
		"File with the head that was published, or with all: the data of the ConfigMap mcp-registrar-audit-heads, as JSON.")
	flags.BoolVar(&f.parts, "parts", false,
		"With --head: the files are not all there are, and chains that are in none of them are in others.")
	flags.BoolVar(&f.ignore, "ignore-other-lines", false,
		"Skip lines that are not of the stream, as in the captured log of a pod.")
	return flags
}

// check says what is wrong with the arguments, and whether the usage is to be
// shown.
func (f *auditFlags) check(files []string) (wrong string, usage bool) {
	late := lateFlag(files)
	switch {
	case len(files) == 0:
		return `No file is named; "-" is the standard input.`, true
	case late != "":
		return fmt.Sprintf("%q stands after a file: flags come before the files; a file of that name is written ./%[1]s.", late), false
	case f.sequence > 0 && len(files) > 1:
		return "--expect-sequence is about one file: name only the last one.", false
	case f.hash != 0 && (f.sequence == 0 || f.hash < 0 || f.hash >= 1<<48):
		return "--expect-hash is the value of a metric, and of a line: give the number of that by --expect-sequence.", false
	}
	return "", false
}

// auditCommand is the subcommand audit. arguments are what follows that word.
func auditCommand(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &auditCheck{stdin: stdin, stdout: stdout, stderr: stderr}
	var f auditFlags
	flags := f.define(stderr)
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
	}
	if wrong, usage := f.check(flags.Args()); wrong != "" {
		fmt.Fprintln(stderr, wrong)
		if usage {
			flags.Usage()
		}
		return auditUsage
	}
	c.expect = audit.Expect{Sequence: audit.Sequence(f.sequence), Hash: uint64(f.hash), IgnoreOtherLines: f.ignore}
	if err := c.read(f.keyFile, f.headFile); err != nil {
		fmt.Fprintln(stderr, err)
		return auditUsage
	}
	c.parts = f.parts
	return c.files(flags.Args())
}

// read reads the keys and the published heads, if files of them are named.
func (c *auditCheck) read(keyFile, headFile string) error {
	if keyFile != "" {
		content, err := os.ReadFile(keyFile) //nolint:gosec // The file that the user names.
		if err != nil {
			return fmt.Errorf("reading --key: %w", err)
		}
		if c.expect.Keys, err = audit.ParseKeys(content); err != nil {
			return fmt.Errorf("reading --key %s: %w", keyFile, err)
		}
	}
	if headFile != "" {
		content, err := os.ReadFile(headFile) //nolint:gosec // The file that the user names.
		if err != nil {
			return fmt.Errorf("reading --head: %w", err)
		}
		if c.expect.Published, err = audit.ParsePublished(content); err != nil {
			return fmt.Errorf("reading --head %s: %w", headFile, err)
		}
	}
	return nil
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
	expect         audit.Expect
	// parts says that there are other files.
	parts bool
}

func (c *auditCheck) files(names []string) int {
	code := auditFine
	if c.expect.Keys.IsZero() {
		code = auditUnproven
	}
	var before audit.Report
	elsewhere := c.expect.Published
	for i, name := range names {
		c.expect.Unfinished = i < len(names)-1
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
		elsewhere = slices.DeleteFunc(slices.Clone(elsewhere), func(head audit.Published) bool { return !slices.Contains(report.Elsewhere, head) })
	}
	for _, head := range elsewhere {
		fmt.Fprintf(c.stdout, "not looked at: chain %s, published at %s with sequence %d, is in none of the files\n",
			head.Chain, head.At.UTC().Format(time.RFC3339), head.Sequence)
		if code == auditFine && !c.parts {
			code = auditUnproven
		}
	}
	return code
}

// file checks one file against the head beside it.
func (c *auditCheck) file(name string) (audit.Report, error) {
	expect := c.expect
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
	switch {
	case len(damages) > 0:
		verdict = "DAMAGED"
	case c.expect.Keys.IsZero():
		verdict = "NOT PROVEN"
	}
	fmt.Fprintf(c.stdout, "%s: %s: %s in %s, the last with sequence %d", name, verdict,
		counted(report.Events, "event"), counted(report.Chains, "chain"), report.Last.Sequence)
	notes := c.proof(report)
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

// proof says what was not looked at for want of a key.
func (c *auditCheck) proof(report audit.Report) []string {
	switch {
	case !c.expect.Keys.IsZero():
		return nil
	case report.Keyed > 0:
		return []string{"no key was given: " + counted(report.Keyed, "line") + " bear one, which was not checked; give --key"}
	}
	return []string{"no key was given, and no line bears one: whoever can write the file may have written them"}
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
