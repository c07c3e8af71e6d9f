// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

func failure(t *testing.T, err error) *authserver.Error {
	t.Helper()
	found, ok := errors.AsType[*authserver.Error](err)
	if !ok {
		t.Fatalf("not an *authserver.Error: %v", err)
	}
	if strings.Contains(err.Error(), contract.Canary) || strings.Contains(err.Error(), adminSecret) {
		t.Errorf("an error holds what it must not: %v", err)
	}
	return found
}

func register(t *testing.T, s *Server) (authserver.ClientMetadata, authserver.Handle) {
	t.Helper()
	wish := contract.For(Traits(authserver.Config{}), contract.Wish())
	if _, err := s.Register(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	return wish, authserver.Handle{ClientID: wish.ID, Owner: wish.SoftwareID}
}

// foreignID is an internal id of a client scope that is not there.
var foreignID = regexp.MustCompile("client-scopes/[0-9a-f-]{36}")

// requests returns what was sent since the last call, without ids.
func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var short []string
	for _, line := range w.sent {
		line = strings.TrimPrefix(strings.Replace(line, "/admin/realms/"+realm, "", 1), w.URL)
		if method, rest, _ := strings.Cut(line, " "); strings.HasPrefix(rest, "/clients/") {
			parts := strings.Split(rest, "/")
			line = method + " /clients/ID" + strings.Join(append([]string{""}, parts[3:]...), "/")
		}
		for name, id := range w.scopes {
			line = strings.Replace(line, "client-scopes/"+id, "client-scopes/"+name, 1)
		}
		line = foreignID.ReplaceAllString(line, "client-scopes/other")
		short = append(short, strings.SplitN(line, "?", 2)[0])
	}
	w.sent = nil
	return short
}

func TestEveryOperationTakesFewRequests(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	register(t, s)
	w.requests()
	wish, handle := register(t, s)
	want := func(what string, lines ...string) {
		t.Helper()
		if got := w.requests(); !slices.Equal(got, lines) {
			t.Errorf("%s takes %v, want %v", what, got, lines)
		}
	}
	want("Register", "POST /clients", "GET /clients")
	if _, _, err := s.Find(t.Context(), handle); err != nil {
		t.Error(err)
	}
	want("Find", "GET /clients")
	wish.Name = "renamed"
	if _, err := s.Replace(t.Context(), handle, wish); err != nil {
		t.Error(err)
	}
	want("Replace", "GET /clients", "PUT /clients/ID", "GET /clients")
	wish.Scopes = []string{"alerts.read", "profile"}
	if _, err := s.Replace(t.Context(), handle, wish); err != nil {
		t.Error(err)
	}
	want("Replace with other scopes", "GET /clients", "GET /clients/ID/optional-client-scopes",
		"DELETE /clients/ID/optional-client-scopes/forecast.read", "PUT /clients/ID", "GET /clients",
		// Somebody else made that one: it is looked for once.
		"GET /client-scopes/other", "POST /client-scopes", "GET /client-scopes",
		"PUT /clients/ID/optional-client-scopes/profile", "GET /clients")
	if err := s.Disable(t.Context(), handle); err != nil {
		t.Error(err)
	}
	want("Disable", "GET /clients", "PUT /clients/ID")
	if err := s.Revoke(t.Context(), handle); err != nil {
		t.Error(err)
	}
	want("Revoke", "GET /clients", "DELETE /clients/ID")
	if _, found, err := s.Find(t.Context(), handle); found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	want("the proof", "GET /clients", "GET /clients")
}

func TestALookupThatIsNotExactProvesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	_, handle := register(t, s)
	w.careless = true
	if _, found, err := s.Find(t.Context(), handle); !found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	handle.ClientID += "x"
	if _, found, err := s.Find(t.Context(), handle); found || failure(t, err).Code != CodeLookupInexact {
		t.Errorf("found %t, %v", found, err)
	}
	if err := s.Revoke(t.Context(), handle); failure(t, err).Kind != authserver.Unavailable {
		t.Error(err)
	}
}

func TestWithoutTheRoleNothingIsProven(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	_, handle := register(t, s)
	absent := handle
	absent.ClientID += "x"
	for _, role := range []string{"query", ""} {
		w.role = role
		for _, handle := range []authserver.Handle{handle, absent} {
			_, found, err := s.Find(t.Context(), handle)
			if got := failure(t, err); found || got.Kind != authserver.Unauthorized || got.Code != CodeMissingRole {
				t.Errorf("role %q: found %t, %v", role, found, err)
			}
			if got := failure(t, s.Revoke(t.Context(), handle)); got.Code != CodeMissingRole {
				t.Errorf("role %q: %v", role, got)
			}
		}
		if _, err := s.List(t.Context(), ""); failure(t, err).Code != CodeMissingRole {
			t.Errorf("role %q: %v", role, err)
		}
	}
	w.role = "view"
	if _, found, err := s.Find(t.Context(), absent); found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	if got := failure(t, s.Disable(t.Context(), handle)); got.Kind != authserver.Unauthorized || got.Code != CodeMissingRole || got.MaybeApplied {
		t.Errorf("%v", got)
	}
}

