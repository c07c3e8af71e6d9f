// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var (
	listen    = asking(Message{Kind: Listen})
	subscribe = asking(Message{Kind: Call, Method: "subscriptions/listen", ID: "1"})
)

// goesOn says that what is held has not ended, once all that was to come came.
func goesOn(t *testing.T, held context.Context, name string) {
	t.Helper()
	select {
	case <-held.Done():
		t.Errorf("%s: ended with %v", name, context.Cause(held))
	case <-time.After(50 * time.Millisecond):
	}
}

// ends waits for the end of what is held, and for whose it is.
func (w *world) ends(t *testing.T, e *Engine, held context.Context, r Request, want Reason) {
	t.Helper()
	select {
	case <-held.Done():
	case <-time.After(time.Minute):
		t.Fatalf("it goes on, and should end for %s", want)
	}
	if !errors.Is(context.Cause(held), ErrEnded) {
		t.Errorf("ended with %v", context.Cause(held))
	}
	v := e.Ended(held, r)
	if v.Reason != want || v.Allowed() || v.Text == "" || v.Code == 0 || w.recorded[len(w.recorded)-1] != want {
		t.Errorf("ended for %+v, on record %q, want %s", v, w.recorded, want)
	}
}

// The end of a token ends what has no end of its own. An answer that is under way
// is given, and still ends with its client.
func TestAnAnswerOutlivesItsToken(t *testing.T) {
	t.Parallel()
	misspelt := subscribe
	misspelt.Message.Method = " Subscriptions/Listen"
	for name, r := range map[string]Request{
		"a call": call("read_invoice"), "a notification": asking(Message{Kind: Call, Method: "notifications/x"}),
		"an answer": asking(Message{Kind: Answer, ID: "1"}),
		"a stream":  listen, "a subscription": subscribe,
	} {
		w := newWorld()
		w.client.EndsAt = testNow.Add(time.Hour)
		e := w.engine()
		held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
		defer release()
		w.clock.Step(10*time.Minute - 1)
		e.changed(Change{})
		goesOn(t, held, name)
		w.clock.Step(1)
		e.changed(Change{})
		if name == "a stream" || name == "a subscription" {
			w.ends(t, e, held, r, TokenExpired)
			continue
		}
		goesOn(t, held, name)
		w.change(func() { w.client.Left = policy.RefusedRevoked })
		w.ends(t, e, held, r, Reason(policy.RefusedRevoked))
	}
	if !misspelt.Message.Endless() {
		t.Error("a server may take it for a subscription")
	}
}

// Whatever else takes a client's rights away ends an answer, also after the end of
// its token, and says why.
func TestAnAnswerEndsWithWhatAllowedIt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		end  func(*world)
		want Reason
	}{
		{func(w *world) { w.client.Left = policy.RefusedSuspended }, Reason(policy.RefusedSuspended)},
		{func(w *world) { w.denials = []policy.DenialEntry{{Name: "incident"}} }, Reason(policy.RefusedDenied)},
		{func(w *world) { w.client.EndsAt = testNow.Add(time.Minute) }, Reason(policy.RefusedExpired)},
		{func(w *world) { w.client.ClientID = "another" }, Reason(policy.RefusedUnknownClient)},
		{func(w *world) { w.grant.InForce = false }, Reason(policy.RefusedNoGrant)},
		{func(w *world) { w.grant.EndsAt = testNow.Add(time.Minute) }, Reason(policy.RefusedNoGrant)},
		{func(w *world) { w.server.WithholdChanged, w.grant.ChangedTools = true, []string{"read_invoice"} }, Reason(policy.RefusedReviewRequired)},
		{func(w *world) { w.server.Scopes = w.server.Scopes[1:] }, Reason(policy.RefusedToolUnknown)},
		{func(w *world) { w.server.Issuer = "https://other.example.com" }, TokenIssuer},
		{func(w *world) { w.server.Resource = "https://mcp.example.com/other" }, TokenAudience},
		{func(w *world) { w.server.Audience = "api://other" }, TokenAudience},
		{func(w *world) { w.server.Tokens.ClientIDClaims = []string{"cid"} }, TokenMalformed},
		{func(w *world) { w.server.GuardedFrom = []string{"elsewhere"} }, GuardNotNamed},
		{func(w *world) { w.server = nil }, ServerUnknown},
		{func(w *world) { w.age = time.Hour }, RegisterStale},
	} {
		for _, later := range []time.Duration{time.Minute, 20 * time.Minute} {
			w, r := newWorld(), call("read_invoice")
			e := w.engine()
			held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
			defer release()
			w.clock.Step(later)
			w.change(func() { test.end(w) })
			w.ends(t, e, held, r, test.want)
		}
		// What changes after the decision and before anything is held is not missed.
		w, r := newWorld(), call("read_invoice")
		e := w.engine()
		v := e.Decide(t.Context(), r)
		w.clock.Step(time.Minute)
		w.change(func() { test.end(w) })
		held, release := e.Hold(t.Context(), r, v)
		defer release()
		w.ends(t, e, held, r, test.want)
	}
}

