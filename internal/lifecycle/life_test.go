// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// life is one registration from its first request to its last word, with a process
// that may die at any point: what it had not stored is lost then.
type life struct {
	r      *rand.Rand
	office *office
	record policy.Record
	// stored is what storage holds where record is ahead of it.
	stored *policy.Record
	// team are the credentials that the team was given.
	team policy.CredentialsFact
	// wanted says that the client may exist, and version what it is to hold.
	wanted  bool
	version int
	method  string
	now     time.Time
	// cuts counts the deaths; unheard what a process did not live to hear.
	cuts     int
	marks    int
	observed policy.Observation
	// looked says that the client is to be looked for.
	looked bool
	calls  []string
	told   int
	// rests says that there was nothing left to do.
	rests bool
}

func (l *life) check(broken bool, format string, args ...any) error {
	if !broken {
		return nil
	}
	return fmt.Errorf("%s\ncalls %v\nrecord %+v\nclients %v", fmt.Sprintf(format, args...), l.calls, l.record, l.office.clients)
}

// wish is what is wanted by now.
func (l *life) wish() authserver.ClientMetadata {
	w := authserver.ClientMetadata{Name: "bot", AuthMethod: l.method, GrantTypes: []string{"client_credentials"}, Scopes: []string{fmt.Sprintf("scope-%d", l.version)}}
	if l.method == "private_key_jwt" {
		w.JWKS = l.record.Rotation.Keys(l.team.PublicJWKS, true, l.now)
	}
	return w
}

// action is what the rules say, as far as the record has it.
func (l *life) action() policy.Action {
	r := l.record
	switch {
	case !l.wanted, r.HoldsPlace() && (r.Cause != "" || r.State == policy.RecordDeleted), r.Live() && len(r.Excess) > 0:
		return policy.Revoke
	case l.refused():
		return policy.Nothing
	case r.Findable() && (!l.observed.Looked || l.observed.Is == policy.Unknown):
		return policy.Nothing
	case r.Findable() && l.observed.Is == policy.Present:
		return policy.Replace
	case !r.Live(), l.observed.Looked && l.observed.Is == policy.Absent:
		return policy.Register
	case r.Replacing, r.Disabled, l.observed.Client.Disabled, l.makesKey(), r.WishDigest != policy.Digest(l.wish()), r.Rotation.SecretWaits():
		return policy.Replace
	case l.method == "private_key_jwt" && !r.Rotation.Waits() && l.office.lies && l.r.IntN(6) == 0:
		return policy.Rotate
	case l.office.own && l.office.lies && l.r.IntN(8) == 0:
		return policy.Disable
	}
	return policy.Keep
}

// refused says that the server gives no way to manage clients: nothing is asked of it
// again.
func (l *life) refused() bool { return l.record.RefusedServer == "server" }

func (l *life) makesKey() bool { return l.method == "private_key_jwt" && l.team.PublicJWKS == "" }

func (l *life) capabilities() authserver.Traits {
	return authserver.Traits{OwnClientID: l.office.own, OwnSecret: l.office.own, Disables: l.office.own, CopyLifetime: 90 * time.Second, TwoKeys: true}
}

func (l *life) facts(action policy.Action) Wanted {
	l.marks++
	return Wanted{
		Action: action, Record: l.record, Observed: l.observed, Credentials: l.team, Capabilities: l.capabilities(),
		Cluster: "cluster", UID: "uid", Server: "server", Wish: l.wish(), MakeKey: l.makesKey(), Final: true,
		Connection:    authserver.Config{Name: "main", Issuer: "https://as.example.com"},
		ChoosesSecret: l.office.own && authserver.SharedSecret(l.method), Overlap: time.Minute,
		Made: Made{
			Mark: fmt.Sprintf("mark-%d", l.marks), ClientID: fmt.Sprintf("own-%d", l.marks),
			Secret: authserver.NewSecret(fmt.Sprintf("secret-%d", l.marks)), Key: l.newKey(),
		},
	}
}

// newKey is a key that nobody has yet.
func (l *life) newKey() KeyPair {
	for i := range keys {
		key := keys[(l.marks+i)%len(keys)]
		if key.ID != l.team.KeyID && key.ID != l.record.Rotation.NextKeyID && key.JWKS != l.record.Rotation.OldJWKS {
			return key
		}
	}
	panic("too few keys")
}

