// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import "io"

// sink is where lines go.
type sink interface {
	io.Writer
	// acquire makes ready for writing. It takes where the stream stood after
	// the last write and returns where it stands.
	acquire(state) (state, error)
	// moved says that it is to be acquired again: it is not as the last write
	// left it.
	moved() bool
	// release ends what acquire began. note: the last line is noted now.
	release(last Position, note bool) error
	// close ends the sink for good.
	close() error
}

// state is where a stream stands.
type state struct {
	// last is its last whole line. Sequence 0: the chain has no line yet.
	last Position
	// torn are the lines after it that were cut off.
	torn []tornLine
	// unclosed: the stream ends without a newline.
	unclosed bool
	// continues is what the first line of a new chain goes on from.
	continues *Position
	// finding is what was found wrong with what was written before.
	finding error
}

// output is a sink that cannot be read back.
type output struct{ io.Writer }

func (output) acquire(s state) (state, error) { return s, nil }
func (output) moved() bool                    { return false }
func (output) release(Position, bool) error   { return nil }
func (output) close() error                   { return nil }
