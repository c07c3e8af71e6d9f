// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// disables and disablesNot are what Traits.Disables promises.
var (
	disables = cases{
		"a disabled client is useless until it is replaced": disabled,
		"Disable is idempotent":                             idempotentDisable,
		"Disable of a client that is gone is done":          disableGone,
	}
	disablesNot = cases{"Disable is Rejected and sends nothing": disableRejected}
)

// credentialed registers a client that can ask for tokens by itself.
func credentialed(t *testing.T, s Subject) (authserver.ClientMetadata, authserver.Handle) {
	t.Helper()
	if !s.traits().SharedSecretUnsupported {
		wish := For(s.traits(), Confidential())
		_, handle := registerAs(t, s, wish)
		return wish, handle
	}
	key := NewKey(t)
	wish := For(s.traits(), Keyed(key))
	_, handle := registerAs(t, s, wish)
	handle.PrivateKey, handle.KeyID = key.Private, key.ID
	return wish, handle
}

func disabled(t *testing.T, s Subject) {
	wish, handle := credentialed(t, s)
	wantToken(t, s, handle, true)
	if err := s.Server.Disable(t.Context(), handle); err != nil {
		t.Fatalf("disable: %v", err)
	}
	wantToken(t, s, handle, false)
	found := find(t, s, handle)
	if !found.Disabled {
		t.Error("not disabled")
	}
	wantRegistered(t, s, found.Registered, wish)
	wish.Secret = authserver.Secret{}
	replaced, err := s.Server.Replace(t.Context(), keep(handle, found), wish)
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	handle = keep(handle, replaced)
	if replaced.Disabled || find(t, s, handle).Disabled {
		t.Error("still disabled")
	}
	wantToken(t, s, handle, true)
	wantLive(t, s, handle.ClientID)
}

func idempotentDisable(t *testing.T, s Subject) {
	for _, wish := range s.wishes() {
		_, handle := register(t, s, wish)
		for range 3 {
			if err := s.Server.Disable(t.Context(), handle); err != nil {
				t.Errorf("%s: %v", wish.AuthMethod, err)
			}
		}
		if !find(t, s, handle).Disabled {
			t.Errorf("%s: not disabled", wish.AuthMethod)
		}
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Errorf("%s: revoking what is disabled: %v", wish.AuthMethod, err)
		}
		wantLive(t, s)
	}
}

func disableGone(t *testing.T, s Subject) {
	_, handle := register(t, s, Wish())
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	handle.Deleted = true
	if err := s.Server.Disable(t.Context(), handle); err != nil {
		t.Errorf("disable: %v", err)
	}
	wantLive(t, s)
}

