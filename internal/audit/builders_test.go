// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock advances by a second with each reading.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

// reports collects what a stream reports. Read it when the stream is closed.
type reports struct{ errs []error }

func (r *reports) add(err error) { r.errs = append(r.errs, err) }

// unwelcome fails the test at any report.
func unwelcome(t *testing.T) func(error) {
	return func(err error) {
		t.Helper()
		t.Errorf("reported: %v", err)
	}
}

func options(path string, report func(error)) Options {
	return Options{Path: path, Source: "/test", Now: clock(), Patience: time.Minute, Report: report}
}

func open(t *testing.T, o Options) *Stream {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *Stream) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func registered(n int) Event {
	return Event{
		Type: ClientRegistered, Subject: fmt.Sprintf("MCPClientRegistration/team/agent-%d", n),
		Data: Data{Kind: "MCPClientRegistration", Namespace: "team", Name: fmt.Sprintf("agent-%d", n), Generation: int64(n), ClientID: fmt.Sprintf("c-%d", n)},
	}
}

// record opens the stream, records n events and closes it.
func record(t *testing.T, o Options, n int) {
	t.Helper()
	s := open(t, o)
	for i := range n {
		s.Record(registered(i))
	}
	closed(t, s)
}

// good is a stream of n lines.
func good(t *testing.T, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	o := options(Stdout, unwelcome(t))
	o.Stdout = &out
	record(t, o, n-1)
	return out.Bytes()
}

func newFile(t *testing.T) string { return filepath.Join(t.TempDir(), "audit.jsonl") }

func content(t *testing.T, path string) []byte {
	t.Helper()
	read, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func store(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// check verifies a file against its head.
func check(t *testing.T, path string) (Report, error) {
	t.Helper()
	var expect Expect
	head, found, err := ReadHead(path)
	if err != nil {
		t.Fatal(err)
	}
	if found {
		expect.Head = &head
	}
	return Verify(bytes.NewReader(content(t, path)), expect)
}

func mustVerify(t *testing.T, path string) Report {
	t.Helper()
	report, err := check(t, path)
	if err != nil {
		t.Fatalf("verifying: %v\n%s", err, content(t, path))
	}
	return report
}

// mustFail wants a damage at a line, with a text in it.
func mustFail(t *testing.T, err error, number int, text string) {
	t.Helper()
	var damages Damages
	if !errors.As(err, &damages) {
		t.Fatalf("not found: %v", err)
	}
	for _, damage := range damages {
		if damage.Line == number && strings.Contains(damage.What, text) && damage.Advice != "" {
			return
		}
	}
	t.Fatalf("line %d, %q is not among\n%v", number, text, err)
}

// kinds are the types of the lines, shortened; "torn" for others.
func kinds(stream []byte) string {
	var found []string
	for raw := range bytes.Lines(stream) {
		l, err := read(bytes.TrimSuffix(raw, []byte("\n")))
		if err != nil {
			found = append(found, "torn")
			continue
		}
		found = append(found, string(l.kind[strings.LastIndex(string(l.kind), ".")+1:]))
	}
	return strings.Join(found, " ")
}
