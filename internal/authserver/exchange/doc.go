// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package exchange is one HTTP request to an authorization server and what its
// answer says: what every adapter that talks HTTP shares. An Exchange is bound
// to one origin, so that a credential given to it goes there and nowhere else.
//
// It knows HTTP, JSON and the error codes of OAuth. It must never know what a
// request is for, never follow a redirect, never send a request twice, and
// never put an answer's text, a URL's query or a secret into an error.
//
// Start reading at New; send.go is the only place that sends, voice.go says whose
// words an answer is in, classify.go is the only judge of a status, object.go and
// lenient.go decode.
package exchange
