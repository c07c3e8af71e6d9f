// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"time"

	"k8s.io/utils/lru"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// maxSessions is how many sessions are remembered; the one not used for longest
// is forgotten first.
const maxSessions = 100_000

// sessions remembers whom the upstreams gave sessions to. It keeps no session
// id, only digests.
type sessions struct{ known *lru.Cache }

// session is what is known of one. It is not changed.
type session struct {
	owner    digest
	clientID string
	// scopes are those that the last request came with, of the server's catalogue; its
	// token had so many, and expires then.
	scopes []string
	had    int
	until  time.Time
}

// digest is enough of a hash to tell sessions and owners apart.
type digest [16]byte

func newSessions(size int) *sessions { return &sessions{known: lru.New(size)} }

func (s *sessions) get(key digest) (session, bool) {
	value, known := s.known.Get(key)
	if !known {
		return session{}, false
	}
	found, ok := value.(session)
	return found, ok
}

// tell has a request answer for its session, where it is made in one, and returns the
// session's key.
func (s *sessions) tell(request *guard.Request, r *http.Request) (key digest, ok bool) {
	id := r.Header.Get(headerSession)
	if id == "" {
		return digest{}, false
	}
	key = sessionKey(request.Server, id)
	request.Foreign = func(token guard.Token) bool { return s.foreign(key, token) }
	request.Last = func() (string, []string) {
		last, _ := s.get(key)
		return last.clientID, last.scopes
	}
	return key, true
}

// foreign says that a session is known to be another's.
func (s *sessions) foreign(key digest, token guard.Token) bool {
	found, known := s.get(key)
	return known && found.owner != ownerOf(token)
}

// remember keeps whom a session was given to.
func (s *sessions) remember(server guard.ServerName, id string, v guard.Verdict) {
	key := sessionKey(server, id)
	if _, known := s.get(key); !known {
		s.known.Add(key, sessionOf(v))
	}
}

// note keeps what an allowed request in a session came with, where that is another
// token than the one before. A token with more scopes may expire with it.
func (s *sessions) note(key digest, v guard.Verdict) {
	last, known := s.get(key)
	if known && (!last.until.Equal(v.Token.ExpiresAt) || last.had != len(v.Token.Scopes)) {
		s.known.Add(key, sessionOf(v))
	}
}

// mostNoted is how many scopes are kept of a token: sessions are many.
const mostNoted = 32

// sessionOf is the session of an allowed request. The scopes are those of the
// catalogue, whose names are in memory already.
func sessionOf(v guard.Verdict) session {
	s := session{owner: ownerOf(v.Token), clientID: v.Token.ClientID, had: len(v.Token.Scopes), until: v.Token.ExpiresAt}
	for _, scope := range v.Server.Scopes {
		if len(s.scopes) < mostNoted && slices.Contains(v.Token.Scopes, scope.Name) {
			s.scopes = append(s.scopes, scope.Name)
		}
	}
	return s
}

func (s *sessions) forget(server guard.ServerName, session string) {
	s.known.Remove(sessionKey(server, session))
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
