// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What is read of an answer is bounded, so that it can be stored: a list that
// decides what a client may do, and a text that nobody decides by.
const (
	longList = 256 << 10
	longEcho = 64 << 10
)

// lastSecond is the end of the year 9999, the last instant that RFC 3339 can
// write.
const lastSecond = 253402300799

// LookInto reads an object of which only some members matter: the others may be
// of any form, length and depth.
func LookInto(raw []byte) (*Object, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, errNotObject
	}
	return &Object{members: members}, nil
}

// LookThrough reads a list of which only some members of some items matter:
// what is no object is an item without members.
func LookThrough(raw []byte) ([]*Object, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return nil, errNotList
	}
	list := make([]*Object, 0, len(items))
	for _, item := range items {
		fields, err := LookInto(item)
		if err != nil {
			fields = &Object{}
		}
		fields.raw = item
		list = append(list, fields)
	}
	return list, nil
}

// Raw is the text of an item of LookThrough.
func (o *Object) Raw() []byte { return o.raw }

// Echo reads a text that we sent and that nobody decides by: as it stands, so
// that it equals what was sent, cut where it is too long, empty where it is no
// text. It is never wrong.
func (o *Object) Echo(name string) string {
	var value string
	if !o.Has(name) || json.Unmarshal(o.members[name], &value) != nil {
		return ""
	}
	return cut(value, longEcho)
}

// Echoes reads a list of texts as Echo reads one: nil where there is none.
func (o *Object) Echoes(name string) []string {
	var items []json.RawMessage
	if !o.Has(name) || json.Unmarshal(o.members[name], &items) != nil {
		return nil
	}
	room := longEcho
	kept := []string{}
	for _, item := range items {
		var value string
		if json.Unmarshal(item, &value) != nil {
			continue
		}
		value = cut(value, room)
		if room -= len(value) + 1; room <= 0 {
			break
		}
		kept = append(kept, value)
	}
	return kept
}

// Whole reads a list of texts as long as it is, for who decides by what is not in it.
// It is nil where there is none, or one that holds anything else.
func (o *Object) Whole(name string) []string {
	var values []*string
	if !o.Has(name) || json.Unmarshal(o.members[name], &values) != nil {
		return nil
	}
	texts := make([]string, 0, len(values))
	for _, value := range values {
		if value == nil {
			return nil
		}
		texts = append(texts, *value)
	}
	return texts
}

// Empty says that a member is left out, or a list of nothing.
func (o *Object) Empty(name string) bool {
	var items []json.RawMessage
	return !o.Has(name) || json.Unmarshal(o.members[name], &items) == nil && len(items) == 0
}

// cut shortens a text to whole characters.
func cut(value string, longest int) string {
	if len(value) <= longest {
		return value
	}
	return strings.ToValidUTF8(value[:longest], "")
}

// plainNumber is a number that can be read as the text of an identifier.
var plainNumber = regexp.MustCompile(`\A(0|[1-9][0-9]{0,63})\z`)

// Identifier reads what Visible reads, and a whole number as its digits: some
// servers count their clients.
func (o *Object) Identifier(name string) string {
	if digits := strings.TrimSpace(string(o.members[name])); plainNumber.MatchString(digits) {
		return digits
	}
	return o.Visible(name, LongText)
}

// Texts reads an array of strings; nil means that the member is not there.
// What is in them is for the caller to compare.
func (o *Object) Texts(name string) []string {
	var values []string
	if !o.read(name, &values) {
		return nil
	}
	return o.bounded(name, values)
}

// Words reads a space-separated list, or an array of such; nil means that the
// member is not there.
func (o *Object) Words(name string) []string {
	if !o.Has(name) {
		return nil
	}
	var text string
	var texts []string
	if json.Unmarshal(o.members[name], &text) == nil {
		texts = []string{text}
	} else if json.Unmarshal(o.members[name], &texts) != nil {
		o.Fail(name)
		return nil
	}
	words := []string{}
	for _, text := range texts {
		words = append(words, strings.Fields(text)...)
	}
	return o.bounded(name, words)
}

func (o *Object) bounded(name string, values []string) []string {
	length := 0
	for _, value := range values {
		length += len(value) + 1
	}
	if length > longList {
		o.Fail(name)
		return nil
	}
	return values
}

// Instant reads seconds since 1970, of which 0 is the zero time. It also reads
// them as a text, and what can only be milliseconds as such.
func (o *Object) Instant(name string) time.Time {
	if !o.Has(name) {
		return time.Time{}
	}
	digits := strings.TrimSpace(string(o.members[name]))
	var text string
	if json.Unmarshal(o.members[name], &text) == nil {
		if digits = strings.TrimSpace(text); digits == "" {
			return time.Time{}
		}
	}
	number, err := strconv.ParseInt(strings.TrimSuffix(digits, ".0"), 10, 64)
	switch {
	case err != nil, number < 0, number/1000 > lastSecond:
		o.Fail(name)
		return time.Time{}
	case number == 0:
		return time.Time{}
	case number > lastSecond:
		return time.UnixMilli(number).UTC()
	}
	return time.Unix(number, 0).UTC()
}
