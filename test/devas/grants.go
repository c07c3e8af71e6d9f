// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	codeLifetime    = time.Minute
	refreshLifetime = 24 * time.Hour
	// sweepEvery is the number of tokens issued between two sweeps.
	sweepEvery = 4096
)

var errInvalidGrant = errors.New("unknown, expired, used or revoked")

// access is an access token, known by its jti.
type access struct {
	clientID string
	consent  string
	expires  time.Time
}

// refresh is a refresh token. Once used it stays as a mark, so that a
// second use is seen and ends the whole consent.
type refresh struct {
	request *tokenRequest
	expires time.Time
	used    bool
}

// authorization is an authorization request that was consented to.
type authorization struct {
	request *authRequest
	expires time.Time
	used    bool
}

// grants holds what was issued to clients. Nothing here outlives its client:
// every look-up asks the registry first, and client ids are given twice only
// where forget comes between.
type grants struct {
	registry *registry
	clock    clock.PassiveClock

	mu        sync.Mutex
	pending   map[string]*authorization
	codes     map[string]*authorization
	refreshes map[string]*refresh
	accesses  map[string]access
	revoked   map[string]time.Time
	issued    int
}

func newGrants(r *registry, c clock.PassiveClock) *grants {
	return &grants{
		registry: r, clock: c,
		pending: map[string]*authorization{}, codes: map[string]*authorization{},
		refreshes: map[string]*refresh{}, accesses: map[string]access{}, revoked: map[string]time.Time{},
	}
}

func (g *grants) consentTo(request *authRequest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending[request.id] = &authorization{request: request, expires: g.clock.Now().Add(codeLifetime)}
}

// saveCode makes code the authorization code of a consented request.
func (g *grants) saveCode(requestID, code string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.pending[requestID]
	if !ok {
		return errInvalidGrant
	}
	delete(g.pending, requestID)
	g.codes[code] = a
	g.sweep()
	return nil
}

// redeem uses a code up. Using one twice ends the consent behind it, with
// every token that came of it (RFC 6749 section 4.1.2).
func (g *grants) redeem(code, clientID string) (*authRequest, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.codes[code]
	if !ok || a.request.clientID != clientID || g.over(a.expires) {
		return nil, errInvalidGrant
	}
	if a.used {
		g.revoke(a.request.consent)
		return nil, errInvalidGrant
	}
	a.used = true
	return a.request, nil
}

func (g *grants) issueAccess(request *tokenRequest, expires time.Time) (jti string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	jti = rand.Text()
	g.accesses[jti] = access{clientID: request.clientID, consent: request.consent, expires: expires}
	g.sweep()
	return jti
}

func (g *grants) issueRefresh(request *tokenRequest) (token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.addRefresh(request)
}

func (g *grants) addRefresh(request *tokenRequest) string {
	token := rand.Text()
	g.refreshes[token] = &refresh{request: request, expires: g.clock.Now().Add(refreshLifetime)}
	return token
}

// refreshRequest is the request behind a refresh token that is presented to
// be used. Presenting a used one ends its consent.
func (g *grants) refreshRequest(token string) (*tokenRequest, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, err := g.present(token)
	if err != nil {
		return nil, err
	}
	return r.request, nil
}

// activeRefresh is the request behind a refresh token that is still good.
func (g *grants) activeRefresh(token string) (*tokenRequest, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, ok := g.refreshes[token]
	if !ok || !g.good(r) || r.used {
		return nil, false
	}
	return r.request, true
}

// rotate uses a refresh token up and issues its successor.
func (g *grants) rotate(token string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, err := g.present(token)
	if err != nil {
		return "", err
	}
	r.used = true
	return g.addRefresh(r.request), nil
}

func (g *grants) present(token string) (*refresh, error) {
	r, ok := g.refreshes[token]
	if !ok || !g.good(r) {
		return nil, errInvalidGrant
	}
	if r.used {
		g.revoke(r.request.consent)
		return nil, errInvalidGrant
	}
	return r, nil
}

func (g *grants) good(r *refresh) bool {
	return !g.over(r.expires) && !g.ended(r.request.clientID, r.request.consent)
}

// refreshOwner is the client of a refresh token, used or not.
func (g *grants) refreshOwner(token string) (clientID, consent string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, ok := g.refreshes[token]
	if !ok {
		return "", "", false
	}
	return r.request.clientID, r.request.consent, true
}

// accessOwner is the client of an access token that is still good.
func (g *grants) accessOwner(jti string) (clientID string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.accesses[jti]
	if !ok || g.over(a.expires) || g.ended(a.clientID, a.consent) {
		return "", false
	}
	return a.clientID, true
}

func (g *grants) revokeAccess(jti string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.accesses, jti)
}

func (g *grants) revokeConsent(consent string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revoke(consent)
}

func (g *grants) revoke(consent string) {
	g.revoked[consent] = g.clock.Now().Add(refreshLifetime)
}

// endAccess ends the access tokens of a client, and nothing else of it.
func (g *grants) endAccess(clientID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.accesses, func(_ string, a access) bool { return a.clientID == clientID })
}

// forget drops everything that was issued to a client, so that one that is
// made later under the same id has none of it.
func (g *grants) forget(clientID string) {
	g.endAccess(clientID)
	g.mu.Lock()
	defer g.mu.Unlock()
	its := func(_ string, a *authorization) bool { return a.request.clientID == clientID }
	maps.DeleteFunc(g.pending, its)
	maps.DeleteFunc(g.codes, its)
	maps.DeleteFunc(g.refreshes, func(_ string, r *refresh) bool { return r.request.clientID == clientID })
}

func (g *grants) over(expires time.Time) bool {
	return !g.clock.Now().Before(expires)
}

func (g *grants) ended(clientID, consent string) bool {
	_, revoked := g.revoked[consent]
	_, live := g.registry.get(clientID)
	return revoked || !live
}

// sweep forgets what has expired, once in a while.
func (g *grants) sweep() {
	if g.issued++; g.issued%sweepEvery != 0 {
		return
	}
	spent := func(_ string, a *authorization) bool { return g.over(a.expires) }
	maps.DeleteFunc(g.pending, spent)
	maps.DeleteFunc(g.codes, spent)
	maps.DeleteFunc(g.refreshes, func(_ string, r *refresh) bool { return !g.good(r) })
	maps.DeleteFunc(g.accesses, func(_ string, a access) bool {
		return g.over(a.expires) || g.ended(a.clientID, a.consent)
	})
	maps.DeleteFunc(g.revoked, func(_ string, expires time.Time) bool { return g.over(expires) })
}
