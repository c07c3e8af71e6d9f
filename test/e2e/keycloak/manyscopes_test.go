// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package keycloak

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	adapter "github.com/mcp-registrar/mcp-registrar/internal/authserver/keycloak"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

const (
	// crowdSize is how many scopes one tenant has in the realm beside the victim's.
	crowdSize = 5000
	// rounds is how often the victim's life is measured, in a realm without them and
	// among them.
	rounds = 15
	// slower is by how much the middle one of them may be among them, and a bit, for a
	// machine that does other things too. To read them all takes longer than that, and
	// as one answer of 1 MiB it does not work.
	slower = 2
	bit    = 100 * time.Millisecond
)

func scopedWish(scopes ...string) authserver.ClientMetadata {
	wish := contract.For(adapter.Traits(authserver.Config{}), contract.Wish())
	wish.SoftwareID, wish.Scopes = "mcp-registrar/cluster/"+wish.ID, scopes
	return wish
}

func handleOf(wish authserver.ClientMetadata) authserver.Handle {
	return authserver.Handle{ClientID: wish.ID, Owner: wish.SoftwareID}
}

// testManyScopes has one tenant fill the realm with scopes, B3: a victim's client is
// registered, changed and reduced in the time that it takes without them, and what the
// tenant had made goes when no client has it any more.
func testManyScopes(t *testing.T, server *keycloak.Server) {
	quiet, realm := connect(t, server.NewRealm(t), "manage-clients"), server.NewRealm(t)
	crowd := make([]int, crowdSize)
	for i := range crowd {
		crowd[i] = i
	}
	began := time.Now()
	inParallel(crowd, func(i int) {
		realm.Admin(t, http.MethodPost, "/client-scopes", map[string]any{
			"name": fmt.Sprintf("crowd.%04d.%s", i, strings.Repeat("x", 100)), "protocol": "openid-connect",
			"description": "Made by MCP Registrar for a scope of an MCP server.",
			"attributes":  map[string]string{"include.in.token.scope": "true", "mcp-registrar.software_id": "mcp-registrar/another"},
		})
	})
	if there := len(realm.Scopes(t)); there < crowdSize {
		t.Fatalf("%d client scopes", there)
	}
	t.Logf("%d client scopes made in %s", crowdSize, time.Since(began).Round(time.Second))
	as := connect(t, realm, "manage-clients")
	live(t, quiet) // what is new is slow
	live(t, as)
	alone, among := live(t, quiet), live(t, as)
	for _, step := range []string{"registered", "changed", "reduced"} {
		ratio := float64(among[step]) / float64(alone[step])
		t.Logf("%s: %s alone, %s among %d scopes of others, %.2f times as long", step, alone[step], among[step], crowdSize, ratio)
		if among[step] > slower*alone[step]+bit {
			t.Errorf("%s takes %.2f times as long", step, ratio)
		}
	}
	testTidy(t, realm, as)
}

// live takes clients through their lives and returns the middle time of each step.
func live(t *testing.T, as *adapter.Server) map[string]time.Duration {
	t.Helper()
	took := map[string][]time.Duration{}
	measure := func(step string, call func() (authserver.Client, error), want ...string) {
		t.Helper()
		began := time.Now()
		client, err := call()
		took[step] = append(took[step], time.Since(began))
		got := slices.Sorted(slices.Values(client.Registered.Scopes))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s: %q, %v", step, got, err)
		}
	}
	for i := range rounds {
		// One scope in each round is new to the realm.
		fresh := fmt.Sprintf("victim.%02d.%d", i, time.Now().UnixNano())
		wish := scopedWish("victim.a", "victim.b", fresh)
		measure("registered", func() (authserver.Client, error) { return as.Register(t.Context(), wish) }, fresh, "victim.a", "victim.b")
		wish.Scopes = []string{"victim.a", "victim.c", "victim.d"}
		measure("changed", func() (authserver.Client, error) { return as.Replace(t.Context(), handleOf(wish), wish) }, wish.Scopes...)
		wish.Scopes = []string{"victim.a"}
		measure("reduced", func() (authserver.Client, error) { return as.Replace(t.Context(), handleOf(wish), wish) }, wish.Scopes...)
		if err := as.Revoke(t.Context(), handleOf(wish)); err != nil {
			t.Fatal(err)
		}
	}
	middle := map[string]time.Duration{}
	for step, all := range took {
		slices.Sort(all)
		middle[step] = all[len(all)/2].Round(100 * time.Microsecond)
	}
	return middle
}

