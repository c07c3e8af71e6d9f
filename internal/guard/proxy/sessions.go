// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/sha256"

	"k8s.io/utils/lru"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// maxSessions is how many sessions are remembered; the one not used for longest
// is forgotten first.
const maxSessions = 100_000

// sessions remembers whom the upstreams gave sessions to. It keeps no session
// id, only digests.
type sessions struct{ owners *lru.Cache }

// digest is enough of a hash to tell sessions and owners apart.
type digest [16]byte

func newSessions(size int) *sessions { return &sessions{owners: lru.New(size)} }

// foreign says that a session is known to be another's.
func (s *sessions) foreign(server guard.ServerName, session string, token guard.Token) bool {
	owner, known := s.owners.Get(sessionKey(server, session))
	return known && owner != ownerOf(token)
}

func (s *sessions) remember(server guard.ServerName, session string, token guard.Token) {
	key := sessionKey(server, session)
	if _, known := s.owners.Get(key); !known {
		s.owners.Add(key, ownerOf(token))
	}
}

func (s *sessions) forget(server guard.ServerName, session string) {
	s.owners.Remove(sessionKey(server, session))
}

func sessionKey(server guard.ServerName, session string) digest {
	return hash(server.Namespace, server.Name, session)
}

func ownerOf(token guard.Token) digest { return hash(token.Issuer, token.ClientID, token.Subject) }

// hash digests texts so that no other texts have the same digest: each goes in
// as a digest of its own.
func hash(texts ...string) digest {
	var all []byte
	for _, text := range texts {
		sum := sha256.Sum256([]byte(text))
		all = append(all, sum[:]...)
	}
	sum := sha256.Sum256(all)
	return digest(sum[:16])
}
