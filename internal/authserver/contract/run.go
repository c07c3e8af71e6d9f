// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Run runs the suite. Each test gets a subject of its own.
func Run(t *testing.T, subject func(t *testing.T) Subject) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Subject){
		"a client lives from Register to Revoke":             lifecycle,
		"a confidential client has a secret":                 confidential,
		"Replace replaces everything and keeps the id":       replacement,
		"two registrations are two clients":                  twoClients,
		"Revoke is idempotent":                               idempotentRevoke,
		"a replaced token is answered and needed":            rotation,
		"T20 a wrong token is no proof while a client lives": wrongToken,
		"T20 a client that vanished is proven absent":        vanished,
		"T20 an uncertain secret proves nothing":             uncertain,
		"narrowing is visible":                               narrowing,
		"widening is visible":                                widening,
		"a cancelled context is Unavailable":                 cancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, subject(t)) })
	}
	for _, c := range faultCases() {
		t.Run(fmt.Sprintf("%s: %s", c.op, c.name), func(t *testing.T) { c.run(t, subject(t)) })
	}
}

func register(t *testing.T, s Subject, wish authserver.ClientMetadata) (authserver.Client, authserver.Handle) {
	t.Helper()
	client, err := s.Server.Register(t.Context(), wish)
	if err != nil {
		t.Fatalf("registering: %v", err)
	}
	return client, HandleOf(t, s.Server, client)
}

func wantLive(t *testing.T, s Subject, ids ...string) {
	t.Helper()
	live := s.Live()
	slices.Sort(live)
	slices.Sort(ids)
	if !slices.Equal(live, ids) {
		t.Errorf("clients that live: %v, want %v", live, ids)
	}
}

// keep stores what an answer replaced, as every caller must.
func keep(handle authserver.Handle, client authserver.Client) authserver.Handle {
	if !client.ManagementToken.IsZero() {
		handle.ManagementToken = client.ManagementToken
	}
	if !client.Secret.IsZero() {
		handle.ClientSecret = client.Secret
	}
	if client.ManagementURI != "" {
		handle.ManagementURI = client.ManagementURI
	}
	return handle
}

func failure(t *testing.T, err error) *authserver.Error {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	var found *authserver.Error
	if !errors.As(err, &found) {
		t.Fatalf("not an *authserver.Error: %v", err)
	}
	return found
}

func wantAbsent(t *testing.T, s Subject, handle authserver.Handle) {
	t.Helper()
	if _, found, err := s.Server.Find(t.Context(), handle); err != nil || found {
		t.Errorf("found %t, error %v; want proven absence", found, err)
	}
}

func wantRegistered(t *testing.T, got, want authserver.ClientMetadata) {
	t.Helper()
	same := got.AuthMethod == want.AuthMethod && got.ApplicationType == want.ApplicationType &&
		slices.Equal(got.GrantTypes, want.GrantTypes) && slices.Equal(got.ResponseTypes, want.ResponseTypes) &&
		slices.Equal(got.RedirectURIs, want.RedirectURIs) && slices.Equal(got.Scopes, want.Scopes) &&
		got.Name == want.Name
	if !same {
		t.Errorf("registered %+v\nwant %+v", got, want)
	}
}

// wantSilent holds an error's text against every secret at hand.
func wantSilent(t *testing.T, err error, handle authserver.Handle) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, secret := range []string{
		handle.ManagementToken.Reveal(), handle.ClientSecret.Reveal(), Canary,
	} {
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("an error holds what it must not: %s", text)
		}
	}
}
