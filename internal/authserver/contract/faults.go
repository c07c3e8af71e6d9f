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
func faultCases(traits authserver.Traits) []faultCase {
	var cases []faultCase
	for _, op := range operations(traits) {
		cases = append(cases, plainFaults(op, effect(op, traits))...)
	}
	for _, op := range []Operation{Register, Find, Replace} {
		cases = append(cases, brokenBodies(op, effect(op, traits))...)
	}
	if traits.Lists {
		cases = append(cases, brokenBodies(List, false)...)
	}
	if traits.Tidies {
		cases = append(cases, brokenBodies(Tidy, false)...)
	}
	if traits.ChecksAccess {
		cases = append(cases, brokenBodies(Access, false)...)
	}
	if !traits.OwnClientID {
		cases = append(cases, protocolFaults()...)
	}
	return append(cases, discoveryFaults()...)
}

// operations are what a server of these traits does with clients.
func operations(traits authserver.Traits) []Operation {
	all := []Operation{Register, Find, Replace, Revoke}
	if traits.Disables {
		all = append(all, Disable)
	}
	if traits.Lists {
		all = append(all, List)
	}
	if traits.Tidies {
		all = append(all, Tidy)
	}
	if traits.ChecksAccess {
		all = append(all, Access)
	}
	return all
}

// effect says whether an operation may have changed something when its answer
// is lost: a server that issues management tokens may replace them with every
// answer (RFC 7592 §2.1).
func effect(op Operation, traits authserver.Traits) bool {
	return op != List && op != Tidy && op != Access && (op != Find || !traits.OwnClientID)
}

// protocolFaults are those that RFC 7591 and RFC 7592 give a meaning.
func protocolFaults() []faultCase {
	var cases []faultCase
	for _, op := range []Operation{Register, Find, Replace, Revoke} {
		cases = append(cases, missing(op)...)
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
	return cases
}

func plainFaults(op Operation, effect bool) []faultCase {
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
		{op, "500 before the work", Fault{Status: 500}, unavailable, "", effect},
		{op, "500 after the work", Fault{Status: 500, AfterWork: true}, unavailable, "", effect},
		{op, "no answer before the work", Fault{Form: Silent}, unavailable, "", effect},
		{op, "no answer after the work", Fault{Form: Silent, AfterWork: true}, unavailable, "", effect},
		{op, "redirect", Fault{Form: Redirected, Status: 307}, unavailable, "redirect_refused", effect},
	}
}

func missing(op Operation) []faultCase {
	if op == Register {
		return []faultCase{
			{op, "404", Fault{Status: 404}, authserver.Rejected, "registration_unsupported", false},
			{op, "405", Fault{Status: 405}, authserver.Rejected, "registration_unsupported", false},
		}
	}
	// Whom the token endpoint can be asked about is known to be there: then it is
	// the management that is not.
	code := "management_unsupported"
	if op == Replace {
		code = ""
	}
	return []faultCase{
		{op, "404 for a live client", Fault{Status: 404}, authserver.Unauthorized, code, false},
		{op, "405", Fault{Status: 405}, authserver.Rejected, "management_unsupported", false},
	}
}

func brokenBodies(op Operation, effect bool) []faultCase {
	return []faultCase{
		{op, "an answer that breaks off", Fault{Form: Cut, AfterWork: true}, authserver.Unavailable, "", effect},
		{op, "an answer of 5 MiB", Fault{Form: Endless, AfterWork: true}, authserver.Unavailable, "too_large", effect},
	}
}

func discoveryFaults() []faultCase {
	return []faultCase{
		{Discover, "500", Fault{Status: 500}, authserver.Unavailable, "", false},
		{Discover, "503", Fault{Status: 503, RetryAfter: 9 * time.Second}, authserver.Unavailable, "", false},
		{Discover, "no answer", Fault{Form: Silent}, authserver.Unavailable, "", false},
		{Discover, "redirect", Fault{Form: Redirected, Status: 302}, authserver.Unavailable, "redirect_refused", false},
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
	wantSilent(t, err, handle.ManagementToken, handle.ClientSecret)
	if got.Kind != c.kind || got.MaybeApplied != c.maybe || got.Unsent {
		t.Errorf("got %s, maybe applied %t, unsent %t; want %s, %t, false",
			got.Kind, got.MaybeApplied, got.Unsent, c.kind, c.maybe)
	}
	// What else an admin API says by a code of its own is for its adapter to
	// test.
	if got.Code != c.code && (c.code != "" || !s.traits().OwnClientID) {
		t.Errorf("code %q, want %q", got.Code, c.code)
	}
	c.wantQuote(t, got)
	c.wantRetry(t, got.RetryAfter)
	c.wantWorld(t, s, client, handle)
}

// wantQuote holds that the server's reason reaches those whose client a refused request
// was about, and is kept of nothing else.
func (c faultCase) wantQuote(t *testing.T, got *authserver.Error) {
	t.Helper()
	said, refused := got.Quote.Text() != "", c.fault.Form == Refused && c.fault.Status == 400
	switch c.op {
	case Register, Replace:
		if said == refused {
			return
		}
	case Disable:
		// It is about one client too.
		return
	case Discover, Find, Revoke, List, Tidy, Access, Token:
		if !said {
			return
		}
	}
	t.Errorf("quoted as %q", got.Quote.Text())
}

// wantRetry leaves room where a date was asked for: time has passed since.
func (c faultCase) wantRetry(t *testing.T, got time.Duration) {
	t.Helper()
	var room time.Duration
	if c.fault.AsDate {
		room = 10 * time.Second
	}
	if slack := c.fault.RetryAfter - got; slack < 0 || slack > room {
		t.Errorf("retry after %s, want %s", got, c.fault.RetryAfter)
	}
}

// wantWorld holds what became of the clients: the work was done exactly where
// the fault came after it.
func (c faultCase) wantWorld(t *testing.T, s Subject, client authserver.Client, handle authserver.Handle) {
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
	if c.op == Disable && find(t, s, handle).Disabled != c.fault.AfterWork {
		t.Errorf("disabled %t, but the work was done %t", !c.fault.AfterWork, c.fault.AfterWork)
	}
}

func call(t *testing.T, s Subject, op Operation, handle authserver.Handle) error {
	t.Helper()
	switch op {
	case Discover:
		_, err := s.Server.Discover(t.Context())
		return err
	case Register:
		_, err := s.Server.Register(t.Context(), For(s.traits(), Wish()))
		return err
	case Find:
		_, found, err := s.Server.Find(t.Context(), handle)
		if found {
			t.Error("found beside an error")
		}
		return err
	case Replace:
		_, err := s.Server.Replace(t.Context(), handle, again(s, handle, Wish()))
		return err
	case Disable:
		return s.Server.Disable(t.Context(), handle)
	case Revoke:
		return s.Server.Revoke(t.Context(), handle)
	case List, Tidy, Access:
		return callForAll(t, s, op)
	case Token:
	}
	t.Fatalf("unknown operation %s", op)
	return nil
}

// callForAll calls an operation that is about no client of its own.
func callForAll(t *testing.T, s Subject, op Operation) (err error) {
	t.Helper()
	if op == Access {
		return s.Server.CheckAccess(t.Context())
	}
	if op == List {
		_, err = s.Server.List(t.Context(), "")
		return err
	}
	_, err = s.Server.Tidy(t.Context(), authserver.Tidying{Owner: "mcp-registrar/cluster", Used: func(string) bool { return true }})
	return err
}
