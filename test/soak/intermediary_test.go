// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

const (
	// standing is for how long somebody stands in the server's place at most, and
	// absence how much longer nobody does: a quarter of the time is theirs.
	standing = 800 * time.Millisecond
	absence  = 3
)

// intrude has somebody answer in the authorization server's place for a quarter of
// the time, each time with something else, and half of the time so that the server
// does its work behind it, unless it asks for patience: that is taken for the word
// that nothing was done (RFC 6585 §4). The function that it returns ends that.
func (r *run) intrude(ctx context.Context) (away func()) {
	if !*intermediary {
		return func() {}
	}
	done := make(chan struct{})
	stances, random := contract.Stances(), rand.New(rand.NewPCG(r.script.random.Uint64(), 3))
	go func() {
		defer close(done)
		defer r.AS.Stand(nil, false)
		for {
			while := time.Duration(random.Int64N(int64(standing)))
			if !pause(ctx, absence*while) {
				return
			}
			r.stood++
			stance := stances[random.IntN(len(stances))]
			r.AS.Stand(stance, random.IntN(2) == 0 && !stance.Patient)
			if !pause(ctx, while) {
				return
			}
			r.AS.Stand(nil, false)
		}
	}()
	return func() { <-done }
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// attend waits until the world is as it should be, and does what the status of
// registrations asks a person for, of which two answers in a row were lost: they are
// deleted and made again.
func (r *run) attend(t *testing.T) *world {
	t.Helper()
	w := r.census(t)
	if len(r.waiting) == 0 {
		return w
	}
	r.attended = len(r.waiting)
	for slot, reg := range r.script.slots {
		if reg == nil || !r.waiting[reg.name] {
			continue
		}
		if err := r.script.delete(t.Context(), slot); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.script.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	w = r.census(t)
	if len(r.waiting) > 0 {
		t.Errorf("%d registrations still wait for a person", len(r.waiting))
	}
	return w
}
