// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// between is a reverse proxy before a real authorization server, at the address
// that the operator knows. It counts what is asked of each client, and for one
// client at a time it changes what the server answers, or answers in its place. A
// client is named by its id, or while it has none by its name.
type between struct {
	*httptest.Server

	mu    sync.Mutex
	proxy *httputil.ReverseProxy
	asked map[asking]int
	total map[contract.Operation]int
	// made are how many clients the server registered, by name, and failed how often
	// it answered that something is wrong with itself.
	made, failed map[string]int
	// changes are what becomes of an answer.
	changes map[asking]func(members map[string]any)
	// instead answers in the server's place.
	instead map[asking]*intruder
	// managed are the clients that the server registered, by their ids.
	managed map[string]managedClient
}

// managedClient is how the server says that a client is managed (RFC 7592).
type managedClient struct {
	ID    string `json:"client_id"`
	Name  string `json:"client_name"`
	URI   string `json:"registration_client_uri"`
	Token string `json:"registration_access_token"`
}

// asking is a step of one client's life.
type asking struct {
	step   contract.Operation
	client string
}

// intruder answers in the server's place. One that hides has the server do its
// work all the same.
type intruder struct {
	http.Handler
	hides bool
}

func newBetween(t *testing.T) *between {
	t.Helper()
	b := &between{
		asked: map[asking]int{}, total: map[contract.Operation]int{}, made: map[string]int{}, failed: map[string]int{}, changes: map[asking]func(map[string]any){}, instead: map[asking]*intruder{}, managed: map[string]managedClient{},
	}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

// leadsTo says where the server is.
func (b *between) leadsTo(t *testing.T, address string) {
	t.Helper()
	behind, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			// Its metadata has the host that it was asked by.
			r.Out.Host = r.In.Host
		},
		ModifyResponse: b.changed,
	}
}

// about is what a request is about, in its context.
type about struct{}

// ServeHTTP implements http.Handler.
func (b *between) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	step := stepOf(r)
	var asked []asking
	for _, name := range clientsOf(r, content) {
		asked = append(asked, asking{step, name})
	}
	r = r.WithContext(context.WithValue(r.Context(), about{}, asked))
	b.mu.Lock()
	b.total[step]++
	var instead *intruder
	for _, a := range asked {
		b.asked[a]++
		if b.instead[a] != nil {
			instead = b.instead[a]
		}
	}
	proxy := b.proxy
	b.mu.Unlock()
	if instead == nil {
		proxy.ServeHTTP(w, r)
		return
	}
	if instead.hides {
		proxy.ServeHTTP(httptest.NewRecorder(), r)
	}
	instead.ServeHTTP(w, r)
}

// changed notes how clients are managed, and changes answers.
func (b *between) changed(response *http.Response) error {
	asked, _ := response.Request.Context().Value(about{}).([]asking)
	if len(asked) == 0 || asked[0].step == contract.Discover {
		return nil
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var client managedClient
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := json.Unmarshal(content, &client); err == nil && client.URI != "" && client.Token != "" {
		b.managed[client.ID] = client
	}
	for _, a := range asked {
		switch {
		case a.step == contract.Register && response.StatusCode == http.StatusCreated:
			b.made[a.client]++
		case a.step == contract.Register && response.StatusCode >= http.StatusInternalServerError:
			b.failed[a.client]++
		}
		if change := b.changes[a]; change != nil {
			content = rewritten(content, change)
		}
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	response.Header.Set("Content-Length", strconv.Itoa(len(content)))
	return nil
}

// rewritten changes an object, or each object of a list; other texts stay.
func rewritten(content []byte, change func(map[string]any)) []byte {
	var one map[string]any
	var all []map[string]any
	var changed any
	switch {
	case json.Unmarshal(content, &one) == nil:
		change(one)
		changed = one
	case json.Unmarshal(content, &all) == nil:
		for _, one := range all {
			change(one)
		}
		changed = all
	default:
		return content
	}
	text, err := json.Marshal(changed)
	if err != nil {
		return content
	}
	return text
}

// changesAnswers changes what the server answers in some steps of a client.
func (b *between) changesAnswers(client string, change func(members map[string]any), steps ...contract.Operation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, step := range steps {
		b.changes[asking{step, client}] = change
	}
}

// always is a change of the answer to a registration that is made in all that are
// about this client later.
func (b *between) always(change func(map[string]any)) func(map[string]any) {
	return func(members map[string]any) {
		if id, is := members["client_id"].(string); is {
			b.changes[asking{contract.Find, id}], b.changes[asking{contract.Replace, id}] = change, change
		}
		change(members)
	}
}

// stands answers some steps of clients in the server's place.
func (b *between) stands(who http.Handler, hides bool, steps []contract.Operation, clients ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, client := range clients {
		for _, step := range steps {
			b.instead[asking{step, client}] = &intruder{who, hides}
		}
	}
}

// leaves lets the server answer for clients again.
func (b *between) leaves(clients ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range b.instead {
		if slices.Contains(clients, a.client) {
			delete(b.instead, a)
		}
	}
}

// times is how often steps of clients were asked for.
func (b *between) times(steps []contract.Operation, clients ...string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	times := 0
	for a, n := range b.asked {
		if slices.Contains(steps, a.step) && slices.Contains(clients, a.client) {
			times += n
		}
	}
	return times
}

// registered is how many clients of a name the server made, and how many times it
// failed to.
func (b *between) registered(name string) (made, failed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.made[name], b.failed[name]
}

// all is how often a step was asked for, of whomever.
func (b *between) all(step contract.Operation) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total[step]
}

// stepOf says what a request is for: at servers with dynamic registration, and at
// Keycloak's admin API.
func stepOf(r *http.Request) contract.Operation {
	last := path.Base(r.URL.Path)
	switch {
	case strings.Contains(r.URL.Path, "/.well-known/"):
		return contract.Discover
	case r.Method == http.MethodPost && last == "token":
		return contract.Token
	case r.Method == http.MethodPost && slices.Contains([]string{"reg", "register", "openid-connect", "clients"}, last):
		return contract.Register
	case r.Method == http.MethodPut:
		return contract.Replace
	case r.Method == http.MethodDelete:
		return contract.Revoke
	case r.Method == http.MethodGet:
		return contract.Find
	}
	return ""
}

// clientsOf are the names of the client that a request is about. All are wanted: a
// request to Keycloak has its own id of a client, or ours.
func clientsOf(r *http.Request, content []byte) []string {
	names := append(strings.Split(r.URL.Path, "/"), r.URL.Query().Get("clientId"))
	var wish struct {
		ClientName string `json:"client_name"`
		Name       string `json:"name"`
	}
	step := stepOf(r)
	if step == contract.Token {
		names = []string{partyOf(r, content)}
	}
	if step == contract.Register && json.Unmarshal(content, &wish) == nil {
		name, _, _ := strings.Cut(wish.ClientName+wish.Name, " [")
		names = []string{name}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// partyOf is who asks a token endpoint, as it says.
func partyOf(r *http.Request, content []byte) string {
	if id, _, ok := r.BasicAuth(); ok {
		if plain, err := url.QueryUnescape(id); err == nil {
			return plain
		}
		return id
	}
	form, err := url.ParseQuery(string(content))
	if err != nil {
		return ""
	}
	if id := form.Get("client_id"); id != "" {
		return id
	}
	parts := strings.Split(form.Get("client_assertion"), ".")
	var said struct {
		Subject string `json:"sub"`
	}
	if len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(payload, &said) == nil {
			return said.Subject
		}
	}
	return ""
}
