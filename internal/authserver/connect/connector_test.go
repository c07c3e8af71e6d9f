// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"context"
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
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/gate"
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
		"admin password": func(config *authserver.Config) { config.AdminPassword = authserver.NewSecret("new") },
		"issuer":         func(config *authserver.Config) { config.Issuer = "https://as.example/b" },
		"token":          func(config *authserver.Config) { config.InitialAccessToken = authserver.NewSecret("new") },
		"rate":           func(config *authserver.Config) { config.RequestsPerSecond = 7 },
		"in flight":      func(config *authserver.Config) { config.MaxInFlight = 2 },
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
	const pause = 30 * time.Second
	for operation, call := range operations(t.Context()) {
		times := &clock{}
		times.set(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		world := fake.NewWith("https://as.example", authserver.Traits{OwnClientID: true, Disables: true, Lists: true, ChecksAccess: true})
		g := gate.New(4, times.now)
		server := &holding{next: world, gate: g, now: times.now}
		examiner := &holdingExaminer{next: world, gate: g, now: times.now}
		if server.Traits() != world.Traits() {
			t.Errorf("traits %+v", server.Traits())
		}
		told := &authserver.Error{Kind: authserver.Unavailable, RetryAfter: pause}
		world.Fail(
			fake.Fault{Operation: operation, Err: &authserver.Error{Kind: authserver.Unavailable, RetryAfter: pause, Unsent: true}},
			fake.Fault{Operation: operation, Err: told},
		)
		if err := call(server, examiner); err == nil {
			t.Errorf("%s: no error", operation)
		}
		leave, err := g.Enter(authserver.Routine)
		if err != nil {
			t.Fatalf("%s: what was not sent closed the gate: %v", operation, err)
		}
		leave()
		if err := call(server, examiner); !errors.Is(err, told) {
			t.Errorf("%s: %v", operation, err)
		}
		_, err = g.Enter(authserver.Urgent)
		var refused *authserver.Error
		if !errors.As(err, &refused) || !refused.Unsent || refused.RetryAfter < pause || refused.RetryAfter > pause+time.Second {
			t.Errorf("%s: %v", operation, err)
		}
		times.set(times.now().Add(pause))
		if _, err := g.Enter(authserver.Routine); err != nil {
			t.Errorf("%s: after the time: %v", operation, err)
		}
	}
}

// operations are all calls that there are.
func operations(ctx context.Context) map[fake.Operation]func(authserver.Server, authserver.Examiner) error {
	handle := authserver.Handle{ClientID: "x", Owner: "owner"}
	return map[fake.Operation]func(authserver.Server, authserver.Examiner) error{
		fake.Discover: func(s authserver.Server, _ authserver.Examiner) error { _, err := s.Discover(ctx); return err },
		fake.Register: func(s authserver.Server, _ authserver.Examiner) error {
			_, err := s.Register(ctx, authserver.ClientMetadata{})
			return err
		},
		fake.Find: func(s authserver.Server, _ authserver.Examiner) error { _, _, err := s.Find(ctx, handle); return err },
		fake.Replace: func(s authserver.Server, _ authserver.Examiner) error {
			_, err := s.Replace(ctx, handle, authserver.ClientMetadata{})
			return err
		},
		fake.Disable: func(s authserver.Server, _ authserver.Examiner) error { return s.Disable(ctx, handle) },
		fake.Revoke:  func(s authserver.Server, _ authserver.Examiner) error { return s.Revoke(ctx, handle) },
		fake.List:    func(s authserver.Server, _ authserver.Examiner) error { _, err := s.List(ctx, ""); return err },
		fake.Access:  func(s authserver.Server, _ authserver.Examiner) error { return s.CheckAccess(ctx) },
		fake.Challenge: func(_ authserver.Server, e authserver.Examiner) error {
			_, err := e.ChallengeRequired(ctx, authserver.ChallengeQuestion{})
			return err
		},
		fake.Canary: func(_ authserver.Server, e authserver.Examiner) error {
			_, err := e.CanaryToken(ctx, authserver.TokenQuestion{})
			return err
		},
		fake.Borrow: func(_ authserver.Server, e authserver.Examiner) error {
			return e.Borrow(ctx, authserver.TokenQuestion{}, nil)
		},
	}
}

// TestTheConnectionHoldsTheGate sees that what Connect hands out is wired as
// the parts were tried.
func TestTheConnectionHoldsTheGate(t *testing.T) {
	world := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer world.Close()
	c, _, registry := connector(t)
	server, gate := connected(t, c, authserver.Config{Name: "main", Issuer: world.URL, MaxInFlight: 4})
	if _, err := server.Discover(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := gate.Enter(authserver.Urgent); err == nil {
		t.Error("the gate is open")
	}
	if n, err := testutil.GatherAndCount(registry, "mcp_registrar_authorization_server_requests_total"); err != nil || n != 1 {
		t.Errorf("%d series, %v", n, err)
	}
}

// configOf is a whole config for a method.
func configOf(method authserver.Method) authserver.Config {
	return authserver.Config{
		Name: "main", Issuer: "https://as.example/realms/team", Method: method,
		BaseURL: "https://as.example", Realm: "team", CopySeconds: 60,
		AdminSecret: "admin", AdminID: "register", AdminPassword: authserver.NewSecret("password"), MaxInFlight: 4,
	}
}

func TestEveryMethodConnectsWithTheTraitsThatWereTold(t *testing.T) {
	for method := range adapters {
		c, _, _ := connector(t)
		config := configOf(method)
		server, _ := connected(t, c, config)
		if got := c.Traits(config); got != server.Traits() {
			t.Errorf("%s: told %+v, connected %+v", method, got, server.Traits())
		}
		examiner, err := c.Examine(config)
		if err != nil || examiner == nil {
			t.Fatalf("%s: %v", method, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = examiner.ChallengeRequired(ctx, authserver.ChallengeQuestion{
			AuthorizationEndpoint: "https://as.example/authorize", ClientID: "x", RedirectURI: "https://app.example/cb",
		})
		if failure, ok := errors.AsType[*authserver.Error](err); !ok || failure.Kind != authserver.Unavailable {
			t.Errorf("%s: challenge: %v", method, err)
		}
	}
	c, _, _ := connector(t)
	config := configOf("")
	if c.Traits(config) != c.Traits(configOf(authserver.DynamicRegistration)) {
		t.Error("no method is not DynamicRegistration")
	}
}

func TestAnUnknownMethodIsRejected(t *testing.T) {
	c, _, _ := connector(t)
	config := configOf("Telepathy")
	if got := c.Traits(config); got != (authserver.Traits{}) {
		t.Errorf("traits %+v", got)
	}
	_, _, err := c.Connect(config)
	_, examineErr := c.Examine(config)
	for _, err := range []error{err, examineErr} {
		var failure *authserver.Error
		if !errors.As(err, &failure) || failure.Kind != authserver.Rejected || failure.Code != "unknown_method" {
			t.Errorf("%v", err)
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
