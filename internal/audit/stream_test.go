// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestALineIsACloudEvent(t *testing.T) {
	var out bytes.Buffer
	o := options(Stdout, unwelcome(t))
	o.Stdout = &out
	s := open(t, o)
	zone := time.FixedZone("", 7200)
	s.Record(Event{
		Type: GrantApproved, Subject: "ScopeGrant/team/files", Time: time.Date(2026, 8, 1, 14, 0, 0, 5, zone),
		Data: Data{
			Kind: "ScopeGrant", Namespace: "team", Name: "files", ExpiresAt: time.Date(2027, 1, 1, 2, 0, 0, 0, zone), Message: "a <b> & \n",
			Decision: &Approval{By: "jane", At: time.Date(2026, 8, 1, 14, 0, 0, 0, zone)},
		},
	})
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("%d lines\n%s", len(lines), out.String())
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &got); err != nil {
		t.Fatal(err)
	}
	first, err := read([]byte(lines[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"specversion": "1.0", "id": first.Chain + "-00000000000000000002", "source": "/test", "type": "dev.mcp-registrar.grant.approved",
		"subject": "ScopeGrant/team/files", "time": "2026-08-01T12:00:00.000000005Z", "datacontenttype": "application/json",
		"data": map[string]any{
			"kind": "ScopeGrant", "namespace": "team", "name": "files", "expiresAt": "2027-01-01T00:00:00Z", "message": "a <b> & \n",
			"decision": map[string]any{"by": "jane", "at": "2026-08-01T12:00:00Z"},
		},
		"chain": first.Chain, "sequence": "00000000000000000002", "previoushash": first.Hash, "hash": got["hash"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if first.kind != StreamStarted || first.Sequence != 1 || first.previous != hashOf(nil) {
		t.Errorf("the first line is %+v", first)
	}
}

func TestEachStartOnStdoutBeginsAChain(t *testing.T) {
	var out bytes.Buffer
	for range 3 {
		o := options(Stdout, unwelcome(t))
		o.Stdout = &out
		record(t, o, 2)
	}
	report, err := Verify(&out, Expect{Sequence: 3})
	if err != nil || report.Chains != 3 || report.Events != 9 || report.Last.Sequence != 3 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	registry := prometheus.NewRegistry()
	defer closed(t, open(t, Options{Path: Stdout, Stdout: io.Discard, Source: "/test", Now: clock(), Registerer: registry}))
	for name, o := range map[string]Options{
		"no source":          {Path: Stdout, Stdout: io.Discard, Now: clock()},
		"no clock":           {Path: Stdout, Stdout: io.Discard, Source: "/test"},
		"no standard output": {Path: Stdout, Source: "/test", Now: clock()},
		"not a regular file": {Path: t.TempDir(), Source: "/test", Now: clock()},
		"no such file":       {Path: t.TempDir() + "/none/audit", Source: "/test", Now: clock()},
		"duplicate metrics":  {Path: Stdout, Stdout: io.Discard, Source: "/test", Now: clock(), Registerer: registry},
	} {
		if s, err := Open(o); err == nil || s != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// faulty is a writer that accepts as many bytes of the next writes as it is
// told.
type faulty struct {
	bytes.Buffer
	accept []int
}

var errFull = errors.New("no space left on device")

func (f *faulty) Write(content []byte) (int, error) {
	if len(f.accept) == 0 {
		return f.Buffer.Write(content)
	}
	n := f.accept[0]
	f.accept = f.accept[1:]
	if n < 0 {
		n += len(content)
	}
	if n = min(n, len(content)); n == len(content) {
		return f.Buffer.Write(content)
	}
	f.Buffer.Write(content[:n])
	return n, errFull
}

func TestAWriteThatFails(t *testing.T) {
	const all = 1 << 20
	for _, c := range []struct {
		name   string
		accept []int
		want   string
		lost   uint64
	}{
		{"all is well", nil, "started registered registered registered registered", 0},
		{"nothing is written", []int{all, 0}, "started gap registered registered registered", 1},
		{"twice nothing", []int{all, 0, 0}, "started gap registered registered", 2},
		{"the first line is not written", []int{0}, "started registered registered registered registered", 0},
		{"a part is written", []int{all, 100}, "started torn recovered gap registered registered registered", 1},
		{"one byte is written", []int{all, 1}, "started torn recovered gap registered registered registered", 1},
		{"a part of the first line", []int{100}, "torn started registered registered registered registered", 0},
		{"the newline is missing", []int{all, -1}, "started registered registered registered registered", 0},
		{"all but two bytes", []int{all, -2}, "started torn recovered gap registered registered registered", 1},
		{"the recovery is cut off too", []int{all, 100, 50}, "started torn torn recovered gap registered registered", 2},
		{"of the recovery only the newline", []int{all, 100, 1}, "started torn recovered gap registered registered", 2},
		{"of the recovery nothing", []int{all, 100, 0}, "started torn recovered gap registered registered", 2},
		{"the gap is cut off", []int{all, 0, 30}, "started torn recovered gap registered registered", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := &faulty{accept: c.accept}
			var told reports
			registry := prometheus.NewRegistry()
			s := open(t, Options{Path: Stdout, Stdout: out, Source: "/test", Now: clock(), Patience: time.Minute, Registerer: registry, Report: told.add})
			for n := range 4 {
				s.Record(registered(n))
			}
			closed(t, s)
			if got := kinds(out.Bytes()); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			report, err := Verify(bytes.NewReader(out.Bytes()), Expect{Sequence: Sequence(float64(s.metrics.head.last.Load().Sequence))})
			if err != nil || report.Lost != c.lost {
				t.Errorf("%+v, %v", report, err)
			}
			if got := testutil.ToFloat64(s.metrics.failures); got != float64(c.lost) {
				t.Errorf("%v failures, want %v", got, c.lost)
			}
			if c.lost > 0 && (len(told.errs) != 1 || !errors.Is(told.errs[0], errFull)) {
				t.Errorf("reported %v", told.errs)
			}
			total := 0.0
			for _, kind := range Types() {
				total += testutil.ToFloat64(s.metrics.events.WithLabelValues(string(kind)))
			}
			if total != float64(report.Events) {
				t.Errorf("%v events counted, %d written", total, report.Events)
			}
		})
	}
}

func TestFailuresAreReportedOnceAMinute(t *testing.T) {
	var told reports
	o := options(Stdout, told.add)
	o.Stdout = &faulty{accept: make([]int, 201)}
	s := open(t, o)
	for n := range 200 {
		s.Record(registered(n))
	}
	closed(t, s)
	// Each event reads the clock three times: ten minutes pass.
	if n := len(told.errs); n < 9 || n > 11 {
		t.Errorf("%d reports", n)
	}
	if text := told.errs[3].Error(); !strings.Contains(text, "lost so far") || !strings.Contains(text, string(ClientRegistered)) {
		t.Error(text)
	}
}

func TestTooManyTornLinesBeginAChain(t *testing.T) {
	accept := []int{1 << 20}
	for range maxTorn + 1 {
		accept = append(accept, 20)
	}
	out := &faulty{accept: accept}
	o := options(Stdout, nil)
	o.Stdout = out
	s := open(t, o)
	for n := range maxTorn + 3 {
		s.Record(registered(n))
	}
	closed(t, s)
	if got := kinds(out.Bytes()); !strings.HasSuffix(got, " torn started gap registered registered") {
		t.Error(got[len(got)-100:])
	}
}

func TestWhatCannotBeWrittenAsALineIsLost(t *testing.T) {
	var out bytes.Buffer
	o := options(Stdout, nil)
	o.Stdout = &out
	s := open(t, o)
	s.Record(Event{Type: ClientRevoked, Data: Data{DueAt: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}})
	s.Record(Event{Type: ClientRevoked, Data: Data{ExpiresAt: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}})
	s.Record(Event{Type: ClientRevoked, Data: Data{Message: "bytes \xff that are not text"}})
	closed(t, s)
	s.Record(registered(1))
	report, err := Verify(&out, Expect{})
	if err != nil || report.Lost != 2 || report.Events != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := testutil.ToFloat64(s.metrics.failures); got != 3 {
		t.Errorf("%v failures", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseRecordsTheGap(t *testing.T) {
	out := &faulty{accept: []int{1 << 20, 0}}
	o := options(Stdout, nil)
	o.Stdout = out
	record(t, o, 1)
	if got := kinds(out.Bytes()); got != "started gap" {
		t.Error(got)
	}
}

// single fails the test if it is used by two at a time, and counts writes.
type single struct {
	bytes.Buffer
	t      *testing.T
	busy   sync.Mutex
	writes int
}

func (s *single) Write(content []byte) (int, error) {
	if !s.busy.TryLock() {
		s.t.Error("two writes at a time")
		return 0, errFull
	}
	defer s.busy.Unlock()
	s.writes++
	if bytes.Count(content, []byte("\n")) != 1 {
		s.t.Errorf("one write is not one line: %q", content)
	}
	return s.Buffer.Write(content)
}

func TestManyRecordAtATime(t *testing.T) {
	out := &single{t: t}
	o := options(Stdout, unwelcome(t))
	o.Stdout = out
	s := open(t, o)
	var wg sync.WaitGroup
	for worker := range 20 {
		wg.Go(func() {
			for n := range 50 {
				s.Record(registered(100*worker + n))
			}
		})
	}
	wg.Wait()
	closed(t, s)
	report, err := Verify(&out.Buffer, Expect{Sequence: 1001})
	if err != nil || report.Events != 1001 || out.writes != 1001 {
		t.Errorf("%+v, %d writes, %v", report, out.writes, err)
	}
}

func TestDiscardTakesEvents(t *testing.T) {
	Discard.Record(registered(1))
}
