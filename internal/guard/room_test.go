// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

// A client has its share of the room and no more; all of them together have all of it, and
// who comes then waits until others have left.
func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(100, 10)
		a, b, c, d, e := Change{ClientID: "a"}, Change{ClientID: "b"}, Change{ClientID: "c"}, Change{ClientID: "d"}, Change{ClientID: "e"}
		enter := func(who Change, size int64) func() { return r.enter(t.Context(), who, size) }
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
		if r.enter(gone, b, 1) != nil {
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
	if leave := newRoom(10, 64).enter(t.Context(), Change{}, 64); leave == nil {
		t.Error("it does not")
	}
}
