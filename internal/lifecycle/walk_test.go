// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// seedVariable repeats a run whose seed was printed; walksVariable says how many
// walks there are.
const (
	seedVariable  = "LIFECYCLE_TEST_SEED"
	walksVariable = "LIFECYCLE_TEST_WALKS"
)

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// walk is one client on its way out, step by step, with a process that may die at
// any point: what it had not stored is lost then.
type walk struct {
	facts Facts
	// stored is what storage holds, and owed says that it is not what facts have.
	stored policy.Record
	owed   bool
	truth  *truth
	now    time.Time
	// asked are the calls so far.
	asked []Call
	// turn are those since the process began, or waited.
	turn []Call
	// taken counts how often it was told that the client is of no use.
	taken int
	ended bool
	last  Outcome
}

// restart is what a new process knows: what is stored, and what the objects say.
func (w *walk) restart() {
	w.facts.Record, w.facts.SeenAbsent, w.facts.Looked, w.facts.ProbeKey = w.stored, false, false, probeKey
	w.owed = false
	w.now, w.turn = w.now.Add(time.Second), nil
}

// keep stores a record.
func (w *walk) keep(record policy.Record) { w.facts.Record, w.stored, w.owed = record, record, false }

// step takes one step and returns what it breaks of what must hold. cut says where
// the process dies: 1 after the intent is stored, 2 after the answer.
func (w *walk) step(cut int) error {
	before := w.facts.Record
	plan := Next(w.facts, w.now)
	if plan.Idle() {
		w.ended = StandingOf(before) == Gone
		return w.check(!w.ended, "idle while the client is %s", StandingOf(before))
	}
	if err := w.checkIntent(before, plan); err != nil {
		return err
	}
	asked := w.facts
	if w.owed && cut == 1 {
		// It dies before what is owed is stored.
		w.restart()
		return nil
	}
	w.keep(plan.Intent)
	if cut == 1 {
		w.restart()
		return nil
	}
	w.asked, w.turn = append(w.asked, plan.Call), append(w.turn, plan.Call)
	answer := w.truth.ask(plan.Call, asked, w.now)
	if cut == 2 {
		w.restart()
		return nil
	}
	out := plan.After(answer, w.now)
	if err := w.checkOutcome(asked, plan, answer, out); err != nil {
		return err
	}
	if w.owed = out.MayWait && w.truth.r.IntN(2) == 0; w.owed {
		w.facts.Record = out.Record
	} else {
		w.keep(out.Record)
	}
	w.facts.SeenAbsent, w.ended, w.last = false, out.Ended, out
	w.facts = w.facts.Without(plan.Call)
	w.now = w.now.Add(max(out.Wait, time.Millisecond))
	if out.Err != nil || out.Wait > 0 {
		w.facts.Looked, w.turn = false, nil
	}
	if out.Err != nil {
		w.now = w.now.Add(DisbeliefDelay)
	}
	return nil
}

func (w *walk) check(broken bool, format string, args ...any) error {
	if !broken {
		return nil
	}
	return fmt.Errorf("%s\nasked %v\nrecord %+v\ntruth %+v", fmt.Sprintf(format, args...), w.asked, w.facts.Record, *w.truth)
}

// first is the first of some errors.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkIntent holds what is stored ahead of a call.
func (w *walk) checkIntent(before policy.Record, plan Plan) error {
	ahead := plan.Intent
	ahead.Cause, ahead.DueAt = before.Cause, before.DueAt
	if plan.Call == GiveProbeKey {
		ahead.Replacing, ahead.TokenDoubtful = before.Replacing, before.TokenDoubtful
		ahead.WitnessKey, ahead.WitnessKeyID = before.WitnessKey, before.WitnessKeyID
	}
	return first(
		w.check(before.State == policy.RecordPending && before.Cause == "" && plan.Call == Revoke && len(plan.Events) == 0, "a request that may have been carried out is not told of"),
		w.check(!reflect.DeepEqual(ahead, before), "the intent changes more than it must"),
		w.check(before.Cause != "" && (plan.Intent.Cause != before.Cause || !plan.Intent.DueAt.Equal(before.DueAt)), "a revocation that began changes its cause"),
		w.check(plan.Call == Revoke && !w.facts.Repeatable && plan.Intent.Cause == "", "the server is told before it is stored why"),
		w.check(plan.Call == Revoke && w.facts.Repeatable && !reflect.DeepEqual(plan.Intent, before), "what can be read again is stored first"),
		w.check(plan.Call == GiveProbeKey && slices.Contains(w.asked, GiveProbeKey), "a key is given twice"),
		w.check(plan.Call == Prove && StandingOf(before) != Deleted, "a proof is looked for before the deletion was accepted"),
		w.check(StandingOf(before) == Alive && !w.facts.SeenAbsent && !w.facts.ForceReleased && plan.Call != Revoke && !plan.BestEffort(), "a client that may live is not told of"),
	)
}

