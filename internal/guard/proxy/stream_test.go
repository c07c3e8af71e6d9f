// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	fullList = `{"jsonrpc":"2.0","id":"q-1","result":{"tools":[{"name":"add"},{"name":"erase"}],"cacheScope":"public","ttlMs":999999}}`
	cutList  = `{"jsonrpc":"2.0","id":"q-1","result":{"tools":[{"name":"add"}],"cacheScope":"private","ttlMs":60000}}`
)

func TestListsAreFiltered(t *testing.T) {
	w := newWorld(t, answers("application/json; charset=utf-8", fullList))
	if got := w.post(listCall); got.status != http.StatusOK || got.body != cutList || got.header.Get("Content-Length") != fmt.Sprint(len(cutList)) {
		t.Errorf("JSON: %+v", got)
	}
	w = newWorld(t, answers("text/event-stream", ": hi\n\nid: 1\ndata: "+fullList+"\n\n"))
	if got := w.post(listCall); got.status != http.StatusOK || got.body != ": hi\n\nid: 1\ndata: "+cutList+"\n\n" {
		t.Errorf("a stream: %+v", got)
	}
	if got := w.do(w.request(http.MethodGet, "/mcp", "", "Last-Event-Id", "0")); got.body != ": hi\n\nid: 1\ndata: "+cutList+"\n\n" {
		t.Errorf("a replay: %+v", got)
	}
	if got := w.post(addCall); got.body != ": hi\n\nid: 1\ndata: "+fullList+"\n\n" {
		t.Errorf("what is no list: %+v", got)
	}
}

func TestListsThatCannotBeFilteredAreNotPassed(t *testing.T) {
	encoded := func(media string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			answers(media, fullList)(w, r)
		}
	}
	for name, upstream := range map[string]http.HandlerFunc{
		"gzip":                  encoded("application/json"),
		"gzip of a stream":      encoded("text/event-stream"),
		"broken JSON":           answers("application/json", fullList[:60]),
		"another media type":    answers("text/plain", fullList),
		"no media type":         answers("", fullList),
		"a huge list":           answers("application/json", `{"result":{"x":"`+strings.Repeat("x", 4<<20)+`"}}`),
		"a huge event":          answers("text/event-stream", `data: {"result":{"x":"`+strings.Repeat("x", 4<<20)+`"}}`+"\n\n"),
		"broken JSON in events": answers("text/event-stream", "data: "+fullList[:60]+"\n\n"),
		"an error that is none": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, fullList[:60])
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, upstream)
			got := w.post(listCall)
			if got.status != http.StatusBadGateway || strings.Contains(got.body, "erase") || got.code() != -32603 || !strings.Contains(got.body, `"id":"q-1"`) {
				t.Errorf("%d: %.200s", got.status, got.body)
			}
		})
	}
}

func TestAnswersWithoutBodyPass(t *testing.T) {
	for _, status := range []int{http.StatusAccepted, http.StatusNoContent, http.StatusMethodNotAllowed} {
		w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for _, r := range []*http.Request{w.request(http.MethodGet, "/mcp", ""), w.request(http.MethodPost, "/mcp", listCall), w.request(http.MethodPost, "/mcp", addCall)} {
			if got := w.do(r); got.status != status || got.body != "" {
				t.Errorf("%d: %+v", status, got)
			}
		}
	}
}

func TestRedirectsAreNeitherFollowedNorPassed(t *testing.T) {
	for _, status := range []int{301, 302, 304, 307, 308} {
		w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1/secret")
			w.WriteHeader(status)
		})
		got := w.post(addCall)
		if got.status != http.StatusBadGateway || got.header.Get("Location") != "" || strings.Contains(got.body, "secret") || len(w.passed()) != 1 {
			t.Errorf("%d: %+v", status, got)
		}
	}
}

