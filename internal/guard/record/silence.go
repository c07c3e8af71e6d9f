// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// labelClient is the label that names a registration.
const labelClient = "client"

// longSilence is after how long without a request the counters of a client go:
// registrations come and end, and a guard that runs for months would keep those
// of every client that ever called.
const longSilence = 24 * time.Hour

// silence tells for how long nothing was heard of clients.
type silence struct {
	clock clock.PassiveClock
	// last holds, by client, a *atomic.Int64: the time in seconds of the epoch.
	last sync.Map
}

// heard notes a request of a client.
func (s *silence) heard(client string) {
	if client == "" {
		return
	}
	now := s.clock.Now().Unix()
	at, known := s.last.Load(client)
	if !known {
		at, _ = s.last.LoadOrStore(client, &atomic.Int64{})
	}
	at.(*atomic.Int64).Store(now)
}

// forget names the clients of whom nothing was heard for long, and forgets them.
func (s *silence) forget(each func(client string)) {
	before := s.clock.Now().Add(-longSilence).Unix()
	s.last.Range(func(client, at any) bool {
		if at.(*atomic.Int64).Load() <= before {
			s.last.Delete(client)
			each(client.(string))
		}
		return true
	})
}

// counted are the counters of calls; those of clients that fell silent go when
// they are read.
type counted struct{ *metrics }

// Describe implements prometheus.Collector.
func (c counted) Describe(descs chan<- *prometheus.Desc) { c.calls.Describe(descs) }

// Collect implements prometheus.Collector.
func (c counted) Collect(found chan<- prometheus.Metric) {
	c.silence.forget(func(client string) {
		c.calls.DeletePartialMatch(prometheus.Labels{labelClient: client})
	})
	c.calls.Collect(found)
}
