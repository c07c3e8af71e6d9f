// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"crypto/rand"
	"encoding/json"
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

// Disabled in place of a path means that there is no stream: whoever reads settings sees
// to that.
const Disabled = "disabled"

// defaultPatience is how long a caller waits for its line.
const defaultPatience = time.Second

// Options say where a stream goes.
type Options struct {
	// Path is the file that is written, or "-" for Stdout.
	Path string
	// Stdout is what is written if Path is "-".
	Stdout io.Writer
	// Source is the source attribute of every event: a URI reference that names
	// the cluster and the operator in it. Required.
	Source string
	// Keys are what lines are sealed with: the newest of them. Without any, who can
	// write the file can write another one that fits.
	Keys Keys
	// Published are the heads of the stream that were published before. A file
	// that does not reach the one of its chain is not gone on with.
	Published []Published
	// Now is the clock. Required.
	Now func() time.Time
	// Patience is how long Open, Record and Close wait for what is written. Zero
	// means a second.
	Patience time.Duration
	// After is the timer that ends the patience. Nil means time.After.
	After func(time.Duration) <-chan time.Time
	// Registerer takes the metrics of the stream. Nil leaves them out.
	Registerer prometheus.Registerer
	// Report is told that events are not written, and what was found wrong with
	// the file, each at most once a minute and in a goroutine of its own. Nil
	// tells nobody.
	Report func(error)
}

// Stream is a Recorder that writes to a file or to the standard output. Each
// line is one write.
//
// One goroutine writes. Callers wait for their line, but never longer than
// their patience lasts: a pipe that nobody reads and a disk that hangs stop
// that goroutine and nobody else.
type Stream struct {
	now        func() time.Time
	after      func(time.Duration) <-chan time.Time
	patience   time.Duration
	metrics    *metrics
	complaints *complaints
	losses     *losses
	writer     *writer

	// tasks has no buffer: a task that was taken is being worked on.
	tasks chan *task
	// closing ends the writing goroutine, ended says that it has, with failed.
	closing, ended chan struct{}
	failed         error
	// due says that the last line is to be noted. Only the goroutine that writes
	// uses it. Nil: it is noted.
	due <-chan time.Time

	mu sync.Mutex
	// busy: the goroutine that writes is at work. hanging: longer than somebody
	// waited.
	busy, hanging bool
	closed        bool
}

// errHanging: somebody ran out of patience.
var errHanging = errors.New("the standard output, or the disk, takes no more")

// Open begins or continues a stream. It returns an error if the stream cannot
// be used as configured. That a first line cannot be written, or not in time,
// is a failure like a later one.
func Open(options Options) (*Stream, error) {
	return openStream(options, func() string { return strings.ToLower(rand.Text()) })
}

func openStream(options Options, newChain func() string) (*Stream, error) {
	var to sink
	switch {
	case options.Source == "":
		return nil, errors.New("opening audit stream: no source is given")
	case options.Now == nil:
		return nil, errors.New("opening audit stream: no clock is given")
	case options.Path == Stdout && options.Stdout == nil:
		return nil, errors.New("opening audit stream: no standard output is given")
	case options.Path == Stdout:
		to = output{options.Stdout}
	default:
		to = &file{path: options.Path, keys: options.Keys, published: options.Published}
	}
	m, err := newMetrics(options.Registerer)
	if err != nil {
		return nil, err
	}
	s := newStream(options, m)
	s.writer = &writer{source: options.Source, keys: options.Keys, now: s.now, newChain: newChain, metrics: m, complaints: s.complaints, losses: s.losses, sink: to}
	go s.work()
	if err := s.begin(); err != nil {
		return nil, fmt.Errorf("opening audit stream: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

// newStream lacks the writer.
func newStream(options Options, m *metrics) *Stream {
	s := &Stream{
		now: options.Now, after: options.After, patience: options.Patience, metrics: m,
		complaints: &complaints{now: options.Now, report: options.Report}, losses: &losses{},
		tasks: make(chan *task), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	if s.after == nil {
		s.after = time.After
	}
	if s.patience <= 0 {
		s.patience = defaultPatience
	}
	return s
}

// begin takes the stream up. That this takes too long is no reason not to start.
func (s *Stream) begin() error {
	t := &task{done: make(chan struct{})}
	if _, err := s.hand(t); err != nil {
		s.complaints.about(failure, fmt.Errorf("starting audit stream: %w", err))
		return nil
	}
	return t.err
}

// Head returns the last whole line of the stream, and false where there is none
// yet.
func (s *Stream) Head() (Position, bool) {
	head := *s.metrics.head.last.Load()
	return head, head.Sequence > 0
}

// Record implements Recorder. An event whose line was not written in time is
// counted as a failure; whether it is lost shows when the write ends.
func (s *Stream) Record(event Event) {
	data, err := encode(event.Data.utc())
	s.record(s.entry(event.Type, event.Subject, event.Time), data, err)
}

// entry is an event without its data.
func (s *Stream) entry(kind Type, subject string, at time.Time) *entry {
	if at.IsZero() {
		at = s.now()
	}
	return &entry{kind: kind, subject: cut(subject), at: at}
}

// record has an entry written with its data, if that could be encoded.
func (s *Stream) record(e *entry, data json.RawMessage, err error) {
	if err != nil {
		s.lose(e, err)
		return
	}
	e.data = data
	taken, err := s.hand(&task{entry: e, done: make(chan struct{})})
	switch {
	case !taken:
		s.lose(e, err)
	case err != nil:
		s.metrics.failures.Inc()
		s.complain(e, err)
	}
}

// lose counts an event that is not written and will not be.
func (s *Stream) lose(e *entry, err error) {
	s.losses.add(e.at)
	s.metrics.failures.Inc()
	s.complain(e, err)
}

func (s *Stream) complain(e *entry, err error) {
	s.complaints.about(failure, fmt.Errorf("writing audit event %s, %d lost so far: %w", e.kind, s.losses.count(), err))
}

// Close puts the number of lost events on record, if there are any, and ends
// the stream. A later event is lost. If something hangs, Close returns an error
// and the goroutine that writes ends when that does.
func (s *Stream) Close() error {
	s.mu.Lock()
	before := s.closed
	s.closed = true
	s.mu.Unlock()
	if before {
		return nil
	}
	close(s.closing)
	patience := s.after(s.patience)
	select {
	case <-s.ended:
	case <-patience:
		return fmt.Errorf("closing audit stream: %w", errHanging)
	}
	select {
	case <-s.complaints.told():
	case <-patience:
	}
	if s.failed != nil {
		return fmt.Errorf("closing audit stream: %w", s.failed)
	}
	return nil
}

// refuses says why nothing can be handed over now.
func (s *Stream) refuses() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return os.ErrClosed
	case s.hanging:
		return errHanging
	}
	return nil
}
