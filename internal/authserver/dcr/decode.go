// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	deepest   = 32
	mostItems = 1000
	longText  = 4096
	longToken = 16 << 10
	// lastSecond is the end of the year 9999, the last instant that RFC 3339
	// can write.
	lastSecond = 253402300799
)

var (
	errNotObject = errors.New("not a JSON object")
	errTooDeep   = errors.New("nested too deeply")
)

// object is a JSON object whose members are read by exact name. The first
// wrong type or broken bound is kept in err.
type object struct {
	members map[string]json.RawMessage
	err     error
}

func decodeObject(raw []byte) (*object, error) {
	if err := checkDepth(raw); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, errNotObject
	}
	return &object{members: members}, nil
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

// has says that a member is there and not null.
func (o *object) has(name string) bool {
	raw, present := o.members[name]
	return present && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

func (o *object) read(name string, into any) bool {
	if !o.has(name) {
		return false
	}
	if err := json.Unmarshal(o.members[name], into); err != nil {
		o.fail(name)
		return false
	}
	return true
}

func (o *object) fail(name string) {
	if o.err == nil {
		o.err = fmt.Errorf("member %s is not of the right form", name)
	}
}

// text reads a string without control characters.
func (o *object) text(name string, longest int) string {
	var value string
	if o.read(name, &value) && (len(value) > longest || strings.ContainsFunc(value, control)) {
		o.fail(name)
		return ""
	}
	return value
}

// visible reads a string of printable ASCII, as RFC 6749 appendix A defines
// client ids, secrets and tokens.
func (o *object) visible(name string, longest int) string {
	value := o.text(name, longest)
	if strings.ContainsFunc(value, func(r rune) bool { return r > '~' }) {
		o.fail(name)
		return ""
	}
	return value
}

// texts reads an array of strings; nil means that the member is not there.
func (o *object) texts(name string) []string {
	var values []string
	if !o.read(name, &values) {
		return nil
	}
	bad := len(values) > mostItems
	for _, value := range values {
		bad = bad || len(value) > longText || strings.ContainsFunc(value, control)
	}
	if bad {
		o.fail(name)
		return nil
	}
	return values
}

// words reads a space-separated list; nil means that the member is not there.
func (o *object) words(name string) []string {
	if !o.has(name) {
		return nil
	}
	return append([]string{}, strings.Fields(o.text(name, longToken))...)
}

func (o *object) flag(name string) bool {
	var value bool
	o.read(name, &value)
	return value
}

// instant reads seconds since 1970, of which 0 is the zero time.
func (o *object) instant(name string) time.Time {
	var seconds int64
	if !o.read(name, &seconds) || seconds == 0 {
		return time.Time{}
	}
	if seconds < 0 || seconds > lastSecond {
		o.fail(name)
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// set reads a JWK set as compact JSON text.
func (o *object) set(name string) string {
	var value map[string]json.RawMessage
	if !o.read(name, &value) {
		return ""
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, o.members[name]); err != nil {
		o.fail(name)
		return ""
	}
	return compact.String()
}

func control(r rune) bool { return r < ' ' || r == 0x7f }
