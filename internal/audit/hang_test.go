// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// valve is a writer that can be shut: then a write hangs until it is opened.
// Use it in a bubble of synctest, where time passes if everybody waits.
type valve struct {
	mu   sync.Mutex
	out  faulty
	shut chan struct{}
	// takes is how long each write takes.
	takes time.Duration
}

func (v *valve) Write(content []byte) (int, error) {
	v.mu.Lock()
	shut := v.shut
	v.mu.Unlock()
	if shut != nil {
		<-shut
	}
	time.Sleep(v.takes)
	return v.out.Write(content)
}

func (v *valve) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = make(chan struct{})
}

// open lets through what hangs, and waits until it has passed.
func (v *valve) open() {
	v.mu.Lock()
	close(v.shut)
	v.shut = nil
	v.mu.Unlock()
	synctest.Wait()
}

// through opens a stream through a valve in the bubble of the test. Its
// patience lasts a second. If it still runs at the end of the test, the bubble
// fails.
func through(t *testing.T, v *valve) *Stream {
	t.Helper()
	return open(t, Options{Path: Stdout, Stdout: v, Source: "/test", Now: time.Now})
}

// takes fails the test unless the function takes that long.
func takes(t *testing.T, want time.Duration, do func()) {
	t.Helper()
	begun := time.Now()
	do()
	if got := time.Since(begun); got != want {
		t.Errorf("it took %v instead of %v", got, want)
	}
}

// ended closes the stream and compares what was written with what should be.
func ended(t *testing.T, s *Stream, v *valve, want string, lost uint64, failures float64) {
	t.Helper()
	closed(t, s)
	if got := kinds(v.out.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	report, err := Verify(bytes.NewReader(v.out.Bytes()), Expect{Sequence: Sequence(float64(s.metrics.head.last.Load().Sequence))})
	if err != nil || report.Lost != lost {
		t.Errorf("%+v, %v", report, err)
	}
	if got := testutil.ToFloat64(s.metrics.failures); got != failures {
		t.Errorf("%v failures, want %v", got, failures)
	}
}

func TestAWriteThatHangs(t *testing.T) {
	const all = 1 << 20
	for _, c := range []struct {
		name string
		// accept is what the writer accepts of the write that hangs, and later.
		accept []int
		want   string
		lost   uint64
	}{
		{"and is then complete", nil, "started registered registered gap registered", 2},
		{"and then fails", []int{0}, "started registered gap registered", 3},
		{"and is then cut off", []int{100}, "started registered torn recovered gap registered", 3},
		{"and then lacks the newline", []int{-1}, "started registered registered gap registered", 2},
		{"and the gap fails", []int{all, 0}, "started registered registered gap", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &valve{}
				s := through(t, v)
				s.Record(registered(1))
				v.close()
				v.out.accept = c.accept
				takes(t, time.Second, func() { s.Record(registered(2)) })
				takes(t, 0, func() {
					s.Record(registered(3))
					s.Record(registered(4))
				})
				v.open()
				takes(t, 0, func() { s.Record(registered(5)) })
				failures := 3.0
				if c.name == "and the gap fails" {
					failures = 4
				}
				ended(t, s, v, c.want, c.lost, failures)
			})
		})
	}
}

func TestEventsAreLostWhileTheGapIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &valve{}
		s := through(t, v)
		v.out.accept = []int{0}
		s.Record(registered(1))
		v.close()
		takes(t, time.Second, func() { s.Record(registered(2)) })
		s.Record(registered(3))
		v.open()
		s.Record(registered(4))
		ended(t, s, v, "started gap registered gap registered", 2, 3)
		var gaps []uint64
		for _, raw := range lines(v.out.Bytes()) {
			if l, err := read(bytes.TrimSuffix(raw, []byte("\n"))); err == nil && l.kind == StreamGap {
				gaps = append(gaps, l.stream.LostEvents)
			}
		}
		if !slices.Equal(gaps, []uint64{1, 1}) {
			t.Errorf("lost before each gap: %d", gaps)
		}
	})
}

func TestWhoWaitsForATurnWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &valve{}
		s := through(t, v)
		v.close()
		go s.Record(registered(1))
		synctest.Wait()
		time.Sleep(300 * time.Millisecond)
		go takes(t, time.Second, func() { s.Record(registered(2)) })
		time.Sleep(600 * time.Millisecond)
		go takes(t, 500*time.Millisecond, func() { s.Record(registered(3)) })
		time.Sleep(500 * time.Millisecond)
		v.open()
		ended(t, s, v, "started registered gap registered", 1, 2)
	})
}

func TestSlowWritesWithinThePatienceLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &valve{takes: 90 * time.Millisecond}
		s := through(t, v)
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() { s.Record(registered(n)) })
		}
		takes(t, 900*time.Millisecond, wg.Wait)
		takes(t, 90*time.Millisecond, func() { s.Record(registered(10)) })
		ended(t, s, v, "started"+strings.Repeat(" registered", 11), 0, 0)
	})
}

func TestOpenAndCloseDoNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &valve{}
		v.close()
		var s *Stream
		takes(t, time.Second, func() { s = through(t, v) })
		takes(t, 0, func() { s.Record(registered(1)) })
		v.open()
		s.Record(registered(2))
		v.close()
		s.Record(registered(3))
		s.Record(registered(4))
		takes(t, time.Second, func() {
			if err := s.Close(); !errors.Is(err, errHanging) {
				t.Error(err)
			}
		})
		takes(t, 0, func() { s.Record(registered(5)) })
		v.open()
		<-s.ended
		ended(t, s, v, "started gap registered registered gap", 3, 4)
	})
}

func TestAReportThatHangsStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held, told := make(chan struct{}), 0
		v := &valve{out: faulty{accept: []int{1 << 20, 0, 0}}}
		s := open(t, Options{Path: Stdout, Stdout: v, Source: "/test", Now: time.Now, Report: func(error) {
			told++
			<-held
		}})
		takes(t, 0, func() { s.Record(registered(1)) })
		time.Sleep(reportEvery)
		takes(t, 0, func() {
			s.Record(registered(2))
			s.Record(registered(3))
		})
		takes(t, time.Second, func() { closed(t, s) })
		close(held)
		synctest.Wait()
		if told != 2 {
			t.Errorf("%d reports", told)
		}
		ended(t, s, v, "started gap registered", 2, 2)
	})
}

func TestWhatIsRecordedIsWhatTheCallerHadThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &valve{}
		s := through(t, v)
		v.out.accept = []int{0}
		s.Record(registered(1))
		v.close() // for the gap, which comes before the event
		event := registered(2)
		event.Data.Scopes = []string{"before"}
		go s.Record(event)
		synctest.Wait()
		event.Data.Scopes[0] = "after"
		v.open()
		closed(t, s)
		if !bytes.Contains(v.out.Bytes(), []byte(`"before"`)) {
			t.Error(v.out.String())
		}
	})
}

// counts returns how many events of registered are in a stream, after it was
// verified, and how many are lost.
func counts(t *testing.T, stream []byte, expect Expect) (events int, lost uint64) {
	t.Helper()
	report, err := Verify(bytes.NewReader(stream), expect)
	if err != nil {
		t.Error(err)
	}
	return strings.Count(kinds(stream), string(ClientRegistered[strings.LastIndex(string(ClientRegistered), ".")+1:])), report.Lost
}

func TestAPipeThatNobodyReadsStopsNobody(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Path: Stdout, Stdout: writer, Source: "/test", Now: clock(), Patience: 3 * time.Second})
	const total = 1000
	for n := range total {
		s.Record(registered(n))
	}
	failures := testutil.ToFloat64(s.metrics.failures)
	read := make(chan []byte)
	go func() {
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Error(err)
		}
		read <- content
	}()
	for s.refuses() != nil {
		runtime.Gosched()
	}
	closed(t, s)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	events, lost := counts(t, <-read, Expect{})
	if events+int(lost) != total || lost == 0 || failures < float64(lost) || failures > float64(lost)+1 {
		t.Errorf("%d events, %d lost, %v failures", events, lost, failures)
	}
}

func TestAFileThatSomebodyElseLocksStopsNobody(t *testing.T) {
	path := newFile(t)
	record(t, options(path, unwelcome(t)), 1)
	other, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	o := options(path, nil)
	o.Patience = 50 * time.Millisecond
	s := open(t, o)
	s.Record(registered(1))
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	for s.refuses() != nil {
		runtime.Gosched()
	}
	closed(t, s)
	mustVerify(t, path)
	if events, lost := counts(t, content(t, path), Expect{}); events != 1 || lost != 1 {
		t.Errorf("%d events, %d lost", events, lost)
	}
}
