// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// What is left of a revocation that the server took waits while others begin, and no
// longer: not where there are none, not for ever, and those that wait come back apart.
func TestRush(t *testing.T) {
	const proof = 50 * time.Millisecond
	var r rush
	at := func(after time.Duration) time.Time { return begun.Add(after) }
	if wait := r.recess("a", at(0)); wait != 0 {
		t.Errorf("one whose client nobody took waits %s", wait)
	}
	r.begin(at(0))
	r.took("a", at(5*time.Millisecond))
	if wait := r.recess("a", at(5*time.Millisecond)); wait != 0 {
		t.Errorf("one alone waits %s", wait)
	}
	if wait := r.recess("a", at(5*time.Millisecond)); wait != 0 {
		t.Errorf("one whose turn came waits %s again", wait)
	}
	var waits []time.Duration
	for i := range 400 {
		begins := at(time.Second + time.Duration(i)*2*time.Millisecond)
		r.begin(begins)
		uid := types.UID("many-" + begins.String())
		r.took(uid, begins)
		if i == 0 {
			continue
		}
		if wait := r.recess("many-"+types.UID(at(time.Second).String()), begins); wait > 0 {
			waits = append(waits, wait)
		}
	}
	if len(waits) != 399 {
		t.Fatalf("the first of 400 waited %d times", len(waits))
	}
	for _, wait := range waits {
		if wait < shortestRecess/2 || wait > longestRecess*3/2 {
			t.Errorf("it waits %s", wait)
		}
	}
	last := at(time.Second + 798*time.Millisecond)
	apart := map[time.Duration]bool{}
	for i := range 399 {
		apart[r.recess("many-"+types.UID(at(time.Second+time.Duration(i)*2*time.Millisecond).String()), last)] = true
	}
	if len(apart) < 300 {
		t.Errorf("399 that wait come back at %d instants", len(apart))
	}
	if wait := r.recess("many-"+types.UID(last.String()), last); wait != 0 {
		t.Errorf("the last waits %s", wait)
	}
	if wait := r.recess("many-"+types.UID(at(time.Second).String()), last.Add(proof)); wait != 0 {
		t.Errorf("with nobody left that begins one waits %s", wait)
	}
	end := at(time.Second + 2*time.Millisecond + longestRush)
	r.begin(end)
	if wait := r.recess("many-"+types.UID(at(time.Second+2*time.Millisecond).String()), end); wait != 0 {
		t.Errorf("one waits for others for longer than it may: %s", wait)
	}
}

// While clients are still to go, nothing is written about those that the server took:
// it is done when no other begins, and as if it had been done at once.
func TestOthersGoBeforeAnythingIsWritten(t *testing.T) {
	s := newStage(t, "rush")
	endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
	s.begin()
	id := s.registration().Status.ClientID
	s.clock.SetTime(begun.Add(time.Hour))
	s.requests = nil
	s.pass()
	if len(s.as.Clients()) != 0 {
		t.Fatal("the client lives")
	}
	took := s.clock.Now()
	for range 10 {
		s.clock.SetTime(s.clock.Now().Add(calm / 2))
		s.registrations.rush.begin(s.clock.Now())
		s.pass()
	}
	for _, request := range s.requests {
		if request != "get *v1alpha1.MCPClientRegistration" {
			t.Errorf("while others are to go: %s", request)
		}
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
}

// What a record owes to storage counts until somebody else has written: a process that
// dies has the server told again.
func TestOwedRecord(t *testing.T) {
	s := newStage(t, "owed")
	endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
	s.begin()
	s.clock.SetTime(begun.Add(time.Hour))
	s.pass()
	if got := s.stored().State; got != policy.RecordRegistered {
		t.Fatalf("stored as %s, want it to wait", got)
	}
	records := s.registrations.Records
	owed, _, err := records.Get(t.Context(), s.reg.UID)
	if err != nil || owed.State != policy.RecordDeleted || !owed.Unstored {
		t.Fatalf("owed: %+v, %v", owed, err)
	}
	t.Run("a process that dies has it told again", func(t *testing.T) {
		again := 0
		s.as.Switch(func(w *fake.Switches) {
			w.OnCall = func(_ context.Context, op fake.Operation) {
				if op == fake.Revoke {
					again++
				}
			}
		})
		records.owed.Delete(s.reg.UID)
		s.settle()
		if again != 1 {
			t.Errorf("told %d times again", again)
		}
		if r := s.registration().Status.Revocation; r == nil || r.VerifiedAt == nil || r.Cause != v1alpha1.CauseExpired {
			t.Errorf("status says %+v", r)
		}
	})
	t.Run("another's word counts", func(t *testing.T) {
		owed.Version = "1"
		records.Owe(s.reg.UID, owed)
		record, _, err := records.Get(t.Context(), s.reg.UID)
		if err != nil || record.Unstored {
			t.Errorf("still owed: %+v, %v", record, err)
		}
	})
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
