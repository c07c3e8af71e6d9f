// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shards runs go test -json more than once side by side, each with a part of
// the tests, and prints the events of all. Tests that mostly wait for servers take half
// the time so, and what they share within a process stays their own.
//
// Usage: shards -part=REGEXP [-part=REGEXP...] -- ARGUMENTS OF go test
//
// There is one run for each -part, and one for the tests that no -part names. Where the
// arguments say themselves which tests to run (-run, -skip), there is one run, of those.
// It fails if one of the runs does.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
)

func main() {
	var parts []string
	flag.Func("part", "regular expression of the tests of a run (repeatable)", func(text string) error {
		parts = append(parts, text)
		_, err := regexp.Compile(text)
		return err
	})
	flag.Parse()
	if err := runAll(context.Background(), runs(parts, flag.Args()), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "shards:", err)
		os.Exit(1)
	}
}

// runs are the commands that run all tests, each test in one of them.
func runs(parts, arguments []string) [][]string {
	command := []string{"go", "test", "-json"}
	if len(parts) == 0 || slices.ContainsFunc(arguments, choosesTests) {
		return [][]string{slices.Concat(command, arguments)}
	}
	var all [][]string
	for i, part := range parts {
		choice := []string{"-run=" + part}
		if i > 0 {
			choice = append(choice, "-skip="+strings.Join(parts[:i], "|"))
		}
		all = append(all, slices.Concat(command, choice, arguments))
	}
	return append(all, slices.Concat(command, []string{"-skip=" + strings.Join(parts, "|")}, arguments))
}

// choosesTests reports whether an argument of go test says which tests are run.
func choosesTests(argument string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(argument, "-"), "=")
	return strings.HasPrefix(argument, "-") && slices.Contains([]string{"run", "skip", "list", "test.run", "test.skip"}, name)
}

// runAll runs commands side by side and copies their output line by line.
func runAll(ctx context.Context, commands [][]string, stdout, stderr io.Writer) error {
	out, faults := &lines{to: stdout}, &lines{to: stderr}
	failures := make([]error, len(commands))
	var group sync.WaitGroup
	for i, command := range commands {
		group.Go(func() { failures[i] = run(ctx, command, out, faults) })
	}
	group.Wait()
	return errors.Join(failures...)
}

func run(ctx context.Context, command []string, out, faults *lines) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // It is what the caller asks for.
	cmd.Stderr = faults
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	copied := out.copy(pipe)
	return errors.Join(cmd.Wait(), copied)
}

// lines is a writer that several copy to, whole lines at a time.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) copy(from io.Reader) error {
	reader := bufio.NewReader(from)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			if line[len(line)-1] != '\n' {
				line = append(line, '\n')
			}
			if _, err := l.Write(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Write writes what is one piece, such as a line.
func (l *lines) Write(piece []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(piece)
}
