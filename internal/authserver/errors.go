// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"fmt"
	"time"
)

// Kind says what can be done about an error.
type Kind int

// The kinds of errors. The set is closed.
const (
	// Unavailable: no usable answer; try again, after RetryAfter if set.
	Unavailable Kind = iota
	// Unauthorized: the server refuses the operator's own credentials.
	Unauthorized
	// Rejected: the server refuses the request itself; only another request
	// helps.
	Rejected
	// Conflict: the client id or mark belongs to somebody else.
	Conflict
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Unavailable:
		return "unavailable"
	case Unauthorized:
		return "unauthorized"
	case Rejected:
		return "rejected"
	case Conflict:
		return "conflict"
	}
	return "unknown"
}

// Error is the only error that an adapter returns. Its text never holds
// secrets, query strings or any part of an answer's body; what the server says of a
// refusal is in Quote alone.
type Error struct {
	Kind Kind
	// Op is what was tried, for example "registering client".
	Op string
	// Code is an error code from the closed sets of RFC 6749 §5.2 and RFC
	// 7591 §3.2.2, or a word of the adapter's own such as "too_large"; empty
	// when there was none that is known.
	Code string
	// Quote is what the server said of a request that it refused, for those whose
	// client the request was about; it is not part of the text.
	Quote Quote
	// Status is the HTTP status of the answer; 0 without one. For messages
	// only: no caller decides by it.
	Status int
	// RetryAfter is how long to leave the server alone; 0 when it did not
	// say.
	RetryAfter time.Duration
	// MaybeApplied says that the work may have been done nevertheless.
	MaybeApplied bool
	// Unsent says that nothing was sent, because the server is to be left
	// alone or all places are taken.
	Unsent bool
	// Err is the cause, if any.
	Err error
}

// Error returns the text.
func (e *Error) Error() string {
	text := e.Op + ": authorization server " + e.Kind.String()
	if e.Status != 0 {
		text += fmt.Sprintf(": status %d", e.Status)
	}
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
