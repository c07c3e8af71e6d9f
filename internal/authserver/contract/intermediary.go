// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Token is what a server asks its token endpoint, to hear whether it knows a
// client: not a method of authserver.Server, but a step of several.
const Token Operation = "token"

// Stance is an answer in the server's place: that of a proxy, of a login page, of
// a firewall, or of another server that the name leads to.
type Stance struct {
	Name   string
	Status int
	Header map[string]string
	Body   string
	// Cut breaks the answer off.
	Cut bool
	// Patient says that it asks for patience, which says that nothing was done.
	Patient bool
	// Deletes says that nobody can tell it from an accepted deletion.
	Deletes bool
}

const (
	htmlType = "text/html; charset=utf-8"
	pageText = "<!doctype html><title>" + Canary + "</title>"
)

// challenges are those of others than the server.
var challenges = map[string]string{ //nolint:gosec // no credentials: what asks for them
	"Basic": `Basic realm="proxy"`, "Negotiate": "Negotiate", "a page's Bearer": `Bearer realm="gateway", error="invalid_token"`,
	"another origin's Bearer": `Bearer realm="https://sso.example/", error="invalid_token"`,
	"another resource":        `Bearer error="invalid_token", resource_metadata="https://mcp.example/.well-known/oauth-protected-resource"`,
}

// Stances are all there are.
func Stances() []Stance {
	page := map[string]string{"Content-Type": htmlType}
	asJSON := map[string]string{"Content-Type": "application/json"}
	list := []Stance{
		{Name: "a maintenance page", Status: 200, Header: page, Body: pageText},
		{Name: "nothing", Status: 204, Deletes: true},
		{Name: "nothing, with 200", Status: 200, Deletes: true},
		{Name: "half of an answer", Status: 200, Header: asJSON, Body: `{"client_id":"`, Cut: true},
		{Name: "another server's object", Status: 200, Header: asJSON, Body: `{"status":"ok"}`, Deletes: true},
		{Name: "another server's list", Status: 200, Header: asJSON, Body: `[{"status":"ok"}]`},
		{Name: "another server's error", Status: 404, Header: asJSON, Body: `{"message":"no route","code":404}`},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		list = append(list, Stance{
			Name: "the way to a login with " + strconv.Itoa(status), Status: status,
			Header: map[string]string{"Location": "http://127.0.0.1:1/login?" + Canary},
		})
	}
	for name, challenge := range challenges {
		list = append(list, Stance{
			Name: "a challenge: " + name, Status: 401, Body: pageText,
			Header: map[string]string{"Content-Type": htmlType, "WWW-Authenticate": challenge},
		})
	}
	for _, status := range []int{400, 401, 403, 404, 405, 409, 410, 413, 429, 500, 501, 502, 503, 504} {
		list = append(list, Stance{
			Name: "a page with " + strconv.Itoa(status), Status: status, Header: page, Body: pageText, Patient: status == 429,
		})
	}
	return list
}

// Drawn is an answer that a fuzzer drew: of any final status, with the headers
// that say something.
func Drawn(status uint16, header map[string]string, body []byte, cut bool) Stance {
	if status < 200 || status > 599 {
		status = 200 + status%400
	}
	header = maps.Clone(header)
	maps.DeleteFunc(header, func(_, value string) bool { return value == "" })
	return Stance{Status: int(status), Header: header, Body: string(body), Cut: cut}
}

// WantQuiet holds of an error that it is the port's and does not repeat the answer.
func (s Stance) WantQuiet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	failure(t, err)
	if len(s.Body) > 24 && strings.Contains(err.Error(), s.Body) {
		t.Errorf("the error repeats the answer: %v", err)
	}
}

// ServeHTTP answers.
func (s Stance) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for name, value := range s.Header {
		w.Header().Set(name, value)
	}
	if s.Cut {
		w.Header().Set("Content-Length", "1000")
	}
	w.WriteHeader(s.Status)
	_, _ = w.Write([]byte(s.Body))
}

// Intermediary stands before a server and answers some of its requests.
type Intermediary struct {
	// Next is the server.
	Next http.Handler
	// StepOf says what a request is for.
	StepOf func(*http.Request) Operation

	mu     sync.Mutex
	stance http.Handler
	steps  []Operation
	hides  bool
}

// Stand answers the requests of some steps from now on, or none where the stance
// is nil. One that hides lets the server do its work all the same.
func (i *Intermediary) Stand(stance http.Handler, hides bool, steps ...Operation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stance, i.hides, i.steps = stance, hides, steps
}

// ServeHTTP answers, or has the server answer.
func (i *Intermediary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	stance, hides := i.stance, i.hides
	stands := stance != nil && slices.Contains(i.steps, i.StepOf(r))
	i.mu.Unlock()
	if !stands || hides {
		i.Next.ServeHTTP(unseen(w, stands), r)
	}
	if stands {
		stance.ServeHTTP(w, r)
	}
}

// unseen is where an answer goes that nobody sees, if it is one.
func unseen(w http.ResponseWriter, is bool) http.ResponseWriter {
	if is {
		return httptest.NewRecorder()
	}
	return w
}
