// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Stdout as Options.Path writes the stream to the standard output.
const Stdout = "-"

// reportEvery is how often failures are reported at most.
const reportEvery = time.Minute

// Options say where a stream goes.
type Options struct {
	// Path is the file that is written, or "-" for Stdout.
	Path string
	// Stdout is what is written if Path is "-".
	Stdout io.Writer
	// Source is the source attribute of every event: a URI reference that names
	// the cluster and the operator in it. Required.
	Source string
	// Now is the clock. Required.
	Now func() time.Time
	// Registerer takes the metrics of the stream. Nil leaves them out.
	Registerer prometheus.Registerer
	// Report is told that events are not written, and what was found wrong with
	// the file, each at most once a minute. Nil tells nobody.
	Report func(error)
}

// Stream is a Recorder that writes to a file or to the standard output. Each
// line is one write.
type Stream struct {
	source   string
	now      func() time.Time
	report   func(error)
	newChain func() string
	metrics  *metrics

	mu     sync.Mutex
	sink   sink
	state  state
	lost   loss
	closed bool
	// failed and found are when a failure and a finding were last reported.
	failed, found time.Time
}

// Open begins or continues a stream. It returns an error if the stream cannot
// be used as configured. That a first line cannot be written is a failure like
// a later one.
func Open(options Options) (*Stream, error) {
	s := &Stream{
		source: options.Source, now: options.Now, report: options.Report,
		newChain: func() string { return strings.ToLower(rand.Text()) },
	}
	if s.report == nil {
		s.report = func(error) {}
	}
	var err error
	switch {
	case s.source == "":
		return nil, errors.New("opening audit stream: no source is given")
	case s.now == nil:
		return nil, errors.New("opening audit stream: no clock is given")
	case options.Path == Stdout && options.Stdout == nil:
		return nil, errors.New("opening audit stream: no standard output is given")
	case options.Path == Stdout:
		s.sink = output{options.Stdout}
	default:
		if s.sink, err = openFile(options.Path); err != nil {
			return nil, fmt.Errorf("opening audit stream: %w", err)
		}
	}
	if s.metrics, err = newMetrics(options.Registerer); err != nil {
		return nil, errors.Join(err, s.sink.close())
	}
	if err := s.start(); err != nil {
		return nil, fmt.Errorf("opening audit stream: %w", errors.Join(err, s.sink.close()))
	}
	return s, nil
}

// start takes the stream up, with a first line if it has none.
func (s *Stream) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.acquire(); err != nil {
		return err
	}
	err := s.prepare()
	s.metrics.sequence.Set(float64(s.state.last.Sequence))
	if err := errors.Join(err, s.sink.release(s.state.last)); err != nil {
		s.complain(&s.failed, fmt.Errorf("starting audit stream: %w", err))
	}
	return nil
}

// Record implements Recorder.
func (s *Stream) Record(event Event) {
	at := event.Time
	if at.IsZero() {
		at = s.now()
	}
	s.record(entry{kind: event.Type, subject: event.Subject, at: at, data: event.Data.utc()})
}

// record writes an entry, whatever its data are.
func (s *Stream) record(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written, err := s.put(e)
	if !written {
		s.lose(e)
		err = fmt.Errorf("writing audit event %s, %d lost so far: %w", e.kind, s.lost.events, err)
	}
	if err != nil {
		s.complain(&s.failed, err)
	}
}

// put writes an entry after everything that has to precede it. An error with
// a written entry is about what is kept beside the stream.
func (s *Stream) put(e entry) (written bool, err error) {
	if s.closed {
		return false, os.ErrClosed
	}
	if err := s.acquire(); err != nil {
		return false, err
	}
	if err = s.prepare(); err == nil {
		err = s.write(e)
	}
	return err == nil, errors.Join(err, s.sink.release(s.state.last))
}

// acquire makes the sink ready, and a chain if there is none.
func (s *Stream) acquire() error {
	state, err := s.sink.acquire(s.state)
	if err != nil {
		return err
	}
	if state.finding != nil {
		s.complain(&s.found, state.finding)
		state.finding = nil
	}
	if len(state.torn) > maxTorn {
		state.last, state.torn = Position{}, nil
	}
	if state.last.Chain == "" {
		state.last = Position{Chain: s.newChain(), Hash: hashOf(nil)}
	}
	s.state = state
	return nil
}

// prepare writes what the next event needs before it: the first line of the
// chain, the names of torn lines, and the number of events that are missing.
func (s *Stream) prepare() error {
	var err error
	switch {
	case s.state.last.Sequence == 0:
		err = s.writeOwn(StreamStarted, streamData{Continues: s.state.continues, TornLines: s.state.torn})
	case len(s.state.torn) > 0:
		err = s.writeOwn(StreamRecovered, streamData{TornLines: s.state.torn})
	}
	if err != nil || s.lost.events == 0 {
		return err
	}
	err = s.writeOwn(StreamGap, streamData{LostEvents: s.lost.events, LostFrom: s.lost.from, LostUntil: s.lost.until})
	if err == nil {
		s.lost = loss{}
	}
	return err
}

func (s *Stream) writeOwn(kind Type, data streamData) error {
	return s.write(entry{kind: kind, at: s.now(), data: data})
}

// write writes one line and follows what became of it. A line that lacks only
// its newline is written: the next line closes it.
func (s *Stream) write(e entry) error {
	line, position, err := seal(s.source, s.state.last, e)
	if err != nil {
		return err
	}
	start := 0
	if s.state.unclosed {
		line, start = append([]byte("\n"), line...), 1
	}
	n, err := s.sink.Write(line)
	switch {
	case n >= len(line)-1:
		s.state = state{last: position, unclosed: n < len(line)}
		s.metrics.events.WithLabelValues(string(e.kind)).Inc()
		s.metrics.sequence.Set(float64(position.Sequence))
		return nil
	case n > start:
		s.state.torn = append(s.state.torn, torn(line[start:n]))
		s.state.unclosed = true
	case n == start:
		s.state.unclosed = false
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	return err
}

// lose counts an event that could not be written.
func (s *Stream) lose(e entry) {
	if s.lost.events == 0 {
		s.lost.from = e.at.UTC()
	}
	s.lost.events++
	s.lost.until = e.at.UTC()
	s.metrics.failures.Inc()
}

// complain reports an error, unless one was reported within the last minute.
func (s *Stream) complain(last *time.Time, err error) {
	now := s.now()
	if !last.IsZero() && now.Sub(*last) < reportEvery {
		return
	}
	*last = now
	s.report(err)
}

// Close puts the number of lost events on record, if there are any, and ends
// the stream. A later event is lost.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	var err error
	if s.lost.events > 0 {
		if err = s.acquire(); err == nil {
			err = errors.Join(s.prepare(), s.sink.release(s.state.last))
		}
	}
	s.closed = true
	if err := errors.Join(err, s.sink.close()); err != nil {
		return fmt.Errorf("closing audit stream: %w", err)
	}
	return nil
}
