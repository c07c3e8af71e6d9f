// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"os"
	"time"
)

const (
	// maxTurn is how many lines are written in one turn at most.
	maxTurn = 64
	// noteAfter is how long the line of a call may be the last one and not noted.
	noteAfter = 100 * time.Millisecond
)

// task is what a caller hands to the goroutine that writes.
type task struct {
	// entry is what to write. Nil: take the stream up.
	entry *entry
	// done says that the task ended, with err.
	done chan struct{}
	err  error
	// late: the caller has left. Stream.mu guards it.
	late bool
}

// hand hands a task over and waits for its end, both together no longer than
// the patience lasts. It returns false if the task was not taken. An error of a
// task that was taken says that its caller has left before its end.
func (s *Stream) hand(t *task) (taken bool, err error) {
	if err := s.refuses(); err != nil {
		return false, err
	}
	patience := s.after(s.patience)
	select {
	case s.tasks <- t:
	case <-s.closing:
		return false, os.ErrClosed
	case <-patience:
		return false, s.give()
	}
	select {
	case <-t.done:
		return true, nil
	case <-patience:
		return true, s.leave(t)
	}
}

// give gives up waiting for a turn.
func (s *Stream) give() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging = s.busy
	return fmt.Errorf("it had no turn within %v: %w", s.patience, errHanging)
}

// leave gives up waiting for a task, unless it has just ended.
func (s *Stream) leave(t *task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-t.done:
		return nil
	default:
	}
	t.late, s.hanging = true, true
	return fmt.Errorf("it is not written after %v, and may be later: %w", s.patience, errHanging)
}

// work is the goroutine that writes.
func (s *Stream) work() {
	defer close(s.ended)
	for {
		select {
		case t := <-s.tasks:
			s.serve(t)
		case <-s.due:
			s.noteLate()
		case <-s.closing:
			s.failed = s.writer.end()
			return
		}
	}
}

// serve performs a task and then those that wait already.
func (s *Stream) serve(t *task) {
	s.setBusy(true)
	defer s.setBusy(false)
	if t.entry == nil {
		s.start(t)
		return
	}
	for t != nil {
		t = s.turn(t)
	}
}

// turn writes the line of a task and those of the tasks that wait already: what
// has to be done for each turn, but not for each line, is done once for all of
// them. It returns a task that it has taken and that needs a turn of its own,
// because the sink was moved between two lines.
func (s *Stream) turn(t *task) (left *task) {
	if err := s.writer.acquire(); err != nil {
		s.settle(t, err)
		return nil
	}
	note := false
	for n := 1; t != nil && left == nil; n++ {
		err := s.writer.put(*t.entry)
		note = note || !t.entry.passing
		s.settle(t, err)
		if t = nil; err == nil && n < maxTurn {
			t = s.waiting()
		}
		if t != nil && s.writer.sink.moved() {
			note, left = true, t
		}
	}
	s.release(note)
	return left
}

// waiting is a task that waits already, if there is one.
func (s *Stream) waiting() *task {
	select {
	case t := <-s.tasks:
		return t
	default:
		return nil
	}
}

// release ends a turn. If nothing else was written than what passes, such as
// calls, the last line need not be noted at once.
func (s *Stream) release(note bool) {
	switch {
	case note:
		s.due = nil
	case s.due == nil:
		s.due = s.after(noteAfter)
	}
	if err := s.writer.release(note); err != nil {
		s.complaints.about(failure, fmt.Errorf("ending a turn of the audit stream: %w", err))
	}
}

// noteLate notes the last line, which was not noted when it was written.
func (s *Stream) noteLate() {
	s.setBusy(true)
	defer s.setBusy(false)
	if err := s.writer.acquire(); err != nil {
		s.due = s.after(noteAfter)
		s.complaints.about(failure, fmt.Errorf("noting the end of the audit stream: %w", err))
		return
	}
	s.release(true)
}

func (s *Stream) start(t *task) {
	err := s.writer.start()
	if late := s.finish(t, err, false); late && err != nil {
		s.complaints.about(failure, fmt.Errorf("starting audit stream: %w", err))
	}
}

// settle ends the task of an event, whose line is written unless there is an
// error.
func (s *Stream) settle(t *task, err error) {
	if err != nil {
		s.losses.add(t.entry.at)
		s.complain(t.entry, err)
	}
	s.finish(t, err, err != nil)
}

// setBusy says whether the goroutine that writes is at work.
func (s *Stream) setBusy(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
	if !busy {
		s.hanging = false
	}
}

// finish ends a task. It returns whether its caller has left. Who left has
// counted the failure.
func (s *Stream) finish(t *task, err error, failed bool) (late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed && !t.late {
		s.metrics.failures.Inc()
	}
	s.hanging = false
	t.err = err
	close(t.done)
	return t.late
}