// testTidy ends a tenant with dozens of scopes, one of which somebody else shares.
func testTidy(t *testing.T, realm *keycloak.Realm, as *adapter.Server) {
	t.Helper()
	var tenants []authserver.ClientMetadata
	for i := range 12 {
		wish := scopedWish("shared")
		for j := range 4 {
			wish.Scopes = append(wish.Scopes, fmt.Sprintf("tenant.%d.%d", i, j))
		}
		if _, err := as.Register(t.Context(), wish); err != nil {
			t.Fatal(err)
		}
		tenants = append(tenants, wish)
	}
	victim := scopedWish("shared", "victim.a")
	if _, err := as.Register(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	realm.AddScope(t, "a-person")
	realm.AddClient(t, keycloak.Client{"clientId": "a-stranger", "optionalClientScopes": []string{"tenant.0.0"}})
	for _, wish := range tenants {
		if err := as.Revoke(t.Context(), handleOf(wish)); err != nil {
			t.Fatal(err)
		}
	}
	used, since := map[string]bool{}, time.Now()
	for cursor := ""; ; {
		page, err := as.List(t.Context(), cursor)
		if err != nil || page.Scopes == nil {
			t.Fatalf("list: %v, %v", page.Scopes, err)
		}
		for _, scope := range page.Scopes {
			used[scope] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	runs, began := 0, time.Now()
	for more := true; more; runs++ {
		var err error
		if more, err = as.Tidy(t.Context(), authserver.Tidying{
			Owner: "mcp-registrar/cluster", Used: func(name string) bool { return used[name] }, Since: since,
		}); err != nil {
			t.Fatalf("tidy: %v", err)
		}
		if runs == 0 {
			t.Logf("the first run took %s", time.Since(began).Round(time.Millisecond))
		}
	}
	left := slices.DeleteFunc(realm.Scopes(t), func(name string) bool {
		return strings.HasPrefix(name, "crowd.") || !strings.Contains(name, ".") && name != "shared" && name != "a-person"
	})
	slices.Sort(left)
	t.Logf("left after %d runs and %s: %q", runs, time.Since(began).Round(time.Second), left)
	if !slices.Equal(left, []string{"a-person", "shared", "tenant.0.0", "victim.a"}) {
		t.Errorf("left: %q", left)
	}
	found, is, err := as.Find(t.Context(), handleOf(victim))
	if err != nil || !is || len(found.Registered.Scopes) != 2 {
		t.Errorf("the victim has %q, %t, %v", found.Registered.Scopes, is, err)
	}
}

// testScopeInUse holds what Keycloak does with a client scope in use that is deleted:
// the clients lose it without a word, are seen to lack it with the next look, and get it
// back with the change that follows.
func testScopeInUse(t *testing.T, server *keycloak.Server) {
	realm := server.NewRealm(t)
	as := connect(t, realm, "manage-clients")
	wish := scopedWish("files.read", "files.write")
	if _, err := as.Register(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	var scopes []struct{ ID, Name string }
	realm.Admin(t, http.MethodGet, "/client-scopes", nil).Decode(t, &scopes)
	for _, scope := range scopes {
		if scope.Name != "files.read" {
			continue
		}
		answer := realm.Admin(t, http.MethodDelete, "/client-scopes/"+url.PathEscape(scope.ID), nil)
		t.Logf("deleted %s: %d %s", scope.ID, answer.Status, answer.Body)
		if answer.Status != http.StatusNoContent {
			t.Errorf("deleting a client scope in use: %d", answer.Status)
		}
	}
	found, is, err := as.Find(t.Context(), handleOf(wish))
	if err != nil || !is || !slices.Equal(found.Registered.Scopes, []string{"files.write"}) {
		t.Errorf("found with %q, %t, %v", found.Registered.Scopes, is, err)
	}
	changed, err := as.Replace(t.Context(), handleOf(wish), wish)
	if err != nil || len(changed.Registered.Scopes) != 2 {
		t.Errorf("replaced with %q, %v", changed.Registered.Scopes, err)
	}
}
