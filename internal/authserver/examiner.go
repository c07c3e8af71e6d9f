// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"time"
)

// Examiner finds out whether a server keeps what it promises. It asks as a
// client would and changes nothing. Every error is an *Error and says that
// nothing was learnt.
type Examiner interface {
	// ChallengeRequired asks the authorization endpoint for a code without a
	// code_challenge, and with one of the method plain, and says whether the
	// server refused both (RFC 7636 §4.4.1, OAuth 2.1 §4.1.1). Nobody logs
	// in. Unclear where an answer is neither a refusal nor the way to a
	// login.
	ChallengeRequired(ctx context.Context, q ChallengeQuestion) (Answer, error)
	// CanaryToken asks for one token with client_credentials (RFC 6749 §4.4)
	// and says what it is good for. The token itself is thrown away.
	CanaryToken(ctx context.Context, q TokenQuestion) (TokenFacts, error)
	// Borrow asks for one token as CanaryToken does and hands it to use, with
	// what it is good for. The token is for use and for nothing after it: it
	// must not be kept, logged or stored. What use returns comes back as it
	// is; any other error is an *Error, and use was not called.
	Borrow(ctx context.Context, q TokenQuestion, use func(token Secret, facts TokenFacts) error) error
}

// Answer is what an examination found.
type Answer int

// The values of Answer. The zero value is Unclear.
const (
	Unclear Answer = iota
	Yes
	No
)

// ChallengeQuestion is what ChallengeRequired needs.
type ChallengeQuestion struct {
	AuthorizationEndpoint string
	ClientID              string
	// RedirectURI is a registered one; an answer that redirects there with an
	// error is a refusal.
	RedirectURI string
	Scopes      []string
	// Resource is the resource indicator (RFC 8707) to ask for; empty for
	// none.
	Resource string
}

// TokenQuestion is what CanaryToken and Borrow need. Handle holds the client's
// credentials and its token endpoint.
type TokenQuestion struct {
	Handle   Handle
	Scopes   []string
	Resource string
	// ScopeClaims are the claims of a JWT that hold scopes, the one that counts
	// first; empty means scope (RFC 9068 §2.2.3) and scp.
	ScopeClaims []string
}

// TokenFacts is what a token says of itself, and what the answer said of it.
type TokenFacts struct {
	// Readable says that the token is a JWT (RFC 9068); otherwise Audience is
	// unknown.
	Readable bool
	// Audience is aud; nil where there is none.
	Audience []string
	// Scopes is scope, or what the question has in its place, of the token where it is readable, else of the answer
	// (RFC 6749 §5.1: all that was asked for where the answer is silent).
	Scopes []string
	// Lifetime is exp - iat where the token is readable, else expires_in; 0
	// where neither is said.
	Lifetime time.Duration
}
