// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// crowd has a realm with very many client scopes that somebody else caused.
func (w *world) crowd(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range n {
		w.addScope(fmt.Sprintf("other.%d.%s", i, strings.Repeat("x", 240)), "mcp-registrar/cluster")
	}
}

func wishFor(id string, scopes ...string) authserver.ClientMetadata {
	wish := contract.For(Traits(authserver.Config{}), contract.Wish())
	wish.ID, wish.Scopes, wish.SoftwareID = id, scopes, "mcp-registrar/cluster/"+id
	return wish
}

func handleOf(wish authserver.ClientMetadata) authserver.Handle {
	return authserver.Handle{ClientID: wish.ID, Owner: wish.SoftwareID}
}

// What one client costs does not grow with the scopes of others: those of fourteen full
// catalogues, and more than fit into an answer.
func TestOthersScopesCostNothing(t *testing.T) {
	cost := map[int][]string{}
	for _, others := range []int{0, 14 * 128, 5000} {
		w := newWorld(t)
		w.crowd(others)
		s := w.connect(t, Options{})
		seen := func(what string, client authserver.Client, err error, scopes ...string) {
			t.Helper()
			slices.Sort(client.Registered.Scopes)
			if err != nil || !slices.Equal(client.Registered.Scopes, scopes) {
				t.Fatalf("%s among %d: %q, %v", what, others, client.Registered.Scopes, err)
			}
			requests := w.requests()
			slices.Sort(requests)
			cost[others] = append(cost[others], fmt.Sprintf("%s: %d bytes, %v", what, w.told, requests))
			w.told = 0
		}
		wish := wishFor("mcpr-victim", "a", "b", "c")
		client, err := s.Register(t.Context(), wish)
		seen("registered", client, err, "a", "b", "c")
		wish.Scopes = []string{"a", "b", "d"}
		client, err = s.Replace(t.Context(), handleOf(wish), wish)
		seen("changed", client, err, "a", "b", "d")
		wish.Scopes = []string{"a"}
		client, err = s.Replace(t.Context(), handleOf(wish), wish)
		seen("reduced", client, err, "a")
		// One that was started again knows nothing.
		wish = wishFor("mcpr-second", "a", "b", "e")
		client, err = w.connect(t, Options{}).Register(t.Context(), wish)
		seen("registered by another", client, err, "a", "b", "e")
	}
	for others, costs := range cost {
		if !slices.Equal(cost[0], costs) {
			t.Errorf("alone\n%s\namong %d\n%s", strings.Join(cost[0], "\n"), others, strings.Join(costs, "\n"))
		}
	}
}

// A client scope that somebody else made is searched for once, however many there are.
func TestScopesOfOthersAreSearchedForOnce(t *testing.T) {
	w := newWorld(t)
	w.crowd(5000)
	s := w.connect(t, Options{})
	for i, want := range []int{1, 0, 0} {
		wish := wishFor(fmt.Sprintf("mcpr-%d", i), "profile", "offline_access")
		client, err := s.Register(t.Context(), wish)
		if err != nil || len(client.Registered.Scopes) != 2 {
			t.Fatalf("%q, %v", client.Registered.Scopes, err)
		}
		lists := slices.DeleteFunc(w.requests(), func(line string) bool { return line != "GET /client-scopes" })
		if len(lists) != want {
			t.Errorf("client %d: listed %d times", i, len(lists))
		}
	}
}

