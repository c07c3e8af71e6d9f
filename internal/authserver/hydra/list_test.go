// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// everyone reads all pages.
func everyone(t *testing.T, server *Server) (clients []authserver.Listed, pages int) {
	t.Helper()
	cursor := ""
	for {
		page, err := server.List(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		clients, pages, cursor = append(clients, page.Clients...), pages+1, page.Next
		if cursor == "" {
			return clients, pages
		}
	}
}

func TestT20AThousandClientsAreReadToTheLast(t *testing.T) {
	as := startAS(t)
	server := open(t, as, Options{})
	for i := range 1000 {
		stranger(t, as, fmt.Sprintf("{\"client_id\":\"s-%04d\"}", i))
	}
	wish := contract.For(Traits, contract.Wish())
	if _, err := server.Register(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	clients, pages := everyone(t, server)
	ids := map[string]bool{}
	marked := 0
	for _, client := range clients {
		ids[client.ID] = true
		if client.SoftwareID == wish.SoftwareID {
			marked++
		}
	}
	if len(clients) != 1001 || len(ids) != 1001 || pages != 5 || marked != 1 {
		t.Errorf("%d clients, %d ids, %d pages, %d of ours", len(clients), len(ids), pages, marked)
	}
}

func TestPagesThatAreTooLargeAreAskedForInSmallerOnes(t *testing.T) {
	as := startAS(t)
	server := open(t, as, Options{})
	for i := range 60 {
		stranger(t, as, fmt.Sprintf("{\"client_id\":\"s-%02d\",\"metadata\":{\"notes\":%q}}", i, strings.Repeat("x", 30_000)))
	}
	clients, pages := everyone(t, server)
	if len(clients) != 60 || pages != 4 {
		t.Errorf("%d clients on %d pages", len(clients), pages)
	}
	// The three pages of ten are too large at first; the last thirty are not.
	if n := as.Counts().Total(devas.List); n != 3*3+1 {
		t.Errorf("%d requests", n)
	}
}

func TestWhatStrangersStoreDoesNotHideOthers(t *testing.T) {
	as := startAS(t)
	for i, body := range []string{
		`"metadata":"text"`, `"metadata":[1]`, `"metadata":{"software_id":7}`, `"owner":"a\nb"`,
		`"client_name":"two\nlines"`, `"metadata":{"software_id":"o"},"owner":"p"`,
	} {
		stranger(t, as, fmt.Sprintf(`{"client_id":"s-%d",%s}`, i, body))
	}
	clients, _ := everyone(t, open(t, as, Options{}))
	if len(clients) != 6 {
		t.Errorf("%d clients", len(clients))
	}
	for _, client := range clients {
		if client.SoftwareID != "" || client.SoftwareVersion != "" {
			t.Errorf("%+v", client)
		}
	}
}

func TestWhereAListEnds(t *testing.T) {
	for name, c := range map[string]struct {
		links []string
		items int
		next  string
		code  string
	}{
		"the last page":               {links: []string{"</admin/clients?page_size=2>; rel=\"first\""}, items: 2},
		"a next page":                 {links: []string{"</admin/clients?page_token=a%2Bb>; rel=\"next\""}, items: 2, next: "a+b"},
		"an absolute link":            {links: []string{"<https://elsewhere.example/x?page_token=t>;rel=next"}, items: 2, next: "t"},
		"among others":                {links: []string{"</c?page_token=f>; rel=\"first\",</c?page_token=n&a=b,c>; rel=\"next\",</c?page_token=l>; rel=\"last\""}, items: 2, next: "n"},
		"in a second header":          {links: []string{"</c?page_token=f>; rel=\"first\"", "</c?page_token=n>; title=\"x\"; rel=\"next\""}, items: 1, next: "n"},
		"an empty page with a next":   {links: []string{"</c?page_token=n>; rel=\"next\""}, next: "n"},
		"a full page and no link":     {items: 2, code: exchange.CodeUndecodable},
		"a short page and no link":    {items: 1},
		"a next without a token":      {links: []string{"</c?offset=2>; rel=\"next\""}, items: 2, code: exchange.CodeUndecodable},
		"a next that leads to itself": {links: []string{"</c?page_token=now>; rel=\"next\""}, items: 2, code: exchange.CodeUndecodable},
		"an unreadable next":          {links: []string{"<%zz?page_token=n>; rel=\"next\""}, items: 2, code: exchange.CodeUndecodable},
	} {
		t.Run(name, func(t *testing.T) {
			server, sent := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
				for _, link := range c.links {
					w.Header().Add("Link", link)
				}
				says(200, "["+strings.Join(slices.Repeat([]string{"{\"client_id\":\"x\"}"}, c.items), ",")+"]")(w, nil)
			})
			server.pageSizes = []int{2}
			page, err := server.List(t.Context(), "now")
			if c.code != "" {
				if failure := wantError(t, err, authserver.Unavailable, c.code); failure.MaybeApplied {
					t.Error("listing changes nothing")
				}
				return
			}
			if err != nil || page.Next != c.next || len(page.Clients) != c.items {
				t.Errorf("%+v, %v", page, err)
			}
			if want := "GET /admin/clients?page_size=2&page_token=now "; (*sent)[0] != want {
				t.Errorf("sent %q", *sent)
			}
		})
	}
}

func TestPagesThatAreNotLists(t *testing.T) {
	for _, body := range []string{"{}", "null", "[null]", "[{}]", "[{\"client_id\":7}]", "[", ""} {
		server, _ := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			says(200, body)(w, nil)
		})
		_, err := server.List(t.Context(), "")
		wantError(t, err, authserver.Unavailable, exchange.CodeUndecodable)
	}
}

func FuzzNextCursor(f *testing.F) {
	for _, seed := range []string{
		"</admin/clients?page_token=a>; rel=\"next\"", "<>; rel=next", "<<>>;;;=", "</c?page_token=%00>; rel=\"next\"", ",,<a>;rel=NEXT",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, link string) {
		next, err := nextCursor(http.Header{"Link": {link}}, "now")
		if next == "now" || len(next) > longestCursor || err != nil && next != "" {
			t.Errorf("%q, %v", next, err)
		}
	})
}
