// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// other is a registration whose revocation begins.
func other(i int) types.UID { return types.UID("other-" + strconv.Itoa(i)) }

// What is left of a revocation that the server took waits while others begin, and no
// longer: not where there are none, not for ever, not for one that is tried again and
// again, and those that wait come back apart.
func TestRush(t *testing.T) {
	var r rush
	at := func(after time.Duration) time.Time { return begun.Add(after) }
	if wait := r.recess("a", at(0)); wait != 0 {
		t.Errorf("one whose client nobody took waits %s", wait)
	}
	r.begin("a", at(0))
	if r.took("a", at(5*time.Millisecond)) || r.recess("a", at(5*time.Millisecond)) != 0 {
		t.Error("one alone waits")
	}
	for i := range 400 {
		r.begin(other(i), at(time.Second+time.Duration(i)*2*time.Millisecond))
		if i > 0 && !r.took(other(i-1), at(time.Second+time.Duration(i)*2*time.Millisecond)) {
			t.Errorf("%d of 400 does not wait", i)
		}
	}
	last := at(time.Second + 798*time.Millisecond)
	if r.took(other(399), last) {
		t.Error("the last waits")
	}
	apart := map[time.Duration]bool{}
	for i := range 399 {
		wait := r.recess(other(i), last)
		if wait < shortestRecess/2 || wait > longestRecess*3/2 {
			t.Errorf("it waits %s", wait)
		}
		apart[wait] = true
	}
	if len(apart) < 300 {
		t.Errorf("399 that wait come back at %d instants", len(apart))
	}
	if wait := r.recess(other(0), last.Add(longCalm-1)); wait == 0 {
		t.Error("of a crowd one does not wait although others may only be slow")
	}
	if wait := r.recess(other(0), last.Add(longCalm)); wait != 0 {
		t.Errorf("with nobody left that begins one waits %s", wait)
	}
	r.begin("late", at(time.Second+longestRush))
	if wait := r.recess(other(1), at(time.Second+4*time.Millisecond+longestRush)); wait != 0 {
		t.Errorf("one waits for others for longer than it may: %s", wait)
	}
	if r.recess(other(398), last) == 0 {
		t.Error("one that began late does not wait")
	}
	r.forget(other(398))
	if r.recess(other(398), last) != 0 {
		t.Error("one that is gone waits")
	}
	r.end()
	if r.recess(other(300), last) != 0 || r.took("late", last) {
		t.Error("one waits although the process ends")
	}
}

// One that is tried again and again keeps nobody waiting, and of many that are tried
// not all are remembered for ever.
func TestRushOfOne(t *testing.T) {
	var r rush
	now := begun
	r.begin("stuck", now)
	r.begin("a", now)
	for range 100 {
		now = now.Add(20 * time.Millisecond)
		r.begin("stuck", now)
	}
	if r.took("a", now) {
		t.Error("one waits for another that is tried again and again")
	}
	for i := range 3 * mostTries {
		now = now.Add(2 * time.Millisecond)
		r.begin(other(i), now)
	}
	if kept := len(r.tries) + len(r.older); kept > 2*mostTries {
		t.Errorf("%d tries are remembered", kept)
	}
}

// While servers are still to be told, all else waits, however long none began: those that
// began may wait for a read that takes its time on a busy machine. One that waits for a
// server which answers nobody keeps nobody waiting.
func TestRushOfThoseUnderWay(t *testing.T) {
	var r rush
	now := begun
	for i := range 3 * crowd {
		r.begin(other(i), now)
	}
	for i := range crowd {
		if !r.took(other(i), now) {
			t.Fatalf("%d does not wait", i)
		}
	}
	if now = now.Add(longestTry - 1); r.recess(other(0), now) == 0 {
		t.Error("one does not wait although others are still to be told of")
	}
	for i := crowd; i < 3*crowd; i++ {
		r.done(other(i), false)
	}
	if wait := r.recess(other(0), now); wait != 0 {
		t.Errorf("one waits %s for nobody", wait)
	}
	r.begin("hangs", now)
	if r.recess(other(1), now.Add(longestTry-1)) == 0 || r.recess(other(1), now.Add(longestTry)) != 0 {
		t.Error("one waits for who waits for a server, or not at all")
	}
	if len(r.underWay) != 1 {
		t.Errorf("%d are under way", len(r.underWay))
	}
}

// Of many that go at one time most find no place at their server at first: while they come
// back for one, all else waits, but not for ever.
func TestRushOfThoseWithoutAPlace(t *testing.T) {
	var r rush
	now := begun
	for i := range 2 * crowd {
		r.begin(other(i), now)
		r.done(other(i), i >= crowd)
	}
	for i := range crowd {
		if !r.took(other(i), now) {
			t.Fatalf("%d does not wait", i)
		}
	}
	for now.Sub(begun) < longestRush-longCalm {
		now = now.Add(longCalm - 1)
		r.begin(other(crowd), now)
		r.done(other(crowd), true)
		if r.recess(other(0), now) == 0 {
			t.Fatalf("after %s one does not wait although another comes back for a place", now.Sub(begun))
		}
	}
	r.begin("late", begun.Add(longestRush))
	r.took("late", begun.Add(longestRush))
	now = begun.Add(longestRush + longCalm)
	r.begin(other(crowd), now)
	r.done(other(crowd), true)
	if wait := r.recess("late", now); wait != 0 {
		t.Errorf("one waits %s for another that has been coming back for long", wait)
	}
}