// The id by which the register looks for a client scope may be another's.
func TestAnIDThatIsTaken(t *testing.T) {
	for name, take := range map[string]func(*world, string){
		"in another realm": func(w *world, id string) { w.taken = id },
		"in this realm":    func(w *world, id string) { w.scopes["strange"] = id },
		"by a scope that is renamed": func(w *world, id string) {
			w.scopes["strange"], w.scopes["files.read"] = id, "id-files.read"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.connect(t, Options{})
			take(w, s.scopeID("files.read"))
			wish := wishFor("mcpr-a", "files.read")
			client, err := s.Register(t.Context(), wish)
			if err != nil || !slices.Equal(client.Registered.Scopes, wish.Scopes) {
				t.Fatalf("%q, %v", client.Registered.Scopes, err)
			}
			if client, err = s.Replace(t.Context(), handleOf(wish), wishFor("mcpr-a")); err != nil || len(client.Registered.Scopes) > 0 {
				t.Errorf("reduced to %q, %v", client.Registered.Scopes, err)
			}
			if client, err = s.Replace(t.Context(), handleOf(wish), wish); err != nil || !slices.Equal(client.Registered.Scopes, wish.Scopes) {
				t.Errorf("given again: %q, %v", client.Registered.Scopes, err)
			}
		})
	}
}

// What is remembered of a client scope may not be so any more.
func TestARememberedScopeThatWent(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	if _, err := s.Register(t.Context(), wishFor("mcpr-a", "files.read")); err != nil {
		t.Fatal(err)
	}
	gone := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dropScope("files.read")
	}
	gone()
	wish := wishFor("mcpr-b", "files.read")
	client, err := s.Register(t.Context(), wish)
	if err != nil || !slices.Equal(client.Registered.Scopes, wish.Scopes) {
		t.Fatalf("registered with %q, %v", client.Registered.Scopes, err)
	}
	gone()
	if client, err = s.Replace(t.Context(), handleOf(wish), wish); err != nil || !slices.Equal(client.Registered.Scopes, wish.Scopes) {
		t.Errorf("replaced with %q, %v", client.Registered.Scopes, err)
	}
}

