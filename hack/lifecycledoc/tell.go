// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var now = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// situation is where a client may stand when it must not exist.
type situation struct {
	name   string
	change func(*lifecycle.Facts)
	// note tells the answer in the picture from the same one elsewhere.
	note string
}

// reply is what the authorization server may answer.
type reply struct {
	name   string
	answer lifecycle.Answer
}

// step is what is done in a situation, and what comes of each answer.
type step struct {
	situation string
	note      string
	from      lifecycle.Standing
	call      lifecycle.Call
	idle      bool
	ahead     string
	results   []result
}

// result is what one answer makes of the client.
type result struct {
	answer, events, wait string
	to                   lifecycle.Standing
	ended                bool
}

func state(s policy.RecordState) func(*lifecycle.Facts) {
	return func(f *lifecycle.Facts) { f.Record.State = s }
}

var situations = []situation{
	{"nothing is left, and the object stays", func(f *lifecycle.Facts) { f.Record.State, f.Last = policy.RecordRevoked, false }, ""},
	{"nothing is left, and the object goes", state(policy.RecordRevoked), ""},
	{"a request was about to be sent, and the server chooses the id", func(f *lifecycle.Facts) {
		f.Record.State, f.Record.Client = policy.RecordPending, authserver.Client{}
	}, ""},
	{"a request was about to be sent, for an id of ours", func(f *lifecycle.Facts) {
		f.Record.State, f.Capabilities = policy.RecordPending, authserver.Traits{OwnClientID: true, Disables: true}
	}, ""},
	{"registered; its end or its deletion can be read again", state(policy.RecordRegistered), ""},
	{"registered; another cause", func(f *lifecycle.Facts) { f.Record.State, f.Repeatable = policy.RecordRegistered, false }, ""},
	{"registered; it authenticates by a key that is not at hand", func(f *lifecycle.Facts) {
		f.Record.State, f.Record.Client.Registered.AuthMethod = policy.RecordRegistered, "private_key_jwt"
		f.ProbeKey = lifecycle.KeyPair{ID: "kid"}
	}, ""},
	{"registered; its last update has no answer", func(f *lifecycle.Facts) {
		f.Record.State, f.Record.Replacing, f.Record.TokenDoubtful = policy.RecordRegistered, true, true
	}, ""},
	{"registered, and just shown to be absent", func(f *lifecycle.Facts) { f.Record.State, f.SeenAbsent = policy.RecordRegistered, true }, ""},
	{"the deletion was accepted", state(policy.RecordDeleted), ""},
	{"the deletion was accepted, of a client that a late request may still make", func(f *lifecycle.Facts) {
		f.Record.State, f.Record.RegisteredAt, f.Record.DeletedAt = policy.RecordDeleted, time.Time{}, now
	}, "a late request may still make it"},
	{"a person let go of it", func(f *lifecycle.Facts) {
		f.Record.State, f.Record.Released, f.ForceReleased = policy.RecordRegistered, "jane", true
	}, ""},
	{"its record cannot be read in full", state("Unreadable"), ""},
}

func failed(kind authserver.Kind) error { return &authserver.Error{Kind: kind, Op: "asking"} }

// replies are the answers to each call, worded as the port means them.
var replies = map[lifecycle.Call][]reply{
	lifecycle.None: {{"-", lifecycle.Answer{}}},
	lifecycle.Look: {
		{"it is there", lifecycle.Answer{Found: true}}, {"no answer, or a refusal", lifecycle.Answer{Err: failed(authserver.Unauthorized)}},
	},
	lifecycle.GiveProbeKey: {
		{"done", lifecycle.Answer{}}, {"refused", lifecycle.Answer{Err: failed(authserver.Rejected)}},
		{"no answer, or somebody else's", lifecycle.Answer{Err: failed(authserver.Unavailable)}},
	},
	lifecycle.Revoke: {
		{"accepted", lifecycle.Answer{}},
		{"disabled; the deletion has no answer", lifecycle.Answer{DisabledAt: now, Err: failed(authserver.Unavailable)}},
		{"no answer, or somebody else's", lifecycle.Answer{Err: failed(authserver.Unavailable)}},
		{"the credential is refused", lifecycle.Answer{Err: failed(authserver.Unauthorized)}},
		{"refused", lifecycle.Answer{Err: failed(authserver.Rejected)}},
		{"it is another's", lifecycle.Answer{Err: failed(authserver.Conflict)}},
	},
	lifecycle.Prove: {
		{"proven to be absent", lifecycle.Answer{}}, {"it is there", lifecycle.Answer{Found: true}},
		{"no answer, or somebody else's", lifecycle.Answer{Err: failed(authserver.Unavailable)}},
		{"the credential is refused", lifecycle.Answer{Err: failed(authserver.Unauthorized)}},
	},
}

// facts are those of an ordinary client whose end has come.
func facts() lifecycle.Facts {
	return lifecycle.Facts{
		Record: policy.Record{
			Mark: "mark", Owner: "mcp-registrar/cluster/uid", RegisteredAt: now.Add(-time.Hour), DeletedAt: time.Time{},
			Client: authserver.Client{ID: "client", ManagementURI: "https://as.example.com/client", ManagementToken: authserver.NewSecret("token")},
		},
		Cause: v1alpha1.CauseExpired, DueAt: now, Last: true, Repeatable: true,
	}
}

// tell asks the lifecycle about each situation.
func tell() []step {
	var told []step
	for _, s := range situations {
		f := facts()
		s.change(&f)
		plan := lifecycle.Next(f, now)
		one := step{situation: s.name, note: s.note, from: lifecycle.StandingOf(f.Record), call: plan.Call, idle: plan.Idle(), ahead: ahead(f, plan)}
		if !one.idle {
			for _, r := range replies[plan.Call] {
				one.results = append(one.results, resultOf(r, plan))
			}
		}
		told = append(told, one)
	}
	return told
}

// ahead says what is stored before the call.
func ahead(f lifecycle.Facts, plan lifecycle.Plan) string {
	var stored []string
	if f.Record.Cause != plan.Intent.Cause {
		stored = append(stored, "cause and instant")
	}
	if f.Record.WitnessKeyID != plan.Intent.WitnessKeyID {
		stored = append(stored, "the key")
	}
	if len(stored) == 0 {
		return "nothing"
	}
	return strings.Join(stored, ", ")
}

var eventNames = map[lifecycle.EventKind]string{
	lifecycle.ClientRevoked: "revoked", lifecycle.RevocationVerified: "verified", lifecycle.ClientVanished: "vanished",
	lifecycle.ClientReleased: "released", lifecycle.UnconfirmedRegistration: "unconfirmed registration",
	lifecycle.ClientRegistered: "registered", lifecycle.ClientChanged: "changed", lifecycle.ClientRotated: "rotated",
	lifecycle.ClientDisabled: "disabled", lifecycle.AnswerUnusable: "unusable answer", lifecycle.KeysUnsettled: "keys unsettled",
}

func resultOf(r reply, plan lifecycle.Plan) result {
	out := plan.After(r.answer, now)
	told := result{answer: r.name, to: lifecycle.StandingOf(out.Record), ended: out.Ended}
	var events []string
	for _, event := range append(plan.Events, out.Events...) {
		events = append(events, eventNames[event.Kind])
	}
	told.events = strings.Join(events, ", ")
	told.wait = "at once"
	var failure *authserver.Error
	switch {
	case out.Ended:
		told.wait = "-"
	case errors.As(out.Err, &failure):
		told.wait = "tried again"
	case out.Wait > 0:
		told.wait = fmt.Sprintf("after %s", out.Wait)
	}
	return told
}
