// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Expect says what Verify is to find.
type Expect struct {
	// Sequence is what the last line must have at least: the value of the
	// metric mcp_registrar_audit_sequence. 0 expects nothing.
	Sequence Sequence
	// Hash are the first digits of the hash that the line with that Sequence must
	// have, as a number: the value of the metric mcp_registrar_audit_hash. 0 expects
	// nothing.
	Hash uint64
	// Keys are those that lines may be sealed with, the newest first. If there are
	// any, a line without one of them is a damage.
	Keys Keys
	// Published are heads that were published, the oldest first: each must be among
	// the lines if its chain is.
	Published []Published
	// Unfinished: the stream goes on elsewhere, and need not reach the newest of them.
	Unfinished bool
	// Head must be among the lines, if it is not nil.
	Head *Position
	// IgnoreOtherLines skips lines that are not of the stream, as in the
	// captured log of a program that writes both.
	IgnoreOtherLines bool
}

// Report is what Verify found.
type Report struct {
	// Events is the number of whole lines.
	Events int
	// Chains is the number of chains.
	Chains int
	// Torn is the number of lines that were cut off and that the stream itself
	// names.
	Torn int
	// Lost is the number of events that the stream itself says were lost.
	Lost uint64
	// Ignored is the number of lines that are not of the stream.
	Ignored int
	// Last is the last line.
	Last Position
	// Continues is the line of an earlier file that the first line says it
	// goes on from.
	Continues *Position
	// AfterHead is the number of lines after the expected head.
	AfterHead int
	// Keyed is the number of whole lines that bear a key.
	Keyed int
	// Authentic is the number of whole lines that are shown to be written by who
	// has the keys.
	Authentic int
	// Elsewhere are the published heads whose chain is not there.
	Elsewhere []Published
}

// Verify reads a stream. If anything was altered, removed, moved or added, the
// error is a Damages. Any other error means that the stream could not be read.
func Verify(r io.Reader, expect Expect) (Report, error) {
	v := &verifier{expect: expect, ended: map[string]Position{}, awaited: map[Position]bool{}}
	for _, head := range expect.Published {
		v.awaited[head.Position] = false
	}
	reader := bufio.NewReader(r)
	var raw []byte
	for {
		var err error
		raw, err = nextLine(reader, raw[:0])
		if len(raw) > 0 {
			v.line(bytes.TrimSuffix(raw, []byte("\n")), bytes.HasSuffix(raw, []byte("\n")))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return v.report, fmt.Errorf("reading line %d: %w", v.number+1, err)
		}
	}
	v.end()
	if len(v.damages) > 0 {
		return v.report, v.damages
	}
	return v.report, nil
}

