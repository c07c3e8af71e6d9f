// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package agreedtime

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

var noon = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func newClock(machine clock.WithTicker) *Clock {
	return New(Registrar, machine, prometheus.NewRegistry(), logr.Discard())
}

// Whatever the machine's clock says and however long answers take, the time agrees with
// that of the API server to within the bound, and is the machine's where that agrees
// closely.
func TestTimeAgreesWithTheAPIServer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		ahead := time.Duration(random.Int64N(int64(4*time.Hour))) - 2*time.Hour
		if seed%3 == 0 {
			ahead = time.Duration(random.Int64N(int64(8*time.Second))) - 4*time.Second
		}
		truth := noon.Add(time.Duration(random.Int64N(int64(time.Hour))))
		fake := clocktesting.NewFakeClock(truth.Add(ahead))
		c := newClock(fake)
		passes := func(d time.Duration) { truth = truth.Add(d); fake.Step(d) }
		for range 1 + random.IntN(20) {
			sent := fake.Now()
			passes(time.Duration(random.Int64N(int64(800 * time.Millisecond))))
			date := truth.Truncate(time.Second)
			passes(time.Duration(random.Int64N(int64(800 * time.Millisecond))))
			c.observe(date, sent, fake.Now())
			passes(time.Duration(random.Int64N(int64(time.Minute))))
			// An answer says where the offset is to within half a second and half of what it
			// took, and the clocks may have drifted since.
			const unsure = 1300*time.Millisecond + time.Minute/2000
			off := c.Now().Sub(truth)
			if off.Abs() > Bound+unsure || ahead.Abs() < Bound-unsure && off != ahead {
				t.Fatalf("seed %d: the machine is %s ahead, and the time %s", seed, ahead, off)
			}
			if told, sure := c.Ahead(); sure && (told-ahead).Abs() > time.Second+100*time.Millisecond {
				t.Fatalf("seed %d: the machine is %s ahead, and is said to be %s", seed, ahead, told)
			}
			offset, apart, known := c.Offset()
			if !known || apart && ahead.Abs() < Bound-unsure || !apart && ahead.Abs() > Bound+unsure || (offset+ahead).Abs() > unsure {
				t.Fatalf("seed %d: the machine is %s ahead, and the offset %s, apart %t", seed, ahead, offset, apart)
			}
		}
	}
}

// What was noted before a clock was set compares by the time on the wall, on which both
// agree: the machine's monotonic clock is not that of the API server.
func TestTheAgreedTimeHasNoMonotonicReading(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		c := newClock(clock.RealClock{})
		now := time.Now()
		c.observe(now.Add(by).Truncate(time.Second), now, now)
		if agreed := c.Now(); agreed != agreed.Round(0) {
			t.Errorf("%s apart the time has a monotonic reading: %v", by, agreed)
		}
	}
}

// An answer that took long says little of the time, and is not told.
func TestASlowAnswerTellsNothing(t *testing.T) {
	t.Parallel()
	c := newClock(clocktesting.NewFakeClock(noon))
	if _, known := c.Ahead(); known {
		t.Error("known before the first answer")
	}
	c.observe(noon.Add(-4*time.Second), noon.Add(-8*time.Second), noon)
	if _, known := c.Ahead(); known {
		t.Error("known from an answer that took eight seconds")
	}
	c.observe(noon, noon, noon)
	if ahead, known := c.Ahead(); !known || ahead.Abs() > time.Second {
		t.Errorf("ahead %s, known %t", ahead, known)
	}
}

// set is a machine whose clock was set.
type set struct {
	clock.WithTicker
	by time.Duration
}

func (s *set) Now() time.Time { return time.Now().Round(0).Add(s.by) }

// A clock that is set is found out by the next answer.
func TestAClockThatIsSetIsFoundOut(t *testing.T) {
	t.Parallel()
	m := &set{WithTicker: clock.RealClock{}}
	c := newClock(m)
	learn := func() {
		now := m.Now()
		c.observe(time.Now().Truncate(time.Second), now, m.Now())
	}
	learn()
	for _, by := range []time.Duration{time.Hour, -time.Hour, 0} {
		m.by = by
		learn()
		if off := time.Until(c.Now()).Abs(); off > Bound {
			t.Errorf("set by %s the time is %s off", by, off)
		}
	}
}

// Answers of others, and those without a time, teach nothing.
func TestWhatTeachesTheTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		audit, date string
		learns      bool
	}{
		"the API server's":    {"a-1", noon.Add(time.Hour).Format(http.TimeFormat), true},
		"something else's":    {"", noon.Add(time.Hour).Format(http.TimeFormat), false},
		"one without a Date":  {"a-1", "", false},
		"one that is no Date": {"a-1", "tomorrow", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if test.audit != "" {
				w.Header().Set(auditID, test.audit)
			}
			w.Header()["Date"] = []string{test.date}
			if test.date == "" {
				w.Header()["Date"] = nil
			}
		}))
		c := newClock(clocktesting.NewFakeClock(noon))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.Wrap(http.DefaultTransport).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		server.Close()
		offset, apart, known := c.Offset()
		if known != test.learns || apart != test.learns || test.learns && (offset < time.Hour || offset > time.Hour+time.Second) {
			t.Errorf("%s: %s, apart %t, known %t", name, offset, apart, known)
		}
		if moved := c.Now() != noon; moved != test.learns {
			t.Errorf("%s: it is %s", name, c.Now())
		}
	}
}
