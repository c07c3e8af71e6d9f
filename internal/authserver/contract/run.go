// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// cases are tests by the sentence that each holds.
type cases map[string]func(*testing.T, Subject)

// Run runs the suite: what every server must do, and what the traits of this
// one promise. Each test gets a subject of its own.
func Run(t *testing.T, subject func(t *testing.T) Subject) {
	t.Helper()
	traits := subject(t).Server.Traits()
	all := promised(traits)
	maps.Copy(all, impostorCases(traits))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) { all[name](t, subject(t)) })
	}
	for _, c := range faultCases(traits) {
		t.Run(fmt.Sprintf("%s: %s", c.op, c.name), func(t *testing.T) { c.run(t, subject(t)) })
	}
}

// promised are the cases of a server of these traits.
func promised(traits authserver.Traits) cases {
	all := cases{
		"a client lives from Register to Revoke":       lifecycle,
		"Replace replaces everything and keeps the id": replacement,
		"two registrations are two clients":            twoClients,
		"Revoke is idempotent":                         idempotentRevoke,
		"T20 a client that vanished is proven absent":  vanished,
		"narrowing is visible":                         narrowing,
		"widening is visible":                          widening,
		"a cancelled context is Unavailable":           cancelled,
		"every field of a wish comes back":             everyField,
	}
	for _, c := range []struct {
		promise       bool
		kept, without cases
	}{
		{traits.OwnClientID, ownClientID, chosenByServer},
		{!traits.SharedSecretUnsupported, sharedSecret, noSharedSecret},
		{traits.OwnSecret, ownSecret, nil},
		{traits.TwoKeys, twoKeys, nil},
		{traits.Disables, disables, disablesNot},
		{traits.Lists, lists, listsNot},
		{traits.Tidies, tidies, tidiesNot},
		{traits.ChecksAccess, checksAccess, checksAccessNot},
		{traits.AssertionIssuer != "", assertions, nil},
	} {
		if c.promise {
			maps.Copy(all, c.kept)
		} else {
			maps.Copy(all, c.without)
		}
	}
	return all
}

// traits are those of the subject's server.
func (s Subject) traits() authserver.Traits { return s.Server.Traits() }

// wishes are a client of each kind that the server takes.
func (s Subject) wishes() []authserver.ClientMetadata {
	if s.traits().SharedSecretUnsupported {
		return []authserver.ClientMetadata{Wish()}
	}
	return []authserver.ClientMetadata{Wish(), Confidential(), Posted()}
}

// register registers a wish completed by For.
func register(t *testing.T, s Subject, wish authserver.ClientMetadata) (authserver.Client, authserver.Handle) {
	t.Helper()
	return registerAs(t, s, For(s.traits(), wish))
}

func registerAs(t *testing.T, s Subject, wish authserver.ClientMetadata) (authserver.Client, authserver.Handle) {
	t.Helper()
	client, err := s.Server.Register(t.Context(), wish)
	if err != nil {
		t.Fatalf("registering: %v", err)
	}
	handle := HandleOf(t, s.Server, client)
	handle.Owner = wish.SoftwareID
	return client, handle
}

// again completes a wish that replaces the client of a handle: what the
// register chose stays.
func again(s Subject, handle authserver.Handle, wish authserver.ClientMetadata) authserver.ClientMetadata {
	wish = For(s.traits(), wish)
	wish.Secret = authserver.Secret{}
	if s.traits().OwnClientID {
		wish.ID = handle.ClientID
	}
	return wish
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

// wantKind holds that a call was refused for good and changed nothing.
func wantKind(t *testing.T, what string, err error, kind authserver.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %s", what, kind)
		return
	}
	if got := failure(t, err); got.Kind != kind || got.MaybeApplied {
		t.Errorf("%s: %v (maybe applied %t), want %s", what, err, got.MaybeApplied, kind)
	}
}

func find(t *testing.T, s Subject, handle authserver.Handle) authserver.Client {
	t.Helper()
	client, found, err := s.Server.Find(t.Context(), handle)
	if err != nil || !found {
		t.Fatalf("find: found %t, %v", found, err)
	}
	if client.ID != handle.ClientID {
		t.Errorf("found %q, asked for %q", client.ID, handle.ClientID)
	}
	return client
}

func wantAbsent(t *testing.T, s Subject, handle authserver.Handle) {
	t.Helper()
	if _, found, err := s.Server.Find(t.Context(), handle); err != nil || found {
		t.Errorf("found %t, error %v; want proven absence", found, err)
	}
}

// wantRegistered compares what a server says with the wish. Where it is said
// to whom a client belongs, an admin API has no place for application_type.
func wantRegistered(t *testing.T, s Subject, got, want authserver.ClientMetadata) {
	t.Helper()
	traits := s.traits()
	if !sameClient(got, want) {
		t.Errorf("registered %+v\nwant %+v", got, want)
	}
	if got.ApplicationType != want.ApplicationType && (!traits.OwnClientID || got.ApplicationType != "") {
		t.Errorf("application type %q, want %q", got.ApplicationType, want.ApplicationType)
	}
	if traits.OwnClientID {
		wantMarked(t, got, want)
	}
	if traits.Audiences && (!sameSet(got.Audiences, want.Audiences) || got.TokenLifetime != want.TokenLifetime) {
		t.Errorf("tokens for %v of %s, want %v of %s", got.Audiences, got.TokenLifetime, want.Audiences, want.TokenLifetime)
	}
	if got.Assertion != want.Assertion {
		t.Errorf("assertions of %+v, want %+v", got.Assertion, want.Assertion)
	}
	if !got.Secret.IsZero() {
		t.Error("Registered holds a secret")
	}
}

func wantMarked(t *testing.T, got, want authserver.ClientMetadata) {
	t.Helper()
	if got.SoftwareID != want.SoftwareID || got.SoftwareVersion != want.SoftwareVersion {
		t.Errorf("marked %q %q, want %q %q", got.SoftwareID, got.SoftwareVersion, want.SoftwareID, want.SoftwareVersion)
	}
}

func sameClient(got, want authserver.ClientMetadata) bool {
	return got.Name == want.Name && got.AuthMethod == want.AuthMethod &&
		sameSet(got.GrantTypes, want.GrantTypes) && sameSet(got.ResponseTypes, want.ResponseTypes) &&
		sameSet(got.RedirectURIs, want.RedirectURIs) && sameSet(got.Scopes, want.Scopes)
}

// sameSet says whether two lists hold the same, in whatever order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// wantSilent holds an error's text against every secret at hand.
func wantSilent(t *testing.T, err error, secrets ...authserver.Secret) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, secret := range append(secrets, authserver.NewSecret(Canary)) {
		if !secret.IsZero() && strings.Contains(text, secret.Reveal()) {
			t.Errorf("an error holds what it must not: %s", text)
		}
	}
}
