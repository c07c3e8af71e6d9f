// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Stats are figures about a register.
type Stats struct {
	// Clients, Grants and Denials are how many are known, Misread how many denials
	// name nobody that this release knows.
	Clients, Grants, Denials, Misread int
	// Restarts is how often everything was read anew because the API server was
	// put back.
	Restarts int
	// Age is for how long nothing was heard of the API server, Complete whether
	// everything was read.
	Age      time.Duration
	Complete bool
}

// collector reads what is the case when it is asked.
type collector struct {
	open  func() int
	stats func() Stats

	openRequests, age, clients, grants, denials, misread, restarts, complete *prometheus.Desc
}

func newCollector(o Options) *collector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return &collector{
		open: o.Open, stats: o.Stats,
		openRequests: desc("mcp_guard_open_requests", "Requests under way, open streams included."),
		age:          desc("mcp_guard_register_age_seconds", "For how long nothing was heard of the API server. Absent until everything was read once."),
		clients:      desc("mcp_guard_register_clients", "Registrations that the guard knows."),
		grants:       desc("mcp_guard_register_grants", "Grants in force that the guard knows."),
		denials:      desc("mcp_guard_register_denials", "AccessDenials that the guard knows."),
		misread:      desc("mcp_guard_register_denials_misread", "AccessDenials that name nobody that this release knows, so that nobody is refused by them."),
		restarts:     desc("mcp_guard_history_restarts_total", "How often the guard dropped everything and read it anew, because the API server was put back to an earlier state."),
		complete:     desc("mcp_guard_register_complete", "1 once everything was read; 0 before, when every request is refused."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.openRequests, c.age, c.clients, c.grants, c.denials, c.misread, c.restarts, c.complete} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(found chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64) {
		found <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	if c.open != nil {
		gauge(c.openRequests, float64(c.open()))
	}
	if c.stats == nil {
		return
	}
	stats := c.stats()
	gauge(c.clients, float64(stats.Clients))
	gauge(c.grants, float64(stats.Grants))
	gauge(c.denials, float64(stats.Denials))
	gauge(c.misread, float64(stats.Misread))
	found <- prometheus.MustNewConstMetric(c.restarts, prometheus.CounterValue, float64(stats.Restarts))
	if !stats.Complete {
		gauge(c.complete, 0)
		return
	}
	gauge(c.complete, 1)
	gauge(c.age, stats.Age.Seconds())
}
