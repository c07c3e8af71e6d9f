// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// window is how much of the end of a file is read to continue it.
	window = 4 * maxLine
	// maxTorn is how many torn lines a line can name. With more, a new chain
	// begins, and they remain as damage.
	maxTorn = 1000
)

// ending is what the end of a file holds.
type ending struct {
	// last is the last line that is whole, if found.
	last  line
	found bool
	empty bool
	// torn are the lines after it that were cut off.
	torn     []tornLine
	unclosed bool
}

// standing reads where the stream in the file stands. known is the last line
// that this process wrote.
//
// If what the file ends with is not what was written last, a new chain begins
// that names what was: Verify finds the difference, and nobody can make the
// operator paper over it.
func (f *file) standing(size int64, known Position) (state, error) {
	head, ok, finding := ReadHead(f.path)
	if !ok || head.Chain == known.Chain && head.Sequence < known.Sequence {
		head = known
	}
	offset := max(0, size-window)
	content := make([]byte, size-offset)
	if _, err := f.file.ReadAt(content, offset); err != nil && !errors.Is(err, io.EOF) {
		return state{}, fmt.Errorf("reading the end of %s: %w", f.path, err)
	}
	end := readEnding(content, offset == 0)
	head = f.furthest(head, end)
	s := state{torn: end.torn, unclosed: end.unclosed, finding: finding}
	if head.Sequence > 0 {
		s.continues = &head
	}
	if found := f.judge(&s, end, head); found != nil && s.finding == nil {
		s.finding = found
	}
	return s, nil
}

// furthest returns the head that was published, if it is further in the chain of the
// file than the other. Where nothing says which chain the file had, the newest says
// what it goes on from.
func (f *file) furthest(head Position, end ending) Position {
	chain := head.Chain
	if head.Sequence == 0 && end.found {
		chain = end.last.Chain
	}
	for _, p := range f.published {
		if p.Chain == chain && p.Sequence > head.Sequence {
			head = p.Position
		}
	}
	if newest := len(f.published) - 1; head.Sequence == 0 && !end.found && newest >= 0 {
		return f.published[newest].Position
	}
	return head
}

// judge decides whether the chain at the end of the file goes on, and returns
// what is wrong with the file.
func (f *file) judge(s *state, end ending, head Position) error {
	switch {
	case !end.found && end.empty, !end.found && len(end.torn) > 0:
		return nil
	case !end.found:
		return fmt.Errorf("%s does not end with a line of the audit stream: a new chain begins; verify the file", f.path)
	case !f.keys.IsZero() && !f.keys.wrote(end.last):
		return fmt.Errorf("%s ends with a line that was not written with a key of this program: a new chain begins; verify the file", f.path)
	case !agrees(head, end.last):
		return fmt.Errorf("%s ends with sequence %d of chain %s, but sequence %d of chain %s was written: a new chain begins; verify the file",
			f.path, end.last.Sequence, end.last.Chain, head.Sequence, head.Chain)
	}
	s.last = end.last.Position
	if head.Sequence == 0 {
		return fmt.Errorf("%s%s is missing: lines removed at the end of the file before now cannot be noticed", f.path, headSuffix)
	}
	return nil
}

// agrees says whether the last line may be the last that was written: the head
// is written after the line and may be behind it.
func agrees(head Position, last line) bool {
	switch {
	case head.Sequence == 0, head == last.Position:
		return true
	case last.stream.Continues != nil && *last.stream.Continues == head:
		return true
	}
	return head.Chain == last.Chain && head.Sequence < last.Sequence
}

// readEnding looks for the last whole line. Lines after it count as torn only
// if they have no hash at their end: a line that has one, and does not fit, was
// altered and stays for Verify to find. Without a whole line, all that can be
// torn is the first line of the file.
func readEnding(content []byte, complete bool) ending {
	end := ending{empty: len(content) == 0}
	lines := bytes.Split(content, []byte("\n"))
	if last := len(lines) - 1; len(lines[last]) == 0 {
		lines = lines[:last]
	} else {
		end.unclosed = true
	}
	if !complete && len(lines) > 0 {
		lines = lines[1:]
	}
	for _, raw := range slices.Backward(lines) {
		l, err := read(raw)
		if err == nil {
			end.last, end.found = l, true
			slices.Reverse(end.torn)
			return end
		}
		if !errors.Is(err, errUnsealed) || len(end.torn) == maxTorn {
			end.torn = nil
			return end
		}
		end.torn = append(end.torn, torn(raw))
	}
	if !complete || len(lines) != 1 || !end.unclosed {
		end.torn = nil
	}
	return end
}