// rushed is a stage with a client whose end has come while others begin to go; the
// server took it.
func rushed(t *testing.T, options ...func(*stage)) *stage {
	t.Helper()
	s := newStage(t, "rush")
	endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
	for _, option := range options {
		option(s)
	}
	s.begin()
	s.clock.SetTime(begun.Add(time.Hour))
	s.others(1)
	s.requests = nil
	s.turn()
	if len(s.as.Clients()) != 0 {
		t.Fatal("the client lives")
	}
	if got := s.stored().State; got != policy.RecordRegistered || !s.registrations.Records.owes(s.reg.UID) {
		t.Fatalf("stored as %s, want it to wait", got)
	}
	return s
}

// others has another revocation begin at the instant at which the server is told.
func (s *stage) others(i int) {
	s.as.Switch(func(w *fake.Switches) {
		w.OnCall = func(_ context.Context, op fake.Operation) {
			if op == fake.Revoke {
				s.registrations.rush.begin(other(i), s.clock.Now())
			}
		}
	})
}

// turn has the registration reconciled once.
func (s *stage) turn() time.Duration {
	result, err := s.registrations.Reconcile(s.t.Context(), s.registration())
	if err != nil {
		s.t.Logf("turn: %v", err)
	}
	return result.RequeueAfter
}

// While clients are still to go, nothing is written about those that the server took:
// it is done when no other begins, and as if it had been done at once.
func TestOthersGoBeforeAnythingIsWritten(t *testing.T) {
	s := rushed(t)
	id, took := s.registration().Status.ClientID, s.clock.Now()
	for i := range 10 {
		s.clock.SetTime(s.clock.Now().Add(calm / 2))
		s.registrations.rush.begin(other(i+2), s.clock.Now())
		s.turn()
	}
	for _, request := range s.requests {
		if request != "get *v1alpha1.MCPClientRegistration" {
			t.Errorf("while others are to go: %s", request)
		}
	}
	for i := range 12 {
		s.registrations.rush.done(other(i), false)
	}
	s.clock.SetTime(s.clock.Now().Add(calm))
	s.settle()
	told := s.registration().Status.Revocation
	if told == nil || told.ClientID != id || told.RevokedAtASAt == nil || told.VerifiedAt == nil {
		t.Fatalf("status says %+v", told)
	}
	if want := took.Truncate(time.Second); !told.RevokedAtASAt.Time.Equal(want) {
		t.Errorf("revoked at %s, want %s", told.RevokedAtASAt, want)
	}
	if s.registrations.Records.owes(s.reg.UID) {
		t.Error("something is owed at the end")
	}
}

// Where no others are to go, it is stored at once that the server took a client; and
// of a cause that guards learn from status, always.
func TestOneAloneIsStoredAtOnce(t *testing.T) {
	s := newStage(t, "alone")
	endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
	s.begin()
	s.clock.SetTime(begun.Add(time.Hour))
	s.turn()
	if got := s.stored().State; got != policy.RecordDeleted {
		t.Errorf("stored as %s", got)
	}
	s = newStage(t, "other-cause")
	s.begin()
	endGrant(s)
	s.others(1)
	s.turn()
	if got := s.stored().State; got != policy.RecordDeleted {
		t.Errorf("another cause: stored as %s", got)
	}
}

// What is owed is stored first of all in the next turn, whatever else can be done in it.
func TestOwedIsStoredFirst(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(s *stage)
		want      policy.RecordState
	}{
		"no place at the server": {func(s *stage) { s.connector.Gate("company").Close(10 * time.Minute) }, policy.RecordDeleted},
		"somebody labels the record": {func(s *stage) {
			secret := s.recordSecret()
			secret.Annotations["backup.example.com/seen"] = "true"
			if err := s.Update(s.t.Context(), secret); err != nil {
				s.t.Fatal(err)
			}
		}, policy.RecordRevoked},
		"it is renewed": {func(s *stage) {
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, begun.Add(2*time.Hour).Format(time.RFC3339)) })
		}, policy.RecordRegistered},
		"it is deleted past its finalizer": {func(s *stage) { s.vanish(s.reg) }, ""},
		"the process ends": {func(s *stage) {
			ctx, cancel := context.WithCancel(s.t.Context())
			cancel()
			if err := s.registrations.Start(ctx); err != nil {
				s.t.Error(err)
			}
			if got := s.stored().State; got != policy.RecordDeleted {
				s.t.Errorf("at the end of the process stored as %s", got)
			}
		}, policy.RecordRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			// Its absence is not shown by its secret.
			s := rushed(t, func(s *stage) {
				s.as.Switch(func(w *fake.Switches) { w.SecretExpiresAt = begun.AddDate(0, 0, 90) })
			})
			again := 0
			s.as.Switch(func(w *fake.Switches) {
				w.OnCall = func(_ context.Context, op fake.Operation) {
					if op == fake.Revoke {
						again++
					}
				}
			})
			c.meanwhile(s)
			s.clock.SetTime(s.clock.Now().Add(longestRush))
			s.settle()
			if again > 0 {
				t.Errorf("the server was told %d times again", again)
			}
			if c.want == "" {
				var secret corev1.Secret
				if err := s.Get(t.Context(), client.ObjectKey{Namespace: stageOperator, Name: recordName(s.reg.UID)}, &secret); !apierrors.IsNotFound(err) {
					t.Errorf("its record: %v", err)
				}
				return
			}
			if got := s.stored().State; got != c.want {
				t.Errorf("stored as %s, want %s", got, c.want)
			}
		})
	}
}

