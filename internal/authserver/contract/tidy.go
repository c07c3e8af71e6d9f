// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// tidies and tidiesNot are what Traits.Tidies promises.
var (
	tidies = cases{
		"Tidy deletes every scope that no client has":       tidied,
		"Tidy leaves what a client has, and what is shared": tidiedShared,
		"Tidy leaves what another register made":            tidiedAnothers,
		"a scope that was deleted is made again":            tidiedAgain,
	}
	tidiesNot = cases{"Tidy is Rejected and sends nothing": tidyRejected}
)

// mine is what the marks of the clients of a wish begin with.
func mine(wish authserver.ClientMetadata) string {
	return wish.SoftwareID[:strings.LastIndex(wish.SoftwareID, "/")]
}

// withScopes is a wish for a client with scopes and a mark of an object.
func withScopes(scopes ...string) authserver.ClientMetadata {
	wish := Confidential()
	wish.SoftwareID, wish.Scopes = "mcp-registrar/cluster/"+scopes[0], scopes
	return wish
}

// longAfter is an instant before which everything was given to clients.
var longAfter = time.Date(9000, time.January, 1, 0, 0, 0, 0, time.UTC)

// tidy lists all clients and has deleted what none of them has.
func tidy(t *testing.T, s Subject, owner string) {
	t.Helper()
	used := map[string]bool{}
	for cursor := ""; ; {
		page, err := s.Server.List(t.Context(), cursor)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if page.Scopes == nil {
			t.Fatal("the list does not say who has which scopes")
		}
		for _, scope := range page.Scopes {
			used[scope] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for range 100 {
		more, err := s.Server.Tidy(t.Context(), authserver.Tidying{
			Owner: owner, Since: longAfter, Used: func(scope string) bool { return used[scope] },
		})
		if err != nil {
			t.Fatalf("tidy: %v", err)
		}
		if !more {
			return
		}
	}
	t.Error("there is no end of what is to be deleted")
}

func wantScopes(t *testing.T, s Subject, has bool, names ...string) {
	t.Helper()
	if s.Scopes == nil {
		t.Skip("the subject does not show its scopes")
	}
	there := s.Scopes()
	for _, name := range names {
		if slices.Contains(there, name) != has {
			t.Errorf("scope %s: there %t, want %t", name, !has, has)
		}
	}
}

func tidied(t *testing.T, s Subject) {
	names := []string{"tidy.a", "tidy.b", "tidy.c", "tidy.d", "tidy.e"}
	wish := withScopes(names...)
	_, handle := register(t, s, wish)
	wantScopes(t, s, true, names...)
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	tidy(t, s, mine(wish))
	wantScopes(t, s, false, names...)
	tidy(t, s, mine(wish))
}

func tidiedShared(t *testing.T, s Subject) {
	wish := withScopes("tidy.only", "tidy.shared")
	_, handle := register(t, s, wish)
	_, other := register(t, s, withScopes("tidy.shared", "tidy.more"))
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	tidy(t, s, mine(wish))
	wantScopes(t, s, true, "tidy.shared", "tidy.more")
	wantScopes(t, s, false, "tidy.only")
	if scopes := find(t, s, other).Registered.Scopes; !slices.Contains(scopes, "tidy.shared") || !slices.Contains(scopes, "tidy.more") {
		t.Errorf("a client has only %q left", scopes)
	}
}

func tidiedAnothers(t *testing.T, s Subject) {
	wish := withScopes("tidy.kept")
	_, handle := register(t, s, wish)
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{mine(wish) + "-2", mine(wish)[:len(mine(wish))-1], wish.SoftwareID} {
		tidy(t, s, owner)
	}
	wantScopes(t, s, true, "tidy.kept")
}

func tidiedAgain(t *testing.T, s Subject) {
	wish := withScopes("tidy.again")
	_, handle := register(t, s, wish)
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	tidy(t, s, mine(wish))
	client, handle := register(t, s, wish)
	tidy(t, s, mine(wish))
	if found := find(t, s, handle); !slices.Equal(found.Registered.Scopes, wish.Scopes) || !slices.Equal(client.Registered.Scopes, wish.Scopes) {
		t.Errorf("registered with %q, has %q", client.Registered.Scopes, found.Registered.Scopes)
	}
}

func tidyRejected(t *testing.T, s Subject) {
	_, err := s.Server.Tidy(over(t), authserver.Tidying{Owner: "mcp-registrar/cluster", Used: func(string) bool { return false }})
	wantKind(t, "tidy", err, authserver.Rejected)
}
