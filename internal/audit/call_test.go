// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func called(n int) CallEvent {
	return CallEvent{Type: CallAllowed, Data: CallData{Server: "team/files", Tool: "read", RequestID: fmt.Sprint(n), Verdict: VerdictAllowed}}
}

func TestNoCallKeepsItselfOffTheRecord(t *testing.T) {
	for name, text := range map[string]string{
		"long": strings.Repeat("x", 10*maxText), "control characters": strings.Repeat("\x01", 10*maxText), "not text": strings.Repeat("\xff", 10*maxText),
	} {
		var out bytes.Buffer
		o := options(Stdout, unwelcome(t))
		o.Stdout = &out
		s := open(t, o)
		var data CallData
		fill(reflect.ValueOf(&data).Elem(), text, 2000)
		given := slices.Clone(data.StepUp)
		s.RecordCall(CallEvent{Type: CallRefused, Data: data})
		closed(t, s)
		if report, err := Verify(&out, Expect{Sequence: 2}); err != nil || report.Lost > 0 {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		if !slices.Equal(given, data.StepUp) {
			t.Errorf("%s: the caller's list was changed", name)
		}
	}
}

func TestAListOfACallIsCut(t *testing.T) {
	got := CallData{StepUp: make([]string, maxSteps+2)}.bounded().StepUp
	if len(got) != maxSteps+1 || got[maxSteps] != "… and 2 more" {
		t.Errorf("%d entries, the last %q", len(got), got[len(got)-1])
	}
}

// later opens a stream to a file. What it returns has the last line noted.
func later(t *testing.T, path string) (s *Stream, pass func()) {
	t.Helper()
	due := make(chan time.Time)
	o := options(path, unwelcome(t))
	o.After = func(d time.Duration) <-chan time.Time {
		if d == noteAfter {
			return due
		}
		return time.After(d)
	}
	return open(t, o), func() { due <- time.Time{} }
}

// noted is the sequence number in the head of a file.
func noted(t *testing.T, path string) Sequence {
	t.Helper()
	head, found, err := ReadHead(path)
	if err != nil || !found {
		t.Fatalf("%v, %v", found, err)
	}
	return head.Sequence
}

func TestTheLineOfACallIsNotedLater(t *testing.T) {
	path := newFile(t)
	s, pass := later(t, path)
	for n := range 3 {
		s.RecordCall(called(n))
	}
	if got := noted(t, path); got != 1 {
		t.Errorf("sequence %d is noted at once", got)
	}
	pass()
	s.Record(registered(1)) // ends after what passed
	s.RecordCall(called(4))
	closed(t, s)
	if got := noted(t, path); got != 6 {
		t.Errorf("sequence %d is noted at the end", got)
	}
	mustVerify(t, path)
}

func TestTheTimerNotesTheLine(t *testing.T) {
	path := newFile(t)
	s, pass := later(t, path)
	s.RecordCall(called(1))
	pass()
	s.RecordCall(called(2)) // is taken only after the line was noted
	if got := noted(t, path); got != 2 {
		t.Errorf("sequence %d is noted", got)
	}
	closed(t, s)
}

func TestACrashBeforeTheLineIsNoted(t *testing.T) {
	path := newFile(t)
	crashed, _ := later(t, path)
	crashed.RecordCall(called(1))
	s := open(t, options(path, unwelcome(t)))
	s.RecordCall(called(2))
	closed(t, s)
	if got := kinds(content(t, path)); got != "started allowed allowed" {
		t.Error(got)
	}
	mustVerify(t, path)
	closed(t, crashed)
}

func TestWhoWaitsSharesATurn(t *testing.T) {
	const all = 1 << 20
	for _, c := range []struct {
		name     string
		accept   []int
		want     string
		lost     uint64
		failures float64
	}{
		{"and all is well", nil, "started allowed allowed allowed allowed allowed", 0, 0},
		{"and the first fails", []int{0}, "started gap allowed allowed allowed allowed", 1, 1},
		{"and the second is cut off", []int{all, 100}, "started allowed torn recovered gap allowed allowed allowed", 1, 1},
		{"and the last fails", []int{all, all, all, all, 0}, "started allowed allowed allowed allowed gap", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &valve{}
				s := through(t, v)
				synctest.Wait()
				v.close()
				v.out.accept = c.accept
				var wg sync.WaitGroup
				for n := range 5 {
					wg.Go(func() { s.RecordCall(called(n)) })
				}
				synctest.Wait()
				v.open()
				takes(t, 0, wg.Wait)
				ended(t, s, v, c.want, c.lost, c.failures)
			})
		})
	}
}

// stuck is a sink whose release hangs while it is shut.
type stuck struct {
	output
	shut chan struct{}
}

func (s *stuck) release(Position, bool) error {
	if s.shut != nil {
		<-s.shut
	}
	return nil
}

func TestATurnThatDoesNotEndStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m, err := newMetrics(nil)
		if err != nil {
			t.Fatal(err)
		}
		to := &stuck{output: output{&out}}
		s := newStream(Options{Now: time.Now}, m)
		s.writer = &writer{
			source: "/test", now: s.now, newChain: func() string { return "chain" }, metrics: m, complaints: s.complaints, losses: s.losses, sink: to,
		}
		go s.work()
		s.RecordCall(called(1))
		synctest.Wait()
		to.shut = make(chan struct{})
		takes(t, 0, func() { s.RecordCall(called(2)) })
		takes(t, time.Second, func() { s.RecordCall(called(3)) })
		takes(t, 0, func() { s.RecordCall(called(4)) })
		close(to.shut)
		synctest.Wait()
		takes(t, 0, func() { s.RecordCall(called(5)) })
		closed(t, s)
		if got := kinds(out.Bytes()); got != "started allowed allowed gap allowed" {
			t.Error(got)
		}
		if report, err := Verify(&out, Expect{}); err != nil || report.Lost != 2 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

func TestSeveralWriteCallsToOneFile(t *testing.T) {
	path := newFile(t)
	var wg sync.WaitGroup
	for range 3 {
		s := open(t, options(path, unwelcome(t)))
		wg.Go(func() {
			var callers sync.WaitGroup
			for n := range 10 {
				callers.Go(func() {
					for range 10 {
						s.RecordCall(called(n))
					}
				})
			}
			callers.Wait()
			closed(t, s)
		})
	}
	wg.Wait()
	if report := mustVerify(t, path); report.Events != 301 || report.Chains != 1 {
		t.Errorf("%+v", report)
	}
}
