// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
)

type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) now() time.Time        { return *c.at.Load() }
func (c *clock) set(instant time.Time) { c.at.Store(&instant) }

func connector(t *testing.T) (*Connector, *clock, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	times := &clock{}
	times.set(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	metrics, err := instrumented.NewMetrics(registry, times.now)
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Metrics: metrics, Now: times.now}), times, registry
}

func connected(t *testing.T, c *Connector, config authserver.Config) (authserver.Server, authserver.Gate) {
	t.Helper()
	server, gate, err := c.Connect(config)
	if err != nil {
		t.Fatal(err)
	}
	return server, gate
}

func TestTheSameConfigGivesTheSameConnection(t *testing.T) {
	c, _, _ := connector(t)
	base := func() authserver.Config {
		return authserver.Config{
			Name: "main", Issuer: "https://as.example", MaxInFlight: 4,
			InitialAccessToken: authserver.NewSecret("token"),
		}
	}
	server, gate := connected(t, c, base())
	if again, gateAgain := connected(t, c, base()); again != server || gateAgain != gate {
		t.Error("the same content gives another connection")
	}
	other := base()
	other.Name = "other"
	if _, otherGate := connected(t, c, other); otherGate == gate {
		t.Error("two names share a gate")
	}
	for name, change := range map[string]func(*authserver.Config){
		"issuer":    func(config *authserver.Config) { config.Issuer = "https://as.example/b" },
		"token":     func(config *authserver.Config) { config.InitialAccessToken = authserver.NewSecret("new") },
		"rate":      func(config *authserver.Config) { config.RequestsPerSecond = 7 },
		"in flight": func(config *authserver.Config) { config.MaxInFlight = 2 },
	} {
		before, _ := connected(t, c, base())
		changed := base()
		change(&changed)
		after, gateAfter := connected(t, c, changed)
		if after == before || gateAfter != gate {
			t.Errorf("%s: same server %t, same gate %t", name, after == before, gateAfter == gate)
		}
	}
}

func TestTheGateFollowsTheLimit(t *testing.T) {
	c, _, _ := connector(t)
	config := authserver.Config{Name: "main", Issuer: "https://as.example", MaxInFlight: 1}
	_, gate := connected(t, c, config)
	if _, err := gate.Enter(authserver.Urgent); err != nil {
		t.Fatal(err)
	}
	if _, err := gate.Enter(authserver.Urgent); err == nil {
		t.Error("two places instead of one")
	}
	config.MaxInFlight = 2
	connected(t, c, config)
	if _, err := gate.Enter(authserver.Urgent); err != nil {
		t.Errorf("one place instead of two: %v", err)
	}
}

func TestAConfigThatCannotBeUsedLeavesTheConnection(t *testing.T) {
	c, _, _ := connector(t)
	config := authserver.Config{Name: "main", Issuer: "https://as.example"}
	server, _ := connected(t, c, config)
	bad := config
	bad.CABundle = []byte("no certificate")
	_, _, err := c.Connect(bad)
	var failure *authserver.Error
	if !errors.As(err, &failure) || failure.Kind != authserver.Rejected {
		t.Errorf("%v", err)
	}
	if again, _ := connected(t, c, config); again != server {
		t.Error("the connection is gone")
	}
	c.Forget("main")
	if again, _ := connected(t, c, config); again == server {
		t.Error("the connection is still there")
	}
	c.Forget("never known")
}

// TestRetryAfterClosesTheGate asks with every operation: whichever is told to
// leave the server alone, all leave it alone.
func TestRetryAfterClosesTheGate(t *testing.T) {
	world := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "30")
		status := http.StatusTooManyRequests
		if r.Method == http.MethodDelete {
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
	}))
	defer world.Close()
	handle := authserver.Handle{
		ClientID: "x", ManagementURI: world.URL + "/register/x", ManagementToken: authserver.NewSecret("token"),
	}
	for name, call := range map[string]func(authserver.Server) error{
		"discover": func(s authserver.Server) error { _, err := s.Discover(t.Context()); return err },
		"register": func(s authserver.Server) error {
			_, err := s.Register(t.Context(), authserver.ClientMetadata{})
			return err
		},
		"find": func(s authserver.Server) error { _, _, err := s.Find(t.Context(), handle); return err },
		"replace": func(s authserver.Server) error {
			_, err := s.Replace(t.Context(), handle, authserver.ClientMetadata{})
			return err
		},
		"revoke": func(s authserver.Server) error { return s.Revoke(t.Context(), handle) },
	} {
		c, times, _ := connector(t)
		server, gate := connected(t, c, authserver.Config{Name: "main", Issuer: world.URL, MaxInFlight: 4})
		if err := call(server); err == nil {
			t.Errorf("%s: no error", name)
		}
		_, err := gate.Enter(authserver.Urgent)
		var refused *authserver.Error
		if !errors.As(err, &refused) || !refused.Unsent || refused.RetryAfter < 30*time.Second ||
			refused.RetryAfter > 31*time.Second {
			t.Errorf("%s: %v", name, err)
		}
		times.set(times.now().Add(30 * time.Second))
		if _, err := gate.Enter(authserver.Routine); err != nil {
			t.Errorf("%s: after the time: %v", name, err)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	world := httptest.NewServer(http.NotFoundHandler())
	defer world.Close()
	c, _, registry := connector(t)
	server, _ := connected(t, c, authserver.Config{Name: "main", Issuer: world.URL})
	if _, err := server.Discover(t.Context()); err == nil {
		t.Fatal("no error")
	}
	want := strings.NewReader(
		"# HELP mcp_registrar_authorization_server_http_requests_total HTTP requests sent to an authorization server, by method.\n" +
			"# TYPE mcp_registrar_authorization_server_http_requests_total counter\n" +
			"mcp_registrar_authorization_server_http_requests_total{authorization_server=\"main\",method=\"GET\"} 2\n")
	const name = "mcp_registrar_authorization_server_http_requests_total"
	if err := testutil.GatherAndCompare(registry, want, name); err != nil {
		t.Error(err)
	}
	c.Forget("main")
	if n, err := testutil.GatherAndCount(registry, name); err != nil || n != 0 {
		t.Errorf("%d series are left, %v", n, err)
	}
}
