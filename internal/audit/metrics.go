// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events   *prometheus.CounterVec
	failures prometheus.Counter
	head     *headCollector
}

// newMetrics registers the metrics of the stream; without a registerer they
// are counted for nobody.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcp_registrar_audit_events_total",
			Help: "Lines written to the audit stream, by type of event.",
		}, []string{"type"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mcp_registrar_audit_failures_total",
			Help: "Events that could not be written to the audit stream, or not in time.",
		}),
		head: newHeadCollector(),
	}
	for _, kind := range Types() {
		m.events.WithLabelValues(string(kind))
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, collector := range []prometheus.Collector{m.events, m.failures, m.head} {
		errs = append(errs, registerer.Register(collector))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering audit metrics: %w", err)
	}
	return m, nil
}

// hashDigits is how many hexadecimal digits of a hash a gauge holds exactly.
const hashDigits = 12

// headCollector shows the last line, its number and its hash at one instant.
type headCollector struct {
	last           atomic.Pointer[Position]
	sequence, hash *prometheus.Desc
}

func newHeadCollector() *headCollector {
	c := &headCollector{
		sequence: prometheus.NewDesc("mcp_registrar_audit_sequence",
			"Sequence number of the last line of the audit stream: what \"manager audit verify --expect-sequence\" takes.", nil, nil),
		hash: prometheus.NewDesc("mcp_registrar_audit_hash",
			"First 12 hexadecimal digits of the hash of the last line of the audit stream, as a number: what \"manager audit verify --expect-hash\" takes.", nil, nil),
	}
	c.last.Store(&Position{})
	return c
}

// Describe implements prometheus.Collector.
func (c *headCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.sequence
	descs <- c.hash
}

// Collect implements prometheus.Collector.
func (c *headCollector) Collect(values chan<- prometheus.Metric) {
	last := c.last.Load()
	values <- prometheus.MustNewConstMetric(c.sequence, prometheus.GaugeValue, float64(last.Sequence))
	values <- prometheus.MustNewConstMetric(c.hash, prometheus.GaugeValue, float64(hashNumber(last.Hash)))
}

// hashNumber is the first digits of a hash as a number; 0 if it is none.
func hashNumber(hash string) uint64 {
	if !isHash(hash) {
		return 0
	}
	number, err := strconv.ParseUint(hash[:hashDigits], 16, 64)
	if err != nil {
		return 0
	}
	return number
}