func TestAnUpstreamThatIsAwayIsNotNamed(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	got := w.post(addCall)
	if got.status != http.StatusBadGateway || strings.Contains(got.body, "127.0.0.1") || !json.Valid([]byte(got.body)) {
		t.Errorf("%+v", got)
	}
	w = newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"half":`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	response, err := http.DefaultClient.Do(w.request(http.MethodPost, "/mcp", addCall))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("half an answer was passed as a whole one: %s", body)
	}
}

// endless is an upstream that sends an event, and then another each time that it
// is told to, until its request ends.
func endless(more <-chan string, over chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case text := <-more:
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				over <- struct{}{}
				return
			}
		}
	}
}

func TestStreamsEndWhenTheClientIsRevoked(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		more, over := make(chan string, 2), make(chan struct{}, 1)
		w := newWorld(t, endless(more, over))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		response, err := http.DefaultClient.Do(w.request(method, "/mcp", addCall).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		more <- "data: 1\n\ndata: unfin"
		reader := bufio.NewReader(response.Body)
		for _, want := range []string{"data: 1\n", "\n"} {
			if got, err := reader.ReadString('\n'); err != nil || got != want {
				t.Fatalf("%q, %v", got, err)
			}
		}
		w.register.revoke("other")
		more <- "ished\n\ndata: unfin"
		for _, want := range []string{"data: unfinished\n", "\n"} {
			if got, err := reader.ReadString('\n'); err != nil || got != want {
				t.Fatalf("another client's end ended the stream: %q, %v", got, err)
			}
		}
		w.register.revoke("reader")
		rest, err := io.ReadAll(reader)
		last := answer{body: string(rest)}
		if said := lastWord(t, &last); err != nil || last.body != "" || (said == "Revoked") != (method == http.MethodPost) {
			t.Errorf("%s: after the end came %q, %v", method, rest, err)
		}
		select {
		case <-over:
		case <-ctx.Done():
			t.Error("the upstream's stream goes on")
		}
	}
}

func TestACallThatIsEndedIsRefusedAsNow(t *testing.T) {
	begun, over := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(over)
	})
	go func() {
		<-begun
		w.register.revoke("reader")
	}()
	got := w.post(addCall)
	if got.status != http.StatusUnauthorized || w.records.last() != guard.Reason(policy.RefusedRevoked) || !strings.Contains(got.header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("%+v for %s", got, w.records.last())
	}
	<-over
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	more, over := make(chan string), make(chan struct{}, 1)
	w := newWorld(t, endless(more, over))
	response, err := http.DefaultClient.Do(w.request(http.MethodGet, "/mcp", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	block, full := "data: \""+strings.Repeat("x", 1<<20)+"\"\n\n", false
	for !full {
		select {
		case more <- block:
		case <-time.After(time.Second):
			full = true
		}
	}
	w.register.revoke("reader")
	began := time.Now()
	ended := make(chan struct{})
	go func() {
		w.front.Config.SetKeepAlivesEnabled(false)
		if err := w.front.Config.Shutdown(t.Context()); err == nil {
			close(ended)
		}
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("the handler goes on %s after the end", time.Since(began))
	}
}

func TestLargeEventsThatNeedNoFilterPass(t *testing.T) {
	large := "data: " + strings.Repeat("x", 5<<20) + "\n\ndata: y\n\n"
	w := newWorld(t, answers("text/event-stream", large))
	if got := w.post(addCall); got.status != http.StatusOK || got.body != large {
		t.Errorf("%d, %d bytes of %d", got.status, len(got.body), len(large))
	}
}

func TestSessionsBelongToWhomTheyWereGivenTo(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" {
			w.Header().Set("Mcp-Session-Id", "s-1")
		}
		fine(w, r)
	})
	initialize := call("initialize", `{}`)
	if got := w.post(initialize); got.header.Get("Mcp-Session-Id") != "s-1" {
		t.Fatalf("%+v", got)
	}
	as := func(client, session string) []string {
		return []string{"Authorization", "Bearer token-of-" + client, "Mcp-Session-Id", session}
	}
	passed := len(w.passed())
	foreign := w.post(addCall, as("other", "s-1")...)
	if foreign.status != http.StatusNotFound || len(w.passed()) != passed {
		t.Errorf("another client: %+v", foreign)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if got := w.do(w.request(method, "/mcp", "", as("other", "s-1")...)); got.status != http.StatusNotFound || len(w.passed()) != passed {
			t.Errorf("%s of another client: %+v", method, got)
		}
	}
	if got := w.post(addCall, as("reader", "s-1")...); got.status != http.StatusOK {
		t.Errorf("its own: %+v", got)
	}
	if got := w.post(addCall, as("other", "s-unknown")...); got.status != http.StatusOK {
		t.Errorf("one that is not known: %+v", got)
	}
	if got := w.do(w.request(http.MethodDelete, "/mcp", "", as("reader", "s-1")...)); got.status != http.StatusOK {
		t.Errorf("the end of its own: %+v", got)
	}
	if got := w.post(addCall, as("other", "s-1")...); got.status != http.StatusOK {
		t.Errorf("one that ended: %+v", got)
	}
}

// A client that no longer sends its token, because it has expired, is told in its session
// what to log in for: what its last token had, and nothing to anybody else.
func TestASessionKnowsWhatItsClientHad(t *testing.T) {
	until := time.Now().Add(time.Hour)
	has := func(client string, scopes ...string) guard.Token {
		return guard.Token{Issuer: issuer, ClientID: client, Scopes: scopes, ExpiresAt: until}
	}
	by := guard.Options{Clock: clock.RealClock{}, Tokens: tokens{
		"entered": has("stepper", "calc:enter"), "stepped": has("stepper", "calc:enter", "calc:add", "x"), "other": has("other", "calc:any"),
	}}
	w := newWorldBy(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" {
			w.Header().Set("Mcp-Session-Id", "s-1")
		}
		fine(w, r)
	}, by)
	w.register.add("stepper", "calc:enter", "calc:add")
	w.post(call("initialize", `{}`), "Authorization", "Bearer entered")
	asks := func(session, body string) string {
		t.Helper()
		got := w.post(body, "Authorization", "", "Mcp-Session-Id", session)
		if got.status != http.StatusUnauthorized || w.records.last() != guard.TokenMissing {
			t.Errorf("%d for %s", got.status, w.records.last())
		}
		_, scopes, _ := strings.Cut(got.header.Get("Www-Authenticate"), ` scope="`)
		return strings.TrimSuffix(scopes, `"`)
	}
	large := call("tools/call", `{"name":"add","arguments":{"x":"`+strings.Repeat("x", 1<<20)+`"}}`)
	for _, body := range []string{addCall, large} {
		if got := asks("s-1", body); got != "calc:enter" {
			t.Errorf("before it asked for more: %q", got)
		}
	}
	if got := w.post(addCall, "Authorization", "Bearer stepped", "Mcp-Session-Id", "s-1"); got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	for _, body := range []string{addCall, large} {
		if got := asks("s-1", body); got != "calc:add calc:enter" {
			t.Errorf("afterwards: %q", got)
		}
	}
	if got := asks("s-2", addCall); got != "calc:enter" {
		t.Errorf("in another session: %q", got)
	}
	w.post(addCall, "Authorization", "Bearer other", "Mcp-Session-Id", "s-1")
	if got := asks("s-1", addCall); got != "calc:add calc:enter" {
		t.Errorf("after somebody else has tried it: %q", got)
	}
	w.register.revoke("stepper")
	if got := asks("s-1", addCall); got != "calc:enter" {
		t.Errorf("of a revoked client: %q", got)
	}
}
