// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// longestToken bounds a token.
const longestToken = 16 << 10

var _ guard.Tokens = (*Verifier)(nil)

var (
	errForm          = errors.New("it is empty, too long or not in the alphabet of bearer tokens")
	errOpaque        = errors.New("it is not a JWT, and its issuer is not asked")
	errNoAudience    = errors.New("no audience is configured")
	errContradiction = errors.New("its issuer says other than the token")
	errChanged       = errors.New("its issuer says other than before")
)

// digest stands for a token in caches, and for how it is read: two
// AuthorizationServers may have one issuer.
type digest [sha256.Size]byte

// digestOf separates names by what is in none of them, nor in a token.
func digestOf(q question) digest {
	text := []byte(q.raw)
	for _, names := range [][]string{q.Reading.ClientID(), q.Reading.Scope()} {
		text = append(text, 0)
		for _, name := range names {
			text = append(append(text, 0), name...)
		}
	}
	return sha256.Sum256(text)
}

// refuse returns the error of a token that is not accepted.
func refuse(reason guard.Reason, err error) error {
	return &guard.TokenError{Reason: reason, Err: err}
}

// question is what is asked about a token, with the token itself.
type question struct {
	guard.TokenQuestion
	raw string
}

// Verify implements guard.Tokens for bearer tokens. The scopes belong to the Verifier:
// callers do not change them.
func (v *Verifier) Verify(ctx context.Context, shown guard.Presentation, q guard.TokenQuestion) (guard.Token, error) {
	raw, err := shown.Bearer()
	if err != nil {
		return guard.Token{}, err
	}
	return v.look(ctx, question{q, raw})
}

// StillGood implements guard.Tokens. An issuer that says of a token that it is another's
// than before is not believed.
func (v *Verifier) StillGood(ctx context.Context, known guard.Token, token string, q guard.TokenQuestion) (guard.Token, error) {
	now, err := v.look(ctx, question{q, token})
	if err == nil && (now.ClientID != known.ClientID || now.Subject != known.Subject) {
		return guard.Token{}, refuse(guard.TokenMalformed, errChanged)
	}
	return now, err
}

// look returns what a token says, once it is right.
func (v *Verifier) look(ctx context.Context, q question) (guard.Token, error) {
	switch {
	case !wellFormed(q.raw):
		return guard.Token{}, refuse(guard.TokenMalformed, errForm)
	case q.Audience == "":
		return guard.Token{}, refuse(guard.TokenAudience, errNoAudience)
	}
	i, err := v.issuer(q.Issuer)
	if err != nil {
		return guard.Token{}, refuse(guard.TokenUnverifiable, err)
	}
	now := v.options.Clock.Now()
	sum := digestOf(q)
	var said claims
	var checkAt time.Time
	if strings.Count(q.raw, ".") == 2 {
		said, checkAt, err = v.jwt(ctx, i, now, sum, q)
	} else {
		said, checkAt, err = v.opaque(ctx, i, now, sum, q)
	}
	if err != nil {
		return guard.Token{}, err
	}
	return said.token(q.Issuer, checkAt), nil
}

// jwt verifies a JWT, and asks about it where that is configured.
func (v *Verifier) jwt(ctx context.Context, i *issuer, now time.Time, sum digest, q question) (claims, time.Time, error) {
	said, err := v.signed(ctx, i, now, sum, q)
	if err != nil {
		return claims{}, time.Time{}, err
	}
	if err := said.judge(q, now, v.options.ClockSkew); err != nil {
		return claims{}, time.Time{}, err
	}
	if i.introspection == nil || !i.introspection.ForceIntrospection {
		return said, time.Time{}, nil
	}
	answer, err := i.introspect(ctx, now, sum, q)
	if err != nil {
		return claims{}, time.Time{}, err
	}
	said, err = said.narrowedBy(answer.claims)
	if err != nil {
		return claims{}, time.Time{}, err
	}
	return said, answer.until, said.judge(q, now, v.options.ClockSkew)
}

// opaque asks about a token that says nothing itself.
func (v *Verifier) opaque(ctx context.Context, i *issuer, now time.Time, sum digest, q question) (claims, time.Time, error) {
	if i.introspection == nil {
		return claims{}, time.Time{}, refuse(guard.TokenMalformed, errOpaque)
	}
	answer, err := i.introspect(ctx, now, sum, q)
	if err != nil {
		return claims{}, time.Time{}, err
	}
	if answer.claims.client == "" {
		return claims{}, time.Time{}, refuse(guard.TokenMalformed, errNoClient)
	}
	return answer.claims, answer.until, answer.claims.judge(q, now, v.options.ClockSkew)
}

// wellFormed says that a token is a b64token (RFC 6750 §2.1) of a length that
// is bearable.
func wellFormed(raw string) bool {
	if raw == "" || len(raw) > longestToken {
		return false
	}
	for _, c := range []byte(strings.TrimRight(raw, "=")) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
}
