// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// How long texts and tokens in answers may be.
const (
	LongText  = 4096
	LongToken = 16 << 10
)

const deepest = 32

var (
	errNotObject = errors.New("not a JSON object")
	errNotList   = errors.New("not a JSON list of objects")
	errTooDeep   = errors.New("nested too deeply")
)

// Object is a JSON object whose members are read by exact name. The first
// wrong type or broken bound is kept for Err.
type Object struct {
	members map[string]json.RawMessage
	raw     []byte
	err     error
}

// DecodeObject reads an object. An error repeats nothing of it.
func DecodeObject(raw []byte) (*Object, error) {
	if err := checkDepth(raw); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, errNotObject
	}
	return &Object{members: members}, nil
}

// DecodeList reads a list of objects.
func DecodeList(raw []byte) ([]*Object, error) {
	if err := checkDepth(raw); err != nil {
		return nil, err
	}
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return nil, errNotList
	}
	list := make([]*Object, 0, len(items))
	for _, members := range items {
		if members == nil {
			return nil, errNotList
		}
		list = append(list, &Object{members: members})
	}
	return list, nil
}

// checkDepth bounds nesting before anything is decoded.
func checkDepth(raw []byte) error {
	depth, quoted, escaped := 0, false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped = c == '\\'
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
		if depth > deepest {
			return errTooDeep
		}
	}
	return nil
}

// Has says that a member is there and not null.
func (o *Object) Has(name string) bool {
	raw, present := o.members[name]
	return present && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

func (o *Object) read(name string, into any) bool {
	if !o.Has(name) {
		return false
	}
	if err := json.Unmarshal(o.members[name], into); err != nil {
		o.Fail(name)
		return false
	}
	return true
}

// Err is the first thing that was wrong with what was read.
func (o *Object) Err() error { return o.err }

// Fail says that a member is wrong.
func (o *Object) Fail(name string) {
	if o.err == nil {
		o.err = fmt.Errorf("member %s is not of the right form", name)
	}
}

// Text reads a string without control characters.
func (o *Object) Text(name string, longest int) string {
	var value string
	if o.read(name, &value) && (len(value) > longest || strings.ContainsFunc(value, control)) {
		o.Fail(name)
		return ""
	}
	return value
}

// Visible reads a string of printable ASCII, as RFC 6749 appendix A defines
// client ids, secrets and tokens.
func (o *Object) Visible(name string, longest int) string {
	value := o.Text(name, longest)
	if strings.ContainsFunc(value, func(r rune) bool { return r > '~' }) {
		o.Fail(name)
		return ""
	}
	return value
}

// Flag reads a boolean.
func (o *Object) Flag(name string) bool {
	var value bool
	o.read(name, &value)
	return value
}

// Object reads an object; an empty one where the member is not there. What is
// wrong with it, its form included, is for its own Err and not for that of the
// whole.
func (o *Object) Object(name string) *Object {
	part := &Object{}
	if o.Has(name) && json.Unmarshal(o.members[name], &part.members) != nil {
		part.Fail(name)
	}
	return part
}

// Shown reads a text that is only to be shown, as strangers wrote it: without
// its control characters, cut where it is too long, empty where it is no text.
func (o *Object) Shown(name string, longest int) string {
	var value string
	if !o.Has(name) || json.Unmarshal(o.members[name], &value) != nil {
		return ""
	}
	kept := make([]byte, 0, min(len(value), longest))
	for _, r := range value {
		if control(r) {
			continue
		}
		if len(kept)+utf8.RuneLen(r) > longest {
			break
		}
		kept = utf8.AppendRune(kept, r)
	}
	return string(kept)
}

// Number reads a whole number.
func (o *Object) Number(name string) int64 {
	var value int64
	o.read(name, &value)
	return value
}

// Set reads a JWK set as compact JSON text.
func (o *Object) Set(name string) string {
	var value map[string]json.RawMessage
	if !o.read(name, &value) {
		return ""
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, o.members[name]); err != nil || compact.Len() > longList {
		o.Fail(name)
		return ""
	}
	return compact.String()
}

func control(r rune) bool { return r < ' ' || r == 0x7f }
