// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"os"
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
		return false, fmt.Errorf("it had no turn within %v: %w", s.patience, errHanging)
	}
	select {
	case <-t.done:
		return true, nil
	case <-patience:
		return true, s.leave(t)
	}
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
			s.perform(t)
		case <-s.closing:
			s.failed = s.writer.end()
			return
		}
	}
}

func (s *Stream) perform(t *task) {
	if t.entry == nil {
		err := s.writer.start()
		if late := s.finish(t, err, false); late && err != nil {
			s.complaints.about(failure, fmt.Errorf("starting audit stream: %w", err))
		}
		return
	}
	written, err := s.writer.put(*t.entry)
	switch {
	case !written:
		s.losses.add(t.entry.at)
		s.complain(t.entry, err)
	case err != nil:
		s.complaints.about(failure, err)
	}
	s.finish(t, err, !written)
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
