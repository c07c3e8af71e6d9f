// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// writeAudit puts n events on record in a file.
func writeAudit(t *testing.T, path string, n int) {
	t.Helper()
	now := time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC)
	stream, err := audit.Open(audit.Options{
		Path: path, Source: "/test", Now: func() time.Time { return now }, Patience: time.Minute, Report: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		stream.Record(audit.Event{Type: audit.ClientRegistered, Subject: "MCPClientRegistration/team/agent"})
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, path string, with func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, with(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runAudit runs the subcommand in the folder.
func runAudit(t *testing.T, folder, stdin string, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(folder)
	var out, errs bytes.Buffer
	code = auditCommand(arguments, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestAuditVerify(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "audit")
	writeAudit(t, file, 4)
	for _, name := range []string{"edited", "cut", "short"} {
		writeAudit(t, filepath.Join(folder, name), 4)
	}
	change(t, filepath.Join(folder, "edited"), func(content []byte) []byte {
		return bytes.Replace(content, []byte("team"), []byte("mate"), 1)
	})
	change(t, filepath.Join(folder, "cut"), func(content []byte) []byte { return content[:len(content)-9] })
	change(t, filepath.Join(folder, "short"), func(content []byte) []byte {
		return content[:bytes.LastIndexByte(content[:len(content)-1], '\n')+1]
	})
	if err := os.WriteFile(filepath.Join(folder, "nohead.head"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		stdin          string
		arguments      []string
		code           int
		stdout, stderr string
	}{
		{"a good file", "", []string{"verify", "audit"}, 0, "audit: complete: 5 events in 1 chain, the last with sequence 5\n", ""},
		{"the standard input", string(whole), []string{"verify", "-"}, 0, "-: complete: 5 events", ""},
		{"as many as expected", "", []string{"verify", "--expect-sequence", "5", "audit"}, 0, "complete", ""},
		{"more expected", "", []string{"verify", "--expect-sequence=7", "audit"}, 1, "audit: DAMAGED: 5 events",
			"audit: line 5: the last line has sequence 5, expected 7: 2 after it missing; compare it with a copy of the stream that was kept elsewhere\n"},
		{"an edited line", "", []string{"verify", "edited"}, 1, "edited: DAMAGED", "edited: line 2: the line was changed after it was written: its hash does not fit; compare"},
		{"a line cut off", "", []string{"verify", "cut"}, 1, "cut: DAMAGED", "cut: line 5: the line is cut off; if the manager runs, verify again"},
		{"shorter than the head says", "", []string{"verify", "short"}, 1, "short: DAMAGED: 4 events", "short: line 4: the last line should be sequence 5"},
		{"two files, one bad", "", []string{"verify", "edited", "audit"}, 1, "audit: complete", "edited: line 2"},
		{"a log", "hello\n" + string(whole), []string{"verify", "--ignore-other-lines", "-"}, 0, "; 1 line of other origin ignored\n", ""},
		{"a log, unannounced", "hello\n" + string(whole), []string{"verify", "-"}, 1, "DAMAGED", "-: line 1: the line is not of an audit stream; if this is the captured log"},
		{"nothing", "", []string{"verify", "-"}, 1, "DAMAGED", "-: line 0: there is no event"},
		{"no such file", "", []string{"verify", "none"}, 2, "", "none: cannot be checked: open none: no such file"},
		{"a damaged head", "", []string{"verify", "nohead"}, 2, "", "nohead.head is damaged"},
		{"no word", "", nil, 2, "", `needs the word "verify"`},
		{"another word", "", []string{"check", "audit"}, 2, "", "usage: manager audit verify"},
		{"no file", "", []string{"verify"}, 2, "", "No file is named"},
		{"an unknown flag", "", []string{"verify", "--quick", "audit"}, 2, "", "-quick"},
		{"a number expected of two files", "", []string{"verify", "--expect-sequence", "5", "audit", "cut"}, 2, "", "name only the last one"},
		{"help", "", []string{"verify", "--help"}, 0, "", "usage: manager audit verify"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runAudit(t, folder, c.stdin, c.arguments...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, c.code, stdout, stderr)
			}
			if c.stdout == "" && stdout != "" || c.stderr == "" && stderr != "" {
				t.Errorf("unexpected output\n%s\n%s", stdout, stderr)
			}
		})
	}
}

func TestAuditVerifyOfRotatedFiles(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"1", "2", "3"} {
		writeAudit(t, filepath.Join(folder, "audit"), 3)
		if name == "3" {
			break
		}
		if err := os.Rename(filepath.Join(folder, "audit"), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		files []string
		code  int
		want  string
	}{
		{[]string{"1", "2", "audit"}, 0, "audit: complete: 4 events in 1 chain, the last with sequence 4\n"},
		{[]string{"2", "audit"}, 0, "; goes on after sequence 4 of chain "},
		{[]string{"1", "audit"}, 1, "audit: line 1: the file goes on after sequence 4 of chain "},
		{[]string{"2", "1"}, 0, "in front of this one"},
		{[]string{"1", "audit", "2"}, 1, "which is not in 1; name the files in their order"},
	} {
		code, stdout, stderr := runAudit(t, folder, "", append([]string{"verify"}, c.files...)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%v: exit code %d\n%s%s", c.files, code, stdout, stderr)
		}
	}
}