// over returns a context that has ended: what is refused with it was never to
// be sent.
func over(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func disableRejected(t *testing.T, s Subject) {
	client, handle := register(t, s, Wish())
	wantKind(t, "disable", s.Server.Disable(over(t), handle), authserver.Rejected)
	wantKind(t, "disable", s.Server.Disable(t.Context(), handle), authserver.Rejected)
	wantLive(t, s, client.ID)
	if find(t, s, handle).Disabled {
		t.Error("disabled")
	}
}

// lists and listsNot are what Traits.Lists promises.
var (
	lists = cases{
		"List gives every client once, with its mark":  everyClient,
		"a deletion while listing hides nobody":        deletedWhileListing,
		"List of what holds no client of ours ends":    emptyList,
		"a disabled client is listed like every other": disabledListed,
	}
	listsNot = cases{"List is Rejected and sends nothing": listRejected}
)

// checksAccess and checksAccessNot are what Traits.ChecksAccess promises.
var (
	checksAccess = cases{
		"CheckAccess finds access and changes nothing":    accessGranted,
		"CheckAccess needs no client, and hurts none":     accessBeforeAll,
		"access that was refused is there again, at once": accessAgain,
	}
	checksAccessNot = cases{"CheckAccess is Rejected and sends nothing": accessRejected}
)

func accessGranted(t *testing.T, s Subject) {
	client, handle := register(t, s, Wish())
	for range 3 {
		if err := s.Server.CheckAccess(t.Context()); err != nil {
			t.Errorf("check access: %v", err)
		}
	}
	wantLive(t, s, client.ID)
	if found := find(t, s, handle); found.Disabled || !sameClient(found.Registered, client.Registered) {
		t.Errorf("the client was changed: %+v", found.Registered)
	}
}

func accessBeforeAll(t *testing.T, s Subject) {
	if err := s.Server.CheckAccess(t.Context()); err != nil {
		t.Errorf("check access: %v", err)
	}
	wantLive(t, s)
}

func accessAgain(t *testing.T, s Subject) {
	if s.Fail == nil {
		t.Skip("the subject takes no orders of faults")
	}
	for _, status := range []int{401, 403} {
		s.Fail(Access, Fault{Status: status})
		wantKind(t, "check access", s.Server.CheckAccess(t.Context()), authserver.Unauthorized)
		if err := s.Server.CheckAccess(t.Context()); err != nil {
			t.Errorf("after %d: %v", status, err)
		}
	}
}

func accessRejected(t *testing.T, s Subject) {
	for _, ctx := range []context.Context{over(t), t.Context()} {
		wantKind(t, "check access", s.Server.CheckAccess(ctx), authserver.Rejected)
	}
	wantLive(t, s)
}

// populate registers more clients than two pages hold, and returns what List
// must say of them by id.
func populate(t *testing.T, s Subject) (map[string]authserver.Listed, map[string]authserver.Handle) {
	t.Helper()
	listed, handles := map[string]authserver.Listed{}, map[string]authserver.Handle{}
	for i := range max(2*s.PageSize+1, 3) {
		wish := For(s.traits(), Wish())
		wish.Name, wish.SoftwareVersion = fmt.Sprintf("client %d [m%d]", i, i), fmt.Sprintf("m%d", i)
		if i == 1 {
			wish.SoftwareID = strangersMark
		}
		client, handle := registerAs(t, s, wish)
		handles[client.ID] = handle
		listed[client.ID] = authserver.Listed{
			ID: client.ID, Name: wish.Name, SoftwareID: wish.SoftwareID, SoftwareVersion: wish.SoftwareVersion,
		}
	}
	return listed, handles
}

// mostPages bounds a list that does not end.
const mostPages = 1000

// pages calls with each page, from the first to the last.
func pages(t *testing.T, s Subject, each func(clients []authserver.Listed)) {
	t.Helper()
	cursor := ""
	for range mostPages {
		page, err := s.Server.List(t.Context(), cursor)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if s.PageSize > 0 && len(page.Clients) > s.PageSize {
			t.Errorf("a page of %d clients", len(page.Clients))
		}
		each(page.Clients)
		if page.Next == "" {
			return
		}
		if page.Next == cursor {
			t.Fatalf("the cursor %q leads to itself", cursor)
		}
		cursor = page.Next
	}
	t.Fatalf("more than %d pages", mostPages)
}

func everyClient(t *testing.T, s Subject) {
	want, _ := populate(t, s)
	if s.Stranger != nil {
		id := For(s.traits(), Wish()).ID
		s.Stranger(id)
		want[id] = authserver.Listed{ID: id}
	}
	seen := map[string]int{}
	pages(t, s, func(clients []authserver.Listed) {
		for _, got := range clients {
			seen[got.ID]++
			expected, ours := want[got.ID]
			if expected.SoftwareID == "" {
				expected = authserver.Listed{ID: got.ID, Name: got.Name}
			}
			if got != expected {
				t.Errorf("listed %+v (made by the suite %t), want %+v", got, ours, expected)
			}
		}
	})
	for id := range want {
		if seen[id] == 0 {
			t.Errorf("client %s is not listed", id)
		}
	}
	for id, n := range seen {
		if n > 1 {
			t.Errorf("client %s is listed %d times", id, n)
		}
	}
}

func deletedWhileListing(t *testing.T, s Subject) {
	want, handles := populate(t, s)
	seen := map[string]bool{}
	pages(t, s, func(clients []authserver.Listed) {
		for _, got := range clients {
			seen[got.ID] = true
		}
		// Half of what was just seen goes, so that the rest moves up.
		for i, got := range clients {
			handle, ours := handles[got.ID]
			if !ours || i%2 == 1 {
				continue
			}
			if err := s.Server.Revoke(t.Context(), handle); err != nil {
				t.Fatalf("revoke: %v", err)
			}
		}
	})
	for id := range want {
		if !seen[id] {
			t.Errorf("client %s was there until it was to be listed, and was not", id)
		}
	}
}

func emptyList(t *testing.T, s Subject) {
	pages(t, s, func(clients []authserver.Listed) {
		for _, got := range clients {
			if got.SoftwareID != "" || got.SoftwareVersion != "" {
				t.Errorf("listed %+v, but nobody made a client with a mark", got)
			}
		}
	})
}

func disabledListed(t *testing.T, s Subject) {
	_, handle := register(t, s, Wish())
	if s.traits().Disables {
		if err := s.Server.Disable(t.Context(), handle); err != nil {
			t.Fatalf("disable: %v", err)
		}
	}
	found := false
	pages(t, s, func(clients []authserver.Listed) {
		found = found || slices.ContainsFunc(clients, func(got authserver.Listed) bool {
			return got.ID == handle.ClientID && got.SoftwareID == handle.Owner
		})
	})
	if !found {
		t.Error("not listed as ours")
	}
}

func listRejected(t *testing.T, s Subject) {
	for _, ctx := range []context.Context{over(t), t.Context()} {
		page, err := s.Server.List(ctx, "")
		wantKind(t, "list", err, authserver.Rejected)
		if len(page.Clients) > 0 || page.Next != "" {
			t.Errorf("a page beside an error: %+v", page)
		}
	}
}
