// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// issued verifies one token of a minute, as a JWT or by asking its issuer, who
// then says that it is not active.
type issued struct {
	mu      sync.Mutex
	clock   *clocktesting.FakeClock
	end     time.Time
	asked   bool
	revoked bool
}

func (i *issued) Verify(ctx context.Context, shown guard.Presentation, q guard.TokenQuestion) (guard.Token, error) {
	return i.StillGood(ctx, guard.Token{}, shown.Token, q)
}

func (i *issued) StillGood(context.Context, guard.Token, string, guard.TokenQuestion) (guard.Token, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.clock.Now()
	switch over := !now.Before(i.end); {
	case i.asked && (over || i.revoked):
		return guard.Token{}, &guard.TokenError{Reason: guard.TokenInactive}
	case over:
		return guard.Token{}, &guard.TokenError{Reason: guard.TokenExpired}
	}
	token := guard.Token{Issuer: issuer, ClientID: "reader", Subject: "sub", Scopes: []string{"calc:add"}, ExpiresAt: i.end}
	if i.asked {
		token.CheckAt = now.Add(5 * time.Second)
	}
	return token, nil
}

func (i *issued) revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked = true
}

// lasting is a guard whose clock the test moves, in front of an upstream that
// answers as it is told.
type lasting struct {
	*world
	clock *clocktesting.FakeClock
	token *issued
	begun chan struct{}
	says  chan string
}

// newLasting has the upstream answer in a media type: what says gives, until that
// is closed.
func newLasting(t *testing.T, media string, introspected bool) *lasting {
	t.Helper()
	l := &lasting{clock: clocktesting.NewFakeClock(time.Now()), begun: make(chan struct{}, 1), says: make(chan string, 8)}
	l.token = &issued{clock: l.clock, end: l.clock.Now().Add(time.Minute), asked: introspected}
	l.world = newWorldBy(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", media)
		if media == mediaStream {
			_ = http.NewResponseController(w).Flush()
		}
		l.begun <- struct{}{}
		for {
			select {
			case text, more := <-l.says:
				if !more {
					return
				}
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}, guard.Options{Clock: l.clock, Tokens: l.token})
	return l
}

const (
	mediaJSON   = "application/json"
	mediaStream = "text/event-stream"
)

// after moves the clock and has all that is under way looked at.
func (l *lasting) after(d time.Duration) {
	l.clock.Step(d)
	l.register.change(guard.Change{}, func() {})
}

// asks sends a request of the client, and returns when the upstream has it and the
// client has what it says early. What becomes of it comes when it is over, and
// nothing where it was broken off.
func (l *lasting) asks(method, body, early string) <-chan answer {
	l.t.Helper()
	answered, heard := make(chan answer, 1), make(chan struct{})
	request := l.request(method, "/mcp", body)
	go func() {
		defer close(answered)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return
		}
		defer response.Body.Close()
		first := make([]byte, len(early))
		if _, err := io.ReadFull(response.Body, first); err != nil {
			return
		}
		if early != "" {
			close(heard)
		}
		if rest, err := io.ReadAll(response.Body); err == nil {
			answered <- answer{response.StatusCode, response.Header, string(first) + string(rest)}
		}
	}()
	<-l.begun
	if early != "" {
		l.says <- early
		select {
		case <-heard:
		case <-time.After(ending):
			l.t.Fatal("the client does not have what was said early")
		}
	}
	return answered
}

// ending is how long the end of a stream may take.
const ending = time.Minute

func get(t *testing.T, answered <-chan answer) answer {
	t.Helper()
	select {
	case a := <-answered:
		return a
	case <-time.After(ending):
		t.Fatal("no answer")
	}
	return answer{}
}

// A call that began while its token was good is carried out once, and its answer is
// given, whatever became of the token.
func TestAnAnswerIsGivenAfterTheEndOfTheToken(t *testing.T) {
	result := `{"jsonrpc":"2.0","id":"q-1","result":{"content":[]}}`
	event := "event: message\ndata: " + result + "\n\n"
	for _, introspected := range []bool{false, true} {
		for name, c := range map[string]struct{ media, body, early, late string }{
			"JSON":                   {mediaJSON, addCall, "", result},
			"a stream":               {mediaStream, addCall, "", event},
			"a stream that had come": {mediaStream, addCall, ": working\n\n", event},
			"a list":                 {mediaJSON, listCall, "", cutList},
			"a list by a stream":     {mediaStream, listCall, "", "data: " + cutList + "\n\n"},
		} {
			l := newLasting(t, c.media, introspected)
			answered := l.asks(http.MethodPost, c.body, c.early)
			l.after(59 * time.Second)
			l.after(time.Second)
			l.after(20 * time.Minute)
			l.says <- c.late
			close(l.says)
			got := get(t, answered)
			if got.status != http.StatusOK || got.body != c.early+c.late || len(l.passed()) != 1 {
				t.Errorf("%s, introspected %v: %+v, passed %d times", name, introspected, got, len(l.passed()))
			}
			if got := l.post(c.body); got.status != http.StatusUnauthorized || len(l.passed()) != 1 {
				t.Errorf("%s: the next call: %+v", name, got)
			}
		}
	}
}

// What has no end of its own ends with its token.
func TestStreamsWithoutAnEndEndWithTheToken(t *testing.T) {
	for _, introspected := range []bool{false, true} {
		for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: call("subscriptions/listen", "{}")} {
			l := newLasting(t, mediaStream, introspected)
			answered := l.asks(method, body, ": hi\n\n")
			l.after(59*time.Second - 1)
			l.after(time.Second + 1)
			got, want := get(t, answered), ""
			if method == http.MethodPost {
				want = lastWord(t, &got)
			}
			if got.status != http.StatusOK || got.body != ": hi\n\n" || method == http.MethodPost && want != "TokenExpired" {
				t.Errorf("%s: %+v and last %s", method, got, want)
			}
		}
	}
}

// A client that is revoked gets no answer any more, and is told that it is revoked,
// also after the end of its token.
func TestACallIsRefusedWhenItsClientIsRevoked(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 10 * time.Minute} {
		l := newLasting(t, mediaJSON, false)
		answered := l.asks(http.MethodPost, addCall, "")
		l.after(after)
		l.register.revoke("reader")
		got := get(t, answered)
		if got.status != http.StatusUnauthorized || l.records.last() != guard.Reason(policy.RefusedRevoked) || !strings.Contains(got.body, "may have been carried out") {
			t.Errorf("%s: %+v for %s", after, got, l.records.last())
		}
	}
}

// A token that its issuer revoked before its end is no longer good for an answer.
func TestACallIsRefusedWhenItsTokenIsRevoked(t *testing.T) {
	l := newLasting(t, mediaJSON, true)
	answered := l.asks(http.MethodPost, addCall, "")
	l.token.revoke()
	l.after(10 * time.Second)
	if got := get(t, answered); got.status != http.StatusUnauthorized || l.records.last() != guard.TokenInactive {
		t.Errorf("%+v for %s", got, l.records.last())
	}
}