// A registration that is looked at for another reason shortly before its end has a
// place at the front for it: what waits in the queue when the end comes, waits there.
func TestAPlaceAtTheFrontBeforeTheEnd(t *testing.T) {
	s := newStage(t, "front")
	alive := policy.Record{State: policy.RecordRegistered}
	for name, c := range map[string]struct {
		wait, end time.Duration
		want      int
	}{
		"its end":                        {time.Hour, time.Hour, priorityRevoke},
		"a look shortly before":          {time.Hour, time.Hour + notice - time.Second, priorityRevoke},
		"a look long before":             {time.Hour, time.Hour + notice + time.Second, priorityNormal},
		"a look at what has no deadline": {time.Hour, 0, priorityNormal},
		"an error shortly before":        {0, notice / 2, priorityRevoke},
	} {
		d := policy.RegistrationDecision{Action: policy.Keep, Next: begun.Add(c.wait)}
		d.Verdict.Standing = policy.Allowed
		if c.end > 0 {
			d.TakesAwayAt = begun.Add(c.end)
		}
		got := s.registrations.urgent(d, alive, ctrl.Result{RequeueAfter: c.wait})
		if *got.Priority != c.want || got.RequeueAfter != c.wait {
			t.Errorf("%s: priority %d after %s, want %d", name, *got.Priority, got.RequeueAfter, c.want)
		}
	}
}

// An end that was moved to now, and away again after the server was told by a process
// that died: what status tells of is not enough to know it by, so that it is stored
// first.
func TestAnEndThatIsMovedToNowAndAway(t *testing.T) {
	for name, silent := range map[string]bool{"the server answers": false, "the server is away at first": true} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "moved")
			endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
			s.begin()
			first := s.registration().Status.ClientID
			s.clock.SetTime(begun.Add(time.Minute))
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, begun.Add(time.Minute).Format(time.RFC3339)) })
			s.others(1)
			s.turn()
			if len(s.as.Clients()) != 0 {
				t.Fatal("the client lives")
			}
			s.die()
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, begun.Add(2*time.Hour).Format(time.RFC3339)) })
			s.awayAtFirst(silent)
			requireAnew(t, s, first)
		})
	}
}

// The same where the end had come by itself, as status tells.
func TestAnEndThatIsMovedAway(t *testing.T) {
	for name, silent := range map[string]bool{"the server answers": false, "the server is away at first": true} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "moved")
			endAt(s.reg, begun.Add(time.Minute).Format(time.RFC3339))
			s.begin()
			first := s.registration().Status.ClientID
			s.clock.SetTime(begun.Add(time.Minute))
			s.others(1)
			s.turn()
			if len(s.as.Clients()) != 0 || s.stored().Cause != "" {
				t.Fatalf("%d clients, cause %q", len(s.as.Clients()), s.stored().Cause)
			}
			s.die()
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, begun.Add(2*time.Hour).Format(time.RFC3339)) })
			s.awayAtFirst(silent)
			requireAnew(t, s, first)
		})
	}
}

// die loses what the process of the operator has in memory.
func (s *stage) die() {
	s.as.Switch(func(w *fake.Switches) { w.OnCall = nil })
	s.registrations.Records.owed.Clear()
	s.registrations.rush = rush{}
	s.registrations.Drift = NewDriftSchedule(s.clock.Now())
}

// awayAtFirst lets some time pass in which the server answers nobody, and another
// process die.
func (s *stage) awayAtFirst(silent bool) {
	if silent {
		s.as.finding = &authserver.Error{Kind: authserver.Unavailable, Op: "finding client"}
		s.settle()
		s.as.finding = nil
	}
	s.die()
	s.later(time.Second)
	s.later(5 * time.Second)
}

// requireAnew holds that there is another client than the first, and that status
// names it.
func requireAnew(t *testing.T, s *stage, first string) {
	t.Helper()
	told := s.registration().Status.ClientID
	clients := s.as.Clients()
	if len(clients) != 1 || clients[0].ID == first || clients[0].ID != told {
		t.Errorf("%d clients live, and status names %q; the first was %q", len(clients), told, first)
	}
}
