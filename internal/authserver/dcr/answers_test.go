// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// whole holds that a client is registered, found, replaced, deleted and proven
// gone, and that Register and Find say of it what want says.
func whole(t *testing.T, w *world, wish authserver.ClientMetadata, want func(authserver.Client) bool) {
	t.Helper()
	server := w.connect(t)
	client, err := server.Register(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	found, ok, err := server.Find(t.Context(), handle)
	if err != nil || !ok {
		t.Fatalf("find: %t, %v", ok, err)
	}
	replaced, err := server.Replace(t.Context(), handle, wish)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []authserver.Client{client, found, replaced} {
		if !want(got) {
			t.Errorf("%+v", got)
		}
	}
	end(t, w, server, handle)
}

// end holds that a client can be deleted and proven gone.
func end(t *testing.T, w *world, server *Server, handle authserver.Handle) {
	t.Helper()
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	if live := w.live(); len(live) != 0 {
		t.Errorf("alive: %v", live)
	}
	handle.Deleted = true
	if _, found, err := server.Find(t.Context(), handle); err != nil || found {
		t.Errorf("proof: %t, %v", found, err)
	}
}

func TestWhatATenantWroteComesBackAsItWasSent(t *testing.T) {
	many := make([]string, 256)
	for i := range many {
		many[i] = fmt.Sprintf("%s.%03d", strings.Repeat("s", 124), i)
	}
	for name, change := range map[string]func(*authserver.ClientMetadata){
		"an owner with a line feed":    func(m *authserver.ClientMetadata) { m.Contacts = []string{"team@example.com\n"} },
		"an owner with other controls": func(m *authserver.ClientMetadata) { m.Contacts = []string{"a\tb\x00\x7f\u2028"} },
		"a very long owner":            func(m *authserver.ClientMetadata) { m.Contacts = []string{strings.Repeat("x", 60<<10)} },
		"a name with controls":         func(m *authserver.ClientMetadata) { m.Name = "weather\r\n(7f3a)\x1b[31m" },
		"a long name":                  func(m *authserver.ClientMetadata) { m.Name = strings.Repeat("ä", 10<<10) },
		"the scopes of two catalogues": func(m *authserver.ClientMetadata) { m.Scopes = many },
		"redirect URIs beyond a kibibyte": func(m *authserver.ClientMetadata) {
			m.RedirectURIs = []string{"http://127.0.0.1/" + strings.Repeat("x", 6000)}
		},
		"1001 redirect URIs": func(m *authserver.ClientMetadata) {
			for i := range 1001 {
				m.RedirectURIs = append(m.RedirectURIs, fmt.Sprintf("http://127.0.0.1/%d", i))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			wish := contract.Wish()
			change(&wish)
			whole(t, newWorld(t), wish, func(c authserver.Client) bool {
				r := c.Registered
				return slices.Equal(r.Contacts, wish.Contacts) && r.Name == wish.Name && slices.Equal(r.Scopes, wish.Scopes) &&
					slices.Equal(r.RedirectURIs, wish.RedirectURIs)
			})
		})
	}
}

func TestVariationsThatAreNotAmbiguousAreRead(t *testing.T) {
	due := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(map[string]any)
		until  time.Time
	}{
		"never, as a text":        {func(d map[string]any) { d["client_secret_expires_at"] = "0" }, time.Time{}},
		"seconds, as a text":      {func(d map[string]any) { d["client_secret_expires_at"] = fmt.Sprint(due.Unix()) }, due},
		"milliseconds":            {func(d map[string]any) { d["client_secret_expires_at"] = due.UnixMilli() }, due},
		"milliseconds, as a text": {func(d map[string]any) { d["client_secret_expires_at"] = fmt.Sprint(due.UnixMilli()) }, due},
		"an empty expiry":         {func(d map[string]any) { d["client_secret_expires_at"] = "" }, time.Time{}},
		"scope as an array":       {func(d map[string]any) { d["scope"] = strings.Fields(d["scope"].(string)) }, time.Time{}},
		"scope in one element":    {func(d map[string]any) { d["scope"] = []any{d["scope"]} }, time.Time{}},
		"contacts as a text":      {func(d map[string]any) { d["contacts"] = "team" }, time.Time{}},
		"a name as an object":     {func(d map[string]any) { d["client_name"] = map[string]any{"en": "x"} }, time.Time{}},
		"a member of any depth": {func(d map[string]any) {
			d["extra"] = json.RawMessage(strings.Repeat("[", 2000) + strings.Repeat("]", 2000))
		}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer = c.change
			whole(t, w, contract.Wish(), func(got authserver.Client) bool {
				return got.SecretExpiresAt.Equal(c.until) && slices.Equal(got.Registered.Scopes, contract.Wish().Scopes)
			})
		})
	}
}

