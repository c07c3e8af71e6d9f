// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"strings"
)

// Schemes by which an access token is shown in the Authorization header.
const (
	// SchemeBearer is that of RFC 6750 §2.1.
	SchemeBearer = "Bearer"
	// SchemeDPoP is that of tokens which only the holder of a key may use (RFC 9449
	// §7.1).
	SchemeDPoP = "DPoP"
)

// Presentation is a token as a request shows it.
type Presentation struct {
	// Scheme is SchemeBearer or SchemeDPoP.
	Scheme string
	// Token is the token itself.
	Token string
	// Proof holds every value of the header DPoP (RFC 9449 §4.1); nil for none.
	Proof []string
	// Method and URL are what the token is shown for.
	Method, URL string
}

var (
	errBoundScheme = errors.New("it was shown by the scheme DPoP")
	errProof       = errors.New("a DPoP proof was shown beside it, which nobody checks")
	errNowhere     = errors.New("it is not known for what request it was shown")
)

// Bearer returns the token of a presentation that whoever has the token could make (RFC
// 6750 §2.1). One that says more is refused: a proof that nobody checks must not pass for
// one that was checked. Every error is a *TokenError.
func (p Presentation) Bearer() (string, error) {
	switch {
	case p.Scheme != SchemeBearer:
		return "", &TokenError{Reason: TokenBound, Err: errBoundScheme}
	case p.Proof != nil:
		return "", &TokenError{Reason: TokenBound, Err: errProof}
	case p.Method == "" || p.URL == "":
		return "", &TokenError{Reason: TokenUnverifiable, Err: errNowhere}
	}
	return p.Token, nil
}

// presented is how a request shows the one token that it has, in the one place where it
// may be.
func (r Request) presented() (shown Presentation, refused Reason) {
	if tokenInQuery(r.URL) || len(r.Authorization) > 1 {
		return Presentation{}, TokenAmbiguous
	}
	if len(r.Authorization) == 0 {
		return Presentation{}, TokenMissing
	}
	scheme, raw, found := strings.Cut(r.Authorization[0], " ")
	if scheme = schemeOf(scheme); !found || scheme == "" {
		return Presentation{}, TokenMissing
	}
	raw = strings.TrimLeft(raw, " ")
	if raw == "" || strings.ContainsAny(raw, " ,\t") {
		return Presentation{}, TokenMalformed
	}
	return Presentation{Scheme: scheme, Token: raw, Proof: r.Proof, Method: r.Method, URL: r.URL}, ""
}

// schemeOf is a scheme of access tokens, whose name has no case (RFC 9110 §11.1); empty
// for any other.
func schemeOf(name string) string {
	for _, scheme := range []string{SchemeBearer, SchemeDPoP} {
		if strings.EqualFold(name, scheme) {
			return scheme
		}
	}
	return ""
}
