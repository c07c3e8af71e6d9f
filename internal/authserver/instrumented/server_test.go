// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package instrumented

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

func measured(t *testing.T) (authserver.Server, *fake.Server, *Metrics, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	metrics, err := NewMetrics(registry, func() time.Time {
		now = now.Add(20 * time.Millisecond)
		return now
	})
	if err != nil {
		t.Fatal(err)
	}
	world := fake.New("https://as.example")
	return Wrap("main", world, metrics), world, metrics, registry
}

func TestEveryOutcomeIsCounted(t *testing.T) {
	server, world, _, registry := measured(t)
	world.Fail(
		fake.Fault{Operation: fake.Discover, Err: &authserver.Error{Kind: authserver.Unavailable}},
		fake.Fault{Operation: fake.Discover, Err: &authserver.Error{Kind: authserver.Unavailable, Unsent: true}},
		fake.Fault{Operation: fake.Discover, Err: &authserver.Error{Kind: authserver.Rejected}},
		fake.Fault{Operation: fake.Discover, Err: &authserver.Error{Kind: authserver.Conflict}},
		fake.Fault{Operation: fake.Discover, Err: &authserver.Error{Kind: authserver.Unauthorized}},
	)
	failures := 0
	for range 6 {
		var failure *authserver.Error
		if _, err := server.Discover(t.Context()); errors.As(err, &failure) {
			failures++
		}
	}
	if failures != 5 {
		t.Errorf("%d errors came through, want 5", failures)
	}
	want := "# HELP mcp_registrar_authorization_server_requests_total Calls of an authorization server, by operation and outcome.\n" +
		"# TYPE mcp_registrar_authorization_server_requests_total counter\n"
	for _, outcome := range slices.Sorted(slices.Values(Outcomes())) {
		want += "mcp_registrar_authorization_server_requests_total{authorization_server=\"main\"," +
			"operation=\"discover\",outcome=\"" + outcome + "\"} 1\n"
	}
	const name = "mcp_registrar_authorization_server_requests_total"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
}

func TestEveryOperationIsTimedAndUnchanged(t *testing.T) {
	server, world, metrics, registry := measured(t)
	client, err := server.Register(t.Context(), authserver.ClientMetadata{AuthMethod: "none"})
	if err != nil {
		t.Fatal(err)
	}
	handle := authserver.Handle{
		ClientID: client.ID, ManagementURI: client.ManagementURI, ManagementToken: client.ManagementToken,
	}
	if found, ok, err := server.Find(t.Context(), handle); err != nil || !ok || found.ID != client.ID {
		t.Errorf("find: %v, %t, %v", found.ID, ok, err)
	}
	wish := authserver.ClientMetadata{AuthMethod: "none", Name: "new"}
	if got, err := server.Replace(t.Context(), handle, wish); err != nil || got.Registered.Name != "new" {
		t.Errorf("replace: %v, %v", got.Registered.Name, err)
	}
	if err := server.Revoke(t.Context(), handle); err != nil || len(world.Clients()) != 0 {
		t.Errorf("revoke: %v", err)
	}
	const duration = "mcp_registrar_authorization_server_request_duration_seconds"
	if _, err := server.Discover(t.Context()); err != nil {
		t.Errorf("discover: %v", err)
	}
	if n, err := testutil.GatherAndCount(registry, duration); err != nil || n != len(Operations()) {
		t.Errorf("%d histograms, %v", n, err)
	}
	for _, operation := range Operations() {
		if n := testutil.ToFloat64(metrics.calls.WithLabelValues("main", operation, success)); n != 1 {
			t.Errorf("%v calls of %s", n, operation)
		}
	}
	metrics.Sent("main")("POST")
	if n := testutil.ToFloat64(metrics.sent.WithLabelValues("main", "POST")); n != 1 {
		t.Errorf("%v requests", n)
	}
	metrics.Forget("main")
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d metrics are left, %v", n, err)
	}
}
