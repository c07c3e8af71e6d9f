// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// odd are changes of what is stored, to a form that a representation cannot
// have or that only a tenant wrote.
var odd = map[string]func(map[string]any){
	"a name as a list":          func(c map[string]any) { c["name"] = []any{"x"} },
	"a very long name":          func(c map[string]any) { c["name"] = strings.Repeat("x", 700<<10) },
	"redirect URIs as a text":   func(c map[string]any) { c["redirectUris"] = "x" },
	"an attribute as a list":    func(c map[string]any) { c["attributes"].(map[string]any)["x"] = []any{1} },
	"mappers as an object":      func(c map[string]any) { c["protocolMappers"] = map[string]any{} },
	"enabled as a text":         func(c map[string]any) { c["enabled"] = "true" },
	"scopes as a text":          func(c map[string]any) { c["optionalClientScopes"] = "a b" },
	"a secret with a line feed": func(c map[string]any) { c["secret"] = "a\nb" },
	"depth": func(c map[string]any) {
		var deep any = 1
		for range 500 {
			deep = []any{deep}
		}
		c["extra"] = deep
	},
}

func TestNoMemberHoldsADeletionBack(t *testing.T) {
	for name, change := range odd {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.subject(t)
			wish := contract.For(s.Server.Traits(), contract.Wish())
			client, err := s.Server.Register(t.Context(), wish)
			if err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			change(w.clients[client.ID])
			w.mu.Unlock()
			handle := authserver.Handle{ClientID: client.ID, Owner: wish.SoftwareID}
			if page, err := s.Server.List(t.Context(), ""); err != nil || len(page.Clients) == 0 {
				t.Errorf("list: %v", err)
			}
			if err := s.Server.Disable(t.Context(), handle); err != nil {
				t.Errorf("disable: %v", err)
			}
			if err := s.Server.Revoke(t.Context(), handle); err != nil || len(w.live()) != 0 {
				t.Fatalf("revoke: %v, alive %v", err, w.live())
			}
			if _, found, err := s.Server.Find(t.Context(), handle); err != nil || found {
				t.Errorf("proof: %t, %v", found, err)
			}
		})
	}
}

func TestAnOwnerComesBackAsItWasSent(t *testing.T) {
	for _, owner := range []string{"team@example.com\n", strings.Repeat("x", 20<<10), "a\tb"} {
		s := newWorld(t).subject(t)
		wish := contract.For(s.Server.Traits(), contract.Wish())
		wish.Contacts = []string{owner}
		client, err := s.Server.Register(t.Context(), wish)
		if err != nil || !slices.Equal(client.Registered.Contacts, wish.Contacts) {
			t.Errorf("%.20q: %v, %v", owner, client.Registered.Contacts, err)
		}
	}
}

func TestAMaskedSecretIsNotTheClients(t *testing.T) {
	w := newWorld(t)
	s := w.subject(t)
	wish := contract.For(s.Server.Traits(), contract.Confidential())
	w.mask = "**********"
	client, err := s.Server.Register(t.Context(), wish)
	if err != nil || !client.Secret.Equal(wish.Secret) {
		t.Fatalf("the secret that was sent: %v", err)
	}
	handle := contract.HandleOf(t, s.Server, client)
	handle.Owner = wish.SoftwareID
	found, _, err := s.Server.Find(t.Context(), handle)
	if err != nil || found.Secret.Reveal() == w.mask {
		t.Errorf("a mask is read as the secret: %v", err)
	}
	wish.Secret = authserver.Secret{}
	if client, err = s.Server.Replace(t.Context(), handle, wish); err != nil || client.Secret.Reveal() == w.mask {
		t.Errorf("a mask is read as the secret: %v", err)
	}
}