// turn is one pass: it looks where that is due, decides, and takes the steps.
func (l *life) turn() error {
	l.now, l.rests = l.now.Add(pick(l.r, time.Second, 5*time.Second, time.Minute)), false
	l.office.settle(l.now)
	l.observed = policy.Observation{}
	if l.wanted && (l.record.Findable() || l.looked && l.record.Live()) {
		l.find()
	}
	action := l.action()
	if action == policy.Nothing {
		l.rests = l.refused()
		return nil
	}
	if action == policy.Revoke {
		return l.leave()
	}
	return l.give(l.facts(action))
}

// find looks at the server, as a pass does before it decides.
func (l *life) find() {
	answer := l.office.read(l.record.Handle(l.team, l.now))
	l.record = CarryOver(l.record, answer.Client)
	if answer.Err != nil {
		return
	}
	l.looked = false
	l.observed = policy.Observation{Looked: true, Is: policy.Absent}
	if answer.Found {
		l.observed.Is, l.observed.Client = policy.Present, answer.Client
	}
}

func (l *life) cut() int {
	if !l.office.lies {
		return 0
	}
	cut := pick(l.r, 0, 0, 0, 0, 1, 2, 3)
	if cut > 0 {
		l.cuts++
	}
	return cut
}

// give takes the steps of a client that may exist.
func (l *life) give(w Wanted) error {
	for range 4 {
		plan, cut := Give(w, l.now), l.cut()
		if err := l.checkIntent(w, plan); err != nil {
			return err
		}
		l.note(plan.Events)
		handle := l.record.Handle(w.Credentials, l.now)
		if l.record = plan.Intent; cut == 1 {
			return nil
		}
		l.calls = append(l.calls, plan.Call.String())
		answer := l.office.ask(plan, handle)
		if cut == 2 {
			return nil
		}
		if plan.GiveCredentials {
			l.team = policy.CredentialsFact{Is: policy.Present, PrivateKey: plan.Key.Private, KeyID: plan.Key.ID, PublicJWKS: plan.Key.JWKS}
			if err := l.checkGiven(plan); err != nil {
				return err
			}
		}
		out := plan.After(answer, l.now)
		if err := l.checkAnswer(plan, answer, out); err != nil {
			return err
		}
		l.note(out.Events)
		if cut == 3 {
			// What it means could not be stored: a client that nobody would know is
			// deleted again.
			if out.Undo {
				delete(l.office.clients, out.Record.Client.ID)
			}
			return nil
		}
		l.record, l.looked = out.Record, l.looked || out.Suspect
		if !out.Hand {
			l.rests = plan.Call == None && out.Wait == 0
			return nil
		}
		w = w.Handing(l.record)
	}
	return l.check(true, "what is given does not end")
}

// leave takes the steps of a client that must not exist.
func (l *life) leave() error {
	f := Facts{
		Record: l.record, Cause: v1alpha1.CauseExpired, DueAt: l.now, Last: !l.wanted, Repeatable: l.r.IntN(2) == 0,
		Capabilities: l.capabilities(), DesiredDigest: policy.Digest(l.wish()), ProbeKey: keys[0],
	}
	// That its end had come is told by status: where it is wanted again it is looked
	// for.
	l.looked = l.looked || f.Repeatable
	if !l.office.lies && !l.office.reachable(l.record) {
		f.ForceReleased, f.Record.Released = true, "admin: deleted by hand"
		delete(l.office.clients, l.record.Client.ID)
	}
	for range 8 {
		plan, cut := Next(f, l.now), l.cut()
		if plan.Idle() {
			l.rests = true
			return nil
		}
		l.note(plan.Events)
		before := f.Record
		if !reflect.DeepEqual(plan.Intent, l.record) {
			l.stored = nil
		}
		if l.record = plan.Intent; cut == 1 {
			return l.die()
		}
		l.calls = append(l.calls, plan.Call.String())
		answer := l.office.ask(plan, before.Handle(l.team, l.now))
		if cut == 2 {
			return l.die()
		}
		out := plan.After(answer, l.now)
		l.note(out.Events)
		l.stored = nil
		if out.MayWait {
			l.stored = new(plan.Intent)
		}
		l.record = out.Record
		f.Record = out.Record
		f = f.Without(plan.Call)
		l.now = l.now.Add(out.Wait)
		if out.Ended {
			l.team, l.rests = policy.CredentialsFact{Is: policy.Absent}, !l.wanted
		}
		if out.Ended || out.Wait > 0 || out.Err != nil {
			return nil //nolint:nilerr // it is tried again in the next turn
		}
	}
	return l.check(true, "the way out does not end")
}

