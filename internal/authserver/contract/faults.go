// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

type faultCase struct {
	op    Operation
	name  string
	fault Fault
	kind  authserver.Kind
	code  string
	// maybe is what MaybeApplied must say.
	maybe bool
}

// faultCases lists the faults of every operation on a client that lives.
func faultCases() []faultCase {
	var cases []faultCase
	for _, op := range []Operation{Register, Find, Replace, Revoke} {
		cases = append(cases, plainFaults(op)...)
		cases = append(cases, missing(op)...)
	}
	for _, op := range []Operation{Register, Find, Replace} {
		cases = append(cases, brokenBodies(op)...)
	}
	for _, op := range []Operation{Register, Replace} {
		for _, code := range []string{
			"invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement",
			"unapproved_software_statement",
		} {
			cases = append(cases, faultCase{
				op: op, name: "400 " + code, fault: Fault{Status: 400, Code: code},
				kind: authserver.Rejected, code: code,
			})
		}
	}
	return append(cases, discoveryFaults()...)
}

func plainFaults(op Operation) []faultCase {
	unavailable := authserver.Unavailable
	return []faultCase{
		{op, "400 with an unknown code", Fault{Status: 400, Code: Canary}, authserver.Rejected, "", false},
		{op, "401 for a live client", Fault{Status: 401}, authserver.Unauthorized, "", false},
		{op, "403 for a live client", Fault{Status: 403}, authserver.Unauthorized, "", false},
		{op, "409", Fault{Status: 409}, authserver.Conflict, "", false},
		{op, "429 in seconds", Fault{Status: 429, RetryAfter: 7 * time.Second}, unavailable, "", false},
		{op, "429 with a date", Fault{Status: 429, RetryAfter: 30 * time.Second, AsDate: true}, unavailable, "", false},
		{op, "429 that does not say when", Fault{Status: 429}, unavailable, "", false},
		{op, "503", Fault{Status: 503, RetryAfter: 9 * time.Second}, unavailable, "", false},
		{op, "500 before the work", Fault{Status: 500}, unavailable, "", true},
		{op, "500 after the work", Fault{Status: 500, AfterWork: true}, unavailable, "", true},
		{op, "no answer before the work", Fault{Form: Silent}, unavailable, "", true},
		{op, "no answer after the work", Fault{Form: Silent, AfterWork: true}, unavailable, "", true},
		{op, "redirect", Fault{Form: Redirected, Status: 307}, authserver.Rejected, "redirect_refused", true},
	}
}

func missing(op Operation) []faultCase {
	if op == Register {
		return []faultCase{
			{op, "404", Fault{Status: 404}, authserver.Rejected, "registration_unsupported", false},
			{op, "405", Fault{Status: 405}, authserver.Rejected, "registration_unsupported", false},
		}
	}
	return []faultCase{
		{op, "404 for a live client", Fault{Status: 404}, authserver.Unauthorized, "", false},
		{op, "405", Fault{Status: 405}, authserver.Rejected, "management_unsupported", false},
	}
}

func brokenBodies(op Operation) []faultCase {
	return []faultCase{
		{op, "an answer that breaks off", Fault{Form: Cut, AfterWork: true}, authserver.Unavailable, "", true},
		{op, "an answer of 5 MiB", Fault{Form: Endless, AfterWork: true}, authserver.Unavailable, "too_large", true},
	}
}

func discoveryFaults() []faultCase {
	return []faultCase{
		{Discover, "500", Fault{Status: 500}, authserver.Unavailable, "", false},
		{Discover, "503", Fault{Status: 503, RetryAfter: 9 * time.Second}, authserver.Unavailable, "", false},
		{Discover, "no answer", Fault{Form: Silent}, authserver.Unavailable, "", false},
		{Discover, "redirect", Fault{Form: Redirected, Status: 302}, authserver.Rejected, "redirect_refused", false},
		{Discover, "an answer of 5 MiB", Fault{Form: Endless}, authserver.Unavailable, "too_large", false},
	}
}

func (c faultCase) run(t *testing.T, s Subject) {
	if s.Fail == nil {
		t.Skip("the subject takes no orders of faults")
	}
	client, handle := register(t, s, Wish())
	s.Fail(c.op, c.fault)
	err := call(t, s, c.op, handle)
	got := failure(t, err)
	wantSilent(t, err, handle)
	if got.Kind != c.kind || got.Code != c.code || got.MaybeApplied != c.maybe || got.Unsent {
		t.Errorf("got %s, code %q, maybe applied %t, unsent %t; want %s, %q, %t, false",
			got.Kind, got.Code, got.MaybeApplied, got.Unsent, c.kind, c.code, c.maybe)
	}
	if slack := c.fault.RetryAfter - got.RetryAfter; slack < 0 || slack > 10*time.Second && c.fault.AsDate ||
		slack != 0 && !c.fault.AsDate {
		t.Errorf("retry after %s, want %s", got.RetryAfter, c.fault.RetryAfter)
	}
	c.wantWorld(t, s, client)
}

// wantWorld holds what became of the clients: the work was done exactly where
// the fault came after it.
func (c faultCase) wantWorld(t *testing.T, s Subject, client authserver.Client) {
	t.Helper()
	switch {
	case c.op == Revoke && c.fault.AfterWork:
		wantLive(t, s)
	case c.op == Register && c.fault.AfterWork:
		if live := s.Live(); len(live) != 2 {
			t.Errorf("clients that live: %v, want two", live)
		}
	default:
		wantLive(t, s, client.ID)
	}
}

func call(t *testing.T, s Subject, op Operation, handle authserver.Handle) error {
	t.Helper()
	switch op {
	case Discover:
		_, err := s.Server.Discover(t.Context())
		return err
	case Register:
		_, err := s.Server.Register(t.Context(), Wish())
		return err
	case Find:
		_, found, err := s.Server.Find(t.Context(), handle)
		if found {
			t.Error("found beside an error")
		}
		return err
	case Replace:
		_, err := s.Server.Replace(t.Context(), handle, Wish())
		return err
	case Revoke:
		return s.Server.Revoke(t.Context(), handle)
	}
	t.Fatalf("unknown operation %s", op)
	return nil
}
