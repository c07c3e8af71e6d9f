// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// What an update without an answer leaves of the keys that a client is known by: those
// that were registered before and were sent with it, and with each one before that has
// no answer either.
func TestKeptKeys(t *testing.T) {
	first, second := &ecKey(t).PublicKey, &ecKey(t).PublicKey
	one, two, both := keySet(t, first), keySet(t, second), keySet(t, first, second)
	prints, readable := thumbprints(both)
	if !readable || len(prints) != 2 {
		t.Fatalf("prints %v of %s", prints, both)
	}
	oneID, twoID := prints[0], prints[1]
	record := func(set string) Record {
		return Record{
			State: RecordRegistered, WitnessKey: authserver.NewSecret("private one"), WitnessKeyID: oneID,
			Client: authserver.Client{ID: "client", Registered: authserver.ClientMetadata{AuthMethod: wirePrivateKeyJWT, JWKS: set}},
		}
	}
	wish := func(method, set string) authserver.ClientMetadata {
		return authserver.ClientMetadata{AuthMethod: method, JWKS: set}
	}
	for name, c := range map[string]struct {
		registered string
		sent       []authserver.ClientMetadata
		kept       []string
		certain    bool
	}{
		"the same keys":                     {one, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, one)}, []string{oneID}, true},
		"a further key":                     {one, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, both)}, []string{oneID}, true},
		"one of two goes":                   {both, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, one)}, []string{oneID}, true},
		"the one at hand goes":              {both, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, two)}, []string{twoID}, false},
		"another key":                       {one, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, two)}, nil, false},
		"another method":                    {one, []authserver.ClientMetadata{wish("client_secret_basic", one)}, nil, false},
		"another key, and the one again":    {one, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, two), wish(wirePrivateKeyJWT, one)}, nil, false},
		"a further key, then the one again": {one, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, both), wish(wirePrivateKeyJWT, one)}, []string{oneID}, true},
		"keys that nobody can read":         {one, []authserver.ClientMetadata{wish(wirePrivateKeyJWT, "{")}, nil, false},
	} {
		r := record(c.registered)
		for _, sent := range c.sent {
			r.KeptKeys = r.Keeping(sent)
			r.Replacing = true
		}
		if !slices.Equal(r.KeptKeys, c.kept) && len(r.KeptKeys)+len(c.kept) > 0 {
			t.Errorf("%s: kept %v, want %v", name, r.KeptKeys, c.kept)
		}
		if handle := r.Handle(CredentialsFact{}, now); handle.Uncertain == c.certain {
			t.Errorf("%s: uncertain %t", name, handle.Uncertain)
		}
	}
	secret := record(one)
	secret.Client.Registered.AuthMethod, secret.Replacing, secret.KeptKeys = "client_secret_basic", true, []string{oneID}
	if !secret.Handle(CredentialsFact{}, now).Uncertain {
		t.Error("a secret counts, although an update may have replaced it")
	}
}