func TestTheTokenIsKeptRenewedAndFetchedOnce(t *testing.T) {
	w := newWorld(t)
	w.life = time.Minute
	var offset atomic.Int64
	s := w.connect(t, Options{Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := s.List(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want := func(n int, when string) {
		t.Helper()
		if _, err := s.List(t.Context(), ""); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if w.fetched != n {
			t.Errorf("%s: %d tokens were fetched, want %d", when, w.fetched, n)
		}
	}
	want(1, "twenty calls at one time")
	offset.Store(int64(44 * time.Second))
	want(1, "before three quarters of its life")
	offset.Store(int64(46 * time.Second))
	want(2, "after three quarters of its life")

	forget := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		clear(w.tokens)
	}
	forget()
	for range 20 {
		group.Go(func() {
			if _, err := s.List(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want(3, "the server forgot it")

	forget()
	w.refuse = http.StatusServiceUnavailable
	_, err := s.List(t.Context(), "")
	if got := failure(t, err); got.Kind != authserver.Unavailable || got.MaybeApplied {
		t.Error(err)
	}
}

func TestRefusedCredentials(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	s.config.AdminPassword = authserver.NewSecret("another")
	_, err := s.Register(t.Context(), contract.For(Traits(authserver.Config{}), contract.Wish()))
	if got := failure(t, err); got.Kind != authserver.Unauthorized || got.Code != CodeAdminRefused || got.MaybeApplied {
		t.Error(err)
	}
	w.requests()
	s.config.AdminPassword = authserver.Secret{}
	if _, err := s.List(t.Context(), ""); failure(t, err).Code != CodeAdminRefused {
		t.Error(err)
	}
	if sent := w.requests(); len(sent) > 0 {
		t.Errorf("without a secret %v was sent", sent)
	}
	elsewhere := w.connect(t, Options{})
	elsewhere.tokens = w.URL + "/realms/none/protocol/openid-connect/token"
	if _, err := elsewhere.List(t.Context(), ""); failure(t, err).Code != CodeRealmNotFound {
		t.Error(err)
	}
}

// TestAnErrorAfterAChangeSaysSo fails the second half of an operation.
func TestAnErrorAfterAChangeSaysSo(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	wish, handle := register(t, s)
	second := contract.For(Traits(authserver.Config{}), contract.Wish())
	w.fail(contract.Find, contract.Fault{Status: http.StatusForbidden})
	if _, err := s.Register(t.Context(), second); !failure(t, err).MaybeApplied {
		t.Error(err)
	}
	if _, found, err := s.Find(t.Context(), authserver.Handle{ClientID: second.ID, Owner: second.SoftwareID}); !found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	wish.Scopes = []string{"alerts.read"}
	w.fail(contract.Replace, contract.Fault{Status: http.StatusConflict})
	if _, err := s.Replace(t.Context(), handle, wish); !failure(t, err).MaybeApplied {
		t.Error(err)
	}
	client, err := s.Replace(t.Context(), handle, wish)
	if err != nil || !slices.Equal(client.Registered.Scopes, wish.Scopes) {
		t.Errorf("repeated: %v, %v", client.Registered.Scopes, err)
	}
}

func TestWhatKeycloakCannotHoldIsRejectedBeforeItIsSent(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	long := strings.Repeat("x", 256)
	for name, bend := range map[string]func(*authserver.ClientMetadata){
		"a wildcard":              func(m *authserver.ClientMetadata) { m.RedirectURIs = []string{"https://app.example/*"} },
		"a long redirect URI":     func(m *authserver.ClientMetadata) { m.RedirectURIs = []string{"https://app.example/" + long} },
		"a long name":             func(m *authserver.ClientMetadata) { m.Name = long },
		"a long scope":            func(m *authserver.ClientMetadata) { m.Scopes = []string{long} },
		"password":                func(m *authserver.ClientMetadata) { m.GrantTypes = []string{"password"} },
		"an unknown method":       func(m *authserver.ClientMetadata) { m.AuthMethod = "tls_client_auth" },
		"half a second":           func(m *authserver.ClientMetadata) { m.TokenLifetime = time.Second / 2 },
		"two key sets":            func(m *authserver.ClientMetadata) { m.JWKS, m.JWKSURI = "{}", "https://app.example/jwks" },
		"keys that are no object": func(m *authserver.ClientMetadata) { m.JWKS = "[]" },
	} {
		wish := contract.For(Traits(authserver.Config{}), contract.Wish())
		bend(&wish)
		if _, err := s.Register(t.Context(), wish); failure(t, err).Kind != authserver.Rejected {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sent := w.requests(); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

// TestTheEndOfTokensFollowsTheServersClock holds notBefore against a clock that
// is minutes off: no token of before may live, and none of after may die.
func TestTheEndOfTokensFollowsTheServersClock(t *testing.T) {
	for _, ahead := range []time.Duration{0, 5 * time.Minute, -5 * time.Minute} {
		w := newWorld(t)
		w.ahead = ahead
		s := w.connect(t, Options{})
		_, handle := register(t, s)
		before := time.Now().Add(ahead)
		if err := s.Disable(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
		after := time.Now().Add(ahead)
		end, _ := w.clients[handle.ClientID]["notBefore"].(float64)
		if int64(end) <= before.Unix() || int64(end) > after.Unix()+3 {
			t.Errorf("ahead %s: notBefore %d, disabled between %d and %d", ahead, int64(end), before.Unix(), after.Unix())
		}
		metadata, err := s.Discover(t.Context())
		if err != nil || metadata.ClockSkew == nil || (*metadata.ClockSkew-ahead).Abs() > 2*time.Second {
			t.Errorf("ahead %s: told %v, %v", ahead, metadata.ClockSkew, err)
		}
	}
}

func TestAListGoesBackWhereThePageBeforeIsGone(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	var ids []string
	w.mu.Lock()
	for i := range 20 {
		ids = append(ids, fmt.Sprintf("b-%02d", i))
		w.add(map[string]any{"clientId": ids[i]})
	}
	w.mu.Unlock()
	seen := map[string]bool{}
	cursor := ""
	for round := 0; ; round++ {
		page, err := s.List(t.Context(), cursor)
		if err != nil || round > 100 {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, client := range page.Clients {
			seen[client.ID] = true
		}
		if round == 3 {
			w.mu.Lock()
			for _, client := range page.Clients {
				delete(w.clients, client.ID)
			}
			delete(w.clients, "b-00")
			w.mu.Unlock()
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for _, id := range ids {
		if !seen[id] {
			t.Errorf("client %s was passed over", id)
		}
	}
	for _, bad := range []string{"x", "bm9uZQ", "eyJmaXJzdCI6LTF9"} {
		if _, err := s.List(t.Context(), bad); failure(t, err).Kind != authserver.Rejected {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

func TestUnusableConfigs(t *testing.T) {
	good := authserver.Config{Issuer: "https://sso.example/realms/a", BaseURL: "https://sso.example", Realm: "a"}
	for name, bend := range map[string]func(*authserver.Config){
		"no realm":    func(c *authserver.Config) { c.Realm = "" },
		"dots":        func(c *authserver.Config) { c.Realm = ".." },
		"no base URL": func(c *authserver.Config) { c.BaseURL = "" },
		"http":        func(c *authserver.Config) { c.BaseURL = "http://sso.example" },
		"no issuer":   func(c *authserver.Config) { c.Issuer = "" },
		"bad CA":      func(c *authserver.Config) { c.CABundle = []byte("x") },
	} {
		config := good
		bend(&config)
		if _, err := New(config, Options{Now: time.Now}); failure(t, err).Code != "invalid_config" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good, Options{Now: time.Now}); err != nil {
		t.Error(err)
	}
}

// T19: a proxy that lets only readings through answers 404 to a change: a client
// that is found just before and after it was neither disabled nor deleted.
func TestT19ANotFoundWhileItIsThereIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	_, handle := register(t, s)
	for op, call := range map[contract.Operation]func() error{
		contract.Disable: func() error { return s.Disable(t.Context(), handle) },
		contract.Revoke:  func() error { return s.Revoke(t.Context(), handle) },
	} {
		w.requests()
		w.fail(op, contract.Fault{Form: contract.Refused, Status: http.StatusNotFound})
		failure(t, call())
		if got := w.requests(); len(got) < 2 || strings.HasPrefix(got[1], "GET") {
			t.Errorf("%s: the change was not what was refused: %v", op, got)
		}
		if client, found, err := s.Find(t.Context(), handle); err != nil || !found || client.Disabled {
			t.Errorf("%s: found %t, disabled %t, %v", op, found, client.Disabled, err)
		}
	}
}

// A realm without offline_access allows no offline tokens: the scope is Keycloak's own,
// and is never made again by us.
func TestKeycloaksOwnScopesAreNotMade(t *testing.T) {
	w := newWorld(t)
	delete(w.scopes, "offline_access")
	s := w.connect(t, Options{})
	wish := contract.For(Traits(authserver.Config{}), contract.Wish())
	wish.Scopes = append(slices.Clone(wish.Scopes), "offline_access")
	registered, err := s.Register(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := s.Replace(t.Context(), authserver.Handle{ClientID: wish.ID, Owner: wish.SoftwareID}, wish)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]authserver.Client{"registered": registered, "replaced": replaced} {
		if slices.Contains(got.Registered.Scopes, "offline_access") || len(got.Registered.Scopes) != len(wish.Scopes)-1 {
			t.Errorf("%s with %q", name, got.Registered.Scopes)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, made := w.scopes["offline_access"]; made {
		t.Error("offline_access was made")
	}
}
