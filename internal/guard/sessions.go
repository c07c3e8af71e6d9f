// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"container/list"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// maxSessions is how many sessions are remembered; the one not used for longest is
// forgotten first, and that of a client before those of others once it has its share.
const maxSessions = 100_000

// sessions remembers whose sessions are: of whom the server gave one to or, where nobody
// saw that, of who used it first. It keeps no session id, only digests.
type sessions struct {
	mu          sync.Mutex
	most, share int
	known       map[digest]*session
	// recent has all, the one used last in front.
	recent *list.List
	by     map[Change]*sessionsOf
}

// sessionsOf are the sessions of one client, the one used last in front.
type sessionsOf struct {
	client Change
	recent *list.List
}

// session is what is known of one.
type session struct {
	key, owner digest
	// scopes are those that the last request came with, of the server's catalogue; its
	// token had so many, and expires then.
	scopes []string
	had    int
	until  time.Time
	// all and own are its places among all sessions and among those of its client.
	of       *sessionsOf
	all, own *list.Element
}

// digest is enough of a hash to tell sessions and owners apart.
type digest [16]byte

func newSessions(most int) *sessions {
	return &sessions{most: most, share: max(most/shares, 1), known: map[digest]*session{}, recent: list.New(), by: map[Change]*sessionsOf{}}
}

// foreign reports whether a session is known to be another's.
func (s *sessions) foreign(key digest, token Token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.known[key]
	if found == nil {
		return false
	}
	s.touch(found)
	return found.owner != ownerOf(token)
}

// last returns the client of a session, with the scopes that its last request had; nothing
// where it is not known.
func (s *sessions) last(key digest) (clientID string, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.known[key]; found != nil {
		return found.of.client.ClientID, found.scopes
	}
	return "", nil
}

// note keeps what an allowed request in a session came with, if it is known.
func (s *sessions) note(key digest, v Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.known[key]; found != nil {
		found.note(v)
	}
}

// claim has a session be that of the client and subject of an allowed request, unless it
// is known to be another's, and reports whether it is theirs.
func (s *sessions) claim(key digest, v Verdict) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.known[key]
	if found == nil {
		found = s.add(key, v)
	}
	s.touch(found)
	found.note(v)
	return found.owner == ownerOf(v.Token)
}

// forget forgets a session.
func (s *sessions) forget(key digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.known[key]; found != nil {
		s.remove(found)
	}
}

// add remembers a session, and forgets another where there are too many. s.mu is held.
func (s *sessions) add(key digest, v Verdict) *session {
	client := holder(v)
	if of := s.by[client]; of != nil && of.recent.Len() >= s.share {
		s.evict(of.recent)
	} else if s.recent.Len() >= s.most {
		s.evict(s.recent)
	}
	of := s.by[client]
	if of == nil {
		of = &sessionsOf{client: client, recent: list.New()}
		s.by[client] = of
	}
	added := &session{key: key, owner: ownerOf(v.Token), of: of}
	added.all, added.own = s.recent.PushFront(added), of.recent.PushFront(added)
	s.known[key] = added
	return added
}

// evict forgets the last one of a list. s.mu is held.
func (s *sessions) evict(from *list.List) {
	if oldest, ok := from.Back().Value.(*session); ok {
		s.remove(oldest)
	}
}

// remove forgets a session. s.mu is held.
func (s *sessions) remove(old *session) {
	s.recent.Remove(old.all)
	old.of.recent.Remove(old.own)
	if old.of.recent.Len() == 0 {
		delete(s.by, old.of.client)
	}
	delete(s.known, old.key)
}

// touch has a session be the one used last. s.mu is held.
func (s *sessions) touch(used *session) {
	s.recent.MoveToFront(used.all)
	used.of.recent.MoveToFront(used.own)
}

// mostNoted is how many scopes are kept of a token: sessions are many.
const mostNoted = 32

// note keeps what an allowed request of the owner came with, where that is another token
// than the one before. A token with more scopes may expire with it. The scopes are those
// of the catalogue, whose names are in memory already.
func (s *session) note(v Verdict) {
	if s.owner != ownerOf(v.Token) || s.had == len(v.Token.Scopes) && s.until.Equal(v.Token.ExpiresAt) {
		return
	}
	s.scopes, s.had, s.until = nil, len(v.Token.Scopes), v.Token.ExpiresAt
	for _, scope := range v.Server.Scopes {
		if len(s.scopes) < mostNoted && slices.Contains(v.Token.Scopes, scope.Name) {
			s.scopes = append(s.scopes, scope.Name)
		}
	}
}

func sessionKey(server ServerName, session string) digest {
	return hash(server.Namespace, server.Name, session)
}

func ownerOf(token Token) digest { return hash(token.Issuer, token.ClientID, token.Subject) }

// hash digests texts so that no other texts have the same digest: each goes in as a
// digest of its own.
func hash(texts ...string) digest {
	var all []byte
	for _, text := range texts {
		sum := sha256.Sum256([]byte(text))
		all = append(all, sum[:]...)
	}
	sum := sha256.Sum256(all)
	return digest(sum[:16])
}
