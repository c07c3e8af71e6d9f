// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Metrics are what the controllers count.
type Metrics struct {
	lateness *prometheus.HistogramVec
	orphans  *prometheus.GaugeVec
	managed  *prometheus.GaugeVec
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		lateness: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mcp_registrar_revocation_lateness_seconds",
			Help:    "Time from the instant at which a client should have been gone until the authorization server accepted its deletion, by cause. What is not accepted yet is not in it.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 86400},
		}, []string{"cause"}),
		orphans: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mcp_registrar_possible_orphans",
			Help: "Registration requests whose outcome was never learnt, by authorization server.",
		}, []string{"authorization_server"}),
		managed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mcp_registrar_managed_clients",
			Help: "Clients that the operator manages, by authorization server.",
		}, []string{"authorization_server"}),
	}
	// From the start, so that the first revocation is seen as an increase.
	for _, cause := range causes {
		m.lateness.WithLabelValues(cause)
	}
	registerer.MustRegister(m.lateness, m.orphans, m.managed)
	return m
}

// Revoked observes how late a revocation was.
func (m *Metrics) Revoked(cause v1alpha1.RevocationCause, lateness time.Duration) {
	m.lateness.WithLabelValues(string(cause)).Observe(max(0, lateness).Seconds())
}

// Counted sets the numbers of one authorization server.
func (m *Metrics) Counted(name string, counts v1alpha1.ClientCounts) {
	m.orphans.WithLabelValues(name).Set(float64(counts.PossibleOrphans))
	m.managed.WithLabelValues(name).Set(float64(counts.Managed))
}

// Gone drops the numbers of one authorization server.
func (m *Metrics) Gone(name string) {
	m.orphans.DeleteLabelValues(name)
	m.managed.DeleteLabelValues(name)
}
