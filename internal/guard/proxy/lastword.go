// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// course is how far a stream got that answers a request.
type course struct {
	// id is that of the request, as it was written; empty where it has none, or is
	// no request.
	id string
	// within says that the client has the beginning of an event without its end.
	within bool
	// candidate is the last event that may be the answer, and answered that one
	// before it was. Most streams need nobody to read it.
	candidate event
	answered  bool
}

// courseOf is the course of a stream that has not begun.
func courseOf(m guard.Message) course {
	if m.Kind != guard.Call {
		return course{}
	}
	return course{id: m.ID}
}

// note takes an event that the client has now.
func (c *course) note(e event) {
	begins := !c.within
	c.within = e.part
	if !begins || c.id == "" || c.answered || !bytes.Contains(e.raw, []byte(`"result"`)) && !bytes.Contains(e.raw, []byte(`"error"`)) {
		return
	}
	c.answered = c.candidate.answers(c.id)
	c.candidate = e
}

// waits says that the client waits for an answer, and can be given one.
func (c *course) waits() bool {
	return !c.within && c.id != "" && !c.answered && !c.candidate.answers(c.id)
}

// cut ends a stream that was ended, with a refusal for a client that waits for an
// answer. Within an event nothing can be said: the connection is broken off, so
// that nobody takes what is there for whole.
func (x *exchange) cut(ctx context.Context) {
	switch {
	case x.course.within:
		x.abort()
	case x.course.waits():
		x.say(x.refusal(ctx).Body(x.course.id))
	}
}

// giveUp ends a stream that has an event that cannot be passed.
func (x *exchange) giveUp(ctx context.Context, text string, cause error) {
	if !x.started || !x.course.waits() {
		x.fail(ctx, guard.Unfit, text, cause)
		return
	}
	x.proxy.fails(x.route, guard.Unfit, text, cause)
	x.say(failureBody(codeInternal, x.course.id, text))
}

// say sends an event with a message of the guard's own.
func (x *exchange) say(message []byte) {
	x.proxy.send(x.w, slices.Concat([]byte("event: message\ndata: "), message, []byte("\n\n")))
	if err := x.control.Flush(); err != nil {
		x.proxy.log.V(1).Info("The client left before its answer", "cause", err.Error())
	}
}

// answers says that an event, or as much as is there of it, has the answer to a
// request.
func (e event) answers(id string) bool {
	if len(e.raw) == 0 {
		return false
	}
	var data []string
	for _, line := range e.lines() {
		if value, ok := dataOf(line); ok {
			data = append(data, value)
		}
	}
	return answers([]byte(strings.Join(data, "\n")), id, e.part)
}

// answers is the same of a message, or a batch. Of the beginning of a message, an
// answer without an id so far is taken for this one, since the stream is about no
// other request.
func answers(message []byte, id string, beginning bool) bool {
	message = bytes.TrimLeft(message, " \t\r\n")
	if bytes.HasPrefix(message, []byte("[")) {
		var elements []json.RawMessage
		return json.Unmarshal(message, &elements) == nil &&
			slices.ContainsFunc(elements, func(element json.RawMessage) bool { return answers(element, id, false) })
	}
	read := jsontext.NewDecoder(bytes.NewBuffer(message), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if begin, err := read.ReadToken(); err != nil || begin.Kind() != '{' {
		return false
	}
	return members(read, id, beginning)
}

// members reads the members of a message for answers, and the values of as few as it can:
// a result may be large, and its client waits.
func members(read *jsontext.Decoder, id string, beginning bool) bool {
	response := false
	for read.PeekKind() != '}' {
		token, err := read.ReadToken()
		if err != nil {
			return response && beginning
		}
		name := token.String()
		if name == "method" {
			return false
		}
		response = response || name == "result" || name == "error"
		value, err := valueOf(read, name)
		if err != nil {
			return response && beginning
		}
		if value != nil && !sameID(value, id) {
			return false
		}
	}
	return response
}

// valueOf reads the value of the member id, and passes over others.
func valueOf(read *jsontext.Decoder, name string) (jsontext.Value, error) {
	if name == "id" {
		return read.ReadValue()
	}
	return nil, read.SkipValue()
}

// sameID compares ids by what they mean.
func sameID(raw []byte, id string) bool {
	var text, want string
	if json.Unmarshal(raw, &text) == nil && json.Unmarshal([]byte(id), &want) == nil && raw[0] == '"' {
		return text == want
	}
	number, err := strconv.ParseFloat(string(raw), 64)
	wanted, wantedErr := strconv.ParseFloat(id, 64)
	return string(raw) == id || err == nil && wantedErr == nil && number == wanted
}
