// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// listed is an API server that has registrations and counts the lists of them.
type listed struct {
	client.Reader
	mu       sync.Mutex
	versions map[types.UID]string
	lists    int
	// takes is how long a list takes.
	takes time.Duration
	err   error
}

func (l *listed) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	page, ok := list.(*metav1.PartialObjectMetadataList)
	if !ok || page.Kind != "MCPClientRegistrationList" {
		return errors.New("more than the metadata of registrations is listed")
	}
	l.mu.Lock()
	l.lists++
	for uid, version := range l.versions {
		page.Items = append(page.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: version}})
	}
	l.mu.Unlock()
	time.Sleep(l.takes)
	return l.err
}

// crowded is a wave in which so many are read about by themselves that others are read
// about together.
func crowded(l *listed, now clock.PassiveClock) *wave {
	w := newWave(l, now, nil)
	for range mostAlone {
		w.byItself()
	}
	return w
}

// endingAt is a registration as a cache has it.
func endingAt(i int, version string) *v1alpha1.MCPClientRegistration {
	return &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{UID: other(i), ResourceVersion: version}}
}

// Two thousand ends in one second are read about in few lists, each begun after the
// ends that it serves: what was renewed before its end, at whatever instant, is not
// taken for unchanged.
func TestWaveSharesReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// With fewer at a time a list would serve too few to be worth its while.
		const ends, workers = 2000, 128
		l := &listed{versions: map[types.UID]string{}, takes: 50 * time.Millisecond}
		w := crowded(l, clock.RealClock{})
		begin := time.Now().Add(time.Second)
		due := func(i int) time.Time { return begin.Add(time.Duration(i) * time.Second / ends) }
		for i := range ends {
			l.versions[other(i)] = "1"
		}
		for i := 0; i < ends; i += 10 {
			go func() {
				// In the last moment, and no cache has seen it yet.
				time.Sleep(time.Until(due(i)) - time.Microsecond)
				l.mu.Lock()
				defer l.mu.Unlock()
				l.versions[other(i)] = "2"
			}()
		}
		next, unchanged := make(chan int), make([]bool, ends)
		var group sync.WaitGroup
		for range workers {
			group.Go(func() {
				for i := range next {
					unchanged[i] = w.unchanged(t.Context(), endingAt(i, "1"), due(i))
				}
			})
		}
		for i := range ends {
			time.Sleep(time.Until(due(i)))
			next <- i
		}
		close(next)
		group.Wait()
		for i, is := range unchanged {
			if is != (i%10 != 0) {
				t.Fatalf("%d is unchanged: %v", i, is)
			}
		}
		if l.lists > ends/50 {
			t.Errorf("%d lists for %d ends", l.lists, ends)
		}
	})
}

// What a list says counts only where it was begun after the end, was read, and has the
// registration at the version at hand. Few ends are read about one by one.
func TestWaveOfOne(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(begun)
	for name, c := range map[string]struct {
		spoil func(w *wave, l *listed)
		want  bool
		lists int
	}{
		"as it is at hand": {func(*wave, *listed) {}, true, 1},
		"few others":       {func(w *wave, _ *listed) { w.alone-- }, false, 0},
		"renewed":          {func(_ *wave, l *listed) { l.versions["other-0"] = "2" }, false, 1},
		"gone":             {func(_ *wave, l *listed) { delete(l.versions, "other-0") }, false, 1},
		"not read":         {func(_ *wave, l *listed) { l.err = errors.New("the API server does not answer") }, false, 1},
		"listed before": {func(w *wave, _ *listed) {
			w.last = &census{done: closed(), began: begun, versions: map[types.UID]string{"other-0": "1"}}
		}, true, 0},
		"listed before it came": {func(w *wave, l *listed) {
			w.last = &census{done: closed(), began: begun.Add(-1), versions: map[types.UID]string{"other-0": "1"}}
			l.versions["other-0"] = "2"
		}, false, 1},
		"listed long ago": {func(w *wave, l *listed) {
			w.last = &census{done: closed(), began: begun.Add(-listAge), versions: map[types.UID]string{"other-0": "1"}}
			l.versions["other-0"] = "2"
		}, false, 1},
		"lists are not worth it": {func(w *wave, _ *listed) { w.idle = begun.Add(time.Second) }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := &listed{versions: map[types.UID]string{"other-0": "1"}}
			w := crowded(l, now)
			c.spoil(w, l)
			if got := w.unchanged(t.Context(), endingAt(0, "1"), begun); got != c.want || l.lists != c.lists {
				t.Errorf("unchanged %v after %d lists, want %v after %d", got, l.lists, c.want, c.lists)
			}
		})
	}
	var none *wave
	none.byItself()()
	if none.unchanged(t.Context(), endingAt(0, ""), begun) {
		t.Error("no wave knows something")
	}
}

