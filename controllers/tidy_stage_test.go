// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// leaveScopes has clients of a cluster come and go, each with a scope of its own.
func (s *stage) leaveScopes(cluster string, count int) []string {
	s.t.Helper()
	var names []string
	for i := range count {
		id := fmt.Sprintf("gone-%s-%d", cluster, i)
		wish := authserver.ClientMetadata{ID: id, SoftwareID: policy.Owner(cluster, id), Scopes: []string{"of." + id}, AuthMethod: "none"}
		if _, err := s.as.Register(s.t.Context(), wish); err != nil {
			s.t.Fatal(err)
		}
		if err := s.as.Revoke(s.t.Context(), authserver.Handle{ClientID: id, Owner: wish.SoftwareID}); err != nil {
			s.t.Fatal(err)
		}
		names = append(names, wish.Scopes...)
	}
	return names
}

// scopedStage has a registration at a server where scopes are objects.
func scopedStage(t *testing.T, name string) *stage {
	s := newStage(t, name)
	s.manageOtherwise()
	s.as.Server = fake.NewWith("https://auth.example.com", authserver.Traits{
		OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true, Tidies: true, ChecksAccess: true,
	})
	s.authServers.Cluster, s.registrations.Cluster = "cluster", "cluster"
	return s
}

// B3: what a tenant had made at the server goes when no client has it any more, with
// the next list of clients; what is used, and what another cluster made, stays.
func TestB3ScopesEndWithTheirClients(t *testing.T) {
	s := scopedStage(t, "tidy")
	s.begin()
	has := s.live().Registered.Scopes
	if len(has) == 0 {
		t.Fatal("the client has no scope")
	}
	left := s.leaveScopes("cluster", 7)
	others := s.leaveScopes("another", 3)
	s.later(time.Hour)
	there := s.as.Scopes()
	for _, name := range left {
		if slices.Contains(there, name) {
			t.Errorf("%s is left", name)
		}
	}
	for _, name := range append(others, has...) {
		if !slices.Contains(there, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if got := s.live().Registered.Scopes; !slices.Equal(got, has) {
		t.Errorf("the client has %q, had %q", got, has)
	}
	s.remove(s.reg)
	s.settle()
	if clients := s.as.Clients(); len(clients) > 0 {
		t.Fatalf("%d clients are left", len(clients))
	}
	s.later(time.Hour)
	if there := s.as.Scopes(); !slices.Equal(there, others) {
		t.Errorf("at the end there are %q", there)
	}
}

// Without knowing who has what nothing is deleted, and a server that refuses is asked
// once with each list.
func TestScopesStayWhereNobodyKnows(t *testing.T) {
	for name, prepare := range map[string]func(*stage){
		"hidden": func(s *stage) { s.as.Switch(func(sw *fake.Switches) { sw.HideScopes = true }) },
		"refused": func(s *stage) {
			s.as.Fail(fake.Fault{Operation: fake.Tidy, Err: &authserver.Error{Kind: authserver.Unavailable, Op: "deleting scopes", Err: errors.New("away")}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := scopedStage(t, "untidy-"+name)
			s.begin()
			left := s.leaveScopes("cluster", 1)
			prepare(s)
			before := s.as.Calls(fake.Tidy)
			s.later(time.Hour)
			if !slices.Contains(s.as.Scopes(), left[0]) || s.as.Calls(fake.Tidy) > before+1 {
				t.Errorf("left %q after %d calls", s.as.Scopes(), s.as.Calls(fake.Tidy)-before)
			}
		})
	}
}
