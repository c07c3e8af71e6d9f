// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"context"
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func lifecycle(t *testing.T, s Subject) {
	wish := For(s.traits(), Wish())
	client, handle := registerAs(t, s, wish)
	if client.ID == "" {
		t.Fatalf("an answer without identity: %+v", client)
	}
	if !client.Secret.IsZero() {
		t.Error("a secret for a public client")
	}
	wantRegistered(t, s, client.Registered, wish)
	wantLive(t, s, client.ID)

	found := find(t, s, handle)
	wantRegistered(t, s, found.Registered, wish)
	if found.Disabled {
		t.Error("a new client is disabled")
	}
	handle = keep(handle, found)

	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantLive(t, s)
	handle.Deleted = true
	wantAbsent(t, s, handle)
}

func replacement(t *testing.T, s Subject) {
	client, handle := register(t, s, Wish())
	other := again(s, handle, Wish())
	other.Name = "weather, renamed (7f3a)"
	other.Scopes = []string{"alerts.read"}
	other.RedirectURIs = []string{"http://127.0.0.1/other"}
	if s.traits().Audiences {
		other.Audiences, other.TokenLifetime = other.Audiences[1:], other.TokenLifetime/5
	}
	replaced, err := s.Server.Replace(t.Context(), handle, other)
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	if replaced.ID != client.ID {
		t.Errorf("id %s became %s", client.ID, replaced.ID)
	}
	wantRegistered(t, s, replaced.Registered, other)
	found := find(t, s, keep(handle, replaced))
	wantRegistered(t, s, found.Registered, other)
	wantLive(t, s, client.ID)
}

func twoClients(t *testing.T, s Subject) {
	one, first := register(t, s, Wish())
	two, second := register(t, s, Wish())
	if one.ID == two.ID || !s.traits().OwnClientID && one.ManagementToken.Equal(two.ManagementToken) {
		t.Errorf("two registrations share %s or its token", one.ID)
	}
	if err := s.Server.Revoke(t.Context(), second); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantLive(t, s, one.ID)
	find(t, s, first)
}

func idempotentRevoke(t *testing.T, s Subject) {
	for _, wish := range s.wishes() {
		_, handle := register(t, s, wish)
		for range 3 {
			if err := s.Server.Revoke(t.Context(), handle); err != nil {
				t.Errorf("%s: %v", wish.AuthMethod, err)
			}
		}
		wantLive(t, s)
	}
}

func vanished(t *testing.T, s Subject) {
	if s.Remove == nil {
		t.Skip("the subject makes no client vanish")
	}
	for _, wish := range s.wishes() {
		client, handle := register(t, s, wish)
		s.Remove(client.ID)
		wantAbsent(t, s, handle)
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Errorf("%s: revoke: %v", wish.AuthMethod, err)
		}
		_, err := s.Server.Replace(t.Context(), handle, again(s, handle, wish))
		if got := failure(t, err); got.Kind != authserver.Unauthorized {
			t.Errorf("%s: replace: %v", wish.AuthMethod, err)
		}
		wantLive(t, s)
	}
}

func narrowing(t *testing.T, s Subject) {
	if s.Alter == nil {
		t.Skip("the subject alters no wish")
	}
	s.Alter(func(wish authserver.ClientMetadata) authserver.ClientMetadata {
		wish.Scopes = []string{"alerts.read"}
		wish.GrantTypes = []string{"authorization_code"}
		return wish
	})
	client, handle := register(t, s, Wish())
	replaced, err := s.Server.Replace(t.Context(), handle, again(s, handle, Wish()))
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	for _, got := range []authserver.ClientMetadata{client.Registered, replaced.Registered} {
		if !slices.Equal(got.Scopes, []string{"alerts.read"}) ||
			!slices.Equal(got.GrantTypes, []string{"authorization_code"}) {
			t.Errorf("registered scopes %v, grant types %v", got.Scopes, got.GrantTypes)
		}
	}
}

func widening(t *testing.T, s Subject) {
	if s.Alter == nil {
		t.Skip("the subject alters no wish")
	}
	s.Alter(func(wish authserver.ClientMetadata) authserver.ClientMetadata {
		wish.Scopes = append(slices.Clone(wish.Scopes), "admin")
		wish.RedirectURIs = append(slices.Clone(wish.RedirectURIs), "https://evil.example/cb")
		return wish
	})
	client, handle := register(t, s, Wish())
	found := find(t, s, handle)
	for _, got := range []authserver.ClientMetadata{client.Registered, found.Registered} {
		if !slices.Contains(got.Scopes, "admin") || len(got.RedirectURIs) != 2 {
			t.Errorf("registered scopes %v, redirect URIs %v", got.Scopes, got.RedirectURIs)
		}
	}
}

func cancelled(t *testing.T, s Subject) {
	_, handle := register(t, s, Wish())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Server.Register(ctx, For(s.traits(), Wish()))
	errs := []error{err, s.Server.Revoke(ctx, handle)}
	if s.traits().Disables {
		errs = append(errs, s.Server.Disable(ctx, handle))
	}
	if s.traits().Lists {
		_, err := s.Server.List(ctx, "")
		errs = append(errs, err)
	}
	if s.traits().ChecksAccess {
		errs = append(errs, s.Server.CheckAccess(ctx))
	}
	for _, err := range errs {
		if got := failure(t, err); got.Kind != authserver.Unavailable || got.MaybeApplied || got.Unsent {
			t.Errorf("%v", err)
		}
	}
	wantLive(t, s, handle.ClientID)
	if find(t, s, handle).Disabled {
		t.Error("the client was disabled")
	}
}
