// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Errors of Check, CheckNames and Members.
var (
	// ErrSyntax: it is not one JSON text (RFC 8259) in UTF-8.
	ErrSyntax = errors.New("not one JSON text in UTF-8")
	// ErrDepth: it nests too deeply.
	ErrDepth = errors.New("JSON that nests too deeply")
	// ErrMembers: an object has too many members, with those that it is within.
	ErrMembers = errors.New("JSON with too many members in one object")
	// ErrSurrogate: a string has half a surrogate pair, which parsers read
	// differently (RFC 7493 §2.1).
	ErrSurrogate = errors.New("JSON with half a surrogate pair")
	// ErrNotObject: it is not a JSON object.
	ErrNotObject = errors.New("not a JSON object")
	// ErrAmbiguous: a member is there twice, or in another case, which parsers
	// read differently (RFC 8259 §4).
	ErrAmbiguous = errors.New("a JSON object with an ambiguous member")
)

// Member is a member of a JSON object.
type Member struct {
	// Name is the decoded name.
	Name string
	// Value is the value as it was written, a part of the object's bytes.
	Value []byte
	// Start is where Value begins in them.
	Start int
}

// Check says whether raw is one JSON text that every parser reads alike, as far
// as characters and nesting go.
func Check(raw []byte, maxDepth int) error { return check(raw, maxDepth, true) }

// CheckNames is Check and says too whether an object at any depth has a name twice,
// of which one parser takes the first and another the last (RFC 8259 §4).
// Comparing the names of an object takes many times the memory that they do: it may have
// mostMembers.
func CheckNames(raw []byte, maxDepth int) error { return check(raw, maxDepth, false) }

// mostMembers is how many members an object may have whose names are compared, together
// with the objects that it is within. A list may have as many elements as it likes.
const mostMembers = 1 << 14

// membersApart is after how many members of an object they are counted.
const membersApart = 256

func check(raw []byte, maxDepth int, namesTwice bool) error {
	options := strict
	if namesTwice {
		options = twice
	}
	decoder, done := borrow(raw, options)
	defer done()
	for values := 0; ; {
		_, err := decoder.ReadToken()
		switch {
		case errors.Is(err, io.EOF) && values == 1:
			return nil
		case err != nil:
			return reason(err)
		case decoder.StackDepth() > maxDepth:
			return tooDeep(raw)
		case !namesTwice && full(decoder):
			return ErrMembers
		case decoder.StackDepth() == 0:
			if values++; values > 1 {
				return ErrSyntax
			}
		}
	}
}

// tooDeep is what is wrong with what nests too deeply: what is no JSON at all is said to
// be so, however deep it is.
func tooDeep(raw []byte) error {
	if !jsontext.Value(raw).IsValid(lenient...) {
		return ErrSyntax
	}
	return ErrDepth
}

// full says that the object that is being read has too many members, with those that it
// is within.
func full(decoder *jsontext.Decoder) bool {
	depth := decoder.StackDepth()
	if kind, tokens := decoder.StackIndex(depth); kind != '{' || tokens == 0 || tokens%(2*membersApart) != 0 {
		return false
	}
	members := int64(0)
	for ; depth > 0; depth-- {
		if kind, tokens := decoder.StackIndex(depth); kind == '{' {
			members += tokens / 2
		}
	}
	return members >= mostMembers
}

// reason is what is wrong with a text.
func reason(err error) error {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return ErrAmbiguous
	case strings.Contains(err.Error(), "surrogate"):
		return ErrSurrogate
	}
	return ErrSyntax
}

// What decoders let pass: strict nothing that parsers read differently, twice a name
// that is there twice, and lenient whatever Check took.
var (
	strict  = []jsontext.Options{jsontext.AllowDuplicateNames(false)}
	twice   = []jsontext.Options{jsontext.AllowDuplicateNames(true)}
	lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
)

// reader is a decoder with what it reads from. They are used again: a message is read
// several times, and most are short.
type reader struct {
	buffer  bytes.Buffer
	decoder jsontext.Decoder
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// borrow returns a decoder of a text, and what to call when it is not needed any more.
func borrow(raw []byte, options []jsontext.Options) (*jsontext.Decoder, func()) {
	r := readers.Get().(*reader)
	r.buffer = *bytes.NewBuffer(raw)
	r.decoder.Reset(&r.buffer, options...)
	return &r.decoder, func() {
		r.buffer = bytes.Buffer{}
		r.decoder.Reset(&r.buffer)
		readers.Put(r)
	}
}

// Members are the members of a JSON object that passed Check. No name may be
// there twice, and none may be a watched one in another case.
func Members(raw []byte, watched ...string) ([]Member, error) {
	decoder, done := borrow(raw, lenient)
	defer done()
	if decoder.PeekKind() != '{' {
		return nil, ErrNotObject
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, ErrNotObject
	}
	var members []Member
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, ErrNotObject
		}
		member := Member{Name: name.String()}
		if member.Value, member.Start, err = next(decoder, raw); err != nil {
			return nil, ErrNotObject
		}
		members = append(members, member)
	}
	if ambiguous(members, watched) {
		return nil, ErrAmbiguous
	}
	return members, nil
}

// next is the next value of a text, as a part of its bytes, and where it begins.
func next(decoder *jsontext.Decoder, raw []byte) (value []byte, start int, err error) {
	read, err := decoder.ReadValue()
	if err != nil {
		return nil, 0, err
	}
	end := int(decoder.InputOffset())
	start = end - len(read)
	return raw[start:end:end], start, nil
}

// Elements are the elements of a JSON array that passed Check; ok is false for
// what is no array.
func Elements(raw []byte) (elements [][]byte, ok bool) {
	decoder, done := borrow(raw, lenient)
	defer done()
	if decoder.PeekKind() != '[' {
		return nil, false
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, false
	}
	for decoder.PeekKind() != ']' {
		element, _, err := next(decoder, raw)
		if err != nil {
			return nil, false
		}
		elements = append(elements, element)
	}
	return elements, true
}

// Text is a JSON string that passed Check, decoded; ok is false for what is no
// string.
func Text(raw []byte) (value string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	decoded, err := jsontext.AppendUnquote(nil, raw)
	return string(decoded), err == nil
}

// Find is the value of a member; nil where there is none.
func Find(members []Member, name string) []byte {
	for _, member := range members {
		if member.Name == name {
			return member.Value
		}
	}
	return nil
}

// ambiguous also refuses __proto__, which is no member like the others in
// JavaScript.
func ambiguous(members []Member, watched []string) bool {
	seen := make(map[string]struct{}, len(members))
	for _, member := range members {
		_, twice := seen[member.Name]
		seen[member.Name] = struct{}{}
		otherCase := func(name string) bool { return name != member.Name && strings.EqualFold(name, member.Name) }
		if twice || member.Name == "__proto__" || slices.ContainsFunc(watched, otherCase) {
			return true
		}
	}
	return false
}
