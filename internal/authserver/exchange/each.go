// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
)

const (
	// LongestList bounds a list that is read element by element, in bytes.
	LongestList = 64 << 20
	// longestAnswer bounds every other answer, and one element of such a list.
	longestAnswer = 1 << 20
)

// ReadEach says what is wrong with an answer of success whose elements Call.Each
// took. An empty list has no members that speak for it: it must call itself JSON.
func ReadEach(c Call, a Answer) error {
	if errors.Is(a.BodyErr, errNotList) {
		a.BodyErr = nil
		return Useless(c, a, errNotList)
	}
	if err := unread(c, a); err != nil {
		return err
	}
	if a.items == 0 && len(a.Header.Values("Content-Type")) == 0 {
		return notTheServer(c, a)
	}
	return nil
}

// readItems reads a list of objects, of which it holds one at a time.
func readItems(body io.Reader, each func(*Object)) error {
	bounded := &short{next: body, left: longestAnswer}
	decoder := json.NewDecoder(bounded)
	if err := delimiter(decoder, '['); err != nil {
		return err
	}
	for decoder.More() {
		bounded.left = longestAnswer
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return broken(err)
		}
		item, err := LookInto(raw)
		if err != nil {
			return errNotList
		}
		each(item)
	}
	if err := delimiter(decoder, ']'); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return broken(err)
	}
	return nil
}

func delimiter(decoder *json.Decoder, want json.Delim) error {
	token, err := decoder.Token()
	if err != nil {
		return broken(err)
	}
	if token != want {
		return errNotList
	}
	return nil
}

// broken is why a list could not be read on: what is no JSON is no list, and so is one
// that ends before its end.
func broken(err error) error {
	var syntax *json.SyntaxError
	if err == nil || errors.As(err, &syntax) || errors.Is(err, io.EOF) {
		return errNotList
	}
	return err
}

// short returns dialguard.ErrTooLarge once more than left bytes were read.
type short struct {
	next io.Reader
	left int
}

// Read reads on as long as there is something left.
func (s *short) Read(buffer []byte) (int, error) {
	if len(buffer) > s.left+1 {
		buffer = buffer[:s.left+1]
	}
	n, err := s.next.Read(buffer)
	if n > s.left {
		return s.left, dialguard.ErrTooLarge
	}
	s.left -= n
	return n, err
}
