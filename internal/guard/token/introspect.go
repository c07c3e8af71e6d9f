// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"k8s.io/utils/lru"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

const (
	introspectOp = "introspecting a token"

	usualCache = 5 * time.Second
	leastCache = time.Second
	// inactiveFor is how long a token counts as inactive unasked.
	inactiveFor = time.Second
	// How many answers are remembered: those that nobody vouched for do not push
	// out the others.
	mostActive   = 10_000
	mostInactive = 1_000
	// mostAsking is how many questions are under way at one time.
	mostAsking = 32
)

var (
	errInactive   = errors.New("its issuer says that it is not active")
	errNoEndpoint = errors.New("the metadata names no introspection endpoint")
	errAnswer     = errors.New("the introspection answer cannot be used")
)

// standing is what an issuer said of a token, and until when it holds.
type standing struct {
	claims claims
	active bool
	until  time.Time
}

// introspect returns what the issuer says of an active token. Those who want to
// know the same share one question.
func (i *issuer) introspect(ctx context.Context, now time.Time, sum digest, q question) (standing, error) {
	if known, ok := i.remembered(sum, now); ok {
		return i.judge(known)
	}
	answers := i.asked.DoChan(string(sum[:]), func() (any, error) {
		return i.ask(context.WithoutCancel(ctx), now, sum, q)
	})
	select {
	case <-ctx.Done():
		return standing{}, refuse(guard.TokenUnverifiable, ctx.Err())
	case answer := <-answers:
		if answer.Err != nil {
			return standing{}, refuse(guard.TokenUnverifiable, answer.Err)
		}
		said, _ := answer.Val.(standing) // the zero value is not active
		return i.judge(said)
	}
}

// remembered is the answer that holds. One that would hold for longer than any was given
// before the clock was set back, and holds no more.
func (i *issuer) remembered(sum digest, now time.Time) (standing, bool) {
	latest := now.Add(i.introspection.CacheFor + longestFetch)
	for _, cache := range []*lru.Cache{i.active, i.inactive} {
		entry, _ := cache.Get(sum)
		if known, ok := entry.(standing); ok && now.Before(known.until) && !known.until.After(latest) {
			return known, true
		}
	}
	return standing{}, false
}

func (i *issuer) judge(said standing) (standing, error) {
	switch {
	case !said.active:
		return standing{}, refuse(guard.TokenInactive, errInactive)
	case said.claims.issuer != "" && said.claims.issuer != i.name:
		return standing{}, refuse(guard.TokenIssuer, errIssuer)
	case said.claims.misuse != nil:
		return standing{}, said.claims.misuse
	}
	return said, nil
}

// ask asks the issuer and remembers the answer. Whoever came just too late to
// share a question finds its answer.
func (i *issuer) ask(ctx context.Context, now time.Time, sum digest, q question) (standing, error) {
	if known, ok := i.remembered(sum, now); ok {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, longestFetch)
	defer cancel()
	select {
	case i.asking <- struct{}{}:
		defer func() { <-i.asking }()
	case <-ctx.Done():
		return standing{}, ctx.Err()
	}
	body, err := i.post(ctx, now, q.raw)
	if err != nil {
		return standing{}, err
	}
	active, said, err := readStanding(body, q.Reading)
	switch {
	case err != nil:
		return standing{}, err
	case !active:
		answer := standing{until: now.Add(min(i.introspection.CacheFor, inactiveFor))}
		i.inactive.Add(sum, answer)
		return answer, nil
	}
	answer := standing{active: true, claims: said, until: now.Add(i.introspection.CacheFor)}
	if !said.expires.IsZero() && said.expires.Before(answer.until) {
		answer.until = said.expires
	}
	i.active.Add(sum, answer)
	return answer, nil
}

// post sends the question (RFC 7662 §2.1). Nothing of the answer but its status
// becomes an error: it may repeat the token.
func (i *issuer) post(ctx context.Context, now time.Time, raw string) ([]byte, error) {
	known, err := i.metadata.get(ctx, now)
	switch {
	case err != nil:
		return nil, err
	case known.introspection == "":
		return nil, errNoEndpoint
	case !i.exchange.Ours(known.introspection):
		return nil, errForeignPlace
	}
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	got, err := i.exchange.Send(ctx, exchange.Call{
		Op: introspectOp, Method: http.MethodPost, URL: known.introspection,
		ContentType: exchange.FormType, Body: []byte(form.Encode()),
		Authorization: exchange.Basic(i.introspection.ClientID, i.introspection.ClientSecret),
	})
	switch {
	case err != nil:
		return nil, err
	case got.Status != http.StatusOK:
		return nil, fmt.Errorf("%s: status %d", introspectOp, got.Status)
	case got.BodyErr != nil:
		return nil, fmt.Errorf("%s: %w", introspectOp, exchange.Cause(got.BodyErr))
	}
	return got.Body, nil
}
