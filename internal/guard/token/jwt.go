// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// algorithms are those that a token may be signed by. Whoever can verify one of
// them cannot sign.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// types are those of access tokens (RFC 9068 §2.1), and the one of any JWT.
var types = []string{"at+jwt", "application/at+jwt", "jwt"}

var (
	errNotJWT    = errors.New("it is not a JWT")
	errType      = errors.New("its type is not one of access tokens")
	errExtension = errors.New("it has critical header parameters that are not supported")
	errAlgorithm = errors.New("its algorithm is not allowed")
	errMisfit    = errors.New("its algorithm does not fit the key")
	errSignature = errors.New("the signature is wrong")
	errNoKey     = errors.New("its issuer has no such key")
	errIssuer    = errors.New("iss is another issuer")
)

// seen is a token whose signature was right.
type seen struct {
	claims claims
	keys   *keySet
	until  time.Time
}

type place struct {
	issuer *issuer
	sum    digest
}

// signed returns the claims of a JWT that a key of its issuer signed. What was
// verified is remembered for a minute, as long as the issuer has the same keys.
// What cannot be a token of the issuer does not have it asked for its keys.
func (v *Verifier) signed(ctx context.Context, i *issuer, now time.Time, sum digest, q question) (claims, error) {
	at := place{i, sum}
	if was, ok := v.remembered(at, now); ok {
		if keys, err := i.keys.get(ctx, now); err == nil && keys == was.keys {
			return was.claims, nil
		}
	}
	token, said, err := parse(q, i.name)
	if err != nil {
		return claims{}, err
	}
	keys, err := i.keys.get(ctx, now)
	if err != nil {
		return claims{}, refuse(guard.TokenUnverifiable, err)
	}
	if keys, err = i.verify(ctx, now, token, keys); err != nil {
		return claims{}, err
	}
	until := now.Add(verifiedFor)
	if said.expires.Before(until) {
		until = said.expires
	}
	v.verified.Add(at, seen{claims: said, keys: keys, until: until})
	return said, nil
}

func (v *Verifier) remembered(at place, now time.Time) (seen, bool) {
	entry, _ := v.verified.Get(at)
	was, ok := entry.(seen)
	return was, ok && now.Before(was.until)
}

// parse reads a JWT without verifying it: what it says holds once verify says
// so. Of what it says, only the issuer and its use are judged.
func parse(q question, issuer string) (*jwt.JSONWebToken, claims, error) {
	token, err := jwt.ParseSigned(q.raw, algorithms)
	if err != nil {
		if _, unexpected := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); unexpected {
			return nil, claims{}, refuse(guard.TokenAlgorithm, errAlgorithm)
		}
		return nil, claims{}, refuse(guard.TokenMalformed, errNotJWT)
	}
	if reason, err := checkHeader(token.Headers); err != nil {
		return nil, claims{}, refuse(reason, err)
	}
	var payload json.RawMessage
	if err := token.UnsafeClaimsWithoutVerification(&payload); err != nil {
		return nil, claims{}, refuse(guard.TokenMalformed, errNotJWT)
	}
	said, err := readClaims(payload, q.Reading)
	switch {
	case err != nil:
		return nil, claims{}, refuse(guard.TokenMalformed, err)
	case said.issuer != "" && said.issuer != issuer:
		return nil, claims{}, refuse(guard.TokenIssuer, errIssuer)
	case said.misuse != nil:
		return nil, claims{}, said.misuse
	}
	if err := said.complete(); err != nil {
		return nil, claims{}, refuse(guard.TokenMalformed, err)
	}
	return token, said, nil
}

// checkHeader refuses other kinds of JWTs and every extension: none is
// supported, that of RFC 7797 included.
func checkHeader(headers []jose.Header) (guard.Reason, error) {
	if len(headers) != 1 {
		return guard.TokenMalformed, errNotJWT
	}
	extra := headers[0].ExtraHeaders
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, there := extra[name]; there {
			return guard.TokenMalformed, errExtension
		}
	}
	kind, there := extra[jose.HeaderType]
	if !there {
		return "", nil
	}
	text, ok := kind.(string)
	if !ok || !slices.Contains(types, strings.ToLower(text)) {
		return guard.TokenKind, errType
	}
	return "", nil
}

// verify returns the keys of which one signed a token: those that are known, or
// those that the issuer has now.
func (i *issuer) verify(ctx context.Context, now time.Time, token *jwt.JSONWebToken, known *keySet) (*keySet, error) {
	verdict := known.check(token)
	if verdict == keyUnknown {
		newer, err := i.keys.again(ctx, now)
		if err != nil {
			return nil, refuse(guard.TokenUnverifiable, err)
		}
		if newer != known {
			known, verdict = newer, newer.check(token)
		}
	}
	switch verdict {
	case signatureRight:
		return known, nil
	case signatureWrong:
		return nil, refuse(guard.TokenSignature, errSignature)
	case keyMisfit:
		return nil, refuse(guard.TokenAlgorithm, errMisfit)
	case keyUnknown:
	}
	return nil, refuse(guard.TokenSignature, errNoKey)
}
