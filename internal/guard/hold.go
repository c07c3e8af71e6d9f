// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// ErrEnded is the cause of the end of what was held: the client may not go on.
var ErrEnded = errors.New("the client may not go on")

// held are the requests that are under way, by client.
type held struct {
	mu   sync.Mutex
	by   map[Change]map[*holding]struct{}
	open int
}

// holding is one request under way.
type holding struct {
	request Request
	server  Server
	end     context.CancelCauseFunc
	ctx     context.Context //nolint:containedctx // It is the life of what is held, and ends with it.

	mu       sync.Mutex
	token    Token
	checking bool
}

func (h *holding) known() Token {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.token
}

// Hold returns a context that ends, with the cause ErrEnded, as soon as an
// allowed request would be refused: its client revoked, its grant or its token
// at its end, or the register not heard of for too long. release must be called
// when the request is done.
func (e *Engine) Hold(ctx context.Context, r Request, v Verdict) (holdingCtx context.Context, release func()) {
	holdingCtx, cancel := context.WithCancelCause(ctx)
	h := &holding{request: r, server: v.Server, token: v.Token, ctx: holdingCtx, end: cancel}
	key := holder(v)
	e.held.add(key, h)
	// What changed since the decision was seen by nobody.
	e.review(h)
	return holdingCtx, func() {
		e.held.remove(key, h)
		cancel(context.Canceled)
	}
}

// Open is how many requests are under way.
func (e *Engine) Open() int {
	e.held.mu.Lock()
	defer e.held.mu.Unlock()
	return e.held.open
}

// changed reviews what is under way of a client, or of all.
func (e *Engine) changed(c Change) {
	for _, h := range e.held.of(c) {
		e.review(h)
	}
}

// review ends what would not be allowed now.
func (e *Engine) review(h *holding) {
	server, _, ok := e.server(h.request.Server)
	token := h.known()
	now := e.clock.Now()
	switch {
	case !ok || server.Issuer != h.server.Issuer || server.Resource != h.server.Resource || passed(token.ExpiresAt, now) || !e.weigh(server, h.request, token).Allowed():
		h.end(ErrEnded)
	case passed(token.CheckAt, now):
		h.check(e)
	}
}

func passed(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// check verifies the token anew, once at a time and without keeping anybody
// waiting, and ends what is held if it is no longer accepted.
func (h *holding) check(e *Engine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checking {
		return
	}
	h.checking = true
	go func() {
		raw, _ := bearer(h.request)
		token, err := e.tokens.Verify(h.ctx, TokenQuestion{Raw: raw, Issuer: h.server.Issuer, Audience: h.server.Resource})
		h.mu.Lock()
		h.checking = false
		h.token = token
		h.mu.Unlock()
		if err != nil || token.ClientID == "" {
			h.end(ErrEnded)
		}
	}()
}

// sweep is how often what is under way is looked at for what no event ends.
const sweep = 200 * time.Millisecond

// Run ends what no event ends, until the context does: at an instant that was
// known before, and when the register is not heard of any more.
func (e *Engine) Run(ctx context.Context) {
	ticker := e.clock.NewTicker(sweep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			e.changed(Change{})
		}
	}
}

func (l *held) count(key Change) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.by[key])
}

func (l *held) add(key Change, h *holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[Change]map[*holding]struct{}{}
	}
	if l.by[key] == nil {
		l.by[key] = map[*holding]struct{}{}
	}
	l.by[key][h] = struct{}{}
	l.open++
}

func (l *held) remove(key Change, h *holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.by[key][h]; !there {
		return
	}
	delete(l.by[key], h)
	l.open--
	if len(l.by[key]) == 0 {
		delete(l.by, key)
	}
}

// of are those that a change may concern.
func (l *held) of(c Change) []*holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []*holding
	if c != (Change{}) {
		return slices.AppendSeq(found, maps.Keys(l.by[c]))
	}
	for _, set := range l.by {
		found = slices.AppendSeq(found, maps.Keys(set))
	}
	return found
}
