// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package keycloak

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	adapter "github.com/mcp-registrar/mcp-registrar/internal/authserver/keycloak"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

func code(err error) string {
	if failure, ok := errors.AsType[*authserver.Error](err); ok {
		return failure.Code
	}
	return ""
}

// testMany has 1000 clients of ours among 1000 of strangers, whose ids are
// before and behind ours.
func testMany(t *testing.T, server *keycloak.Server) {
	s := stage(t, server)
	strangers := append(s.AddClients(t, 500, "a-stranger-", nil), s.AddClients(t, 500, "z-stranger-", nil)...)
	before := map[string]keycloak.Client{}
	for _, id := range strangers[450:550] {
		before[id] = inOrder(s.Client(t, id))
	}
	likeness := s.Client(t, s.handle.ClientID)
	delete(likeness, "protocolMappers") // their ids are those of the original
	ours := append(s.AddClients(t, 999, "mcpr-", likeness), s.handle.ClientID)

	listed := listAll(t, s.server)
	for _, id := range ours {
		if listed[id] != s.handle.Owner {
			t.Fatalf("client %s is listed as %q's", id, listed[id])
		}
	}
	if want := 1000 + 1000 + 7; len(listed) != want {
		t.Errorf("%d clients are listed, want %d", len(listed), want)
	}

	gone := slices.Clone(ours[450:550])
	inParallel(gone, func(id string) {
		handle := authserver.Handle{ClientID: id, Owner: s.handle.Owner}
		if err := s.server.Revoke(t.Context(), handle); err != nil {
			t.Errorf("revoking %s: %v", id, err)
		}
		if _, found, err := s.server.Find(t.Context(), handle); found || err != nil {
			t.Errorf("%s: found %t, %v", id, found, err)
		}
	})
	for id, was := range before {
		handle := authserver.Handle{ClientID: id, Owner: s.handle.Owner}
		if err := s.server.Revoke(t.Context(), handle); code(err) != exchange.CodeForeignClient {
			t.Errorf("revoking stranger %s: %v", id, err)
		}
		if is := inOrder(s.Client(t, id)); !reflect.DeepEqual(is, was) {
			t.Errorf("stranger %s changed:\n%v\n%v", id, was, is)
		}
	}
	wantLeft(t, listAll(t, s.server), slices.DeleteFunc(ours, func(id string) bool { return slices.Contains(gone, id) }), strangers)
}

// inOrder sorts the lists of texts of a client: Keycloak keeps sets.
func inOrder(c keycloak.Client) keycloak.Client {
	sorted := maps.Clone(c)
	for member, value := range sorted {
		if list, ok := value.([]any); ok {
			sorted[member] = slices.SortedFunc(slices.Values(list), func(one, other any) int { return strings.Compare(fmt.Sprint(one), fmt.Sprint(other)) })
		}
	}
	return sorted
}

// wantLeft holds what a list has left: every one of ours and of strangers, and
// nobody else but the built-in clients and the register's.
func wantLeft(t *testing.T, left map[string]string, ours, strangers []string) {
	t.Helper()
	marked := 0
	for _, owner := range left {
		if owner != "" {
			marked++
		}
	}
	if marked != 900 || len(ours) != 900 || len(left) != 900+1000+7 {
		t.Errorf("%d of our clients and %d in all are left, want 900 and %d", marked, len(left), 900+1000+7)
	}
	for _, id := range append(ours, strangers...) {
		if _, there := left[id]; !there {
			t.Errorf("client %s is gone", id)
		}
	}
}

// listAll reads every page: the owner of each client by its id.
func listAll(t *testing.T, as *adapter.Server) map[string]string {
	t.Helper()
	owners := map[string]string{}
	for cursor := ""; ; {
		page, err := as.List(t.Context(), cursor)
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		for _, client := range page.Clients {
			if _, twice := owners[client.ID]; twice {
				t.Errorf("client %s is listed twice", client.ID)
			}
			owners[client.ID] = client.SoftwareID
		}
		if page.Next == "" {
			return owners
		}
		cursor = page.Next
	}
}

// inParallel does work with a few hands.
func inParallel[T any](items []T, work func(T)) {
	queue := make(chan T)
	var hands sync.WaitGroup
	for range 4 {
		hands.Go(func() {
			for item := range queue {
				work(item)
			}
		})
	}
	for _, item := range items {
		queue <- item
	}
	close(queue)
	hands.Wait()
}
