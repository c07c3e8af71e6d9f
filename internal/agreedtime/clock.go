// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package agreedtime

import (
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

const (
	// Bound is by how much the machine's clock may differ from the API server's before it
	// is not relied on. A Date has whole seconds.
	Bound = 2 * time.Second
	// drift is by how much two clocks may drift apart in a unit of time.
	drift = 1.0 / 2000
)

// Clock tells the time that agrees with the API server's to within Bound. Timers and
// tickers are the machine's. It may be used by several goroutines.
type Clock struct {
	clock.WithTicker
	log logr.Logger
	mu  sync.Mutex
	// at is when offset was known, by the machine; its zero value before the first answer.
	at     time.Time
	offset span
	// told is whether it was said last that the clocks are apart.
	told bool
}

// span is where a difference lies.
type span struct{ least, most time.Duration }

func (s span) middle() time.Duration { return s.least + (s.most-s.least)/2 }

// apart says that a difference is more than is borne. An answer that took so long that
// there may be none says nothing against the machine's clock: whoever holds up answers does
// not move the time.
func (s span) apart() bool { return s.middle().Abs() > Bound && (s.least > 0 || s.most < 0) }

// plus moves a span.
func (s span) plus(d time.Duration) span { return span{s.least + d, s.most + d} }

// wider is a span after some time in which both clocks may have drifted.
func (s span) wider(after time.Duration) span {
	by := time.Duration(float64(after.Abs()) * drift)
	return span{s.least - by, s.most + by}
}

// and is what lies in both; ok is false where nothing does.
func (s span) and(other span) (both span, ok bool) {
	both = span{max(s.least, other.least), min(s.most, other.most)}
	return both, both.least <= both.most
}

// The programs that have such a clock, as the names of their metrics begin.
const (
	Registrar = "mcp_registrar"
	Guard     = "mcp_guard"
)

// New returns a clock that is the machine's until an answer says otherwise. It says in the
// log when the clocks come apart, and registers the metric clock_offset_seconds of a
// program.
func New(program string, machine clock.WithTicker, registerer prometheus.Registerer, log logr.Logger) *Clock {
	c := &Clock{WithTicker: machine, log: log}
	registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: program + "_clock_offset_seconds",
		Help: "By how much the clock of the API server is ahead of the machine's. Beyond 2 seconds either way ends are decided by the former.",
	}, func() float64 {
		offset, _, _ := c.Offset()
		return offset.Seconds()
	}))
	return c
}

// Now implements clock.PassiveClock.
func (c *Clock) Now() time.Time {
	now := c.WithTicker.Now()
	c.mu.Lock()
	offset, known := c.since(now)
	c.mu.Unlock()
	if known && offset.apart() {
		// Where the clock was set, its monotonic reading would be moved by what only the one
		// on the wall is off by, and what was noted before would seem to be of another time.
		return now.Round(0).Add(offset.middle())
	}
	return now
}

// Since implements clock.PassiveClock.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Offset is by how much the API server's clock is ahead of the machine's; known is false
// before the first answer. apart says that it is by more than Bound.
func (c *Clock) Offset() (offset time.Duration, apart, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, known := c.since(c.WithTicker.Now())
	return s.middle(), s.apart(), known
}

// Ahead is by how much the machine's clock is ahead of the API server's. known is false
// where no answer was quick enough to tell to within a second.
func (c *Clock) Ahead() (ahead time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, known := c.since(c.WithTicker.Now())
	return -s.middle(), known && s.most-s.least <= 2*time.Second
}

// since is where the offset lies now. The machine's clock may have been set meanwhile: how
// much time has passed its monotonic clock says. The lock is held.
func (c *Clock) since(now time.Time) (span, bool) {
	if c.at.IsZero() {
		return span{}, false
	}
	passed := now.Sub(c.at)
	set := now.Round(0).Sub(c.at.Round(0)) - passed
	return c.offset.plus(-set).wider(passed), true
}

// observe takes the Date of an answer to a request that was sent, and answered, at two
// instants of the machine's clock. The answer was made between them, within the second of
// its Date.
func (c *Clock) observe(date, sent, received time.Time) {
	if received.Before(sent) {
		return
	}
	took := received.Sub(sent)
	behind := date.Sub(received.Round(0))
	seen := span{behind, behind + took + time.Second}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.since(received); ok {
		if both, agree := known.and(seen); agree {
			seen = both
		}
	}
	c.at, c.offset = received, seen
	if apart := seen.apart(); apart != c.told {
		c.told = apart
		if apart {
			c.log.Error(nil, "The clock of this machine differs from the API server's, and is not relied on: set it", "ahead", (-seen.middle()).String())
			return
		}
		c.log.Info("The clock of this machine agrees with the API server's again")
	}
}

// auditID is on every answer of an API server itself, and on none of what may stand before
// it.
const auditID = "Audit-Id"

// Wrap returns a transport that learns from the answers of the API server, for
// rest.Config.Wrap.
func (c *Clock) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		sent := c.WithTicker.Now()
		response, err := next.RoundTrip(request)
		if err != nil || response.Header.Get(auditID) == "" {
			return response, err
		}
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			c.observe(date, sent, c.WithTicker.Now())
		}
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