// die loses what was not stored.
func (l *life) die() error {
	if l.stored != nil {
		l.record, l.stored = *l.stored, nil
	}
	return nil
}

func (l *life) note(events []Event) {
	for _, event := range events {
		if event.Kind == UnconfirmedRegistration {
			l.told++
		}
	}
}

// checkIntent holds what is stored ahead of a call.
func (l *life) checkIntent(w Wanted, plan Plan) error {
	before, ahead := w.Record, plan.Intent
	fresh := plan.Call == Register && !before.Findable()
	return first(
		l.check(fresh && ahead.Mark != w.Made.Mark, "a request has the mark of another"),
		l.check(plan.Call == Register && (ahead.State != policy.RecordPending || ahead.Owner == ""), "a request is not stored before it is sent"),
		l.check(plan.Call == Register && w.Capabilities.OwnClientID && plan.Request.ID != ahead.Client.ID, "another id is asked for than is stored"),
		l.check(plan.Call == Replace && (!ahead.Replacing || ahead.Client.ID != before.Client.ID), "an update is not stored before it is sent"),
		l.check(plan.Call == Replace && w.Capabilities.OwnClientID == ahead.TokenDoubtful, "an update that may be lost leaves the token in no doubt"),
		l.check(len(ahead.Orphans) < len(before.Orphans), "orphans are forgotten"),
		l.check(before.State == policy.RecordPending && !before.Findable() && !slices.Contains(ahead.Orphans, before.Mark), "a request without an answer leaves no mark"),
		l.check(plan.Call == Register && ahead.Rotation.KeyWaits(), "a new client has the next key of another"),
		l.check(w.MakeKey && plan.Call == Replace && ahead.Rotation.NextKey.IsZero(), "a key is sent that a crash loses"),
	)
}

// checkGiven holds what the team is given.
func (l *life) checkGiven(plan Plan) error {
	c := l.office.clients[l.record.Client.ID]
	alive := l.record.Live() && c != nil
	return first(
		l.check(!l.record.Live(), "credentials of no client are given out"),
		l.check(plan.Key.ID == l.record.Rotation.NextKeyID && l.now.Before(l.record.Rotation.NextFrom), "the team is given a key that not every copy has"),
		l.check(len(l.record.Excess) > 0, "credentials are given out of a client that can do too much"),
		l.check(alive && l.method == "private_key_jwt" && !policy.Holds(c.holds.JWKS, plan.Key.JWKS), "the team is given a key that the server does not know"),
		l.check(alive && authserver.SharedSecret(l.method) && l.office.own && !c.secret.Equal(l.record.Client.Secret), "the team is given a secret that is not the client's"),
	)
}

// checkAnswer holds what an answer makes of the record.
func (l *life) checkAnswer(plan Plan, answer Answer, out Outcome) error {
	r, registered := out.Record, plan.Call == Register || plan.Call == Replace
	named := plan.Call == Register && answer.Client.Named()
	undoable := named && !answer.Client.ManagementToken.IsZero()
	renewed := answer.Client.ManagementToken
	return first(
		l.check(out.Err != nil && out.Hand, "credentials are handed over in spite of an error"),
		l.check(out.Hand && (!r.Live() || answer.Err != nil || r.Replacing), "credentials are handed over of what is not known to be"),
		l.check(registered && answer.Err == nil && !r.Live() && !slices.Contains(r.Orphans, l.record.Mark), "a client that is there is not on record"),
		l.check(undoable && answer.Err != nil && (r.Client.ID != answer.Client.ID || r.Cause != v1alpha1.CauseUnusable), "a client that could be deleted again is not"),
		l.check(named && !l.office.own && answer.Err != nil && !undoable && !slices.Contains(r.Orphans, l.record.Mark), "a client that cannot be deleted leaves no mark"),
		l.check(plan.Call != None && answer.Err != nil && out.Err == nil && out.Wait == 0, "an error is swallowed"),
		l.check(!renewed.IsZero() && r.Live() && !r.Client.ManagementToken.Equal(renewed), "a renewed token is lost"),
		l.check(len(r.Orphans) < len(l.record.Orphans), "orphans are forgotten"),
		l.check(r.Unanswered > 0 && answer.Err == nil && plan.Call == Register, "an answer that was heard counts as lost"),
	)
}

