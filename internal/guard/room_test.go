// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A client has its share of the room and no more; all of them together have all of it, and
// who comes then waits until others have left.
func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(100, 10, 8)
		a, b, c, d, e := Change{ClientID: "a"}, Change{ClientID: "b"}, Change{ClientID: "c"}, Change{ClientID: "d"}, Change{ClientID: "e"}
		enter := func(who Change, size int64) func() { return r.enter(t.Context(), who, size, true) }
		first := enter(a, 15)
		if first == nil || enter(a, 11) != nil {
			t.Fatal("a client does not have its share, or more")
		}
		second := enter(a, 10)
		first()
		first()
		if second == nil || enter(a, 16) != nil {
			t.Error("what was given back twice counts twice")
		}
		third := enter(a, 15)
		late := make(chan func())
		go func() { late <- enter(a, 15) }()
		synctest.Wait()
		// Who waits for its own share takes nothing of the others' room.
		leaves := []func(){enter(b, 25), enter(c, 25), enter(d, 25)}
		if slices.ContainsFunc(leaves, func(leave func()) bool { return leave == nil }) {
			t.Fatal("others do not have their share")
		}
		third()
		third = <-late
		if third == nil {
			t.Fatal("who waits for its share is not let in")
		}
		if enter(e, 1) != nil {
			t.Error("there is more room than there is")
		}
		go func() { late <- enter(e, 25) }()
		synctest.Wait()
		leaves[0]()
		leave := <-late
		if leave == nil {
			t.Fatal("who waits is not let in when others leave")
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if r.enter(gone, b, 1, true) != nil {
			t.Error("who has gone is let in")
		}
		leaves = append(leaves, second, third)
		for _, leave := range append(leaves, leave) {
			leave()
		}
		if len(r.by) != 0 || !r.all.TryAcquire(100) {
			t.Errorf("something is left: %v", r.by)
		}
	})
}

// The largest body finds room however small the room is.
func TestTheLargestBodyFindsRoom(t *testing.T) {
	t.Parallel()
	if leave := newRoom(10, 64, 1).enter(t.Context(), Change{}, 64, true); leave == nil {
		t.Error("it does not")
	}
}

// Who has the body in memory already does not wait, and nobody waits in any number.
func TestWhoDoesNotWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(100, 10, 3)
		a, b := Change{ClientID: "a"}, Change{ClientID: "b"}
		begun := time.Now()
		first := r.enter(t.Context(), a, 25, false)
		if first == nil || r.enter(t.Context(), a, 1, false) != nil || time.Since(begun) != 0 {
			t.Fatalf("after %s", time.Since(begun))
		}
		late := make(chan func(), 2)
		for range 2 {
			go func() { late <- r.enter(t.Context(), a, 1, true) }()
		}
		synctest.Wait()
		if r.enter(t.Context(), a, 1, true) != nil || time.Since(begun) != 0 {
			t.Errorf("one more waits: after %s", time.Since(begun))
		}
		if leave := r.enter(t.Context(), b, 1, false); leave == nil {
			t.Error("another client is kept out")
		} else {
			leave()
		}
		first()
		for range 2 {
			if leave := <-late; leave == nil {
				t.Error("who waited is not let in")
			} else {
				leave()
			}
		}
		if len(r.by) != 0 || !r.all.TryAcquire(100) {
			t.Errorf("something is left: %v", r.by)
		}
	})
}
