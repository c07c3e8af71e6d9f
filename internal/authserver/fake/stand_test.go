// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"errors"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

func TestAnAnswerThatCannotBeUsedNamesTheClient(t *testing.T) {
	server := fake.New("https://as.example")
	unusable := &authserver.Error{Kind: authserver.Unavailable, Op: "registering client", MaybeApplied: true}
	server.Fail(fake.Fault{Operation: fake.Register, Named: true, Err: unusable})
	client, err := server.Register(t.Context(), contract.Wish())
	if !errors.Is(err, unusable) || !client.Named() {
		t.Fatalf("%+v, %v", client, err)
	}
	handle := authserver.Handle{ManagementURI: client.ManagementURI, ManagementToken: client.ManagementToken}
	if err := server.Revoke(t.Context(), handle); err != nil || len(server.Clients()) != 0 {
		t.Errorf("by URI and token: %v, %d clients live", err, len(server.Clients()))
	}
}

func TestAReplacedTokenComesBesideAnError(t *testing.T) {
	server := fake.New("https://as.example")
	server.Switch(func(s *fake.Switches) { s.RotateTokens = true })
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	server.Fail(fake.Fault{Operation: fake.Find, Named: true, Err: &authserver.Error{Op: "finding client"}})
	handle := contract.HandleOf(t, server, client)
	renewed, found, err := server.Find(t.Context(), handle)
	if err == nil || found || renewed.ManagementToken.IsZero() || renewed.ManagementToken.Equal(handle.ManagementToken) {
		t.Fatalf("%+v, %t, %v", renewed, found, err)
	}
	handle.ManagementToken = renewed.ManagementToken
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Error(err)
	}
}

func TestWhoStandsInTheServersPlace(t *testing.T) {
	for stand, want := range map[fake.Stand]struct {
		revoked bool
		live    int
	}{
		fake.Page: {false, 1}, fake.Accepting: {true, 1}, fake.Hiding: {false, 0},
	} {
		server := fake.New("https://as.example")
		client, err := server.Register(t.Context(), contract.Wish())
		if err != nil {
			t.Fatal(err)
		}
		handle := contract.HandleOf(t, server, client)
		server.Switch(func(s *fake.Switches) { s.Stand = stand })
		if err := server.Revoke(t.Context(), handle); (err == nil) != want.revoked || len(server.Clients()) != want.live {
			t.Errorf("stand %d: %v, %d clients live", stand, err, len(server.Clients()))
		}
		handle.Deleted = true
		if _, found, err := server.Find(t.Context(), handle); found || err == nil {
			t.Errorf("stand %d: found %t, %v", stand, found, err)
		}
		server.Switch(func(s *fake.Switches) { s.Stand = fake.Itself })
		if _, found, err := server.Find(t.Context(), handle); err != nil || found != (want.live == 1) {
			t.Errorf("stand %d, then itself: found %t, %v", stand, found, err)
		}
	}
}

func TestAMaskIsNoSecret(t *testing.T) {
	server := fake.New("https://as.example")
	client, err := server.Register(t.Context(), contract.Confidential())
	if err != nil {
		t.Fatal(err)
	}
	server.Switch(func(s *fake.Switches) { s.Mask = "********" })
	handle := contract.HandleOf(t, server, client)
	found, _, err := server.Find(t.Context(), handle)
	if err != nil || !found.Secret.Equal(client.Secret) || found.SecretDoubtful {
		t.Errorf("the secret at hand is good: %v, doubtful %t", err, found.SecretDoubtful)
	}
	handle.ClientSecret = authserver.NewSecret("outdated")
	found, _, err = server.Find(t.Context(), handle)
	if err != nil || !found.Secret.IsZero() || !found.SecretDoubtful {
		t.Errorf("the secret at hand is outdated: %v, doubtful %t", err, found.SecretDoubtful)
	}
}
