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
	listed   *prometheus.GaugeVec
	probes   *prometheus.CounterVec
	masses   *prometheus.CounterVec
	putBack  prometheus.Counter
	headless prometheus.Counter
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
		listed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mcp_registrar_listed_clients",
			Help: "Clients in the last list of an authorization server that can list them, by owner. Managed: of a registration. Orphaned: with the mark of this cluster and without a registration. Unmanaged: without that mark.",
		}, []string{"authorization_server", "owner"}),
	}
	m.probes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mcp_registrar_probe_results_total",
		Help: "Probes of live MCP servers, by the reason of the condition Protected that they led to.",
	}, []string{"result"})
	m.masses = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mcp_registrar_mass_revocations_total",
		Help: "How often 10 clients were revoked within a minute for one cause at one MCPServer or AuthorizationServer, which has a Warning event then. Counted at most once in a minute for each.",
	}, []string{"cause"})
	// From the start, so that the first revocation is seen as an increase.
	for _, cause := range causes {
		m.lateness.WithLabelValues(cause)
		m.masses.WithLabelValues(cause)
	}
	m.putBack = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "mcp_registrar_history_restarts_total",
		Help: "1 while the operator ends because the API server was put back to an earlier state; the next process begins at 0.",
	})
	m.headless = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "mcp_registrar_audit_publish_failures_total",
		Help: "Times that the end of the audit stream could not be published in the ConfigMap mcp-registrar-audit-heads.",
	})
	registerer.MustRegister(m.lateness, m.orphans, m.managed, m.listed, m.probes, m.masses, m.putBack, m.headless)
	return m
}

// PutBack says that the API server was put back to an earlier state. A nil Metrics
// takes no note.
func (m *Metrics) PutBack() {
	if m != nil {
		m.putBack.Inc()
	}
}

// unpublished says that the end of the audit stream could not be published. A nil
// Metrics takes no note.
func (m *Metrics) unpublished() {
	if m != nil {
		m.headless.Inc()
	}
}

// Revoked observes how late a revocation was.
func (m *Metrics) Revoked(cause v1alpha1.RevocationCause, lateness time.Duration) {
	m.lateness.WithLabelValues(string(cause)).Observe(max(0, lateness).Seconds())
}

// RevokedMany counts that many clients were revoked at one time.
func (m *Metrics) RevokedMany(cause v1alpha1.RevocationCause) {
	m.masses.WithLabelValues(string(cause)).Inc()
}

// Probed counts a probe of a live server.
func (m *Metrics) Probed(reason string) { m.probes.WithLabelValues(reason).Inc() }

// Counted sets the numbers of one authorization server.
func (m *Metrics) Counted(name string, counts v1alpha1.ClientCounts) {
	m.orphans.WithLabelValues(name).Set(float64(counts.PossibleOrphans))
	m.managed.WithLabelValues(name).Set(float64(counts.Managed))
}

// Listed sets the numbers of a list of clients.
func (m *Metrics) Listed(name string, taken v1alpha1.Inventory) {
	m.listed.WithLabelValues(name, "Managed").Set(float64(taken.Managed))
	m.listed.WithLabelValues(name, "Orphaned").Set(float64(taken.Orphaned))
	m.listed.WithLabelValues(name, "Unmanaged").Set(float64(taken.Unmanaged))
}

// Gone drops the numbers of one authorization server.
func (m *Metrics) Gone(name string) {
	m.orphans.DeleteLabelValues(name)
	m.managed.DeleteLabelValues(name)
	m.listed.DeletePartialMatch(prometheus.Labels{"authorization_server": name})
}