// atRest holds what must be true when there is nothing left to do.
func (l *life) atRest() error {
	for id, c := range l.office.clients {
		known := l.wanted && l.record.Live() && l.record.Client.ID == id
		if err := l.check(!known && !slices.Contains(l.record.Orphans, c.mark), "nobody knows of %s", id); err != nil {
			return err
		}
	}
	c := l.office.clients[l.record.Client.ID]
	there := l.wanted && c != nil
	return first(
		l.check(len(l.office.deceived) > 0, "a client that lives would have been taken for gone: %v", l.office.deceived),
		l.check(l.office.own && len(l.record.Orphans) > 0, "a client whose id the register chose is an orphan"),
		l.check(len(l.record.Orphans) > l.office.lost+l.cuts, "more orphans than lost answers"),
		l.check(l.told < len(l.record.Orphans), "orphans that nobody was told of"),
		l.check(l.wanted && !l.refused() && (c == nil || c.disabled), "a client that is wanted is not there"),
		l.check(there && !slices.Equal(c.holds.Scopes, l.wish().Scopes), "it holds something else than is wanted"),
		l.check(there && !l.office.own && l.record.NeedsWitnessKey(policy.CredentialsFact{}), "the absence of the client cannot be shown without what the team has"),
		l.check(there && l.method == "private_key_jwt" && !policy.Holds(c.holds.JWKS, l.team.PublicJWKS), "the team has a key that the server does not know"),
	)
}

// checkShown holds that the absence of a client that authenticates by a key of the
// operator's can be shown without what the team has, as long as no update is open.
func (l *life) checkShown() error {
	r := l.record
	gone := r.Live() && l.office.clients[r.Client.ID] == nil && !l.office.own && !r.Replacing
	return l.check(gone && l.method == "private_key_jwt" && !l.office.reachable(r), "nothing shows that the client is gone")
}

// run lives among lies and deaths for a while, and then in an honest world, where all
// comes to rest.
func (l *life) run() error {
	for range l.r.IntN(14) {
		if l.r.IntN(4) == 0 {
			l.wanted = !l.wanted
		}
		l.version += l.r.IntN(2)
		if l.r.IntN(10) == 0 {
			// Somebody else deletes it, and a drift check is due.
			delete(l.office.clients, l.record.Client.ID)
			l.looked = true
		}
		if err := l.turn(); err != nil {
			return err
		}
	}
	l.office.lies, l.wanted, l.rests = false, l.r.IntN(2) == 0, false
	// A drift check comes: it finds a client that was disabled by a request of which
	// nothing was heard.
	l.looked = true
	for turns := 0; !l.rests; turns++ {
		if err := l.checkShown(); err != nil {
			return err
		}
		if l.wanted && !l.office.reachable(l.record) {
			// The answer that brought the token was lost: the client has to be given
			// up.
			l.wanted = false
		}
		if turns > 14 {
			return l.check(true, "no rest after %d honest turns", turns)
		}
		if err := l.turn(); err != nil {
			return err
		}
	}
	l.office.settle(l.now.Add(late))
	return l.atRest()
}

// Whatever a server answers, and wherever the process dies: a client that comes into
// being is on record or its mark is, the team has only what is in force, and in an
// honest world all comes to rest, with the client as it is wanted, or without one.
func TestLives(t *testing.T) {
	seed := number(t, seedVariable, rand.Uint64())
	t.Logf("%s=%d", seedVariable, seed)
	ends := map[string]int{}
	for i := range number(t, walksVariable, 100_000) / 4 {
		r := rand.New(rand.NewPCG(seed, i))
		l := &life{
			r: r, now: start, wanted: true, team: policy.CredentialsFact{Is: policy.Absent},
			method: pick(r, "none", "client_secret_basic", "client_secret_post", "private_key_jwt"),
			office: &office{r: r, lies: true, own: r.IntN(2) == 0, rotates: r.IntN(2) == 0, clients: map[string]*enrolled{}, seen: map[string]bool{}},
		}
		if err := l.run(); err != nil {
			t.Fatalf("%s=%d, life %d: %v", seedVariable, seed, i, err)
		}
		switch {
		case l.wanted:
			ends["with the client"]++
		case len(l.record.Orphans) > 0:
			ends["with orphans"]++
		default:
			ends["with nothing"]++
		}
	}
	t.Log(ends)
	if len(ends) < 3 {
		t.Errorf("not all ends were seen: %v", ends)
	}
}