func closed() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// A list is not remembered where the clock was set back since: its instant would be
// after ends that come later.
func TestWaveAndAClockThatIsSetBack(t *testing.T) {
	list := census{began: time.Now()}
	if !list.remembered(list.began.Add(time.Second)) {
		t.Error("a list is forgotten after a second")
	}
	// Round strips the monotonic reading: only the wall went back.
	back := list.began.Add(-time.Second).Round(0)
	if list.remembered(back) {
		t.Error("a list is remembered although the clock was set back")
	}
}

// A list of very many that serves few is not read again for a while.
func TestWaveThatIsNotWorthIt(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(begun)
	l := &listed{versions: map[types.UID]string{}}
	for i := range 10 * oneRead {
		l.versions[types.UID("idle-"+strconv.Itoa(i))] = "1"
	}
	l.versions["other-0"] = "1"
	w := crowded(l, now)
	for i := range 2 * poorLists {
		end := begun.Add(time.Duration(i) * time.Second)
		now.SetTime(end)
		w.unchanged(t.Context(), endingAt(0, "1"), end)
	}
	if l.lists != poorLists+1 {
		t.Errorf("%d lists, want %d", l.lists, poorLists+1)
	}
	now.SetTime(begun.Add(2 * idleLists))
	if !w.unchanged(t.Context(), endingAt(0, "1"), now.Now()) {
		t.Error("no list after a while")
	}
}

// A renewal in the last moment wins, also where the cache has not seen it when the end
// comes with many others; and what can be read neither with others nor by itself is
// not deleted.
func TestARenewalWinsInAWave(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(s *stage)
		lives     bool
	}{
		"nothing":    {func(*stage) {}, false},
		"renewed":    {func(s *stage) { editOnce(s, s.reg, renewed) }, true},
		"touched":    {func(s *stage) { editOnce(s, s.reg, touched) }, false},
		"not read":   {func(s *stage) { s.broken["*v1alpha1.MCPClientRegistration"] = true }, true},
		"not listed": {func(s *stage) { s.registrations.Wave.live = &listed{err: errors.New("no lists")} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "wave")
			endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
			s.begin()
			w := newWave(counted{s.Client, s}, s.clock, nil)
			for range mostAlone {
				w.byItself()
			}
			s.registrations.Wave = w
			cached := s.registration()
			s.requests = nil
			c.meanwhile(s)
			if name == "not read" {
				// Nor is it as it is at hand.
				cached.ResourceVersion = "1"
			}
			s.clock.SetTime(begun.Add(time.Hour))
			_, err := s.registrations.Reconcile(t.Context(), cached)
			if lives := len(s.as.Clients()) == 1; lives != c.lives {
				t.Errorf("lives %v, want %v (%v); asked %v", lives, c.lives, err, s.requests)
			}
			if name == "nothing" && (len(s.requests) == 0 || !strings.HasPrefix(s.requests[0], "list *v1.PartialObjectMetadataList")) {
				t.Errorf("asked %v", s.requests)
			}
		})
	}
}

func renewed(reg *v1alpha1.MCPClientRegistration) {
	endAt(reg, begun.Add(2*time.Hour).Format(time.RFC3339))
}

func touched(reg *v1alpha1.MCPClientRegistration) { reg.Annotations["example.com/touched"] = "true" }
