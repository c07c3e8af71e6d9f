// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

func TestEveryCommandOfThePagesIsCovered(t *testing.T) {
	t.Parallel()
	_, all := everything(t)
	rows, err := Rows()
	if err != nil {
		t.Fatal(err)
	}
	covered, faults := Match(rows, all)
	for _, c := range covered {
		faults = append(faults, c.Faults()...)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
	if len(all) < 90 {
		t.Errorf("the pages have %d commands: the pattern is wrong", len(all))
	}
}

// Targets are there, and what they would run can be read.
func TestWhatThePagesHaveMakeDo(t *testing.T) {
	t.Parallel()
	root, all := everything(t)
	tried := map[string]bool{}
	for _, c := range all {
		arguments, made := c.Make()
		if !made || tried[arguments] {
			continue
		}
		tried[arguments] = true
		command := exec.CommandContext(t.Context(), "bash", "-c", "unset MAKEFLAGS MAKELEVEL; make --dry-run "+arguments)
		command.Dir = root
		if said, err := command.CombinedOutput(); err != nil || len(said) == 0 {
			t.Errorf("%s:%d: make %s: %v\n%s", c.Page, c.Line, arguments, err, said)
		}
	}
	if len(tried) < 10 {
		t.Errorf("%d commands of make: the pattern is wrong", len(tried))
	}
}

func everything(t *testing.T) (root string, all []Command) {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	if all, err = All(root); err != nil {
		t.Fatal(err)
	}
	return root, all
}

const page = "# A page\n\nRun `kubectl get\n-n a pods`, or `make demo`; `kubectl apply` and `kubectl apply --server-side` are mentioned.\n\n" +
	"```console\n$ kubectl get pods     # it's all\nNAME   READY\none    1/1\n  kubectl in an answer\nkubectl without a prompt\n" +
	"$ kubectl get a -o json | jq -r '.items[]\n    | .b' \\\n    | sort\n```\n\n" +
	"1. In a list:\n\n   ```console\n   $ kubectl apply -f - <<END\n   a: \"b\n   END\n   ```\n\n" +
	"```sh\n# a word before\nkcadm.sh create clients \\\n  -r tools\n\nls |\n  sort\n```\n\n```yaml\nkubectl: no\n```\n\n```text\n$ f() { echo \"'\"; }\n```\n"

func TestCommandsOfAPage(t *testing.T) {
	t.Parallel()
	want := []Command{
		{Page: "p.md", Line: 3, Text: "kubectl get -n a pods"},
		{Page: "p.md", Line: 4, Text: "make demo"},
		{Page: "p.md", Line: 7, Text: "kubectl get pods     # it's all", Output: "NAME   READY\none    1/1\n  kubectl in an answer"},
		{Page: "p.md", Line: 11, Text: "kubectl without a prompt"},
		{Page: "p.md", Line: 12, Text: "kubectl get a -o json | jq -r '.items[]\n    | .b' \\\n    | sort"},
		{Page: "p.md", Line: 20, Text: "kubectl apply -f - <<END\na: \"b\nEND"},
		{Page: "p.md", Line: 27, Text: "kcadm.sh create clients \\\n  -r tools"},
		{Page: "p.md", Line: 30, Text: "ls |\n  sort"},
		{Page: "p.md", Line: 39, Text: `f() { echo "'"; }`},
	}
	if diff := cmp.Diff(want, commands("p.md", page)); diff != "" {
		t.Errorf("commands (-want +got)\n%s", diff)
	}
	if header := want[2].Header(); cmp.Diff([]string{"NAME", "READY"}, header) != "" {
		t.Errorf("the columns are %q", header)
	}
	if first := want[6].First(); first != "kcadm.sh create clients" {
		t.Errorf("the first line is %q", first)
	}
}

func TestWhatIsNotCoveredIsNamed(t *testing.T) {
	t.Parallel()
	all := []Command{
		{Page: "p.md", Line: 1, Text: "kubectl get a", Output: "NAME  READY\nx     True"}, {Page: "p.md", Line: 2, Text: "kubectl get b"},
		{Page: "p.md", Line: 3, Text: "kubectl get b"},
	}
	for name, c := range map[string]struct {
		rows   []Row
		faults []string
	}{
		"nothing is":   {nil, []string{`p.md:1: nobody runs "kubectl get a"`, `p.md:2: nobody`, `p.md:3: nobody`}},
		"one of two":   {[]Row{{Page: "p.md", Command: "kubectl get a", By: "a"}, {Page: "p.md", Command: "kubectl get b", By: "a"}}, []string{"p.md:3: nobody runs"}},
		"more than is": {append(rowsOf(all), Row{Page: "p.md", Command: "kubectl get a", By: "a"}), []string{`p.md has no command "kubectl get a"`}},
		"nobody's":     {append(rowsOf(all[1:]), Row{Page: "p.md", Command: "kubectl get a"}), []string{"nobody is named"}},
		"another answer": {
			append(rowsOf(all[1:]), Row{Page: "p.md", Command: "kubectl get a", By: "a", Shows: []string{"y +True"}}), []string{`does not show "y +True"`},
		},
		"nothing to replace": {
			append(rowsOf(all[1:]), Row{Page: "p.md", Command: "kubectl get a", By: "a", Replace: map[string]string{"z": "y"}}), []string{`no "z"`},
		},
		"all is": {rowsOf(all), nil},
	} {
		covered, faults := Match(c.rows, all)
		for _, row := range covered {
			faults = append(faults, row.Faults()...)
		}
		if len(faults) != len(c.faults) {
			t.Errorf("%s: %q", name, faults)
			continue
		}
		for i, fault := range faults {
			if !strings.Contains(fault, c.faults[i]) {
				t.Errorf("%s: %q has no %q", name, fault, c.faults[i])
			}
		}
	}
}

func rowsOf(all []Command) []Row {
	var rows []Row
	for _, c := range all {
		rows = append(rows, Row{Page: c.Page, Command: c.First(), By: "a"})
	}
	return rows
}
