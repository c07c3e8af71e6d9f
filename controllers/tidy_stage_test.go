// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
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

// A list that lacks a client of a record is not that of all clients: what a proxy answers,
// or the server to an account that sees less than before.
func TestScopesStayWhereAClientIsNotListed(t *testing.T) {
	s := scopedStage(t, "emptied")
	s.begin()
	s.later(time.Hour)
	left := s.leaveScopes("cluster", 1)
	has := s.live().Registered.Scopes
	if len(has) == 0 {
		t.Fatal("no scope")
	}
	as := s.storedAS(t)
	id := s.stored().Client.ID
	for _, list := range []*inventory{
		{scopes: map[string]bool{}}, {scopes: map[string]bool{}, ours: map[string]bool{"another": true}},
	} {
		s.authServers.tidy(t.Context(), as, list, s.clock.Now())
		if got := s.live().Registered.Scopes; !slices.Equal(got, has) || !slices.Contains(s.as.Scopes(), left[0]) {
			t.Fatalf("the living client has %q, had %q", got, has)
		}
	}
	used := map[string]bool{}
	for _, scope := range has {
		used[scope] = true
	}
	s.authServers.tidy(t.Context(), as, &inventory{scopes: used, ours: map[string]bool{id: true}}, s.clock.Now())
	if slices.Contains(s.as.Scopes(), left[0]) {
		t.Error("with all clients in the list the scope is left")
	}
}

// A pause is one for scopes too: who pauses works at the server by hand.
func TestAPausedServerIsNotTidied(t *testing.T) {
	s := scopedStage(t, "paused-tidy")
	s.begin()
	left := s.leaveScopes("cluster", 1)
	as := s.storedAS(t)
	pause := func(value string) {
		t.Helper()
		as = s.storedAS(t)
		as.Annotations = map[string]string{v1alpha1.AnnotationPaused: value}
		if err := s.Update(t.Context(), as); err != nil {
			t.Fatal(err)
		}
		s.later(time.Hour)
	}
	if pause("jane works at the realm"); !slices.Contains(s.as.Scopes(), left[0]) {
		t.Errorf("deleted while paused: %q", left[0])
	}
	if pause(""); slices.Contains(s.as.Scopes(), left[0]) {
		t.Errorf("left after the pause: %q", left[0])
	}
}

// storedAS is the AuthorizationServer as it is stored.
func (s *stage) storedAS(t *testing.T) *v1alpha1.AuthorizationServer {
	t.Helper()
	var as v1alpha1.AuthorizationServer
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.issuer), &as); err != nil {
		t.Fatal(err)
	}
	return &as
}
