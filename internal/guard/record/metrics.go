// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// Other is the label of a tool that no scope of the server leads to: its name
// is any text that a client likes to send.
const Other = "other"

type metrics struct {
	calls   *prometheus.CounterVec
	silence *silence
	added   *prometheus.HistogramVec
	failed  *prometheus.CounterVec
	omitted prometheus.Counter
}

func newMetrics(o Options) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcp_guard_calls_total",
			Help: "Decisions about requests, by server, tool, client, decision and reason.",
		}, []string{"server", "tool", labelClient, "decision", "reason"}),
		silence: &silence{clock: o.Clock},
		added: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mcp_guard_added_seconds",
			Help: "How much longer a request took because of the guard: from its arrival until it was passed on or refused.",
			Buckets: []float64{
				0.00005, 0.0001, 0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
			},
		}, []string{"server"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcp_guard_upstream_failures_total",
			Help: "Requests that were passed on and got no answer that could be given to the client, by server and kind.",
		}, []string{"server", "kind"}),
		omitted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mcp_guard_omitted_refusals_total",
			Help: "Refusals of callers without a verified token that have no audit line of their own, because there were too many.",
		}),
	}
	var errs []error
	for _, collector := range []prometheus.Collector{counted{m}, m.added, m.failed, m.omitted, newCollector(o)} {
		errs = append(errs, o.Registerer.Register(collector))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering the metrics of the guard: %w", err)
	}
	return m, nil
}

// count counts a decision. No label is what a client likes to send.
func (m *metrics) count(request guard.Request, v guard.Verdict) {
	tool, decision := request.Message.Tool, audit.VerdictRefused
	if tool != "" && !v.Server.Catalogued(tool) {
		tool = Other
	}
	if v.Allowed() {
		decision = audit.VerdictAllowed
	}
	client := clientOf(v)
	m.silence.heard(client)
	m.calls.WithLabelValues(request.Server.String(), tool, client, decision, string(v.Reason)).Inc()
}