// nextLine reads a line with its newline. Of a line that the stream cannot hold
// it keeps only the beginning.
func nextLine(reader *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := reader.ReadSlice('\n')
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// verifier holds what the lines so far have shown.
type verifier struct {
	expect  Expect
	report  Report
	damages Damages
	number  int
	// drifting: a line that could not be read hides what follows it.
	drifting bool
	// ended are the last lines of earlier chains.
	ended map[string]Position
	// pending are lines that were cut off, until a line names them.
	pending  []pending
	headSeen bool
	// awaited are the published heads, and whether each was found.
	awaited map[Position]bool
	// unlike: the line with the expected number has another hash.
	unlike int
	seals  seals
}

type pending struct {
	tornLine
	number int
	closed bool
}

func (v *verifier) line(raw []byte, closed bool) {
	v.number++
	if v.expect.IgnoreOtherLines && foreign(raw) {
		v.report.Ignored++
		return
	}
	if len(raw) > maxLine {
		v.settle(nil)
		v.drifting = true
		v.damage(v.number, fmt.Sprintf("the line is longer than %d bytes", maxLine), adviseCompare)
		return
	}
	l, err := read(raw)
	if errors.Is(err, errUnsealed) {
		v.pending = append(v.pending, pending{torn(raw), v.number, closed})
		if len(v.pending) > maxTorn {
			v.settle(nil)
		}
		return
	}
	if err != nil {
		v.altered(l, err)
		return
	}
	v.report.Events++
	v.settle(l.stream.TornLines)
	v.report.Lost += l.stream.LostEvents
	v.follow(l)
	v.authenticate(l)
	v.reach(l)
}

// settle compares lines that were cut off with those that the next whole line
// names.
func (v *verifier) settle(named []tornLine) {
	if !v.isNamed(named) {
		for _, p := range v.pending {
			v.damage(p.number, "the line is not of an audit stream", adviseOther)
			v.drifting = true
		}
		if len(v.pending) == 0 {
			v.damage(v.number, fmt.Sprintf("the line names %d cut-off lines before it, which are not there", len(named)), adviseCompare)
		}
	} else {
		v.report.Torn += len(named)
	}
	v.pending = nil
}

// isNamed says whether the pending lines are those that are named. Some of
// those may have been ignored, being too short to be told from other lines.
func (v *verifier) isNamed(named []tornLine) bool {
	rest := v.pending
	for _, name := range named {
		switch {
		case len(rest) > 0 && rest[0].tornLine == name:
			rest = rest[1:]
		case !v.expect.IgnoreOtherLines:
			return false
		}
	}
	return len(rest) == 0
}

// altered takes note of a line that is not as it was written. If it still
// claims the place it should have, what follows is held to it.
func (v *verifier) altered(l line, err error) {
	v.settle(nil)
	v.damage(v.number, "the line was changed after it was written: "+err.Error(), adviseCompare)
	last := v.report.Last
	if l.Chain == last.Chain && l.Sequence == last.Sequence+1 && l.previous == last.Hash {
		v.report.Last = l.Position
		return
	}
	v.drifting = true
}

// follow holds a line to the one before it.
func (v *verifier) follow(l line) {
	last := v.report.Last
	switch {
	case l.Chain != last.Chain:
		if !v.begin(l) {
			return
		}
	case l.Sequence <= last.Sequence:
		v.damage(v.number, fmt.Sprintf("sequence %d comes after sequence %d: the line is there twice or was moved", l.Sequence, last.Sequence), adviseCompare)
		return
	case v.drifting:
	case l.Sequence > last.Sequence+1:
		v.damage(v.number, fmt.Sprintf("sequence %d comes after sequence %d: %d before this line missing", l.Sequence, last.Sequence,
			l.Sequence-last.Sequence-1), adviseCompare)
	case l.previous != last.Hash:
		v.damage(v.number, "the line does not follow the one before it: that was replaced, or this one", adviseCompare)
	}
	v.report.Last, v.drifting = l.Position, false
}

// begin holds the first line of a chain to the rules. It returns false for a
// line of a chain that has ended.
func (v *verifier) begin(l line) bool {
	if _, over := v.ended[l.Chain]; over {
		v.damage(v.number, "the line belongs to chain "+l.Chain+", which ended before: lines were moved, or two streams mixed", adviseMixed)
		return false
	}
	if v.report.Chains > 0 {
		v.ended[v.report.Last.Chain] = v.report.Last
	}
	v.report.Chains++
	switch {
	case l.Sequence > 1 && !v.drifting:
		v.damage(v.number, fmt.Sprintf("chain %s begins with sequence %d: %d before this line missing", l.Chain, l.Sequence, l.Sequence-1), adviseBeginning)
	case l.Sequence <= 1 && (l.Sequence < 1 || l.kind != StreamStarted || l.previous != hashOf(nil)):
		v.damage(v.number, "the line does not begin a chain as it should", adviseCompare)
	default:
		v.continues(l.stream.Continues)
	}
	return true
}

// continues compares what a chain says it goes on from with what is there.
func (v *verifier) continues(from *Position) {
	inherited := v.report.Continues
	switch {
	case v.report.Chains == 1:
		v.report.Continues = from
		return
	case from == nil, v.ended[from.Chain] == *from, inherited != nil && *inherited == *from:
		return
	}
	v.damage(v.number, fmt.Sprintf("when this chain began, the stream should have ended with sequence %d of chain %s, and did not: lines were removed or replaced",
		from.Sequence, from.Chain), adviseCompare)
}

// end looks at what is left when all lines are read.
func (v *verifier) end() {
	if n := len(v.pending); n > 0 && !v.pending[n-1].closed {
		cut := v.pending[n-1]
		v.pending = v.pending[:n-1]
		v.damage(cut.number, "the line is cut off", adviseCut)
	}
	if len(v.pending) > 0 {
		v.settle(nil)
	}
	v.endPublished()
	if v.unlike > 0 {
		v.damage(v.unlike, fmt.Sprintf("sequence %d has another hash than expected: lines were removed, and others written in their place", v.expect.Sequence), adviseCompare)
	}
	last := v.report.Last.Sequence
	switch head := v.expect.Head; {
	case v.report.Events == 0 && len(v.damages) == 0:
		v.damage(v.number, "there is no event of an audit stream", adviseCompare)
	case head != nil && !v.headSeen:
		v.damage(v.number, fmt.Sprintf("the last line should be sequence %d of chain %s and is sequence %d of chain %s: lines after it were removed or replaced",
			head.Sequence, head.Chain, last, v.report.Last.Chain), adviseCompare)
	case last < v.expect.Sequence:
		v.damage(v.number, fmt.Sprintf("the last line has sequence %d, expected %d: %d after it missing", last, v.expect.Sequence,
			v.expect.Sequence-last), adviseCompare)
	}
}
