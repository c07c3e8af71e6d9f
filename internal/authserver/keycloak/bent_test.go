// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// The requests that the adapter makes beside those that are named after an
// operation, and stepAny for each of all.
const (
	stepAny         contract.Operation = "any"
	stepControl     contract.Operation = "look at the register's own client"
	stepScopes      contract.Operation = "client scopes"
	stepScope       contract.Operation = "a client scope"
	stepDeleteScope contract.Operation = "delete a client scope"
	stepHas         contract.Operation = "client scopes of a client"
	stepMakeScope   contract.Operation = "make a client scope"
	stepAssign      contract.Operation = "give a client scope"
	stepWithdraw    contract.Operation = "take a client scope away"
	stepTry         contract.Operation = "try a client's secret"
)

// requestOf says which of the adapter's requests a request is.
func (w *world) requestOf(r *http.Request) contract.Operation {
	id, _, _ := r.BasicAuth()
	switch {
	case strings.Contains(r.URL.Path, "/.well-known/"):
		return contract.Discover
	case strings.HasSuffix(r.URL.Path, "/token") && id != registrar:
		return stepTry
	case r.URL.Query().Get("clientId") == registrar:
		return stepControl
	case strings.HasSuffix(r.URL.Path, "/client-scopes"):
		return map[string]contract.Operation{http.MethodGet: stepScopes, http.MethodPost: stepMakeScope}[r.Method]
	case strings.Contains(r.URL.Path, "/client-scopes/"):
		return map[string]contract.Operation{http.MethodGet: stepScope, http.MethodDelete: stepDeleteScope}[r.Method]
	case strings.HasSuffix(r.URL.Path, "-client-scopes"):
		return stepHas
	case strings.Contains(r.URL.Path, "-client-scopes/"):
		return map[string]contract.Operation{http.MethodPut: stepAssign, http.MethodDelete: stepWithdraw}[r.Method]
	}
	return w.stepOf(r)
}

// bent stands before Keycloak and puts an answer in the place of its answers to
// one request, or bends them.
type bent struct {
	world *world
	step  contract.Operation
	// skip is how many of the requests are answered by Keycloak first.
	skip int
	// stance is what is answered. Where Keycloak does its work (works), and there is
	// something to keep, its body has that of the stance between the first keep and
	// the last tail bytes, and the rest is as Keycloak says it unless the stance
	// says it.
	stance     contract.Stance
	works      bool
	keep, tail int

	served []served
	// passed are the requests that were skipped, made counts those to make a client.
	passed []contract.Operation
	made   int
}

// served is an answer that was given in Keycloak's place.
type served struct {
	contract.Stance
	step contract.Operation
}

// stand has it answer from now on.
func (b *bent) stand() {
	b.world.between.StepOf = func(r *http.Request) contract.Operation {
		step := b.world.requestOf(r)
		if step == contract.Register {
			b.made++
		}
		if b.step != stepAny && b.step != step {
			return ""
		}
		if b.skip--; b.skip >= 0 {
			b.passed = append(b.passed, step)
			return ""
		}
		return stepAny
	}
	b.world.between.Stand(b, false, stepAny)
}

func (b *bent) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	stance := b.stance
	if b.works {
		real := httptest.NewRecorder()
		b.world.ServeHTTP(real, r)
		stance = b.mix(real)
	}
	if stance.Cut && len(stance.Body) > 900 {
		stance.Body = stance.Body[:900]
	}
	b.served = append(b.served, served{stance, b.world.requestOf(r)})
	out.Header()["Content-Type"] = nil // or Go says what it looks like
	stance.ServeHTTP(out, r)
}

// mix is the stance with what is kept of Keycloak's own answer.
func (b *bent) mix(real *httptest.ResponseRecorder) contract.Stance {
	stance, body := b.stance, real.Body.String()
	if b.keep+b.tail == 0 {
		return stance
	}
	if stance.Status == http.StatusOK {
		stance.Status = real.Code
	}
	header := map[string]string{"Content-Type": real.Header().Get("Content-Type")}
	maps.Copy(header, stance.Header)
	keep := min(b.keep, len(body))
	stance.Header, stance.Body = header, body[:keep]+stance.Body+body[len(body)-min(b.tail, len(body)-keep):]
	return stance
}

// any says that an answer of a kind was given to one of the requests.
func (b *bent) any(kind func(served) bool, steps ...contract.Operation) bool {
	return slices.ContainsFunc(b.served, func(s served) bool {
		return (len(steps) == 0 || slices.Contains(steps, s.step)) && kind(s)
	})
}

func (b *bent) stood(steps ...contract.Operation) bool {
	return b.any(func(served) bool { return true }, steps...)
}

// The kinds of answers that nobody can tell from Keycloak's own. They are judged
// here by other means than the adapter's.

// typed says that an answer is whole and calls itself JSON.
func (s served) typed() bool {
	kind, _, _ := strings.Cut(strings.ToLower(s.Header["Content-Type"]), ";")
	kind = strings.TrimSpace(kind)
	return !s.Cut && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// json says the same of one that does not say what it is.
func (s served) json() bool {
	_, said := s.Header["Content-Type"]
	return s.typed() || !s.Cut && !said
}

// empty is Keycloak's word that there is no such client.
func (s served) empty() bool {
	var list []any
	return s.Status == http.StatusOK && s.typed() && json.Unmarshal([]byte(s.Body), &list) == nil && list != nil && len(list) == 0
}

// lists is a list of objects.
func (s served) lists() bool {
	var list []map[string]json.RawMessage
	return s.Status == http.StatusOK && s.json() && json.Unmarshal([]byte(s.Body), &list) == nil
}

// shows says that an answer lists a client, and its internal id if one is given.
func (s served) shows(id, uuid string) bool {
	var list []any
	if s.Status != http.StatusOK || !s.json() || json.Unmarshal([]byte(s.Body), &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(item any) bool {
		members, _ := item.(map[string]any)
		return members["clientId"] == id && (uuid == "" || members["id"] == uuid)
	})
}

// done is Keycloak's word that a client was deleted.
func (s served) done() bool {
	var members map[string]any
	switch {
	case s.Status == http.StatusNoContent:
		return true
	case s.Status != http.StatusOK && s.Status != http.StatusCreated || s.Cut:
		return false
	}
	return s.Body == "" || s.json() && json.Unmarshal([]byte(s.Body), &members) == nil && members != nil
}

// refuses is Keycloak's word that it did nothing.
func (s served) refuses() bool {
	var members map[string]any
	switch {
	case s.Status == http.StatusTooManyRequests, s.Status == http.StatusTooEarly:
		return true
	case s.Status == http.StatusServiceUnavailable:
		return s.Header["Retry-After"] != ""
	case s.Status/100 != 4 && s.Status != http.StatusNotImplemented:
		return false
	case s.Header["Www-Authenticate"] != "", s.Header["Allow"] != "":
		return true
	}
	_ = json.Unmarshal([]byte(s.Body), &members)
	return s.json() && (members["error"] != nil || members["errorMessage"] != nil)
}

// headers are those that a fuzzer drew, one a line. How a body is framed is not
// among them.
func headers(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		name = http.CanonicalHeaderKey(name)
		if !slices.Contains([]string{"", "Content-Length", "Content-Encoding", "Transfer-Encoding"}, name) {
			all[name] = strings.TrimSpace(value)
		}
	}
	return all
}

// state is what is stored of a client; empty where it is gone.
func (w *world) state(t *testing.T, id string) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clients[id] == nil {
		return ""
	}
	stored, err := json.Marshal(w.clients[id])
	if err != nil {
		t.Fatal(err)
	}
	return string(stored)
}
