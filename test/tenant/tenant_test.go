// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

var (
	tenants = flag.Int("tenants", 60, "how many tenants there are, each with its registration, server and grants; half of them without the admission policies")
	seed    = flag.Uint64("seed", 0, "repeats the tenants of an earlier run; 0 takes others each time")
	only    = flag.Int("only", -1, "the number of the one tenant to repeat")
	abreast = flag.Int("abreast", 12, "how many tenants live at one time")
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// Whatever a tenant writes that the API server takes: its client goes when it must,
// the guard refuses it, and it is said.
func TestTenants(t *testing.T) {
	chosen := *seed
	if chosen == 0 {
		chosen = rand.Uint64N(1_000_000_000)
	}
	t.Logf("seed %d: repeat with -run=%s -tenants=%d -seed=%d, or one of them with -only=NUMBER", chosen, t.Name(), *tenants, chosen)
	for _, policies := range []bool{true, false} {
		name := "without policies"
		if policies {
			name = "with policies"
		}
		t.Run(name, func(t *testing.T) { populate(t, startWorld(t, policies), chosen, max(*tenants/2, 1)) })
	}
}

// populate has so many tenants live, some at one time.
func populate(t *testing.T, w *world, seed uint64, count int) {
	t.Helper()
	began := time.Now()
	counts := newTally(seed)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range *abreast {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count || t.Context().Err() != nil {
					return
				}
				if *only >= 0 && i != *only {
					continue
				}
				one := &life{world: w, tally: counts, index: i}
				if err := one.live(t.Context()); err != nil {
					counts.except(fmt.Sprintf("tenant %d: %v\n%s", i, err, one.describe(t.Context())))
				}
				if err := one.close(); err != nil {
					counts.except(err.Error())
				}
			}
		})
	}
	workers.Wait()
	counts.require(t, w.policies, count, time.Since(began))
}

// tally counts what came of the tenants.
type tally struct {
	seed uint64

	mu                      sync.Mutex
	admitted, refused       map[string]int
	objects, refusals       int
	clients, tokens         int
	reasons, endings, words map[string]int
	latencies               []time.Duration
	// excused took longer than the bound on a machine that was too busy.
	excused    []string
	exceptions []string
}

func newTally(seed uint64) *tally {
	return &tally{seed: seed, admitted: map[string]int{}, refused: map[string]int{}, reasons: map[string]int{}, endings: map[string]int{}, words: map[string]int{}}
}

// dealt is the oddity of a tenant: those that a world can admit, in turns.
func (c *tally) dealt(policies bool, index int) oddity {
	able := slices.DeleteFunc(slices.Clone(oddities), func(o oddity) bool { return o.bare && policies })
	order := rand.New(rand.NewPCG(c.seed, uint64(index/len(able)))).Perm(len(able))
	return able[order[index%len(able)]]
}

func (c *tally) locked(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

func (c *tally) admit(odd []string) {
	c.locked(func() {
		c.objects++
		for _, name := range odd {
			c.admitted[name]++
		}
	})
}

func (c *tally) refuse(odd []string, err error) {
	c.locked(func() {
		c.refusals++
		for _, name := range odd {
			c.refused[name]++
		}
		c.words[strings.Join(odd, ", ")+": "+brief(err)]++
	})
}

func (c *tally) registered()           { c.locked(func() { c.clients++ }) }
func (c *tally) token()                { c.locked(func() { c.tokens++ }) }
func (c *tally) without(reason string) { c.locked(func() { c.reasons[reason]++ }) }
func (c *tally) ended(name string)     { c.locked(func() { c.endings[name]++ }) }
func (c *tally) except(what string)    { c.locked(func() { c.exceptions = append(c.exceptions, what) }) }

func (c *tally) took(late time.Duration, excuse float64) {
	c.locked(func() {
		c.latencies = append(c.latencies, late)
		if late > bound {
			c.excused = append(c.excused, fmt.Sprintf("%s of %.1f times the bound", late.Round(time.Millisecond), excuse))
		}
	})
}

// require fails for each exception, and where too little of it was a test.
func (c *tally) require(t *testing.T, policies bool, count int, took time.Duration) {
	t.Helper()
	slices.Sort(c.latencies)
	percentile := func(p int) time.Duration {
		if len(c.latencies) == 0 {
			return 0
		}
		return c.latencies[(len(c.latencies)-1)*p/100].Round(time.Millisecond)
	}
	t.Logf("TENANTS policies=%t: %d admitted, %d refused, %d registered, %d with a token; without a client: %v; ends: %v; all true after p50 %s, p99 %s, at most %s; %d exceptions; %s",
		policies, c.objects, c.refusals, c.clients, c.tokens, c.reasons, c.endings, percentile(50), percentile(99), percentile(100), len(c.exceptions), took.Round(time.Second))
	if len(c.excused) > 0 {
		t.Logf("beyond the bound on a busy machine: %s", strings.Join(c.excused, ", "))
	}
	for _, words := range slices.Sorted(maps.Keys(c.words)) {
		t.Logf("refused %d times: %s", c.words[words], words)
	}
	for _, exception := range c.exceptions {
		t.Error(exception)
	}
	if *only >= 0 {
		return
	}
	if c.objects != count {
		t.Errorf("%d of %d tenants were admitted", c.objects, count)
	}
	few := count < 2*len(oddities)
	if share := map[bool]int{true: 4, false: 2}[few]; c.clients*share < c.objects || c.tokens*(share+1) < c.objects {
		t.Errorf("%d of %d tenants had a client, %d a token: that tests too little", c.clients, c.objects, c.tokens)
	}
	if c.refusals > c.objects {
		t.Errorf("%d tenants were refused, %d admitted: the generator makes too much that nobody takes", c.refusals, c.objects)
	}
	if few {
		return
	}
	for _, o := range oddities {
		if c.admitted[o.name] == 0 && !(o.bare && policies) {
			t.Errorf("nobody was admitted with: %s (refused %d times)", o.name, c.refused[o.name])
		}
	}
	for _, e := range ends {
		if c.endings[e.name] == 0 && !(e.bare && policies) {
			t.Errorf("no client ended so: %s", e.name)
		}
	}
}
