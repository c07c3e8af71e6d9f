// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Verdict is the answer to a request.
type Verdict struct {
	Reason Reason
	// Status is the HTTP status of a refusal; that of success where the refusal is
	// the response to a request.
	Status int
	// Code is the JSON-RPC error code of a refusal.
	Code int
	// Challenge is the WWW-Authenticate header of a refusal; empty for none.
	Challenge string
	// Text says the refusal to a developer, in a sentence.
	Text string
	// Token is the verified token; its zero value where none was.
	Token Token
	// Decision is what the register's entries gave; its zero value where it was
	// not come to.
	Decision policy.CallDecision
	// Server is the server as it is known; its zero value where it is not.
	Server Server
	// SeesAll says that the client may see every tool, though not call it.
	SeesAll bool
	// said is what a token says that has expired, and for no other reason is not good.
	said Token
	// changes is how many changes of the register there had been before it was asked.
	changes uint64
}

// Allowed says that the request may pass.
func (v Verdict) Allowed() bool { return v.Reason == ReasonAllowed }

// Until is when the answer can change without any event.
func (v Verdict) Until() time.Time {
	until := v.Decision.Until
	for _, at := range []time.Time{v.Token.ExpiresAt, v.Token.CheckAt} {
		if !at.IsZero() && at.Before(until) {
			until = at
		}
	}
	return until
}