// checkOutcome holds what an answer makes of the record.
func (w *walk) checkOutcome(asked Facts, plan Plan, answer Answer, out Outcome) error {
	standing, old := StandingOf(asked.Record), asked.Record
	verified := !out.Record.VerifiedAt.IsZero() && old.VerifiedAt.IsZero()
	proven := (plan.Call == Prove && answer.Err == nil && !answer.Found) || asked.SeenAbsent
	foreign := plan.Call == Revoke && asked.Record.Adopting && out.Record.State == ""
	renewed := answer.Client.ManagementToken
	for _, event := range out.Events {
		if event.Kind == ClientRevoked {
			w.taken++
		}
	}
	return first(
		w.check(out.Ended && out.Err != nil, "ended with an error"),
		w.check(verified && !proven, "verified without a proof"),
		w.check(verified && !asked.ForceReleased && (w.truth.exists && !w.truth.foreign || !w.truth.comes.IsZero()), "verified while the client lives, or is about to"),
		w.check(out.Ended && standing != Gone && !verified && !asked.ForceReleased && standing != Unconfirmed, "ended without a proof"),
		w.check(out.Ended && standing == Unconfirmed && !slices.Contains(out.Record.Orphans, old.Mark), "an unconfirmed registration is forgotten"),
		w.check(len(out.Record.Orphans) < len(old.Orphans), "orphans are forgotten"),
		w.check(!out.Ended && StandingOf(out.Record) == Gone && !foreign, "gone without an end"),
		w.check(!out.Ended && !foreign && old.Cause != "" && out.Record.Cause != old.Cause, "the cause changes"),
		w.check(plan.BestEffort() && (out.Err != nil || out.Wait > 0), "what is done for the proof alone holds the deletion back"),
		w.check(plan.Call == Look && len(w.turn) > 1 && slices.Contains(w.turn[:len(w.turn)-1], Look), "it is looked for again at once"),
		w.check(!out.Ended && !foreign && out.Record.Cause == "" && plan.Call != Prove && plan.Call != Look, "no cause after the server was asked"),
		w.check(!out.Ended && !renewed.IsZero() && !out.Record.Client.ManagementToken.Equal(renewed), "a renewed token is lost"),
		w.check(!out.Ended && !foreign && !sameHandle(out.Record, old, renewed), "what a deletion needs is lost"),
		w.check(out.Ended && standing != Gone && standing != Unconfirmed && secrets(out.Record), "secrets are kept after the end"),
		w.check(plan.Call == Revoke && answer.Err == nil && (out.Record.State != policy.RecordDeleted || out.Record.DeletedAt.IsZero()), "an accepted deletion is not noted"),
		w.check(plan.Call == Revoke && answer.Err != nil && StandingOf(out.Record) == Deleted, "a deletion that failed counts as accepted"),
		w.check(plan.Call == Prove && answer.Found && StandingOf(out.Record) != Alive, "a client that was seen counts as deleted"),
		w.check(out.Record.VerifiedAt.Before(out.Record.DeletedAt) && !out.Record.VerifiedAt.IsZero(), "proven before it was deleted"),
	)
}

// sameHandle says that by one record a client can be deleted as by the other.
func sameHandle(a, b policy.Record, renewed authserver.Secret) bool {
	token := a.Client.ManagementToken.Equal(b.Client.ManagementToken) || a.Client.ManagementToken.Equal(renewed)
	return a.Client.ID == b.Client.ID && a.Client.ManagementURI == b.Client.ManagementURI && token &&
		a.Owner == b.Owner && a.Mark == b.Mark && reflect.DeepEqual(a.Connection, b.Connection)
}

func secrets(r policy.Record) bool {
	return !r.Client.Secret.IsZero() || !r.Client.ManagementToken.IsZero() || !r.WitnessKey.IsZero()
}

// reachable says that the honest server can be told with what is on record: it has
// the token that is good, or needs none.
func (w *walk) reachable() bool {
	standing := StandingOf(w.facts.Record)
	return standing == Gone || standing == Unconfirmed || !w.truth.exists || w.truth.knows(w.facts)
}

// run walks among lies and deaths for a while, and then in an honest world, where
// the way must end.
func (w *walk) run(r *rand.Rand) error {
	for range r.IntN(12) {
		if w.ended {
			return nil
		}
		if err := w.step(pick(r, 0, 0, 0, 1, 2)); err != nil {
			return err
		}
	}
	w.truth.lies = false
	w.facts.Looked, w.turn = false, nil
	for steps := 0; !w.ended; steps++ {
		if w.truth.settle(w.now); !w.reachable() {
			// The answer that brought the new token was lost, with a process or on
			// its way: a person has to help.
			w.facts.ForceReleased, w.facts.Record.Released = true, "admin: deleted by hand"
		}
		if steps > 14 {
			return w.check(true, "no end after %d honest steps", steps)
		}
		if err := w.step(0); err != nil {
			return err
		}
	}
	return nil
}

