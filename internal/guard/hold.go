// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ErrEnded is the cause of the end of what was held: the client may not go on.
var ErrEnded = errors.New("the client may not go on")

// endedError is ErrEnded with the verdict that it came by.
type endedError struct{ verdict Verdict }

func (e *endedError) Error() string { return ErrEnded.Error() + ": " + string(e.verdict.Reason) }

func (e *endedError) Unwrap() error { return ErrEnded }

// held are the requests that are under way, by client, with how many of them are
// of each user.
type held struct {
	mu     sync.Mutex
	by     map[Change]map[*holding]struct{}
	counts map[person]counted
	open   int
}

// person is somebody who uses a client.
type person struct {
	client  Change
	subject string
}

// counted are requests under way: those with an answer to come, and streams, which
// last as long as somebody listens and are mostly idle.
type counted struct{ answers, streams int }

// plus adds to one of both.
func (c counted) plus(stream bool, n int) counted {
	if stream {
		c.streams += n
	} else {
		c.answers += n
	}
	return c
}

// holding is one request under way.
type holding struct {
	request Request
	server  Server
	subject string
	raw     string
	end     context.CancelCauseFunc
	ctx     context.Context //nolint:containedctx // It is the life of what is held, and ends with it.

	mu    sync.Mutex
	token Token
	// at is when that was known of the token.
	at       time.Time
	checking bool
}

// person is who has the request under way. The subject of a token does not change when
// it is verified anew: it is that of the decision.
func (h *holding) person(client Change) person { return person{client, h.subject} }

func (h *holding) known() (token Token, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.token, h.at
}

// stop ends what is held, by a verdict.
func (h *holding) stop(v Verdict) { h.end(&endedError{v}) }

// Hold returns a context that ends, with the cause ErrEnded, as soon as the client
// may not go on: it is revoked, its grant ends, or the register was not heard of
// for too long. The end of the token ends only what is Endless: the answer to
// anything else was promised while the token was good, and whoever does not get
// it asks for it again. release must be called when the request is done.
func (e *Engine) Hold(ctx context.Context, r Request, v Verdict) (holdingCtx context.Context, release func()) {
	holdingCtx, cancel := context.WithCancelCause(ctx)
	shown, _ := r.presented() // It was right, or there were no verdict to hold by.
	h := &holding{request: r, server: v.Server, subject: v.Token.Subject, raw: shown.Token, token: v.Token, at: e.clock.Now(), ctx: holdingCtx, end: cancel}
	key := holder(v)
	e.held.add(key, h)
	// What changed since the decision was seen by nobody; what changes from here on finds
	// what is held.
	if e.changes.Load() != v.changes || !e.clock.Now().Before(v.Until()) {
		e.review(h)
	}
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
	e.changes.Add(1)
	for _, h := range e.held.of(c) {
		e.review(h)
	}
}

// Ended returns the verdict by which Hold ended a request, and puts it on record.
// A request that nobody ended yet is one whose register is not heard of. No scope
// is asked for: a client that steps up repeats what may have been carried out.
func (e *Engine) Ended(held context.Context, r Request) Verdict {
	v := stale()
	if end, ok := errors.AsType[*endedError](context.Cause(held)); ok {
		v = end.verdict
	}
	if v.Status == http.StatusForbidden && r.Message.answerable() {
		v.Status, v.Challenge = http.StatusOK, ""
	}
	e.recorder.Record(r, v)
	return v
}

// review ends what may not go on, and has a token verified again when it is time.
// A token that has ended is not asked about: its issuer would only say so. Where the time
// was put back, it is time.
func (e *Engine) review(h *holding) {
	token, at := h.known()
	now := e.clock.Now()
	if v := e.reconsider(h, token, now); !v.Allowed() {
		h.stop(v)
		return
	}
	due := passed(token.CheckAt, now) || !token.CheckAt.IsZero() && now.Before(at.Add(-apart))
	if due && !passed(token.ExpiresAt, now) {
		h.check(e)
	}
}

// reconsider judges what is held anew, by what is known of its token.
func (e *Engine) reconsider(h *holding, token Token, now time.Time) Verdict {
	server, v, ok := e.server(h.request.Server)
	ended := Verdict{Token: token}
	switch {
	case !ok:
		v.Token, v.Server = token, h.server
		return v
	case server.Issuer != h.server.Issuer:
		ended.Reason = TokenIssuer
	case server.TokenAudience() != h.server.TokenAudience():
		ended.Reason = TokenAudience
	case !server.Tokens.Equal(h.server.Tokens):
		ended.Reason = TokenMalformed
	case passed(token.ExpiresAt, now) && h.request.Message.Endless():
		ended.Reason = TokenExpired
	default:
		return e.weigh(server, h.request, token)
	}
	return e.refuse(server, h.request, ended)
}

func passed(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// check asks whether the token is still good, once at a time and without keeping
// anybody waiting.
func (h *holding) check(e *Engine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checking {
		return
	}
	h.checking = true
	known, raw := h.token, h.raw
	go func() {
		token, err := e.tokens.StillGood(h.ctx, known, raw, h.server.question())
		h.checked(e, token, err)
	}()
}

// checked takes what came of a check: another word about the token, its end, or
// that it is no longer accepted, which ends what is held.
func (h *holding) checked(e *Engine, token Token, err error) {
	now := e.clock.Now()
	h.mu.Lock()
	h.checking, h.at = false, now
	known, reason := h.token, ReasonAllowed
	switch {
	case err == nil && token.ClientID != "":
		h.token = token
	case lapsed(known, err, now):
		h.token.ExpiresAt = now
	case err == nil:
		reason = TokenMalformed
	default:
		reason = reasonOf(err)
	}
	h.mu.Unlock()
	if reason != ReasonAllowed {
		h.stop(e.refuse(h.server, h.request, Verdict{Reason: reason, Token: known}))
		return
	}
	e.review(h)
}

// apart is how far the clocks of an issuer and of the guard may be apart, where
// the one says that a token is not active and the other that it has not ended.
const apart = time.Second

// lapsed says that a token is not accepted any more because its time is over. Its
// issuer may say no more than that it is not active, which before its end means
// that it was revoked.
func lapsed(known Token, err error, now time.Time) bool {
	if err == nil {
		return false
	}
	end := known.ExpiresAt
	if reasonOf(err) == TokenInactive && !end.IsZero() {
		end = end.Add(-apart)
	}
	return reasonOf(err) == TokenExpired || passed(end, now)
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

// full says that a person, or a client with all who use it, has as many requests under
// way as may be.
func (l *held) full(who person, stream bool, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.counts[who]
	if stream {
		of.answers = of.streams
	}
	return of.answers >= most || len(l.by[who.client]) >= mostPersons*most
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
	l.tally(h.person(key), h.request.Message.Endless(), 1)
	l.open++
}

// tally counts requests of a person. l.mu is held.
func (l *held) tally(who person, stream bool, n int) {
	if l.counts == nil {
		l.counts = map[person]counted{}
	}
	l.counts[who] = l.counts[who].plus(stream, n)
	if l.counts[who] == (counted{}) {
		delete(l.counts, who)
	}
}

func (l *held) remove(key Change, h *holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.by[key][h]; !there {
		return
	}
	delete(l.by[key], h)
	l.tally(h.person(key), h.request.Message.Endless(), -1)
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
