// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAFileIsContinuedAfterARestart(t *testing.T) {
	path := newFile(t)
	for range 3 {
		record(t, options(path, unwelcome(t)), 4)
	}
	report := mustVerify(t, path)
	if report.Chains != 1 || report.Events != 13 || report.Last.Sequence != 13 || report.AfterHead != 0 {
		t.Errorf("%+v", report)
	}
	for _, name := range []string{path, path + ".head"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestALineTornByACrashIsRecovered(t *testing.T) {
	path := newFile(t)
	record(t, options(path, unwelcome(t)), 3)
	whole := content(t, path)
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	head := content(t, path+".head")
	for cut := last + 1; cut < len(whole)-1; cut += 3 {
		// The head is that of the line before: the crash came before it was
		// replaced.
		store(t, path, slices.Concat(whole, whole[last:cut]))
		store(t, path+".head", head)
		if _, err := check(t, path); err == nil {
			t.Fatalf("cut at %d: nothing is found before the recovery", cut)
		} else {
			mustFail(t, err, 5, "cut off")
		}
		record(t, options(path, unwelcome(t)), 1)
		report := mustVerify(t, path)
		if report.Torn != 1 || report.Chains != 1 || report.Events != 6 {
			t.Fatalf("cut at %d: %+v", cut, report)
		}
		if got := kinds(content(t, path)); got != "started registered registered registered torn recovered registered" {
			t.Fatalf("cut at %d: %s", cut, got)
		}
	}
}

func TestTheFirstLineTornByACrash(t *testing.T) {
	path := newFile(t)
	record(t, options(path, unwelcome(t)), 0)
	whole := content(t, path)
	for cut := 1; cut < len(whole)-1; cut += 3 {
		store(t, path, whole[:cut])
		if err := os.RemoveAll(path + ".head"); err != nil {
			t.Fatal(err)
		}
		record(t, options(path, unwelcome(t)), 1)
		if report := mustVerify(t, path); report.Torn != 1 || report.Events != 2 {
			t.Fatalf("cut at %d: %+v", cut, report)
		}
	}
}

func TestACrashAtEachByteOfARecovery(t *testing.T) {
	path := newFile(t)
	record(t, options(path, unwelcome(t)), 2)
	store(t, path, append(content(t, path), `{"specversion":"1.0","id":`...))
	before := content(t, path)
	head := content(t, path+".head")
	record(t, options(path, unwelcome(t)), 0)
	after := content(t, path)
	for cut := len(before); cut <= len(after); cut += 3 {
		store(t, path, after[:cut])
		store(t, path+".head", head)
		record(t, options(path, unwelcome(t)), 1)
		mustVerify(t, path)
	}
}

func TestAWholeLineThatLacksItsNewlineIsKept(t *testing.T) {
	path := newFile(t)
	record(t, options(path, unwelcome(t)), 2)
	store(t, path, bytes.TrimSuffix(content(t, path), []byte("\n")))
	mustVerify(t, path)
	record(t, options(path, unwelcome(t)), 1)
	if report := mustVerify(t, path); report.Events != 4 || report.Torn != 0 {
		t.Errorf("%+v", report)
	}
}

// lines splits a stream into lines with their newlines.
func lines(stream []byte) [][]byte {
	var split [][]byte
	for raw := range bytes.Lines(stream) {
		split = append(split, raw)
	}
	return split
}

func TestARestartDoesNotPaperOverDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, path string)
		line   int
		text   string
	}{
		{"the last line is removed", func(t *testing.T, path string) {
			store(t, path, bytes.Join(lines(content(t, path))[:4], nil))
		}, 5, "should have ended with sequence 5"},
		{"the last line is cut off", func(t *testing.T, path string) {
			store(t, path, content(t, path)[:len(content(t, path))-20])
		}, 6, "should have ended with sequence 5"},
		{"the last line is altered", func(t *testing.T, path string) {
			store(t, path, bytes.Replace(content(t, path), []byte("agent-3"), []byte("agent-9"), 1))
		}, 5, "changed after it was written"},
		{"the last line is altered and the head removed", func(t *testing.T, path string) {
			store(t, path, bytes.Replace(content(t, path), []byte("agent-3"), []byte("agent-9"), 1))
			if err := os.Remove(path + ".head"); err != nil {
				t.Fatal(err)
			}
		}, 5, "changed after it was written"},
		{"another stream is put in its place", func(t *testing.T, path string) {
			store(t, path, good(t, 5))
		}, 6, "should have ended with sequence 5"},
		{"text is put in its place", func(t *testing.T, path string) {
			store(t, path, []byte("all is well\nthere is nothing to see\n"))
		}, 1, "not of an audit stream"},
		{"lines are added that are not of the stream", func(t *testing.T, path string) {
			store(t, path, append(content(t, path), bytes.Repeat([]byte("more\n"), maxTorn+1)...))
		}, 6, "not of an audit stream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newFile(t)
			record(t, options(path, unwelcome(t)), 4)
			c.damage(t, path)
			var told reports
			record(t, options(path, told.add), 2)
			_, err := check(t, path)
			mustFail(t, err, c.line, c.text)
			if len(told.errs) != 1 || !strings.Contains(told.errs[0].Error(), "verify the file") {
				t.Errorf("reported %v", told.errs)
			}
			record(t, options(path, unwelcome(t)), 2)
		})
	}
}