// Whatever is stored, whatever a server or somebody in its place answers, and
// wherever the process dies: nothing is believed that is not proven, nothing that
// a deletion needs is lost, and in an honest world the way out ends.
func TestWalks(t *testing.T) {
	seed := number(t, seedVariable, rand.Uint64())
	t.Logf("%s=%d", seedVariable, seed)
	ends := map[bool]int{}
	for i := range number(t, walksVariable, 100_000) {
		r := rand.New(rand.NewPCG(seed, i))
		w := &walk{facts: randomFacts(r), now: start}
		w.stored = w.facts.Record
		w.truth = randomTruth(r, &w.facts)
		if err := w.run(r); err != nil {
			t.Fatalf("%s=%d, walk %d: %v", seedVariable, seed, i, err)
		}
		ends[w.last.Record.Released != ""]++
	}
	t.Logf("ended with proof or as nothing: %d, by a person: %d", ends[false], ends[true])
	if ends[false] < ends[true] {
		t.Errorf("most ways need a person: %v", ends)
	}
}

// Nothing holds a deletion back: from every state in which a client may be there,
// the server is told in the first call, or after what is tried once for the sake of
// the proof (to read a client whose update has no answer, to give it a key), whatever
// comes of that and whatever else the record holds.
func TestNothingHoldsADeletionBack(t *testing.T) {
	seed := number(t, seedVariable, rand.Uint64())
	t.Logf("%s=%d", seedVariable, seed)
	for i := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, i))
		f := randomFacts(r)
		if !mayLive(f.Record) {
			continue
		}
		plan := Next(f, start)
		for range 2 {
			if !plan.BestEffort() {
				break
			}
			worst := pick(r, failure(authserver.Unavailable, true), failure(authserver.Rejected, false), failure(authserver.Unauthorized, true))
			out := plan.After(Answer{Err: worst}, start)
			if out.Err != nil || out.Wait > 0 {
				t.Fatalf("%s=%d, facts %d: %s holds the deletion back: %+v", seedVariable, seed, i, plan.Call, out)
			}
			f.Record = out.Record
			f = f.Without(plan.Call)
			plan = Next(f, start)
		}
		if plan.Call != Revoke {
			t.Fatalf("%s=%d, facts %d: %s in place of the deletion: %+v", seedVariable, seed, i, plan.Call, f.Record)
		}
	}
}

// mayLive says that a record speaks of a client of which nobody said that it is
// gone, and by which it can be asked about.
func mayLive(r policy.Record) bool {
	said := []policy.RecordState{"", policy.RecordRevoked, policy.RecordRefused, policy.RecordDeleted}
	named := r.Client.ID != "" || r.Client.ManagementURI != "" || r.State == policy.RecordRegistered
	return named && !slices.Contains(said, r.State)
}

// Every call has an outcome for every answer.
func TestAfterIsTotal(t *testing.T) {
	answers := []Answer{
		{}, {Found: true}, {DisabledAt: start}, {Client: authserver.Client{ManagementToken: authserver.NewSecret("1")}},
		{Err: failure(authserver.Unavailable, true)}, {Err: failure(authserver.Unauthorized, false)}, {Err: failure(authserver.Rejected, false)},
		{Err: failure(authserver.Conflict, false)}, {Err: failure(authserver.Unavailable, false), DisabledAt: start},
		{Err: fmt.Errorf("wrapped: %w", failure(authserver.Conflict, false))}, {Err: os.ErrClosed, Found: true},
	}
	seen := map[Call]int{}
	for i := range uint64(2_000) {
		f := randomFacts(rand.New(rand.NewPCG(7, i)))
		plan := Next(f, start)
		if plan.Idle() {
			continue
		}
		seen[plan.Call]++
		for j, answer := range answers {
			out := plan.After(answer, start)
			if out.Ended && out.Err != nil {
				t.Errorf("facts %d, answer %d: ended with an error", i, j)
			}
			if plan.Call != None && !plan.BestEffort() && answer.Err != nil && !out.Ended && out.Err == nil && out.Record.State != "" {
				t.Errorf("facts %d, answer %d: %s swallows an error", i, j, plan.Call)
			}
		}
	}
	for call := None; call <= Prove; call++ {
		if seen[call] == 0 {
			t.Errorf("%s was never planned", call)
		}
	}
}