func TestASecretThatIsReadBackCountsOnlyWhereItIsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		shown, chosen, want string
		silent              bool
	}{
		"what was sent is accepted":  {shown: "another", want: "sent"},
		"what is shown is accepted":  {chosen: "chosen", want: "chosen"},
		"neither is, or nobody says": {shown: "another", silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.connect(t, Options{})
			if _, err := s.List(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			w.mask, w.chosen = c.shown, c.chosen
			if c.silent {
				w.refuse = http.StatusServiceUnavailable
			}
			wish := contract.For(s.Traits(), contract.Confidential())
			wish.Secret = authserver.NewSecret("sent")
			client, err := s.Register(t.Context(), wish)
			if err != nil || client.Secret.Reveal() != c.want || client.SecretDoubtful != c.silent {
				t.Errorf("%q, doubtful %t, %v", client.Secret.Reveal(), client.SecretDoubtful, err)
			}
		})
	}
}

func TestAnEmptyListThatDoesNotSayWhatItIsProvesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	_, handle := register(t, s)
	w.between.Stand(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("clientId") == registrar {
			w.ServeHTTP(out, r)
			return
		}
		out.Header()["Content-Type"] = nil
		_, _ = io.WriteString(out, "[]")
	}), false, contract.Find)
	if _, found, err := s.Find(t.Context(), handle); found || failure(t, err).Kind != authserver.Unavailable {
		t.Errorf("found %t, %v", found, err)
	}
	for _, err := range []error{s.Disable(t.Context(), handle), s.Revoke(t.Context(), handle)} {
		if failure(t, err).Kind != authserver.Unavailable {
			t.Error(err)
		}
	}
}

// Of a client's members Go takes such as differ in case alone for the same.
func TestWhichClientItIsIsReadOnce(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	wish, handle := register(t, s)
	w.mu.Lock()
	theirs := w.add(map[string]any{"clientId": "stranger", "name": "a stranger's"})
	w.mu.Unlock()
	more := fmt.Sprintf(`,"ID":%q,"ClientID":"stranger","Attributes":{%q:"them"}}]`, theirs["id"], attributeSoftwareID)
	w.between.Stand(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		w.ServeHTTP(answer, r)
		out.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(out, strings.TrimSuffix(answer.Body.String(), "}]\n")+more)
	}), false, contract.Find)
	client, _, err := s.Find(t.Context(), handle)
	if err != nil || client.ID != wish.ID || client.Registered.ID != wish.ID || client.Registered.SoftwareID != wish.SoftwareID {
		t.Errorf("found %q, %q of %q, %v", client.ID, client.Registered.ID, client.Registered.SoftwareID, err)
	}
	wish.Name, wish.Scopes = "renamed", []string{"alerts.read", "profile"}
	if client, err = s.Replace(t.Context(), handle, wish); err != nil || client.ID != wish.ID || client.Registered.Name != wish.Name {
		t.Errorf("replaced %q, now %q, %v", client.ID, client.Registered.Name, err)
	}
	if theirs["name"] != "a stranger's" || theirs["clientId"] != "stranger" {
		t.Errorf("a stranger's client was touched: %v", theirs)
	}
}

func TestAPageIsNeitherARefusalNorAReasonForANewToken(t *testing.T) {
	w := newWorld(t)
	s := w.subject(t)
	if _, _, err := s.Server.Find(t.Context(), authserver.Handle{ClientID: "a", Owner: "us"}); err != nil {
		t.Fatal(err)
	}
	fetched := w.fetched
	for _, status := range []int{401, 403, 404} {
		s.Stand(&contract.Stance{Status: status, Body: "<html>", Header: map[string]string{"Content-Type": "text/html"}}, false, contract.Find)
		_, found, err := s.Server.Find(t.Context(), authserver.Handle{ClientID: "a", Owner: "us"})
		var failure *authserver.Error
		if !errors.As(err, &failure) || failure.Kind != authserver.Unavailable || found {
			t.Errorf("%d: %t, %v", status, found, err)
		}
	}
	if w.fetched != fetched {
		t.Errorf("%d new tokens", w.fetched-fetched)
	}
}
