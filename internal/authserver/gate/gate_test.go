// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func fixed() time.Time { return noon }

// fill enters until refused and returns how often it was let in.
func fill(t *testing.T, g *Gate, urgency authserver.Urgency) (leaves []func(), refused *authserver.Error) {
	t.Helper()
	for range 1000 {
		leave, err := g.Enter(urgency)
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("not an *authserver.Error: %v", err)
			}
			return leaves, refused
		}
		leaves = append(leaves, leave)
	}
	t.Fatal("the gate never refuses")
	return nil, nil
}

func TestAQuarterIsKeptForTheUrgent(t *testing.T) {
	for places, routine := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 8: 6, 20: 15, 100: 75} {
		g := New(places, fixed)
		leaves, refused := fill(t, g, authserver.Routine)
		if len(leaves) != routine {
			t.Errorf("%d places: %d open to routine, want %d", places, len(leaves), routine)
		}
		if refused.Kind != authserver.Unavailable || !refused.Unsent ||
			refused.RetryAfter < 20*time.Millisecond || refused.RetryAfter > 60*time.Millisecond {
			t.Errorf("%d places: refused with %+v", places, refused)
		}
		urgent, _ := fill(t, g, authserver.Urgent)
		if total := len(leaves) + len(urgent); total != max(places, 1) {
			t.Errorf("%d places: %d in all", places, total)
		}
	}
}

func TestAPlaceIsFreedOnce(t *testing.T) {
	g := New(2, fixed)
	leaves, _ := fill(t, g, authserver.Urgent)
	leaves[0]()
	leaves[0]()
	again, _ := fill(t, g, authserver.Urgent)
	if len(again) != 1 {
		t.Errorf("leaving twice freed %d places", len(again))
	}
}

func TestHoldClosesForEveryoneUntilItsInstant(t *testing.T) {
	now := noon
	g := New(4, func() time.Time { return now })
	g.Hold(noon.Add(30 * time.Second))
	g.Hold(noon.Add(10 * time.Second))
	for _, urgency := range []authserver.Urgency{authserver.Routine, authserver.Urgent} {
		_, err := g.Enter(urgency)
		var refused *authserver.Error
		if !errors.As(err, &refused) || !refused.Unsent ||
			refused.RetryAfter < 30*time.Second || refused.RetryAfter > 31*time.Second {
			t.Errorf("urgency %d: %v", urgency, err)
		}
	}
	now = noon.Add(30*time.Second - 1)
	if _, err := g.Enter(authserver.Urgent); err == nil {
		t.Error("open before the instant")
	}
	now = noon.Add(30 * time.Second)
	leave, err := g.Enter(authserver.Routine)
	if err != nil {
		t.Fatalf("closed at the instant: %v", err)
	}
	leave()
}

func TestThoseWhoComeBackAreSpread(t *testing.T) {
	g := New(1, fixed)
	fill(t, g, authserver.Urgent)
	seen := map[time.Duration]bool{}
	for range pauseSteps {
		_, err := g.Enter(authserver.Urgent)
		var refused *authserver.Error
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		seen[refused.RetryAfter] = true
	}
	if len(seen) != pauseSteps {
		t.Errorf("%d different pauses, want %d", len(seen), pauseSteps)
	}
}

func TestResizeKeepsThoseInside(t *testing.T) {
	g := New(8, fixed)
	leaves, _ := fill(t, g, authserver.Urgent)
	g.Resize(4)
	for _, leave := range leaves[:4] {
		leave()
		if _, err := g.Enter(authserver.Urgent); err == nil {
			t.Fatal("let in beyond the new number")
		}
	}
	leaves[4]()
	if _, err := g.Enter(authserver.Urgent); err != nil {
		t.Errorf("no place although one of four is free: %v", err)
	}
}

func TestConcurrentUseStaysWithinBounds(t *testing.T) {
	g := New(4, fixed)
	var inside, most atomic.Int64
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for range 500 {
				leave, err := g.Enter(authserver.Urgent)
				if err != nil {
					continue
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				runtime.Gosched()
				inside.Add(-1)
				leave()
			}
		})
	}
	wait.Wait()
	if most.Load() > 4 {
		t.Errorf("%d inside at one time", most.Load())
	}
	if leaves, _ := fill(t, g, authserver.Urgent); len(leaves) != 4 {
		t.Errorf("%d places left of 4", len(leaves))
	}
}

// The urgent wait for a place in the order in which they came, where places become
// free, and so many only that others are not kept by it.
func TestTheUrgentWaitInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(8, time.Now)
		leaves, _ := fill(t, g, authserver.Urgent)
		began := time.Now()
		if _, err := g.Enter(authserver.Urgent); err == nil || time.Since(began) > 0 {
			t.Errorf("at a server at which nothing moves one waits %s: %v", time.Since(began), err)
		}
		leaves[0]()
		leaves[0], _ = g.Enter(authserver.Urgent)
		var mu sync.Mutex
		var order []int
		var want []int
		for i := range queue * 8 {
			want = append(want, i)
			go func() {
				leave, err := g.Enter(authserver.Urgent)
				if err != nil {
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				leave()
			}()
			synctest.Wait()
		}
		if _, err := g.Enter(authserver.Urgent); err == nil {
			t.Error("more wait than twice as many as there are places")
		}
		if _, err := g.Enter(authserver.Routine); err == nil {
			t.Error("one who is not urgent gets a place before those who are")
		}
		for _, leave := range leaves {
			leave()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		if !slices.Equal(order, want) {
			t.Errorf("let in in the order %v", order)
		}
		if g.inFlight != 0 || len(g.waiting) != 0 {
			t.Errorf("%d inside, %d wait at the end", g.inFlight, len(g.waiting))
		}
	})
}

// Who waits is told to come back when no place becomes free, or when the server is to
// be left alone.
func TestWaitingEnds(t *testing.T) {
	for name, held := range map[string]bool{"no place": false, "held": true} {
		synctest.Test(t, func(t *testing.T) {
			g := New(1, time.Now)
			leave, _ := g.Enter(authserver.Urgent)
			leave()
			leave, _ = g.Enter(authserver.Urgent)
			if held {
				go func() {
					time.Sleep(patience / 2)
					g.Hold(time.Now().Add(time.Minute))
					leave()
				}()
			}
			began := time.Now()
			_, err := g.Enter(authserver.Urgent)
			var refused *authserver.Error
			if !errors.As(err, &refused) || !refused.Unsent || time.Since(began) != patience {
				t.Fatalf("%s: after %s: %v", name, time.Since(began), err)
			}
			if long := refused.RetryAfter > 30*time.Second; long != held {
				t.Errorf("%s: come back after %s", name, refused.RetryAfter)
			}
			if !held {
				leave()
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.inFlight != 0 || len(g.waiting) != 0 {
				t.Errorf("%s: %d inside, %d wait", name, g.inFlight, len(g.waiting))
			}
		})
	}
}
