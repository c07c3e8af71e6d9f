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
	_, _, metrics, registry := measured(t)
	traits := authserver.Traits{OwnClientID: true, OwnSecret: true, Disables: true, Lists: true, Tidies: true, ChecksAccess: true, IDPrefix: "x-"}
	world := fake.NewWith("https://as.example", traits)
	server := Wrap("main", world, metrics)
	if got := server.Traits(); got != traits {
		t.Errorf("traits %+v", got)
	}
	useEveryOperation(t, server, world)
	examine(t, WrapExaminer("main", world, metrics), world)
	const duration = "mcp_registrar_authorization_server_request_duration_seconds"
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

// useEveryOperation calls each operation of a server once.
func useEveryOperation(t *testing.T, server authserver.Server, world *fake.Server) {
	t.Helper()
	wish := authserver.ClientMetadata{
		ID: "x-1", AuthMethod: "client_secret_basic", Secret: authserver.NewSecret("chosen"), SoftwareID: "owner",
	}
	client, err := server.Register(t.Context(), wish)
	if err != nil || client.ID != wish.ID || !client.Secret.Equal(wish.Secret) {
		t.Fatalf("register: %v, %v", client.ID, err)
	}
	handle := authserver.Handle{ClientID: client.ID, Owner: wish.SoftwareID}
	if found, ok, err := server.Find(t.Context(), handle); err != nil || !ok || found.ID != client.ID {
		t.Errorf("find: %v, %t, %v", found.ID, ok, err)
	}
	wish.Name = "new"
	if got, err := server.Replace(t.Context(), handle, wish); err != nil || got.Registered.Name != "new" {
		t.Errorf("replace: %v, %v", got.Registered.Name, err)
	}
	if page, err := server.List(t.Context(), ""); err != nil || len(page.Clients) != 1 || page.Clients[0].ID != client.ID {
		t.Errorf("list: %+v, %v", page, err)
	}
	if more, err := server.Tidy(t.Context(), authserver.Tidying{Owner: "owner", Used: func(string) bool { return true }}); more || err != nil {
		t.Errorf("tidy: %t, %v", more, err)
	}
	if err := server.CheckAccess(t.Context()); err != nil {
		t.Errorf("check access: %v", err)
	}
	if err := server.Disable(t.Context(), handle); err != nil || !world.Clients()[0].Disabled {
		t.Errorf("disable: %v", err)
	}
	if err := server.Revoke(t.Context(), handle); err != nil || len(world.Clients()) != 0 {
		t.Errorf("revoke: %v", err)
	}
	if metadata, err := server.Discover(t.Context()); err != nil || metadata.Issuer != "https://as.example" {
		t.Errorf("discover: %v, %v", metadata.Issuer, err)
	}
}

// examine calls each operation of an examiner once.
func examine(t *testing.T, examiner authserver.Examiner, world *fake.Server) {
	t.Helper()
	no := authserver.No
	world.Switch(func(s *fake.Switches) { s.PKCE = &no })
	if got, err := examiner.ChallengeRequired(t.Context(), authserver.ChallengeQuestion{ClientID: "x-2"}); err != nil || got != no {
		t.Errorf("challenge: %v, %v", got, err)
	}
	world.Strange(authserver.ClientMetadata{ID: "x-2", AuthMethod: "none"})
	question := authserver.TokenQuestion{Handle: authserver.Handle{ClientID: "x-2", AuthMethod: "none"}, Resource: "https://mcp.example.com"}
	facts, err := examiner.CanaryToken(t.Context(), question)
	if err != nil || !slices.Equal(facts.Audience, []string{question.Resource}) {
		t.Errorf("canary: %+v, %v", facts, err)
	}
	used := errors.New("used")
	err = examiner.Borrow(t.Context(), question, func(token authserver.Secret, facts authserver.TokenFacts) error {
		if token.IsZero() || !slices.Equal(facts.Audience, []string{question.Resource}) {
			t.Errorf("borrow: %+v", facts)
		}
		return used
	})
	if !errors.Is(err, used) {
		t.Errorf("borrow: %v", err)
	}
}

// TestFailuresOfEveryOperationComeThrough holds that a failure is counted once
// as what it is, and handed on as it was.
func TestFailuresOfEveryOperationComeThrough(t *testing.T) {
	_, _, metrics, _ := measured(t)
	world := fake.NewWith("https://as.example", authserver.Traits{OwnClientID: true, Disables: true, Lists: true, Tidies: true})
	server, examiner := Wrap("main", world, metrics), WrapExaminer("main", world, metrics)
	handle := authserver.Handle{ClientID: "x", Owner: "owner"}
	for operation, call := range map[string]func() error{
		opDiscover: func() error { _, err := server.Discover(t.Context()); return err },
		opRegister: func() error { _, err := server.Register(t.Context(), authserver.ClientMetadata{}); return err },
		opFind:     func() error { _, _, err := server.Find(t.Context(), handle); return err },
		opReplace: func() error {
			_, err := server.Replace(t.Context(), handle, authserver.ClientMetadata{})
			return err
		},
		opDisable: func() error { return server.Disable(t.Context(), handle) },
		opRevoke:  func() error { return server.Revoke(t.Context(), handle) },
		opList:    func() error { _, err := server.List(t.Context(), ""); return err },
		opTidy:    func() error { _, err := server.Tidy(t.Context(), authserver.Tidying{}); return err },
		opChallenge: func() error {
			_, err := examiner.ChallengeRequired(t.Context(), authserver.ChallengeQuestion{})
			return err
		},
		opCanary: func() error {
			_, err := examiner.CanaryToken(t.Context(), authserver.TokenQuestion{})
			return err
		},
		opBorrow: func() error { return examiner.Borrow(t.Context(), authserver.TokenQuestion{}, nil) },
	} {
		want := &authserver.Error{Kind: authserver.Conflict, Op: operation}
		world.Fail(fake.Fault{Operation: fake.Operation(operation), Err: want})
		if err := call(); !errors.Is(err, want) {
			t.Errorf("%s: %v", operation, err)
		}
		if n := testutil.ToFloat64(metrics.calls.WithLabelValues("main", operation, want.Kind.String())); n != 1 {
			t.Errorf("%v conflicts of %s", n, operation)
		}
	}
}
