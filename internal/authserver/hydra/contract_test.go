// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func TestContractWithTheDevelopmentServer(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject {
		as := startAS(t)
		adminURL, stand := behind(t, as)
		server := openAt(t, as, adminURL, Options{Timeout: 2 * time.Second})
		server.pageSizes = []int{4, 3, 2}
		s := subject(t, as, server)
		s.PageSize, s.Stand = 4, stand
		return s
	})
}

// startAS starts an authorization server that is like Hydra.
func startAS(t *testing.T) *devas.Server {
	t.Helper()
	server, err := devas.New(devas.Options{Hydra: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func open(t *testing.T, as *devas.Server, options Options) *Server {
	t.Helper()
	return openAt(t, as, as.HydraURL(), options)
}

func openAt(t *testing.T, as *devas.Server, adminURL string, options Options) *Server {
	t.Helper()
	options.Now = time.Now
	server, err := New(authserver.Config{Issuer: as.Issuer(), BaseURL: adminURL, MaxInFlight: 8}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func subject(t *testing.T, as *devas.Server, server *Server) contract.Subject {
	return contract.Subject{
		Server: server, Unsupported: []string{"ApplicationType"},
		Live: func() []string {
			var ids []string
			for _, client := range as.Clients() {
				ids = append(ids, client.ID)
			}
			return ids
		},
		Remove: func(id string) {
			if err := as.Remove(id); err != nil {
				t.Fatal(err)
			}
		},
		Alter: func(alter func(authserver.ClientMetadata) authserver.ClientMetadata) {
			switches := as.Switches()
			bend(&switches, alter(contract.Wish()))
			if err := as.Set(switches); err != nil {
				t.Fatal(err)
			}
		},
		Fail: func(op contract.Operation, fault contract.Fault) {
			if err := as.Order(asFault(op, fault)); err != nil {
				t.Fatal(err)
			}
		},
		Stranger: func(id string) {
			stranger(t, as, `{"client_id":"`+id+`","client_name":"a stranger's","owner":"somebody"}`)
		},
		Token: token,
	}
}

// behind puts somebody between an adapter and the admin API.
func behind(t *testing.T, as *devas.Server) (adminURL string, stand func(*contract.Stance, bool, ...contract.Operation) bool) {
	t.Helper()
	target, err := url.Parse(as.HydraURL())
	if err != nil {
		t.Fatal(err)
	}
	between := &contract.Intermediary{Next: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1,
		ErrorLog: log.New(io.Discard, "", 0),
	}, StepOf: stepOf}
	front := httptest.NewServer(between)
	t.Cleanup(front.Close)
	return front.URL, func(stance *contract.Stance, hides bool, steps ...contract.Operation) bool {
		if stance == nil {
			between.Stand(nil, false)
			return true
		}
		between.Stand(stance, hides, steps...)
		return !slices.Contains(steps, contract.Discover)
	}
}

func stepOf(r *http.Request) contract.Operation {
	switch {
	case r.Method == http.MethodPost:
		return contract.Register
	case r.Method == http.MethodPut:
		return contract.Replace
	case r.Method == http.MethodDelete:
		return contract.Revoke
	case r.URL.RawQuery == "page_size=1":
		return contract.Access
	case strings.HasSuffix(r.URL.Path, pathClients):
		return contract.List
	}
	return contract.Find
}

// stranger makes a client as somebody else does who uses the same server.
func stranger(t *testing.T, as *devas.Server, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, as.HydraURL()+pathClients, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("making a stranger's client: %d", response.StatusCode)
	}
}

// token asks for a token with client_credentials.
func token(t *testing.T, handle authserver.Handle) bool {
	t.Helper()
	form := url.Values{}
	if !handle.PrivateKey.IsZero() {
		var err error
		if form, err = exchange.Assertion(handle, handle.TokenEndpoint, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	form.Set("grant_type", "client_credentials")
	if handle.AuthMethod == authserver.SecretPost {
		form.Set("client_id", handle.ClientID)
		form.Set("client_secret", handle.ClientSecret.Reveal())
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, handle.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", exchange.FormType)
	if handle.AuthMethod == authserver.SecretBasic {
		request.Header.Set("Authorization", exchange.Basic(handle.ClientID, handle.ClientSecret))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

// bend finds the switches that turn the suite's wish into altered.
func bend(s *devas.Switches, altered authserver.ClientMetadata) {
	wish := contract.Wish()
	beyond := func(got, asked []string) string {
		for _, value := range got {
			if !slices.Contains(asked, value) {
				return value
			}
		}
		return ""
	}
	s.ExtraScope = beyond(altered.Scopes, wish.Scopes)
	s.ExtraRedirectURI = beyond(altered.RedirectURIs, wish.RedirectURIs)
	if len(altered.Scopes) < len(wish.Scopes) {
		s.OnlyScopes, s.OnlyGrantTypes = altered.Scopes, altered.GrantTypes
	}
}

func asFault(op contract.Operation, fault contract.Fault) devas.Fault {
	ordered := devas.Fault{
		Count: 1, Kind: devas.FaultStatus, Status: fault.Status, Error: fault.Code,
		Operation: map[contract.Operation]devas.Operation{
			contract.Discover: devas.Discovery, contract.Register: devas.Register, contract.Find: devas.Read,
			contract.Replace: devas.Replace, contract.Revoke: devas.Delete, contract.List: devas.List, contract.Access: devas.List,
		}[op],
	}
	if fault.AfterWork {
		ordered.When = devas.After
	}
	if fault.RetryAfter > 0 {
		ordered.RetryAfter = strconv.Itoa(int(fault.RetryAfter.Seconds()))
	}
	if fault.AsDate {
		ordered.RetryAfter = time.Now().Add(fault.RetryAfter).UTC().Format(http.TimeFormat)
	}
	switch fault.Form {
	case contract.Refused:
		if ordered.Error == "" {
			ordered.Error = contract.Canary
		}
	case contract.Redirected:
		ordered.Kind, ordered.Location = devas.FaultRedirect, "http://127.0.0.1:1/"+contract.Canary
	case contract.Cut:
		ordered.Kind = devas.FaultTruncate
	case contract.Endless:
		ordered.Kind, ordered.Count = devas.FaultLarge, 1
		if op == contract.List {
			ordered.Count = len(pageSizes)
		}
	case contract.Silent:
		ordered.Kind = devas.FaultHang
	}
	return ordered
}
