// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// errEventTooLarge: an event is larger than may be kept.
var errEventTooLarge = errors.New("an event is too large")

// events splits a stream of server-sent events (the HTML standard, §9.2) without
// changing a byte of it. It never waits for what does not belong to an event.
type events struct {
	reader *bufio.Reader
	max    int
	// afterCR says that the last byte was a carriage return, so that a line feed
	// now belongs to the same end of line.
	afterCR bool
	begun   bool
	// within says that the last event was too large and goes on; blank, that its
	// line so far is empty.
	within, blank bool
}

// event is what goes until an empty line, or until the end of the stream.
type event struct {
	raw []byte
	// skip is how many bytes at the beginning are not lines of it.
	skip int
	// part says that it goes on.
	part bool
}

func newEvents(r io.Reader, maxSize int) *events {
	return &events{reader: bufio.NewReaderSize(r, 32<<10), max: maxSize}
}

// byteOrderMark may begin a stream.
const byteOrderMark = "\ufeff"

// next returns the next event. With io.EOF comes what was there of the last one.
// With errEventTooLarge comes what was read of it, and its rest comes next, in
// parts. The line feed after a carriage return that ended an event is returned by
// itself when it comes later.
func (s *events) next() (event, error) {
	var e event
	for size := s.begin(); len(e.raw) < size; {
		char, err := s.reader.ReadByte()
		if err != nil {
			return e, err
		}
		e.raw = append(e.raw, char)
		afterCR := s.afterCR
		s.afterCR = char == '\r'
		switch {
		case char == '\n' && afterCR:
			if len(e.raw) == 1 && !s.within {
				e.skip = 1
				return e, nil
			}
		case char != '\n' && char != '\r':
			s.blank = false
			if s.begins(e.raw) {
				e.skip, s.blank = len(byteOrderMark), true
			}
		case s.blank:
			s.begun, s.within = true, false
			return s.withLineFeed(e)
		default:
			s.begun, s.blank = true, true
		}
	}
	s.begun, s.within, e.part = true, true, true
	return e, errEventTooLarge
}

// partSize is how large the parts are of an event that is too large.
const partSize = 32 << 10

// begin begins an event, or a part of one, and returns how large it may be.
func (s *events) begin() (size int) {
	if s.within {
		return partSize
	}
	s.blank = true
	return s.max
}

// begins says that a byte order mark, which is of no line, begins the stream.
func (s *events) begins(raw []byte) bool {
	return !s.begun && len(raw) == len(byteOrderMark) && string(raw) == byteOrderMark
}

// withLineFeed adds the line feed that belongs to the end of an event, if it is
// there already.
func (s *events) withLineFeed(e event) (event, error) {
	if !s.afterCR || s.reader.Buffered() == 0 {
		return e, nil
	}
	char, err := s.reader.ReadByte()
	if err != nil {
		return e, err
	}
	if char != '\n' {
		return e, s.reader.UnreadByte()
	}
	s.afterCR = false
	e.raw = append(e.raw, '\n')
	return e, nil
}

// filter returns the event with only the tools that may be called. What cannot
// be a JSON-RPC message stays as it is, but for carriage returns that end lines:
// not every client takes them for that, and could find another message.
func (e event) filter(callable func(string) bool) ([]byte, error) {
	lines := e.lines()
	var data []string
	for _, line := range lines {
		if value, ok := dataOf(line); ok {
			data = append(data, value)
		}
	}
	raw := []byte(strings.Join(data, "\n"))
	filtered := raw
	if text := bytes.TrimLeft(raw, " \t\r\n"+byteOrderMark); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		var err error
		if filtered, err = filter(raw, callable); err != nil {
			return nil, err
		}
	}
	if bytes.Equal(filtered, raw) && !e.loneCR() {
		return e.raw, nil
	}
	return e.rewrite(lines, filtered), nil
}

// rewrite puts other data into an event. All other lines stay.
func (e event) rewrite(lines []string, data []byte) []byte {
	var out bytes.Buffer
	out.Write(e.raw[:e.skip])
	written := false
	for _, line := range lines {
		if _, isData := dataOf(line); !isData {
			out.WriteString(line + "\n")
			continue
		}
		if written {
			continue
		}
		written = true
		for part := range strings.SplitSeq(string(data), "\n") {
			out.WriteString("data: " + part + "\n")
		}
	}
	return out.Bytes()
}

// loneCR says that a line before the last ends with a carriage return only.
func (e event) loneCR() bool {
	for at, char := range e.raw[:max(0, len(e.raw)-1)] {
		if char == '\r' && e.raw[at+1] != '\n' {
			return true
		}
	}
	return false
}

// lines are the event's lines, without their ends.
func (e event) lines() []string {
	text := strings.ReplaceAll(string(e.raw[e.skip:]), "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// dataOf is the value of a line of the field data.
func dataOf(line string) (value string, ok bool) {
	name, value, _ := strings.Cut(line, ":")
	return strings.TrimPrefix(value, " "), name == "data"
}
