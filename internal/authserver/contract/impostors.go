// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// impostorCases hold what nobody's answer may bring about: at each step of a
// client's life somebody stands in the server's place.
func impostorCases(traits authserver.Traits) cases {
	all := cases{}
	for _, op := range append(operations(traits), Discover) {
		for _, stance := range Stances() {
			all["in the server's place: "+string(op)+": "+stance.Name] = func(t *testing.T, s Subject) {
				inPlace(t, s, op, stance, false)
			}
			if op != Discover && op != List && op != Tidy && op != Access && !stance.Patient {
				all["in the server's place: "+string(op)+", which is done: "+stance.Name] = func(t *testing.T, s Subject) {
					inPlace(t, s, op, stance, true)
				}
			}
		}
	}
	for _, stance := range Stances() {
		all["in the server's place: proof: "+stance.Name] = func(t *testing.T, s Subject) { proofInPlace(t, s, stance) }
		all["in the server's place: deletion and proof: "+stance.Name] = func(t *testing.T, s Subject) { deletionInPlace(t, s, stance) }
		if !traits.OwnClientID {
			all["in the server's place: witness: "+stance.Name] = func(t *testing.T, s Subject) { witnessInPlace(t, s, stance) }
		}
	}
	return all
}

// stand puts somebody in the server's place, or skips what the subject cannot do.
func (s Subject) stand(t *testing.T, stance Stance, hides bool, steps ...Operation) {
	t.Helper()
	if s.Stand == nil || !s.Stand(&stance, hides, steps...) {
		t.Skip("nobody can stand there")
	}
}

func (s Subject) leave() { s.Stand(nil, false) }

func inPlace(t *testing.T, s Subject, op Operation, stance Stance, hides bool) {
	client, handle := register(t, s, Wish())
	if _, err := s.Server.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stand(t, stance, hides, op, Token)
	err := call(t, s, op, handle)
	s.leave()
	if err != nil || !s.readsBack(op) || !stance.Deletes {
		wantNobodys(t, err, op != Discover && effect(op, s.traits()) && !stance.Patient)
	}
	if hides && op == Register {
		s.dropOthers(t, client.ID)
	}
	if hides && op == Revoke {
		wantLive(t, s)
	} else {
		wantLive(t, s, client.ID)
	}
	wantEnd(t, s, handle)
}

// dropOthers holds that a registration whose answer nobody saw made one client, and
// removes it.
func (s Subject) dropOthers(t *testing.T, id string) {
	t.Helper()
	live := s.Live()
	if len(live) != 2 {
		t.Errorf("%d clients live, want two", len(live))
	}
	if s.Remove == nil {
		t.Skip("the subject makes no client vanish")
	}
	for _, other := range live {
		if other != id {
			s.Remove(other)
		}
	}
}

// readsBack says that an operation may be accepted by anybody's success: a
// deletion, whose proof comes later, and what is read back where it ends.
func (s Subject) readsBack(op Operation) bool {
	return op == Revoke || op == Disable || op == Replace && s.traits().OwnClientID
}

// wantNobodys holds that an error is that of an answer that is not the server's.
func wantNobodys(t *testing.T, err error, maybe bool) {
	t.Helper()
	got := failure(t, err)
	if got.Kind != authserver.Unavailable || got.MaybeApplied != maybe || got.Unsent {
		t.Errorf("%v: maybe applied %t, want %s, %t", err, got.MaybeApplied, authserver.Unavailable, maybe)
	}
	wantSilent(t, err)
}

// wantEnd holds that the server itself deletes the client and proves it.
func wantEnd(t *testing.T, s Subject, handle authserver.Handle) {
	t.Helper()
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantLive(t, s)
	handle.Deleted = true
	wantAbsent(t, s, handle)
}

// proofInPlace holds that nobody else proves a deletion that was carried out.
func proofInPlace(t *testing.T, s Subject, stance Stance) {
	for _, wish := range s.wishes() {
		_, handle := register(t, s, wish)
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
		handle.Deleted = true
		s.stand(t, stance, false, Find, Token)
		wantNoProof(t, s, handle)
		mute := handle
		mute.TokenEndpoint = ""
		wantNoProof(t, s, mute)
		s.leave()
		wantAbsent(t, s, handle)
	}
}

func wantNoProof(t *testing.T, s Subject, handle authserver.Handle) {
	t.Helper()
	_, found, err := s.Server.Find(t.Context(), handle)
	if err == nil || found {
		t.Fatalf("found %t, %v", found, err)
	}
	if got := failure(t, err); got.Kind != authserver.Unavailable {
		t.Errorf("%v", err)
	}
}

// deletionInPlace holds that a deletion which somebody else accepted is seen not
// to be one, even with a token that the server refuses.
func deletionInPlace(t *testing.T, s Subject, stance Stance) {
	for _, wish := range s.wishes() {
		client, handle := register(t, s, wish)
		s.stand(t, stance, false, Find, Revoke, Token)
		err := s.Server.Revoke(t.Context(), handle)
		if (err == nil) != stance.Deletes && !s.traits().OwnClientID || err == nil && !stance.Deletes {
			t.Errorf("revoke: %v", err)
		}
		handle.Deleted = true
		wantNoProof(t, s, handle)
		mute := handle
		mute.TokenEndpoint = ""
		wantNoProof(t, s, mute)
		s.leave()
		wantLive(t, s, client.ID)
		find(t, s, handle)
		if handle.AuthMethod == "none" && !s.traits().OwnClientID {
			stale := handle
			stale.Uncertain, stale.ManagementToken = true, authserver.NewSecret("outdated-token")
			if _, found, err := s.Server.Find(t.Context(), stale); err == nil {
				t.Errorf("with an outdated token: found %t", found)
			}
		}
		wantEnd(t, s, handle)
	}
}

// witnessInPlace holds that nobody else witnesses for the token endpoint.
func witnessInPlace(t *testing.T, s Subject, stance Stance) {
	for _, wish := range s.wishes() {
		client, handle := register(t, s, wish)
		stale := handle
		stale.ManagementToken = authserver.NewSecret("outdated-token")
		s.stand(t, stance, false, Token)
		wantNoProof(t, s, stale)
		if got := failure(t, s.Server.Revoke(t.Context(), stale)); got.Kind != authserver.Unavailable {
			t.Errorf("revoke: %v", got)
		}
		s.leave()
		wantLive(t, s, client.ID)
		wantEnd(t, s, handle)
	}
}
