// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// pageSizes are how many clients to ask for. The smaller ones are for pages
// that are larger than an answer may be, because of what strangers store.
var pageSizes = []int{250, 50, 10}

// longestCursor bounds page_token.
const longestCursor = 16 << 10

var (
	errNoLink = errors.New("no Link header says whether there is another page")
	errNoID   = errors.New("a client without client_id")
	errCursor = errors.New("the next page has no page_token of its own")
)

// Tidy is Rejected: scopes are words at Hydra.
func (s *Server) Tidy(context.Context, authserver.Tidying) (more bool, err error) {
	return false, &authserver.Error{Kind: authserver.Rejected, Op: "deleting scopes", Code: exchange.CodeUnsupported}
}

// List reads a page of all clients. Where it ends is for the Link header to
// say and not for the number of clients in it.
func (s *Server) List(ctx context.Context, cursor string) (authserver.Page, error) {
	var page authserver.Page
	var err error
	for _, size := range s.pageSizes {
		page, err = s.list(ctx, cursor, size)
		failure, failed := errors.AsType[*authserver.Error](err)
		if !failed || failure.Code != exchange.CodeTooLarge {
			return page, err
		}
	}
	return page, err
}

// CheckAccess asks for a page of one client. The admin API takes no credential: who
// refuses stands in front of it.
func (s *Server) CheckAccess(ctx context.Context) error {
	c := s.call("checking access", http.MethodGet, pathClients+"?page_size=1")
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return err
	}
	if got.Status != http.StatusOK {
		return s.exchange.Classify(c, got)
	}
	items, err := exchange.ReadList(c, got)
	if err == nil && slices.ContainsFunc(items, func(o *exchange.Object) bool { return o.Shown("client_id", exchange.LongText) == "" }) {
		err = exchange.Useless(c, got, errNoID)
	}
	return err
}

func (s *Server) list(ctx context.Context, cursor string, size int) (authserver.Page, error) {
	query := url.Values{"page_size": {strconv.Itoa(size)}}
	if cursor != "" {
		query.Set("page_token", cursor)
	}
	c := s.call("listing clients", http.MethodGet, pathClients+"?"+query.Encode())
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return authserver.Page{}, err
	}
	if got.Status != http.StatusOK {
		return authserver.Page{}, s.exchange.Classify(c, got)
	}
	items, err := exchange.ReadList(c, got)
	if err != nil {
		return authserver.Page{}, err
	}
	page, err := readPage(items, got.Header, cursor, size)
	if err != nil {
		return authserver.Page{}, exchange.Useless(c, got, err)
	}
	return page, nil
}

func readPage(items []*exchange.Object, header http.Header, cursor string, size int) (authserver.Page, error) {
	var page authserver.Page
	for _, fields := range items {
		listed := authserver.Listed{
			ID:   fields.Shown("client_id", exchange.LongText),
			Name: fields.Shown("client_name", exchange.LongText),
		}
		listed.SoftwareID, listed.SoftwareVersion = markOf(fields)
		if listed.ID == "" {
			return authserver.Page{}, errNoID
		}
		page.Clients = append(page.Clients, listed)
	}
	var err error
	page.Next, err = nextCursor(header, cursor)
	if err == nil && page.Next == "" && len(header.Values("Link")) == 0 && len(items) >= size {
		return authserver.Page{}, errNoLink
	}
	return page, err
}

// links are a target and what is said of it.
var links = regexp.MustCompile(`<([^<>]*)>([^<>]*)`)

// nextCursor is the page_token of the link to the next page (RFC 8288), or
// nothing on the last. The rest of the link is not used: where the admin API
// is, the configuration says.
func nextCursor(header http.Header, cursor string) (string, error) {
	for _, link := range links.FindAllStringSubmatch(strings.Join(header.Values("Link"), ","), -1) {
		if !isNext(link[2]) {
			continue
		}
		parsed, err := url.Parse(link[1])
		if err != nil {
			return "", errCursor
		}
		next := parsed.Query().Get("page_token")
		if next == "" || next == cursor || len(next) > longestCursor {
			return "", errCursor
		}
		return next, nil
	}
	return "", nil
}

func isNext(parameters string) bool {
	for parameter := range strings.SplitSeq(strings.TrimRight(parameters, ", "), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(value, "\""), "next") {
			return true
		}
	}
	return false
}