func TestTheHeadMayBeBehindOrMissing(t *testing.T) {
	path := newFile(t)
	record(t, options(path, unwelcome(t)), 4)
	head := content(t, path+".head")
	record(t, options(path, unwelcome(t)), 3)
	store(t, path+".head", head)
	if report := mustVerify(t, path); report.AfterHead != 3 {
		t.Errorf("%+v", report)
	}
	record(t, options(path, unwelcome(t)), 1)
	if report := mustVerify(t, path); report.Events != 9 || report.AfterHead != 0 {
		t.Errorf("%+v", report)
	}
	for name, damage := range map[string]func() error{
		"is missing": func() error { return os.Remove(path + ".head") },
		"is damaged": func() error { return os.WriteFile(path+".head", []byte("{}"), 0o600) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		var told reports
		record(t, options(path, told.add), 1)
		if len(told.errs) != 1 || !strings.Contains(told.errs[0].Error(), name) {
			t.Errorf("%s: reported %v", name, told.errs)
		}
		mustVerify(t, path)
	}
}

func TestAHeadThatCannotBeWrittenLosesNoEvent(t *testing.T) {
	path := newFile(t)
	if err := os.Mkdir(path+".head.tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	var told reports
	record(t, options(path, told.add), 3)
	if report := mustVerify(t, path); report.Events != 4 || report.Lost != 0 {
		t.Errorf("%+v", report)
	}
	if len(told.errs) == 0 || !strings.Contains(told.errs[0].Error(), ".head") {
		t.Errorf("reported %v", told.errs)
	}
}

func TestAFileIsRotatedByRenaming(t *testing.T) {
	path := newFile(t)
	s := open(t, options(path, unwelcome(t)))
	s.Record(registered(1))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.Record(registered(2))
	s.Record(registered(3))
	closed(t, s)
	old, now := mustVerify(t, path+".1"), mustVerify(t, path)
	if old.Events != 2 || now.Events != 3 || now.Continues == nil || *now.Continues != old.Last {
		t.Errorf("%+v\n%+v", old, now)
	}
	both := append(content(t, path+".1"), content(t, path)...)
	if report, err := Verify(bytes.NewReader(both), Expect{}); err != nil || report.Chains != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	less := append(bytes.Join(lines(content(t, path+".1"))[:1], nil), content(t, path)...)
	_, err := Verify(bytes.NewReader(less), Expect{})
	mustFail(t, err, 2, "should have ended with sequence 2")
}

func TestAFileIsRotatedByCopyingAndTruncating(t *testing.T) {
	path := newFile(t)
	s := open(t, options(path, unwelcome(t)))
	s.Record(registered(1))
	store(t, path+".1", content(t, path))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	s.Record(registered(2))
	closed(t, s)
	old, now := mustVerify(t, path+".1"), mustVerify(t, path)
	if now.Continues == nil || *now.Continues != old.Last {
		t.Errorf("%+v\n%+v", old, now)
	}
}

func TestARestartAfterRotationGoesOnFromTheHead(t *testing.T) {
	path := newFile(t)
	record(t, options(path, unwelcome(t)), 2)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	record(t, options(path, unwelcome(t)), 2)
	old, now := mustVerify(t, path+".1"), mustVerify(t, path)
	if now.Continues == nil || *now.Continues != old.Last {
		t.Errorf("%+v\n%+v", old, now)
	}
}

func TestTwoStreamsShareAFile(t *testing.T) {
	path := newFile(t)
	var wg sync.WaitGroup
	for range 4 {
		s := open(t, options(path, unwelcome(t)))
		wg.Go(func() {
			for n := range 50 {
				s.Record(registered(n))
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if report := mustVerify(t, path); report.Events != 201 || report.Chains != 1 || report.AfterHead != 0 {
		t.Errorf("%+v", report)
	}
}

func TestALongFileIsContinuedFromItsEnd(t *testing.T) {
	path := newFile(t)
	o := options(path, unwelcome(t))
	s := open(t, o)
	long := slices.Repeat([]string{strings.Repeat("x", maxText)}, maxList)
	for range 6 {
		s.Record(Event{Type: ClientChanged, Data: Data{Scopes: long, Added: long, Removed: long}})
	}
	closed(t, s)
	if size := len(content(t, path)); size < window {
		t.Fatalf("%d bytes are not long", size)
	}
	record(t, options(path, unwelcome(t)), 1)
	if report := mustVerify(t, path); report.Events != 8 || report.Chains != 1 {
		t.Errorf("%+v", report)
	}
}
