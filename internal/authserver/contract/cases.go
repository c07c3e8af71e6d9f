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
	client, handle := register(t, s, Wish())
	if client.ID == "" || client.ManagementURI == "" || client.ManagementToken.IsZero() {
		t.Fatalf("an answer without identity: %+v", client)
	}
	if !client.Secret.IsZero() {
		t.Error("a secret for a public client")
	}
	wantRegistered(t, client.Registered, Wish())
	wantLive(t, s, client.ID)

	found, ok, err := s.Server.Find(t.Context(), handle)
	if err != nil || !ok || found.ID != client.ID {
		t.Fatalf("find: %v, %t, %v", found.ID, ok, err)
	}
	wantRegistered(t, found.Registered, Wish())
	handle = keep(handle, found)

	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantLive(t, s)
	handle.Deleted = true
	wantAbsent(t, s, handle)
}

func confidential(t *testing.T, s Subject) {
	client, handle := register(t, s, Confidential())
	if client.Secret.IsZero() {
		t.Fatal("no secret")
	}
	wantRegistered(t, client.Registered, Confidential())
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantAbsent(t, s, handle)
}

func replacement(t *testing.T, s Subject) {
	client, handle := register(t, s, Wish())
	other := Wish()
	other.Name = "weather, renamed (7f3a)"
	other.Scopes = []string{"alerts.read"}
	other.RedirectURIs = []string{"http://127.0.0.1/other"}
	replaced, err := s.Server.Replace(t.Context(), handle, other)
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	if replaced.ID != client.ID {
		t.Errorf("id %s became %s", client.ID, replaced.ID)
	}
	wantRegistered(t, replaced.Registered, other)
	found, ok, err := s.Server.Find(t.Context(), keep(handle, replaced))
	if err != nil || !ok {
		t.Fatalf("find: %t, %v", ok, err)
	}
	wantRegistered(t, found.Registered, other)
	wantLive(t, s, client.ID)
}

func twoClients(t *testing.T, s Subject) {
	one, _ := register(t, s, Wish())
	two, handle := register(t, s, Wish())
	if one.ID == two.ID || one.ManagementToken.Equal(two.ManagementToken) {
		t.Errorf("two registrations share %s or its token", one.ID)
	}
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantLive(t, s, one.ID)
}

func idempotentRevoke(t *testing.T, s Subject) {
	for _, wish := range []authserver.ClientMetadata{Wish(), Confidential()} {
		_, handle := register(t, s, wish)
		for range 3 {
			if err := s.Server.Revoke(t.Context(), handle); err != nil {
				t.Errorf("%s: %v", wish.AuthMethod, err)
			}
		}
		wantLive(t, s)
	}
}

func rotation(t *testing.T, s Subject) {
	s.Rotate()
	client, first := register(t, s, Wish())
	replaced, err := s.Server.Replace(t.Context(), first, Wish())
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	second := keep(first, replaced)
	if second.ManagementToken.Equal(first.ManagementToken) {
		t.Fatal("the answer held no new token")
	}
	_, err = s.Server.Replace(t.Context(), first, Wish())
	if got := failure(t, err); got.Kind != authserver.Unauthorized {
		t.Errorf("the old token: %v", err)
	}
	if _, ok, err := s.Server.Find(t.Context(), second); err != nil || !ok {
		t.Errorf("the new token: %t, %v", ok, err)
	}
	wantLive(t, s, client.ID)
}

func wrongToken(t *testing.T, s Subject) {
	for _, wish := range []authserver.ClientMetadata{Wish(), Confidential()} {
		client, handle := register(t, s, wish)
		wrong := handle
		wrong.ManagementToken = authserver.NewSecret("wrong-token")
		err := s.Server.Revoke(t.Context(), wrong)
		if got := failure(t, err); got.Kind != authserver.Unauthorized {
			t.Errorf("%s: revoke: %v", wish.AuthMethod, err)
		}
		wantSilent(t, err, wrong)
		_, found, err := s.Server.Find(t.Context(), wrong)
		if got := failure(t, err); got.Kind != authserver.Unauthorized || found {
			t.Errorf("%s: find: %t, %v", wish.AuthMethod, found, err)
		}
		wantLive(t, s, client.ID)
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Errorf("%s: the right token afterwards: %v", wish.AuthMethod, err)
		}
	}
}

func vanished(t *testing.T, s Subject) {
	for _, wish := range []authserver.ClientMetadata{Wish(), Confidential()} {
		client, handle := register(t, s, wish)
		s.Remove(client.ID)
		wantAbsent(t, s, handle)
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Errorf("%s: revoke: %v", wish.AuthMethod, err)
		}
		_, err := s.Server.Replace(t.Context(), handle, wish)
		if got := failure(t, err); got.Kind != authserver.Unauthorized {
			t.Errorf("%s: replace: %v", wish.AuthMethod, err)
		}
		wantLive(t, s)
	}
}

func uncertain(t *testing.T, s Subject) {
	client, handle := register(t, s, Confidential())
	handle.Uncertain = true
	handle.ManagementToken = authserver.NewSecret("outdated-token")
	handle.ClientSecret = authserver.NewSecret("outdated-secret")
	if got := failure(t, s.Server.Revoke(t.Context(), handle)); got.Kind != authserver.Unauthorized {
		t.Errorf("revoke: %v", got)
	}
	handle.ClientSecret = authserver.Secret{}
	handle.Uncertain = false
	if got := failure(t, s.Server.Revoke(t.Context(), handle)); got.Kind != authserver.Unauthorized {
		t.Errorf("revoke without a secret: %v", got)
	}
	wantLive(t, s, client.ID)
}

func narrowing(t *testing.T, s Subject) {
	s.Alter(func(wish authserver.ClientMetadata) authserver.ClientMetadata {
		wish.Scopes = []string{"alerts.read"}
		wish.GrantTypes = []string{"authorization_code"}
		return wish
	})
	client, handle := register(t, s, Wish())
	replaced, err := s.Server.Replace(t.Context(), handle, Wish())
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
	s.Alter(func(wish authserver.ClientMetadata) authserver.ClientMetadata {
		wish.Scopes = append(slices.Clone(wish.Scopes), "admin")
		wish.RedirectURIs = append(slices.Clone(wish.RedirectURIs), "https://evil.example/cb")
		return wish
	})
	client, handle := register(t, s, Wish())
	found, ok, err := s.Server.Find(t.Context(), handle)
	if err != nil || !ok {
		t.Fatalf("find: %t, %v", ok, err)
	}
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
	_, err := s.Server.Register(ctx, Wish())
	for _, err := range []error{err, s.Server.Revoke(ctx, handle)} {
		if got := failure(t, err); got.Kind != authserver.Unavailable || got.MaybeApplied || got.Unsent {
			t.Errorf("%v", err)
		}
	}
	wantLive(t, s, handle.ClientID)
}
