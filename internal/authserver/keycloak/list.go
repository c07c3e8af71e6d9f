// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	// overlap is how many clients of a page, but not more than half of it, are
	// asked for again with the next.
	overlap = 5
	// smaller is what a page is divided by that is too large for an answer.
	smaller = 10
)

// cursor is where a list goes on: behind those that were seen last. Keycloak
// counts from the beginning of what is there when it is asked, so that a
// client that is deleted meanwhile moves all others up.
type cursor struct {
	First int      `json:"first"`
	Seen  []string `json:"seen"`
}

// List reads a page in the order of client ids. It asks for the last clients of
// the page before once more, and goes back where none of them is there any
// longer: so it never passes over one that moved up.
func (s *Server) List(ctx context.Context, text string) (authserver.Page, error) {
	o := s.operation("listing clients")
	at, err := readCursor(text)
	if err != nil {
		return authserver.Page{}, o.rejected(CodeInvalidMetadata, err)
	}
	first := max(at.First-len(at.Seen), 0)
	for {
		clients, scopes, more, err := o.page(ctx, first)
		if err != nil {
			return authserver.Page{}, err
		}
		if len(clients) == 0 && text == "" {
			// Every realm has clients: who sees none may not look.
			return authserver.Page{}, &authserver.Error{
				Kind: authserver.Unauthorized, Op: o.name, Code: CodeMissingRole,
			}
		}
		known := lastOf(clients, at.Seen)
		if known < 0 && first > 0 {
			first = max(first-s.pageSize, 0)
			continue
		}
		page := pageOf(clients, known, first, more)
		page.Scopes = scopes
		return page, nil
	}
}

// page asks for clients, with the client scopes that they have; more says that there may
// be others behind them.
func (o *operation) page(ctx context.Context, first int) (clients []authserver.Listed, scopes []string, more bool, err error) {
	for size := o.server.pageSize; ; size = max(size/smaller, 1) {
		query := url.Values{"first": {strconv.Itoa(first)}, "max": {strconv.Itoa(size)}}
		c := o.look("/clients?" + query.Encode())
		items, got, err := o.items(ctx, c)
		if err == nil {
			clients, err = listed(items, c, got)
			return clients, scopesIn(items), len(clients) >= size, err
		}
		if size == 1 || !isTooLarge(err) {
			return nil, nil, false, err
		}
	}
}

// listed reads what is listed of clients: what else strangers store is nobody's
// business.
func listed(items []*exchange.Object, c exchange.Call, got exchange.Answer) ([]authserver.Listed, error) {
	clients := make([]authserver.Listed, 0, len(items))
	for _, fields := range items {
		attributes := fields.Object("attributes")
		client := authserver.Listed{
			ID: fields.Echo("clientId"), Name: fields.Shown("name", exchange.LongText),
			SoftwareID:      attributes.Echo(attributeSoftwareID),
			SoftwareVersion: attributes.Echo(attributeSoftwareVersion),
		}
		if client.ID == "" {
			return nil, exchange.Useless(c, got, errForm)
		}
		clients = append(clients, client)
	}
	return clients, nil
}

// scopesIn are the client scopes that clients have, asked for or not; nil where one
// does not say.
func scopesIn(items []*exchange.Object) []string {
	have := map[string]bool{}
	for _, fields := range items {
		optional, always := fields.Whole("optionalClientScopes"), fields.Whole("defaultClientScopes")
		if optional == nil || always == nil {
			return nil
		}
		for _, name := range append(optional, always...) {
			have[name] = true
		}
	}
	return slices.AppendSeq([]string{}, maps.Keys(have))
}

// lastOf is the place of the last client that was seen; -1 if none was.
func lastOf(clients []authserver.Listed, seen []string) int {
	for i, client := range slices.Backward(clients) {
		if slices.Contains(seen, client.ID) {
			return i
		}
	}
	return -1
}

func pageOf(clients []authserver.Listed, known, first int, more bool) authserver.Page {
	page := authserver.Page{Clients: append([]authserver.Listed{}, clients[known+1:]...)}
	if !more {
		return page
	}
	next := cursor{First: first + len(clients)}
	for _, client := range clients[len(clients)-min(overlap, len(clients)/2):] {
		next.Seen = append(next.Seen, client.ID)
	}
	page.Next = next.text()
	return page
}

func (c cursor) text() string {
	encoded, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(encoded)
}

func readCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	var at cursor
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &at) != nil || at.First < 0 {
		return cursor{}, errForm
	}
	return at, nil
}
