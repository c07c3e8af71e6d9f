// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// keyNamed is the key of a session.
func keyNamed(name string) digest { return sessionKey(testServer, name) }

// by is the verdict of an allowed request of a subject by a client.
func by(client, subject string, scopes ...string) Verdict {
	return Verdict{Token: Token{Issuer: "https://as.example.com", ClientID: client, Subject: subject, Scopes: scopes}}
}

// sound checks that what is remembered is remembered in each place, within the bounds.
func (s *sessions) sound(t *testing.T) {
	t.Helper()
	own := 0
	for client, of := range s.by {
		if of.recent.Len() == 0 || of.recent.Len() > s.share || of.client != client {
			t.Fatalf("%v has %d sessions", client, of.recent.Len())
		}
		own += of.recent.Len()
	}
	if len(s.known) != s.recent.Len() || len(s.known) != own || len(s.known) > s.most {
		t.Fatalf("%d known, %d recent, %d of clients", len(s.known), s.recent.Len(), own)
	}
}

// A client pushes out its own sessions before those of others.
func TestAClientHasItsShareOfSessions(t *testing.T) {
	t.Parallel()
	s := newSessions(8)
	s.claim(keyNamed("dana's"), by("c1", "dana"))
	for i := range 100 {
		s.claim(keyNamed(fmt.Sprint("made up ", i)), by("c2", "mallory"))
		s.sound(t)
	}
	if !s.foreign(keyNamed("dana's"), by("c2", "mallory").Token) || s.recent.Len() != 3 {
		t.Errorf("of %d sessions, that of another client is forgotten", s.recent.Len())
	}
	if s.foreign(keyNamed("made up 0"), by("c1", "dana").Token) || !s.foreign(keyNamed("made up 99"), by("c1", "dana").Token) {
		t.Error("it is not the one used last that is remembered")
	}
	for i := range 20 {
		s.claim(keyNamed(fmt.Sprint("of ", i)), by(fmt.Sprint("c", i), "x"))
		s.sound(t)
	}
	if s.foreign(keyNamed("dana's"), by("c2", "mallory").Token) || s.recent.Len() != 8 {
		t.Error("more are remembered than may be")
	}
}

// One of several who use a session at the same instant has it.
func TestASessionHasOneOwner(t *testing.T) {
	t.Parallel()
	s := newSessions(8)
	var owners atomic.Int32
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			if s.claim(keyNamed("s"), by("c1", fmt.Sprint(i))) {
				owners.Add(1)
			}
		})
	}
	all.Wait()
	if owners.Load() != 1 {
		t.Errorf("%d have it", owners.Load())
	}
}

// Whatever happens, a session that is remembered is of who had it first.
func TestSessionsAtRandom(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	s, owner := newSessions(12), map[digest]string{}
	for range 20_000 {
		name := fmt.Sprint("s-", r.IntN(20))
		key, client := keyNamed(name), fmt.Sprint("c", r.IntN(6))
		subject := fmt.Sprint(r.IntN(2))
		v := by(client, subject, slices.Repeat([]string{"x"}, r.IntN(3))...)
		if s.known[key] == nil {
			delete(owner, key)
		}
		theirs := owner[key] == "" || owner[key] == client+"/"+subject
		switch r.IntN(5) {
		case 0:
			s.forget(key)
		case 1:
			if s.foreign(key, v.Token) == theirs {
				t.Fatalf("%s of %s: foreign to %s/%s is %v", name, owner[key], client, subject, theirs)
			}
		case 2:
			s.note(key, v)
		default:
			if s.claim(key, v) != theirs {
				t.Fatalf("%s of %s: %s/%s claims it", name, owner[key], client, subject)
			}
			if owner[key] == "" {
				owner[key] = client + "/" + subject
			}
		}
		s.sound(t)
		if id, _ := s.last(key); id != "" && owner[key] != "" && id != owner[key][:len(id)] {
			t.Fatalf("%s of %s: last is %s", name, owner[key], id)
		}
	}
}

// A session takes a bounded amount of memory, whatever its id and its tokens are.
func TestTheMemoryOfSessions(t *testing.T) {
	const many, most = 2000, 1000
	scopes := make([]string, 64)
	var catalogue []policy.CatalogueScope
	for i := range scopes {
		scopes[i] = fmt.Sprint("scope:", i)
		catalogue = append(catalogue, policy.CatalogueScope{Name: scopes[i]})
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := newSessions(many)
	for i := range 2 * many {
		v := by(fmt.Sprintf("%04096d", i%8), fmt.Sprint(i), scopes...)
		v.Server.Scopes = catalogue
		s.claim(keyNamed(fmt.Sprint(i)), v)
	}
	if each := (heap() - before) / many; each > most || s.recent.Len() != many {
		t.Errorf("%d bytes for each of %d sessions", each, s.recent.Len())
	}
	runtime.KeepAlive(s)
}
