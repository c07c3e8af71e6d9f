// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package kubewrites

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestResourceOfAPath(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/namespaces/team/secrets":   "secrets",
		"/api/v1/namespaces/team/secrets/x": "secrets",
		"/api/v1/namespaces/team":           "namespaces",
		"/apis/mcp-registrar.dev/v1alpha1/namespaces/team/mcpclientregistrations/x/status":      "mcpclientregistrations/status",
		"/apis/mcp-registrar.dev/v1alpha1/authorizationservers/x":                               "authorizationservers",
		"/apis/mcp-registrar.dev/v1alpha1/authorizationservers/x/status":                        "authorizationservers/status",
		"/apis/coordination.k8s.io/v1/namespaces/mcp-registrar-system/leases/mcp-registrar.dev": "leases",
		"/apis/authorization.k8s.io/v1/subjectaccessreviews":                                    "subjectaccessreviews",
		"/version": "other",
	} {
		if got := resource(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestOnlyWritesAreCounted(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	counter := New(prometheus.NewRegistry())
	client := &http.Client{Transport: counter.Wrap(http.DefaultTransport)}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "PATCH"} {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/api/v1/namespaces/a/secrets/b", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{"get": 0, "post": 1, "put": 1, "patch": 2, "delete": 1}
	for verb, count := range want {
		if got := testutil.ToFloat64(counter.writes.WithLabelValues(verb, "secrets")); got != count {
			t.Errorf("%s: counted %v, want %v", verb, got, count)
		}
	}
}