// uuidForm is the form of an id, of version 8 (RFC 9562 §4).
var uuidForm = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z`)

func FuzzScopeID(f *testing.F) {
	f.Add("https://a", "files.read", "https://a", "files.write")
	f.Add("https://a", "b", "https://b", "b")
	f.Add("https://a", "\x00b", "https://a\x00", "b")
	f.Fuzz(func(t *testing.T, issuer, name, otherIssuer, otherName string) {
		one := (&Server{config: authserver.Config{Issuer: issuer}}).scopeID(name)
		other := (&Server{config: authserver.Config{Issuer: otherIssuer}}).scopeID(otherName)
		if !uuidForm.MatchString(one) {
			t.Errorf("%q is no id", one)
		}
		if same := issuer == otherIssuer && name == otherName; same != (one == other) && !strings.Contains(issuer+otherIssuer, "\x00") {
			t.Errorf("%q, %q and %q, %q: %s and %s", issuer, name, otherIssuer, otherName, one, other)
		}
	})
}

func TestTidyLeavesWhatIsNotItsOwn(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	w.addScope("idle", "mcp-registrar/cluster")
	w.addScope("another cluster's", "mcp-registrar/cluster-2")
	w.addScope("a person's", "")
	w.addScope("used", "mcp-registrar/cluster")
	w.addScope("with a mapper", "mcp-registrar/cluster")
	w.bodies["with a mapper"]["protocolMappers"] = []any{map[string]any{"name": "audience"}}
	w.addScope("of another protocol", "mcp-registrar/cluster")
	w.bodies["of another protocol"]["protocol"] = "saml"
	w.add(map[string]any{"clientId": "a stranger's", "optionalClientScopes": []any{"used"}})
	page, err := s.List(t.Context(), "")
	for err == nil && page.Next != "" {
		var next authserver.Page
		next, err = s.List(t.Context(), page.Next)
		page.Next, page.Scopes = next.Next, append(page.Scopes, next.Scopes...)
	}
	if err != nil || !slices.Contains(page.Scopes, "used") {
		t.Fatalf("used are %q, %v", page.Scopes, err)
	}
	tidying := authserver.Tidying{Owner: "mcp-registrar/cluster", Used: func(name string) bool { return slices.Contains(page.Scopes, name) }}
	if more, err := s.Tidy(t.Context(), tidying); more || err != nil {
		t.Errorf("more %t, %v", more, err)
	}
	if left := w.scopeNames(); !slices.Equal(left, []string{"a person's", "another cluster's", "of another protocol", "used", "with a mapper"}) {
		t.Errorf("left: %q", left)
	}
}

// A list in which one client does not say what it has says of no scope that nobody has it.
func TestAListThatDoesNotTellScopes(t *testing.T) {
	for _, scopes := range []any{nil, "a b", []any{"a", 1}, []any{nil}, map[string]any{}} {
		w := newWorld(t)
		w.add(map[string]any{"clientId": "a stranger's"})["optionalClientScopes"] = scopes
		page, err := w.connect(t, Options{PageSize: 100}).List(t.Context(), "")
		if err != nil || page.Scopes != nil {
			t.Errorf("%v: %q, %v", scopes, page.Scopes, err)
		}
	}
}

// One run is bounded, and the next goes on.
func TestTidyIsBounded(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	w.crowd(2*mostTidied + 1)
	tidying := authserver.Tidying{Owner: "mcp-registrar/cluster", Used: func(string) bool { return false }}
	for i, want := range []bool{true, true, false, false} {
		if more, err := s.Tidy(t.Context(), tidying); more != want || err != nil {
			t.Errorf("run %d: more %t, %v", i, more, err)
		}
		if sent := len(w.requests()); sent > mostTidied+2 {
			t.Errorf("run %d: %d requests", i, sent)
		}
	}
	if left := w.scopeNames(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A list that is longer than is read gets shorter all the same.
func TestTidyOfTooMany(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	w.crowd(10)
	w.addScope("huge", "")
	w.bodies["huge"]["description"] = strings.Repeat("x", 2<<20)
	tidying := authserver.Tidying{Owner: "mcp-registrar/cluster", Used: func(string) bool { return false }}
	var err error
	for i := 0; len(w.scopeNames()) > 1 && i < 200; i++ {
		_, err = s.Tidy(t.Context(), tidying)
	}
	if left := w.scopeNames(); !slices.Equal(left, []string{"huge"}) {
		t.Errorf("left: %q, %v", left, err)
	}
	if _, err := s.Tidy(t.Context(), tidying); err == nil || !isTooLarge(err) {
		t.Errorf("nothing to be seen: %v", err)
	}
}

// What was given to a client after the list was begun is not in the list.
func TestTidyLeavesWhatIsGivenMeanwhile(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	tidying := authserver.Tidying{Owner: "mcp-registrar/cluster", Used: func(string) bool { return false }, Since: time.Now()}
	wish := wishFor("mcpr-a", "files.read")
	if _, err := s.Register(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tidy(t.Context(), tidying); err != nil || len(w.scopeNames()) != 1 {
		t.Errorf("left %q, %v", w.scopeNames(), err)
	}
	if err := s.Revoke(t.Context(), handleOf(wish)); err != nil {
		t.Fatal(err)
	}
	tidying.Since = time.Now()
	if _, err := s.Tidy(t.Context(), tidying); err != nil || len(w.scopeNames()) != 0 {
		t.Errorf("left %q, %v", w.scopeNames(), err)
	}
	if len(s.scopes.given) > 0 || len(s.scopes.hands) > 0 || len(s.scopes.going) > 0 || len(s.scopes.notes) > 0 {
		t.Errorf("still remembered: %+v", s.scopes)
	}
}

// A connection that was made anew, or a second one with the same realm, does not delete
// what another one gives.
func TestConnectionsKnowOfEachOther(t *testing.T) {
	w := newWorld(t)
	memory := NewMemory()
	one, other := w.connect(t, Options{Memory: memory}), w.connect(t, Options{Memory: memory})
	tidying := authserver.Tidying{Owner: "mcp-registrar/cluster", Used: func(string) bool { return false }, Since: time.Now()}
	if _, err := one.Register(t.Context(), wishFor("mcpr-a", "files.read")); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Tidy(t.Context(), tidying); err != nil || len(w.scopeNames()) != 1 {
		t.Errorf("left %q, %v", w.scopeNames(), err)
	}
}

// Clients come and go while scopes are deleted: none ever lacks one of its own.
func TestTidyRacesWithRegistrations(t *testing.T) {
	w := newWorld(t)
	s := w.connect(t, Options{})
	var over atomic.Bool
	var tidier, clients sync.WaitGroup
	var runs atomic.Int64
	tidier.Go(func() {
		defer over.Store(true)
		for !over.Load() {
			since, used := time.Now(), map[string]bool{}
			for cursor := ""; ; {
				page, err := s.List(t.Context(), cursor)
				if err != nil || page.Scopes == nil {
					t.Errorf("list: %q, %v", page.Scopes, err)
					return
				}
				for _, scope := range page.Scopes {
					used[scope] = true
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if _, err := s.Tidy(t.Context(), authserver.Tidying{
				Owner: "mcp-registrar/cluster", Used: func(name string) bool { return used[name] }, Since: since,
			}); err != nil {
				t.Errorf("tidy: %v", err)
			}
			runs.Add(1)
		}
	})
	for i := range 4 {
		clients.Go(func() {
			for round := range 8 {
				wish := wishFor(fmt.Sprintf("mcpr-%d-%d", i, round), "shared", fmt.Sprintf("of.%d", round%2))
				if _, err := s.Register(t.Context(), wish); err != nil {
					t.Errorf("register: %v", err)
				}
				for before := runs.Load(); runs.Load() == before && !over.Load(); {
					runtime.Gosched() // the run that was under way ends
				}
				if client, _, err := s.Find(t.Context(), handleOf(wish)); err != nil || len(client.Registered.Scopes) != 2 {
					t.Errorf("found with %q, %v", client.Registered.Scopes, err)
				}
				if err := s.Revoke(t.Context(), handleOf(wish)); err != nil {
					t.Errorf("revoke: %v", err)
				}
			}
		})
	}
	clients.Wait()
	over.Store(true)
	tidier.Wait()
}

// A client that wishes for a scope that is being deleted waits for that, no longer than
// it may.
func TestGivingWaitsForADeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(time.Now)
		over, free := b.take("a", time.Now())
		if _, again := b.take("a", time.Now()); !free || again {
			t.Fatal("taken twice, or not at all")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.give(short, "registering client", []string{"b", "a"}); err == nil || failure(t, err).Kind != authserver.Unavailable {
			t.Errorf("given while it is deleted: %v", err)
		}
		given := make(chan func())
		go func() {
			done, err := b.give(t.Context(), "registering client", []string{"b", "a"})
			if err != nil {
				t.Error(err)
			}
			given <- done
		}()
		synctest.Wait()
		select {
		case <-given:
			t.Fatal("given while it is deleted")
		default:
		}
		over()
		done := <-given
		if _, free := b.take("a", time.Now().Add(time.Hour)); free {
			t.Error("taken out of somebody's hands")
		}
		done()
		if _, free := b.take("a", time.Now()); free {
			t.Error("taken although it was given since")
		}
		if _, free := b.take("a", time.Now().Add(time.Hour)); !free {
			t.Error("not taken although nobody has it")
		}
	})
}

func TestTheBookIsBounded(t *testing.T) {
	now := time.Now()
	b := newBook(func() time.Time { return now })
	for i := range 2 * mostNoted {
		b.note(fmt.Sprint(i), "id")
	}
	if len(b.notes) > mostNoted {
		t.Errorf("%d notes", len(b.notes))
	}
	b.note("absent", "")
	if id, known := b.id("absent"); !known || id != "" {
		t.Errorf("%q, %t", id, known)
	}
	now = now.Add(absence)
	if _, known := b.id("absent"); known {
		t.Error("absent for ever")
	}
}
