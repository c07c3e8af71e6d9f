// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// writer writes the lines. One goroutine uses it, and may hang in it.
type writer struct {
	source     string
	keys       Keys
	now        func() time.Time
	newChain   func() string
	metrics    *metrics
	complaints *complaints
	losses     *losses
	sink       sink
	state      state
	// unnoted: the last turn did not note the last line.
	unnoted bool
}

// start takes the stream up, with a first line if it has none.
func (w *writer) start() error {
	if err := w.acquire(); err != nil {
		return err
	}
	err := w.prepare()
	w.reached(w.state.last)
	if err := errors.Join(err, w.release(true)); err != nil {
		w.complaints.about(failure, fmt.Errorf("starting audit stream: %w", err))
	}
	return nil
}

// reached shows the last line.
func (w *writer) reached(last Position) { w.metrics.head.last.Store(&last) }

// put writes an entry after everything that has to precede it. The sink must be
// acquired.
func (w *writer) put(e entry) error {
	if err := w.prepare(); err != nil {
		return err
	}
	return w.write(e)
}

// release ends what acquire began; note says that the last line is to be noted
// now.
func (w *writer) release(note bool) error {
	w.unnoted = !note
	return w.sink.release(w.state.last, note)
}

// end puts the number of lost events on record, if there are any, notes the last
// line and closes the sink.
func (w *writer) end() error {
	var err error
	if w.losses.count() > 0 || w.unnoted {
		if err = w.acquire(); err == nil {
			err = errors.Join(w.prepare(), w.release(true))
		}
	}
	return errors.Join(err, w.sink.close())
}

// acquire makes the sink ready, and a chain if there is none.
func (w *writer) acquire() error {
	state, err := w.sink.acquire(w.state)
	if err != nil {
		return err
	}
	if state.finding != nil {
		w.complaints.about(finding, state.finding)
		state.finding = nil
	}
	if len(state.torn) > maxTorn {
		state.last, state.torn = Position{}, nil
	}
	if state.last.Chain == "" {
		state.last = Position{Chain: w.newChain(), Hash: hashOf(nil)}
	}
	w.state = state
	return nil
}

// prepare writes what the next event needs before it: the first line of the
// chain, the names of torn lines, and the number of events that are missing.
func (w *writer) prepare() error {
	var err error
	switch {
	case w.state.last.Sequence == 0:
		err = w.writeOwn(StreamStarted, streamData{Continues: w.state.continues, TornLines: w.state.torn})
	case len(w.state.torn) > 0:
		err = w.writeOwn(StreamRecovered, streamData{TornLines: w.state.torn})
	}
	if err != nil {
		return err
	}
	lost := w.losses.telling()
	if lost.events == 0 {
		return nil
	}
	err = w.writeOwn(StreamGap, streamData{LostEvents: lost.events, LostFrom: lost.from, LostUntil: lost.until})
	if err == nil {
		w.losses.told()
	}
	return err
}

func (w *writer) writeOwn(kind Type, data streamData) error {
	return w.write(entry{kind: kind, at: w.now(), data: data})
}

// write writes one line and follows what became of it. A line that lacks only
// its newline is written: the next line closes it.
func (w *writer) write(e entry) error {
	line, position, err := seal(w.source, w.keys.newest(), w.state.last, e)
	if err != nil {
		return err
	}
	start := 0
	if w.state.unclosed {
		line, start = append([]byte("\n"), line...), 1
	}
	n, err := w.sink.Write(line)
	switch {
	case n >= len(line)-1:
		w.state = state{last: position, unclosed: n < len(line)}
		w.metrics.events.WithLabelValues(string(e.kind)).Inc()
		w.reached(position)
		return nil
	case n > start:
		w.state.torn = append(w.state.torn, torn(line[start:n]))
		w.state.unclosed = true
	case n == start:
		w.state.unclosed = false
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	return err
}
