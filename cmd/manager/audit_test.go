// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// auditKey and strangeKey are keys.
var auditKey, strangeKey = strings.Repeat("0a1b", 16) + "\n", strings.Repeat("0a1c", 16) + "\n"

func parsedKeys(t *testing.T, text string) audit.Keys {
	t.Helper()
	if text == "" {
		return audit.Keys{}
	}
	keys, err := audit.ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// writeAudit puts n events on record in a file.
func writeAudit(t *testing.T, path string, n int) {
	t.Helper()
	writeKeyedAudit(t, path, auditKey, n)
}

func writeKeyedAudit(t *testing.T, path, keys string, n int) (last audit.Position) {
	t.Helper()
	now := time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC)
	stream, err := audit.Open(audit.Options{
		Path: path, Source: "/test", Keys: parsedKeys(t, keys), Now: func() time.Time { return now }, Patience: time.Minute, Report: func(err error) { t.Error(err) },
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
	last, _ = stream.Head()
	return last
}

func put(t *testing.T, folder, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
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
	put(t, folder, "key", auditKey)
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
		{"a good file", "", []string{"verify", "--key=key", "audit"}, 0, "audit: complete: 5 events in 1 chain, the last with sequence 5\n", ""},
		{"the standard input", string(whole), []string{"verify", "--key=key", "-"}, 0, "-: complete: 5 events", ""},
		{"as many as expected", "", []string{"verify", "--key=key", "--expect-sequence", "5", "audit"}, 0, "complete", ""},
		{"more expected", "", []string{"verify", "--key=key", "--expect-sequence=7", "audit"}, 1, "audit: DAMAGED: 5 events",
			"audit: line 5: the last line has sequence 5, expected 7: 2 after it missing; compare it with a copy of the stream that was kept elsewhere\n"},
		{"an edited line", "", []string{"verify", "--key=key", "edited"}, 1, "edited: DAMAGED", "edited: line 2: the line was changed after it was written: its hash does not fit; compare"},
		{"a line cut off", "", []string{"verify", "--key=key", "cut"}, 1, "cut: DAMAGED", "cut: line 5: the line is cut off; if the manager runs, verify again"},
		{"shorter than the head says", "", []string{"verify", "--key=key", "short"}, 1, "short: DAMAGED: 4 events", "short: line 4: the last line should be sequence 5"},
		{"two files, one bad", "", []string{"verify", "--key=key", "edited", "audit"}, 1, "audit: complete", "edited: line 2"},
		{"a log", "hello\n" + string(whole), []string{"verify", "--key=key", "--ignore-other-lines", "-"}, 0, "; 1 line of other origin ignored\n", ""},
		{"a log, unannounced", "hello\n" + string(whole), []string{"verify", "--key=key", "-"}, 1, "DAMAGED", "-: line 1: the line is not of an audit stream; if this is the captured log"},
		{"nothing", "", []string{"verify", "--key=key", "-"}, 1, "DAMAGED", "-: line 0: there is no event"},
		{"no such file", "", []string{"verify", "--key=key", "none"}, 2, "", "none: cannot be checked: open none: no such file"},
		{"a damaged head", "", []string{"verify", "--key=key", "nohead"}, 2, "", "nohead.head is damaged"},
		{"no word", "", nil, 2, "", `needs the word "verify"`},
		{"another word", "", []string{"check", "audit"}, 2, "", "usage: manager audit verify"},
		{"no file", "", []string{"verify"}, 2, "", "No file is named"},
		{"an unknown flag", "", []string{"verify", "--key=key", "--quick", "audit"}, 2, "", "-quick"},
		{"a number expected of two files", "", []string{"verify", "--key=key", "--expect-sequence", "5", "audit", "cut"}, 2, "", "name only the last one"},
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
	put(t, folder, "key", auditKey)
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
		code, stdout, stderr := runAudit(t, folder, "", append([]string{"verify", "--key=key"}, c.files...)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%v: exit code %d\n%s%s", c.files, code, stdout, stderr)
		}
	}
}

func TestAuditVerifyAgainstWhoCanWriteTheFile(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	put(t, folder, "key", auditKey)
	put(t, folder, "strange", strangeKey)
	put(t, folder, "bad", "secret\n")
	last := writeKeyedAudit(t, in("audit"), auditKey, 4)
	writeKeyedAudit(t, in("unkeyed"), "", 4)
	// What who can write the file can write: another one, with its own head.
	writeKeyedAudit(t, in("forged"), strangeKey, 4)
	writeKeyedAudit(t, in("rotated"), auditKey, 4)
	put(t, folder, "both", strangeKey+auditKey)
	writeKeyedAudit(t, in("rotated"), strangeKey+auditKey, 4)
	head := fmt.Sprintf(`{"chain":%q,"sequence":"%020d","hash":%q,"at":"2026-08-01T09:00:00Z"}`, last.Chain, last.Sequence, last.Hash)
	older := strings.NewReplacer(last.Chain, "older", "09:00", "08:00").Replace(head)
	put(t, folder, "head", head)
	put(t, folder, "heads", `{"`+last.Chain+`":`+strconv.Quote(head)+`,"older":`+strconv.Quote(older)+`}`)
	whole, err := os.ReadFile(in("audit"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, folder, "cut", string(whole[:bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1]))
	number, err := strconv.ParseUint(last.Hash[:12], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	asMetric := strconv.FormatFloat(float64(number), 'g', -1, 64)
	for _, c := range []struct {
		name           string
		arguments      []string
		code           int
		stdout, stderr string
	}{
		{"no key, and lines have one", []string{"audit"}, 3, "audit: NOT PROVEN: 5 events in 1 chain, the last with sequence 5; no key was given: 5 lines bear one, which was not checked; give --key\n", ""},
		{"no key, and no line has one", []string{"unkeyed"}, 3, "unkeyed: NOT PROVEN: 5 events in 1 chain, the last with sequence 5; no key was given, and no line bears one: whoever can write the file may have written them\n", ""},
		{"no line has the key", []string{"--key=key", "unkeyed"}, 1, "unkeyed: DAMAGED", "unkeyed: line 1: the line bears no key: it was written by somebody who has none; so with 4 after it; if the program had no key then"},
		{"rewritten whole", []string{"--key=key", "forged"}, 1, "forged: DAMAGED", "which is not among those given: it was written with another key; so with 4 after it; name a key file"},
		{"rewritten whole, no key", []string{"forged"}, 3, "NOT PROVEN", ""},
		{"both keys", []string{"--key=both", "rotated"}, 0, "rotated: complete: 9 events in 1 chain", ""},
		{"the old key only", []string{"--key=key", "rotated"}, 1, "DAMAGED", "rotated: line 6: the line bears key"},
		{"the new key only", []string{"--key=strange", "rotated"}, 1, "DAMAGED", "rotated: line 1: the line bears key"},
		{"the published head", []string{"--key=key", "--head=head", "audit"}, 0, "audit: complete", ""},
		{"all published heads, and a file of one", []string{"--key=key", "--head=heads", "audit"}, 3, "not looked at: chain older", ""},
		{"all published heads, and a part", []string{"--key=key", "--head=heads", "--parts", "audit"}, 0,
			"sequence 5\nnot looked at: chain older, published at 2026-08-01T08:00:00Z with sequence 5, is in none of the files\n", ""},
		{"cut, without a head", []string{"--key=key", "cut"}, 0, "cut: complete: 4 events", ""},
		{"cut, with the published head", []string{"--key=key", "--head=heads", "cut"}, 1, "DAMAGED",
			"cut: line 4: the head that was published at 2026-08-01T09:00:00Z is not there, sequence 5 of chain " + last.Chain + ": lines were removed at the end"},
		{"the published head in an earlier file", []string{"--key=key", "--head=head", "audit", "forged"}, 1, "audit: complete", "forged: line 5: the head that was published"},
		{"the metrics", []string{"--key=key", "--expect-sequence=5", "--expect-hash", asMetric, "audit"}, 0, "complete", ""},
		{"the metrics of another", []string{"--key=key", "--expect-sequence=5", "--expect-hash=7", "audit"}, 1, "DAMAGED", "audit: line 5: sequence 5 has another hash than expected"},
		{"a hash of no line", []string{"--key=key", "--expect-hash=7", "audit"}, 2, "", "give the number of that by --expect-sequence"},
		{"a negative hash", []string{"--key=key", "--expect-sequence=1", "--expect-hash=-7", "audit"}, 2, "", "is the value of a metric"},
		{"no such key file", []string{"--key=none", "audit"}, 2, "", "reading --key: open none"},
		{"a bad key file", []string{"--key=bad", "audit"}, 2, "", "reading --key bad: line 1 of the keys is not 64 hexadecimal digits\n"},
		{"no such head file", []string{"--key=key", "--head=none", "audit"}, 2, "", "reading --head: open none"},
		{"a bad head file", []string{"--key=key", "--head=bad", "audit"}, 2, "", "reading --head bad: the published heads are not a JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runAudit(t, folder, "", append([]string{"verify"}, c.arguments...)...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, c.code, stdout, stderr)
			}
			if c.stdout == "" && stdout != "" || c.stderr == "" && stderr != "" {
				t.Errorf("unexpected output\n%s\n%s", stdout, stderr)
			}
		})
	}
}

// Who can write the file empties it while the operator runs. What was published of the
// chain that is gone is at hand: the exit code must not be that of a whole stream.
func TestAnEmptiedFileIsNotFine(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "key", auditKey)
	path := filepath.Join(folder, "audit")
	first := writeKeyedAudit(t, path, auditKey, 50)
	at := time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC)
	if err := errors.Join(os.Truncate(path, 0), os.Remove(path+".head")); err != nil {
		t.Fatal(err)
	}
	second := writeKeyedAudit(t, path, auditKey, 1)
	heads, err := json.Marshal(map[string]audit.Published{
		first.Chain:  {Position: first, At: at},
		second.Chain: {Position: second, At: at.Add(time.Minute)},
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, folder, "heads", string(heads))
	code, stdout, stderr := runAudit(t, folder, "", "verify", "--key=key", "--head=heads", "audit")
	if code != auditUnproven || !strings.Contains(stdout, first.Chain) {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}
