// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy holds the decisions of the register as pure functions: facts
// and the present instant in, a decision out. It is also the only translator
// between the API's words and those of the authorization server port.
//
// It must never know a client, a context, a logger or a clock: whoever calls
// it gathers the facts, and marks as unknown what could not be learnt. Unknown
// is not "no": what exists is kept, nothing new is given. Rules that need only
// the object and the time come first and hold even when all else is unknown.
//
// Start reading at Registration in registration.go: the order of its rules is
// the policy. Grant, Server and AuthorizationServer follow the same shape.
package policy
