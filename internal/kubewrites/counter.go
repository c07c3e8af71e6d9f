// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package kubewrites

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Counter counts write requests by verb and resource.
type Counter struct {
	writes *prometheus.CounterVec
}

// New registers the metric mcp_registrar_kubernetes_writes_total.
func New(registerer prometheus.Registerer) *Counter {
	c := &Counter{writes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mcp_registrar_kubernetes_writes_total",
		Help: "Write requests sent to the Kubernetes API, by verb and resource.",
	}, []string{"verb", "resource"})}
	registerer.MustRegister(c.writes)
	return c
}

// Wrap returns a transport that counts, for rest.Config.WrapTransport.
func (c *Counter) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		switch request.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
			c.writes.WithLabelValues(strings.ToLower(request.Method), resource(request.URL.Path)).Inc()
		}
		return next.RoundTrip(request)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// resource names the resource of an API path, with its subresource:
// /apis/<group>/<version>[/namespaces/<namespace>]/<resource>[/<name>[/<subresource>]].
func resource(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "other"
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		return parts[0] + "/" + parts[2]
	}
	return parts[0]
}
