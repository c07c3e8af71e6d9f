// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package instrumented

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	serverLabel    = "authorization_server"
	operationLabel = "operation"
	outcomeLabel   = "outcome"
	methodLabel    = "method"
)

// Operations that are measured, as values of the label.
const (
	opDiscover = "discover"
	opRegister = "register"
	opFind     = "find"
	opReplace  = "replace"
	opDisable  = "disable"
	opRevoke   = "revoke"
	opList     = "list"
	opTidy     = "tidy"
	opAccess   = "access"
	// Of an examiner.
	opChallenge = "challenge"
	opCanary    = "canary"
	opBorrow    = "borrow"
)

// Outcomes besides the kinds of errors, as values of the label.
const (
	success = "success"
	// unsent: the call was held back, and no request was sent.
	unsent = "unsent"
)

// Operations returns every value of the label operation.
func Operations() []string {
	return []string{opDiscover, opRegister, opFind, opReplace, opDisable, opRevoke, opList, opTidy, opAccess, opChallenge, opCanary, opBorrow}
}

// Outcomes returns every value of the label outcome.
func Outcomes() []string {
	outcomes := []string{success, unsent}
	for _, kind := range []authserver.Kind{authserver.Unavailable, authserver.Unauthorized, authserver.Rejected, authserver.Conflict} {
		outcomes = append(outcomes, kind.String())
	}
	return outcomes
}

// Metrics holds the metrics of every authorization server.
type Metrics struct {
	now      func() time.Time
	duration *prometheus.HistogramVec
	calls    *prometheus.CounterVec
	sent     *prometheus.CounterVec
}

// NewMetrics registers the metrics. now is the clock that durations are taken
// from.
func NewMetrics(registerer prometheus.Registerer, now func() time.Time) (*Metrics, error) {
	m := &Metrics{
		now: now,
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mcp_registrar_authorization_server_request_duration_seconds",
			Help:    "How long calls of an authorization server took, by operation. A call is one HTTP request, or a few.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{serverLabel, operationLabel}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcp_registrar_authorization_server_requests_total",
			Help: "Calls of an authorization server, by operation and outcome.",
		}, []string{serverLabel, operationLabel, outcomeLabel}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcp_registrar_authorization_server_http_requests_total",
			Help: "HTTP requests sent to an authorization server, by method.",
		}, []string{serverLabel, methodLabel}),
	}
	for _, collector := range []prometheus.Collector{m.duration, m.calls, m.sent} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Sent returns a function that counts an HTTP request to a server.
func (m *Metrics) Sent(name string) func(method string) {
	return func(method string) { m.sent.WithLabelValues(name, method).Inc() }
}

// Forget drops what was measured of a server.
func (m *Metrics) Forget(name string) {
	labels := prometheus.Labels{serverLabel: name}
	m.duration.DeletePartialMatch(labels)
	m.calls.DeletePartialMatch(labels)
	m.sent.DeletePartialMatch(labels)
}

func (m *Metrics) observe(name, operation string, start time.Time, err error) {
	m.calls.WithLabelValues(name, operation, outcome(err)).Inc()
	m.duration.WithLabelValues(name, operation).Observe(m.now().Sub(start).Seconds())
}

func outcome(err error) string {
	if err == nil {
		return success
	}
	var failure *authserver.Error
	switch {
	case !errors.As(err, &failure):
		return authserver.Unavailable.String()
	case failure.Unsent:
		return unsent
	}
	return failure.Kind.String()
}
