// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package keycloak

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// testKeys replaces keys of clients that are in use at that moment. Keycloak
// may go on with the keys that it had; once the replacement was sent again it
// must not.
func testKeys(t *testing.T, server *keycloak.Server) {
	const clients, rounds = 4, 3
	s := stage(t, server)
	t.Run("clients", func(t *testing.T) {
		for n := range clients {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				old := contract.NewKey(t)
				wish, handle := s.register(t, contract.Keyed(old))
				client := keyed{scene: s, wish: wish, handle: handle}
				for range rounds {
					next := contract.NewKey(t)
					client.replace(t, old, old, next)
					client.want(t, next, true)
					client.replace(t, old, next)
					client.want(t, old, false)
					old = next
				}
				if client.missed > 0 {
					t.Logf("%d of %d replacements alone were not enough", client.missed, 2*rounds)
				}
			})
		}
	})
}

// keyed is a client that authenticates by keys.
type keyed struct {
	scene

	wish   authserver.ClientMetadata
	handle authserver.Handle
	// missed is how many replacements were not in force when they were answered.
	missed int
}

func (k *keyed) good(t *testing.T, key contract.Key) bool {
	t.Helper()
	handle := k.handle
	handle.PrivateKey, handle.KeyID = key.Private, key.ID
	return credentials(t, k.Realm, handle).Status == 200
}

func (k *keyed) want(t *testing.T, key contract.Key, good bool) {
	t.Helper()
	if k.good(t, key) != good {
		t.Errorf("a key that should be good=%t is not", good)
	}
}

// replace sets the keys while one of them is in use, and once more when the
// requests from before have ended.
func (k *keyed) replace(t *testing.T, inUse contract.Key, keys ...contract.Key) {
	t.Helper()
	var stop atomic.Bool
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(func() {
			for !stop.Load() {
				k.good(t, inUse)
			}
		})
	}
	k.wish.JWKS = contract.Keyed(keys...).JWKS
	k.send(t)
	newest := keys[len(keys)-1]
	if !k.good(t, newest) || (len(keys) == 1 && k.good(t, inUse)) {
		k.missed++
	}
	stop.Store(true)
	busy.Wait()
	time.Sleep(authserver.KeyCacheRace)
	k.send(t)
}

func (k *keyed) send(t *testing.T) {
	t.Helper()
	if _, err := k.server.Replace(t.Context(), k.handle, k.wish); err != nil {
		t.Fatalf("replacing: %v", err)
	}
}
