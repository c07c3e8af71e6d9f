// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

// Failure is why a server gave no answer that could be passed on. It is not about
// the client, and no decision.
type Failure string

// The values of Failure.
const (
	// Unreachable: no connection could be made. Nothing was sent.
	Unreachable Failure = "Unreachable"
	// ConnectTimeout: a connection was not made in time. Nothing was sent.
	ConnectTimeout Failure = "ConnectTimeout"
	// Untrusted: the server's TLS is not to be trusted, or is none. Nothing was
	// sent.
	Untrusted Failure = "Untrusted"
	// BrokenOff: the connection ended before the answer did. The request may have
	// been carried out.
	BrokenOff Failure = "BrokenOff"
	// Redirected: the server sent the guard elsewhere, where it does not go.
	Redirected Failure = "Redirected"
	// Unauthenticated: the server wants credentials of its own, which the guard
	// does not have. It says nothing about the client's token.
	Unauthenticated Failure = "Unauthenticated"
	// Unfit: the answer is not one that can be passed, such as a list of tools that
	// cannot be read.
	Unfit Failure = "Unfit"
)

// Failures returns every Failure, in the order of the documentation.
func Failures() []Failure {
	return []Failure{Unreachable, ConnectTimeout, Untrusted, BrokenOff, Redirected, Unauthenticated, Unfit}
}

// Away reports whether a failure is about reaching the server at all, so that
// nothing was sent.
func (f Failure) Away() bool {
	return f == Unreachable || f == ConnectTimeout || f == Untrusted
}
