// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chosen reports whether go test, called so, runs a test.
func chosen(t *testing.T, command []string, test string) bool {
	t.Helper()
	for _, argument := range command {
		text, run := strings.CutPrefix(argument, "-run=")
		skipped, skip := strings.CutPrefix(argument, "-skip=")
		if run && !regexp.MustCompile(text).MatchString(test) || skip && regexp.MustCompile(skipped).MatchString(test) {
			return false
		}
	}
	return true
}

// Each test is in one run, whatever the parts have in common.
func TestEachTestIsRunOnce(t *testing.T) {
	t.Parallel()
	for _, parts := range [][]string{nil, {"^TestA$"}, {"^TestA", "^Test(A|B)$"}, {"A", "A", "."}} {
		commands := runs(parts, []string{"-count=1", "./..."})
		if want := len(parts) + 1; len(commands) != want {
			t.Errorf("%v: %d runs, want %d", parts, len(commands), want)
		}
		for _, test := range []string{"TestA", "TestAB", "TestB", "TestC"} {
			count := 0
			for _, command := range commands {
				if chosen(t, command, test) {
					count++
				}
			}
			if count != 1 {
				t.Errorf("%v: %s is run %d times: %v", parts, test, count, commands)
			}
		}
	}
}

func TestWhoeverNamesTestsGetsThose(t *testing.T) {
	t.Parallel()
	for _, argument := range []string{"-run=X", "--run=X", "-run", "-skip=X", "-test.run=X", "-list=."} {
		want := [][]string{{"go", "test", "-json", "-v", argument}}
		if diff := cmp.Diff(want, runs([]string{"A"}, []string{"-v", argument})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", argument, diff)
		}
	}
	if got := runs([]string{"A"}, []string{"-timeout=1m", "./run/..."}); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// Lines of any length arrive whole, and a run that failed is told of although others did not.
func TestRunsSideBySide(t *testing.T) {
	t.Parallel()
	script := func(letter, code string) []string {
		return []string{"sh", "-c", `for i in 1 2 3 4 5; do head -c 200000 /dev/zero | tr '\0' ` + letter + `; echo; done; exit ` + code}
	}
	var out, failures bytes.Buffer
	err := runAll(t.Context(), [][]string{script("a", "0"), script("b", "3"), {"printf", "no end"}}, &out, &failures)
	ended := (*exec.ExitError)(nil)
	if !errors.As(err, &ended) || ended.ExitCode() != 3 {
		t.Errorf("it ended with %v", err)
	}
	got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	slices.Sort(got)
	want := slices.Concat(slices.Repeat([]string{strings.Repeat("a", 200000)}, 5), slices.Repeat([]string{strings.Repeat("b", 200000)}, 5), []string{"no end"})
	if !slices.Equal(want, got) {
		t.Errorf("%d lines", len(got))
	}
	if err := runAll(t.Context(), [][]string{{"true"}, {"there is no such program"}}, &out, &failures); err == nil {
		t.Error("a run that did not start counts as one that passed")
	}
}
