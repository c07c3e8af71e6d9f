// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// Errors of Check and Members.
var (
	// ErrSyntax: it is not one JSON text (RFC 8259) in UTF-8.
	ErrSyntax = errors.New("not one JSON text in UTF-8")
	// ErrDepth: it nests too deeply.
	ErrDepth = errors.New("JSON that nests too deeply")
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
func Check(raw []byte, maxDepth int) error {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return ErrSyntax
	}
	depth := 0
	for at := 0; at < len(raw); at++ {
		switch raw[at] {
		case '{', '[':
			if depth++; depth > maxDepth {
				return ErrDepth
			}
		case '}', ']':
			depth--
		case '"':
			end := stringEnd(raw, at)
			if !paired(raw[at:end]) {
				return ErrSurrogate
			}
			at = end - 1
		}
	}
	return nil
}

// Members are the members of a JSON object that passed Check. No name may be
// there twice, and none may be a watched one in another case.
func Members(raw []byte, watched ...string) ([]Member, error) {
	at := skipSpace(raw, 0)
	if at >= len(raw) || raw[at] != '{' {
		return nil, ErrNotObject
	}
	var members []Member
	for at = skipSpace(raw, at+1); raw[at] != '}'; at = skipSpace(raw, at) {
		if raw[at] == ',' {
			at++
			continue
		}
		nameEnd := stringEnd(raw, at)
		name := text(raw[at:nameEnd])
		start := skipSpace(raw, skipSpace(raw, nameEnd)+1)
		at = valueEnd(raw, start)
		members = append(members, Member{Name: name, Value: raw[start:at], Start: start})
	}
	if ambiguous(members, watched) {
		return nil, ErrAmbiguous
	}
	return members, nil
}

// Elements are the elements of a JSON array that passed Check; ok is false for
// what is no array.
func Elements(raw []byte) (elements [][]byte, ok bool) {
	at := skipSpace(raw, 0)
	if at >= len(raw) || raw[at] != '[' {
		return nil, false
	}
	for at = skipSpace(raw, at+1); raw[at] != ']'; at = skipSpace(raw, at) {
		if raw[at] == ',' {
			at++
			continue
		}
		end := valueEnd(raw, at)
		elements = append(elements, raw[at:end])
		at = end
	}
	return elements, true
}

// Text is a JSON string that passed Check, decoded; ok is false for what is no
// string.
func Text(raw []byte) (value string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return text(raw), true
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

func text(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var decoded string
	if err := json.Unmarshal(raw, &decoded); err != nil {
		return ""
	}
	return decoded
}

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\n' || raw[at] == '\r') {
		at++
	}
	return at
}

// stringEnd is the index after the string that begins at an index.
func stringEnd(raw []byte, at int) int {
	for at++; at < len(raw) && raw[at] != '"'; at++ {
		if raw[at] == '\\' {
			at++
		}
	}
	return min(at+1, len(raw))
}

// valueEnd is the index after the value that begins at an index.
func valueEnd(raw []byte, at int) int {
	depth := 0
	for ; at < len(raw); at++ {
		switch raw[at] {
		case '"':
			at = stringEnd(raw, at) - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if !endsScalar(raw, at) {
				continue
			}
		}
		if depth == 0 {
			return at + 1
		}
	}
	return len(raw)
}

// endsScalar says that a number or a word ends with the byte at an index.
func endsScalar(raw []byte, at int) bool {
	return bytes.IndexByte(delimiters, raw[at]) < 0 &&
		(at+1 == len(raw) || bytes.IndexByte(delimiters, raw[at+1]) >= 0)
}

var delimiters = []byte(" \t\r\n,:{}[]\"")

// paired says that the \u escapes of a JSON string form whole characters.
func paired(raw []byte) bool {
	// expected is where the second half of a pair must be; none is expected at -1.
	expected := -1
	for at := max(0, bytes.IndexByte(raw, '\\')); at < len(raw); at++ {
		if raw[at] != '\\' {
			continue
		}
		if raw[at+1] != 'u' {
			at++
			continue
		}
		unit := hexUnit(raw[at+2 : at+6])
		second := unit >= 0xDC00 && unit <= 0xDFFF
		if second != (at == expected) || expected >= 0 && !second {
			return false
		}
		expected = -1
		if unit >= 0xD800 && unit <= 0xDBFF {
			expected = at + 6
		}
		at += 5
	}
	return expected < 0
}

func hexUnit(digits []byte) int {
	unit := 0
	for _, digit := range digits {
		unit <<= 4
		switch {
		case digit >= 'a':
			unit |= int(digit-'a') + 10
		case digit >= 'A':
			unit |= int(digit-'A') + 10
		default:
			unit |= int(digit - '0')
		}
	}
	return unit
}
