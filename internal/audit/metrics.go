// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events   *prometheus.CounterVec
	failures prometheus.Counter
	sequence prometheus.Gauge
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
		sequence: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mcp_registrar_audit_sequence",
			Help: "Sequence number of the last line of the audit stream: what \"manager audit verify --expect-sequence\" takes.",
		}),
	}
	for _, kind := range Types() {
		m.events.WithLabelValues(string(kind))
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, collector := range []prometheus.Collector{m.events, m.failures, m.sequence} {
		errs = append(errs, registerer.Register(collector))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering audit metrics: %w", err)
	}
	return m, nil
}