func TestAClientIDMayBeANumber(t *testing.T) {
	w := newWorld(t)
	w.number = true
	whole(t, w, contract.Wish(), func(got authserver.Client) bool { return got.ID == "1" })
}

// unusable are changes after which an answer cannot be used, and still names
// the client.
var unusable = map[string]func(map[string]any){
	"microseconds":            func(d map[string]any) { d["client_secret_expires_at"] = int64(1) << 60 },
	"an expiry of -1":         func(d map[string]any) { d["client_secret_expires_at"] = -1 },
	"grant types as a number": func(d map[string]any) { d["grant_types"] = 7 },
	"a method as a list":      func(d map[string]any) { d["token_endpoint_auth_method"] = []string{"none"} },
	"a scope without bound":   func(d map[string]any) { d["scope"] = strings.Repeat("s ", 300<<10) },
	"no client id":            func(d map[string]any) { delete(d, "client_id") },
	"a client id as a list":   func(d map[string]any) { d["client_id"] = []any{d["client_id"]} },
}

func TestAnAnswerThatCannotBeUsedUndoesItself(t *testing.T) {
	changes := maps.Clone(unusable)
	changes["a secret outside ASCII"] = func(d map[string]any) { d["client_secret"] = "ä" }
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			server := w.connect(t)
			w.answer = change
			client, err := server.Register(t.Context(), contract.Wish())
			if failure := wantKind(t, err, authserver.Unavailable); !failure.MaybeApplied || !client.Named() {
				t.Fatalf("%v: %+v", err, client)
			}
			end(t, w, server, authserver.Handle{
				ClientID: client.ID, ManagementURI: client.ManagementURI, ManagementToken: client.ManagementToken,
			})
		})
	}
}

func TestAReplacedTokenIsKeptWhateverElseIsSaid(t *testing.T) {
	for name, change := range unusable {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			server := w.connect(t)
			client, err := server.Register(t.Context(), contract.Wish())
			if err != nil {
				t.Fatal(err)
			}
			handle := contract.HandleOf(t, server, client)
			w.rotate, w.answer = true, change
			found, ok, err := server.Find(t.Context(), handle)
			if err == nil || ok || found.ManagementToken.IsZero() {
				t.Fatalf("find: %t, %v, %+v", ok, err, found)
			}
			handle.ManagementToken = found.ManagementToken
			replaced, err := server.Replace(t.Context(), handle, contract.Wish())
			if err == nil || replaced.ManagementToken.IsZero() {
				t.Fatalf("replace: %v, %+v", err, replaced)
			}
			handle.ManagementToken = replaced.ManagementToken
			end(t, w, server, handle)
		})
	}
}

func TestAnotherClientsTokenIsNotKept(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	w.answer = func(d map[string]any) {
		d["client_id"], d["registration_access_token"], d["grant_types"] = "another", "its-token", 7
	}
	found, _, err := server.Find(t.Context(), contract.HandleOf(t, server, client))
	if wantKind(t, err, authserver.Conflict); !found.ManagementToken.IsZero() {
		t.Errorf("%+v", found)
	}
}

func TestAForeignManagementURIIsNamedOnceAndNotKept(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	w.rotate = true
	w.answer = func(d map[string]any) { d["registration_client_uri"] = "https://evil.example/r" }
	found, _, err := server.Find(t.Context(), contract.HandleOf(t, server, client))
	if wantError(t, err, authserver.Rejected, CodeForeignManagementURI); found.ManagementURI != "" || found.ManagementToken.IsZero() {
		t.Errorf("%+v", found)
	}
	if client, err = server.Register(t.Context(), contract.Wish()); err == nil || !client.Named() {
		t.Errorf("%+v, %v", client, err)
	}
}

func TestWithoutManagementTheServerSaysSoAndNotTheClient(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	for _, status := range []int{404, 405, 501} {
		w.fail(contract.Revoke, contract.Fault{Status: status})
		w.fail(contract.Find, contract.Fault{Status: status})
		_, _, findErr := server.Find(t.Context(), handle)
		for _, err := range []error{server.Revoke(t.Context(), handle), findErr} {
			kind := authserver.Rejected
			if status == 404 {
				kind = authserver.Unauthorized
			}
			wantError(t, err, kind, CodeManagementUnsupported)
		}
	}
	mute := handle
	mute.TokenEndpoint = ""
	w.fail(contract.Revoke, contract.Fault{Status: 404})
	wantError(t, server.Revoke(t.Context(), mute), authserver.Unauthorized, "")
	end(t, w, server, handle)
}
