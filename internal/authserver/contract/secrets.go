// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// sharedSecret and noSharedSecret are what Traits.SharedSecretUnsupported
// promises.
var (
	sharedSecret = cases{
		"a confidential client has a secret":              confidential(Confidential()),
		"a client that sends its secret in the body, too": confidential(Posted()),
		"a client has the method that it asked for":       ownMethod,
	}
	noSharedSecret = cases{
		"a client with a secret is Rejected":                        confidentialRejected(Confidential()),
		"a client that sends its secret in the body, too, Rejected": confidentialRejected(Posted()),
	}
)

func confidential(of authserver.ClientMetadata) func(*testing.T, Subject) {
	return func(t *testing.T, s Subject) { confidentialAs(t, s, For(s.traits(), of)) }
}

func confidentialAs(t *testing.T, s Subject, wish authserver.ClientMetadata) {
	client, handle := registerAs(t, s, wish)
	if client.Secret.IsZero() {
		t.Fatal("no secret")
	}
	wantRegistered(t, s, client.Registered, wish)
	wantToken(t, s, handle, true)
	wrong := handle
	wrong.ClientSecret = authserver.NewSecret("wrong-secret")
	wantToken(t, s, wrong, false)
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantAbsent(t, s, handle)
	wantToken(t, s, handle, false)
}

// ownMethod holds that the two ways to send a secret are told apart, from the first
// answer to the last.
func ownMethod(t *testing.T, s Subject) {
	for _, wish := range []authserver.ClientMetadata{Confidential(), Posted()} {
		other := map[string]authserver.ClientMetadata{
			Confidential().AuthMethod: Posted(), Posted().AuthMethod: Confidential(),
		}[wish.AuthMethod]
		client, handle := register(t, s, wish)
		if got := client.Registered.AuthMethod; got != wish.AuthMethod {
			t.Errorf("registered %s, want %s", got, wish.AuthMethod)
		}
		replaced, err := s.Server.Replace(t.Context(), handle, again(s, handle, other))
		if err != nil {
			t.Fatalf("replace: %v", err)
		}
		handle = keep(handle, replaced)
		handle.AuthMethod = other.AuthMethod
		for _, got := range []authserver.Client{replaced, find(t, s, handle)} {
			if got.Registered.AuthMethod != other.AuthMethod {
				t.Errorf("replaced by %s, want %s", got.Registered.AuthMethod, other.AuthMethod)
			}
		}
		wantToken(t, s, handle, true)
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
	}
}

func confidentialRejected(of authserver.ClientMetadata) func(*testing.T, Subject) {
	return func(t *testing.T, s Subject) { rejectedAs(t, s, of) }
}

func rejectedAs(t *testing.T, s Subject, of authserver.ClientMetadata) {
	wish := For(s.traits(), of)
	_, err := s.Server.Register(t.Context(), wish)
	wantKind(t, "register", err, authserver.Rejected)
	wantLive(t, s)
	public := For(s.traits(), Wish())
	_, handle := registerAs(t, s, public)
	_, err = s.Server.Replace(t.Context(), handle, again(s, handle, of))
	wantKind(t, "replace", err, authserver.Rejected)
	wantRegistered(t, s, find(t, s, handle).Registered, public)
}

// wantToken holds whether the credentials of a handle are good.
func wantToken(t *testing.T, s Subject, handle authserver.Handle, want bool) {
	t.Helper()
	if s.Token == nil {
		return
	}
	if got := s.Token(t, handle); got != want {
		t.Errorf("a token was issued: %t, want %t", got, want)
	}
}

// ownSecret is what Traits.OwnSecret promises.
var ownSecret = cases{
	"a client has the secret that was chosen": chosenSecret,
	"Replace changes the secret or keeps it":  changedSecret,
}

func chosenSecret(t *testing.T, s Subject) {
	wish := For(s.traits(), Confidential())
	client, handle := registerAs(t, s, wish)
	if !client.Secret.Equal(wish.Secret) {
		t.Error("another secret")
	}
	wantToken(t, s, handle, true)
	if found := find(t, s, handle); !found.Secret.IsZero() && !found.Secret.Equal(wish.Secret) {
		t.Error("another secret is found")
	}
}

func changedSecret(t *testing.T, s Subject) {
	_, handle := register(t, s, Confidential())
	kept := again(s, handle, Confidential())
	kept.Scopes = []string{"alerts.read"}
	replaced, err := s.Server.Replace(t.Context(), handle, kept)
	if err != nil {
		t.Fatalf("replace without a secret: %v", err)
	}
	if !replaced.Secret.IsZero() && !replaced.Secret.Equal(handle.ClientSecret) {
		t.Error("the secret changed, and was not to")
	}
	wantToken(t, s, handle, true)

	changed := kept
	changed.Secret = For(s.traits(), Confidential()).Secret
	replaced, err = s.Server.Replace(t.Context(), handle, changed)
	if err != nil {
		t.Fatalf("replace with a secret: %v", err)
	}
	if !replaced.Secret.IsZero() && !replaced.Secret.Equal(changed.Secret) {
		t.Error("the answer holds another secret")
	}
	wantToken(t, s, handle, false)
	handle.ClientSecret = changed.Secret
	wantToken(t, s, handle, true)
}

// twoKeys is what Traits.TwoKeys promises.
var twoKeys = cases{"a client has two keys at one time": bothKeys}

func bothKeys(t *testing.T, s Subject) {
	older, newer := NewKey(t), NewKey(t)
	wish := For(s.traits(), Keyed(older))
	client, handle := registerAs(t, s, wish)
	wantKeys(t, client.Registered, older)
	wantKeyGood(t, s, handle, older, true)
	wantKeyGood(t, s, handle, newer, false)

	replaced, err := s.Server.Replace(t.Context(), handle, again(s, handle, Keyed(older, newer)))
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	handle = keep(handle, replaced)
	wantKeys(t, replaced.Registered, older, newer)
	wantKeys(t, find(t, s, handle).Registered, older, newer)
	wantKeyGood(t, s, handle, older, true)
	wantKeyGood(t, s, handle, newer, true)

	if replaced, err = s.Server.Replace(t.Context(), handle, again(s, handle, Keyed(newer))); err != nil {
		t.Fatalf("replace: %v", err)
	}
	handle = keep(handle, replaced)
	wantKeys(t, find(t, s, handle).Registered, newer)
	wantKeyGood(t, s, handle, older, false)
	wantKeyGood(t, s, handle, newer, true)
}

func wantKeyGood(t *testing.T, s Subject, handle authserver.Handle, key Key, want bool) {
	t.Helper()
	handle.PrivateKey, handle.KeyID = key.Private, key.ID
	wantToken(t, s, handle, want)
}

// wantKeys compares a JWK set by what makes a key of a curve (RFC 7518 §6.2.1).
func wantKeys(t *testing.T, got authserver.ClientMetadata, want ...Key) {
	t.Helper()
	type point struct{ Kid, Kty, Crv, X, Y string }
	var set struct{ Keys []point }
	if err := json.Unmarshal([]byte(got.JWKS), &set); err != nil {
		t.Fatalf("JWK set %q: %v", got.JWKS, err)
	}
	found := map[point]bool{}
	for _, key := range set.Keys {
		found[key] = true
	}
	for _, key := range want {
		var p point
		if err := json.Unmarshal(key.public, &p); err != nil {
			t.Fatal(err)
		}
		if !found[p] {
			t.Errorf("key %s is not in %s", key.ID, got.JWKS)
		}
	}
	if len(set.Keys) != len(want) {
		t.Errorf("%d keys, want %d", len(set.Keys), len(want))
	}
}