// What is held is looked at again only where something may have changed since the
// decision: the register, or the time.
func TestWhatIsHeldIsDecidedAboutOnce(t *testing.T) {
	t.Parallel()
	w, r := newWorld(), listen
	e := w.engine()
	count := func(before func()) (reads int, end error) {
		v := e.Decide(t.Context(), r)
		before()
		earlier := w.read
		held, release := e.Hold(t.Context(), r, v)
		defer release()
		return w.read - earlier, context.Cause(held)
	}
	if n, end := count(func() {}); n != 0 || end != nil {
		t.Errorf("%d questions to the register, and %v, though nothing changed", n, end)
	}
	if n, end := count(func() { w.changed(Change{AuthorizationServer: "main", ClientID: "another"}) }); n == 0 || end != nil {
		t.Errorf("%d questions to the register, and %v, after a change", n, end)
	}
	if n, end := count(func() { w.clock.Step(10 * time.Minute) }); n == 0 || !errors.Is(end, ErrEnded) {
		t.Errorf("%d questions to the register, and %v, after the end of the token", n, end)
	}
	held, release := e.Hold(t.Context(), r, Verdict{Reason: ReasonAllowed, Server: *w.server, Decision: policy.CallDecision{Until: testNow.Add(time.Hour)}, Token: Token{ClientID: "stranger"}})
	defer release()
	if !errors.Is(context.Cause(held), ErrEnded) {
		t.Error("a verdict that nobody gave is believed")
	}
}

// A register that grew old and is heard of again gives no other answer for what
// was ended by it.
func TestWhatEndedWhileNothingWasKnownIsRefused(t *testing.T) {
	t.Parallel()
	w, r := newWorld(), call("read_invoice")
	e := w.engine()
	held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
	defer release()
	if v := e.Ended(held, r); v.Reason != RegisterStale || v.Status != 503 {
		t.Errorf("got %+v", v)
	}
}

// verifiedAgain has a token of a minute verified again after some time, as which
// Verify then refuses it.
func verifiedAgain(t *testing.T, r Request, after time.Duration, refused Reason) (*world, *Engine, context.Context) {
	t.Helper()
	w := newWorld()
	w.token.ExpiresAt, w.token.CheckAt = testNow.Add(time.Minute), testNow.Add(5*time.Second)
	e := w.engine()
	held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
	t.Cleanup(release)
	w.mu.Lock()
	w.refused = refused
	w.mu.Unlock()
	w.clock.Step(after)
	e.changed(Change{})
	return w, e, held
}

// An issuer says of an expired token what it says of a revoked one: that it is not
// active. Which of both is meant, its end tells.
func TestAnAnswerOutlivesATokenThatIsIntrospected(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		after   time.Duration
		refused Reason
		ended   bool
	}{
		{"revoked", 5 * time.Second, TokenInactive, true},
		{"revoked shortly before its end", 58 * time.Second, TokenInactive, true},
		{"inactive within the second before its end: clocks differ by so much", 59 * time.Second, TokenInactive, false},
		{"inactive at its end", time.Minute, TokenInactive, false},
		{"inactive after its end", 2 * time.Minute, TokenInactive, false},
		{"expired before the end that was known", 30 * time.Second, TokenExpired, false},
		{"no answer of the issuer before its end", 59 * time.Second, TokenUnverifiable, true},
		{"no answer of the issuer after its end", time.Minute, TokenUnverifiable, false},
		{"of another issuer before its end", 59 * time.Second, TokenIssuer, true},
	} {
		w, e, held := verifiedAgain(t, call("read_invoice"), test.after, test.refused)
		if test.ended {
			w.ends(t, e, held, call("read_invoice"), test.refused)
			continue
		}
		goesOn(t, held, test.name)
		asked := w.asked()
		w.clock.Step(time.Hour / 2)
		e.changed(Change{})
		goesOn(t, held, test.name)
		if w.asked() != asked {
			t.Errorf("%s: the issuer is asked about a token that has ended", test.name)
		}
		w.change(func() { w.client.Left = policy.RefusedRevoked })
		w.ends(t, e, held, call("read_invoice"), Reason(policy.RefusedRevoked))
	}
	for after, refused := range map[time.Duration]Reason{30 * time.Second: TokenExpired, time.Minute: TokenInactive} {
		w, e, held := verifiedAgain(t, listen, after, refused)
		w.ends(t, e, held, listen, TokenExpired)
	}
}

// A token whose end the issuer does not tell is revoked when it is not active.
func TestATokenWithoutEndIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.token.ExpiresAt, w.token.CheckAt = time.Time{}, testNow.Add(5*time.Second)
	e, r := w.engine(), call("read_invoice")
	held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
	defer release()
	w.mu.Lock()
	w.refused = TokenInactive
	w.mu.Unlock()
	w.clock.Step(20 * time.Minute)
	e.changed(Change{})
	w.ends(t, e, held, r, TokenInactive)
}

// A client is not sent for a token by the end of a request that was passed on: it
// would repeat it by itself.
func TestNoScopeIsAskedForWhatMayHaveBeenCarriedOut(t *testing.T) {
	t.Parallel()
	for name, end := range map[Reason]func(*world){
		Reason(policy.RefusedNoGrant): func(w *world) { w.grant.InForce = false },
		Reason(policy.RefusedScopeMissing): func(w *world) {
			w.server.Scopes = append(w.server.Scopes, policy.CatalogueScope{Name: "invoices:all", Tools: []string{"read_invoice"}})
			w.client.Scopes = []policy.EntryScope{{Name: "invoices:all", Grants: []string{"g"}}}
			w.grant.Scopes = []string{"invoices:all"}
		},
	} {
		w, r := newWorld(), call("read_invoice")
		e := w.engine()
		held, release := e.Hold(t.Context(), r, e.Decide(t.Context(), r))
		defer release()
		w.change(func() { end(w) })
		if v := e.Ended(held, r); v.Reason != name || v.Status != 200 || v.Challenge != "" {
			t.Errorf("%s: ended by %+v", name, v)
		}
		if v := e.Decide(t.Context(), r); v.Reason != name || (v.Challenge != "") != (name == Reason(policy.RefusedScopeMissing)) {
			t.Errorf("%s: the next one is answered by %+v", name, v)
		}
	}
}
