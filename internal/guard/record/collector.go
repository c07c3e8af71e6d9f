// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector reads what is the case when it is asked.
type collector struct {
	open  func() int
	stats func() (clients, grants int, age time.Duration, complete bool)

	openRequests, age, clients, grants, complete *prometheus.Desc
}

func newCollector(o Options) *collector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return &collector{
		open: o.Open, stats: o.Stats,
		openRequests: desc("mcp_guard_open_requests", "Requests under way, open streams included."),
		age:          desc("mcp_guard_register_age_seconds", "For how long nothing was heard of the API server. Absent until everything was read once."),
		clients:      desc("mcp_guard_register_clients", "Registrations that the guard knows."),
		grants:       desc("mcp_guard_register_grants", "Grants that the guard knows."),
		complete:     desc("mcp_guard_register_complete", "1 once everything was read; 0 before, when every request is refused."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.openRequests, c.age, c.clients, c.grants, c.complete} {
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
	clients, grants, age, complete := c.stats()
	gauge(c.clients, float64(clients))
	gauge(c.grants, float64(grants))
	if !complete {
		gauge(c.complete, 0)
		return
	}
	gauge(c.complete, 1)
	gauge(c.age, age.Seconds())
}
