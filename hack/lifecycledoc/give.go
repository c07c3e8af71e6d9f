// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const giving = `
## How a client comes, and stays as it is wanted

` + "`Give`, in the same package, decides what is done about a client that may exist; whether it may,\n" +
	"and whether it is to be made, changed or kept, is what the rules in `internal/policy` say.\n" +
	"`controllers/registration_give.go`" + ` carries it out in the same order. What always holds:

* **A request is on record before it is sent**, with a mark of its own: registration cannot
  be repeated (RFC 7591 §3), and a client of which no answer came can be found by its mark.
* **What can be undone is undone.** A client that an answer names and that cannot be used
  is deleted again at once, and so is one whose record cannot be stored.
* **The team has only what is in force**: credentials are handed over after the server took
  them, and not of a client that was made with more than was asked for.

`

// wanting is one kind of facts that Give tells apart.
type wanting struct {
	name   string
	action policy.Action
	change func(*lifecycle.Wanted)
}

var wantings = []wanting{
	{"none is on record", policy.Register, func(w *lifecycle.Wanted) { w.Record = policy.Record{} }},
	{"a request has no answer, and the server chooses the id", policy.Register, func(w *lifecycle.Wanted) {
		w.Record.State, w.Record.Client = policy.RecordPending, authserver.Client{}
	}},
	{"a request for an id of ours has no answer, and the client was looked for in vain", policy.Register, ownID},
	{"a request for an id of ours has no answer, and the client was found", policy.Replace, ownID},
	{"somebody else's is to be taken over", policy.Register, func(w *lifecycle.Wanted) {
		w.Record, w.Adopt, w.Capabilities = policy.Record{}, "theirs", authserver.Traits{OwnClientID: true}
	}},
	{"registered, and something else is wanted", policy.Replace, func(w *lifecycle.Wanted) { w.Record.Client.Registered.Scopes = []string{"more"} }},
	{"registered as wanted", policy.Keep, func(*lifecycle.Wanted) {}},
	{"registered, and its key or secret is to be replaced", policy.Rotate, func(*lifecycle.Wanted) {}},
	{"registered, and suspended", policy.Disable, ownID},
}

func ownID(w *lifecycle.Wanted) {
	w.Capabilities = authserver.Traits{OwnClientID: true, Disables: true}
	if w.Action != policy.Disable {
		w.Record.State = policy.RecordPending
	}
}

var named = authserver.Client{ID: "client", ManagementURI: "https://as.example.com/client", ManagementToken: authserver.NewSecret("token")}

// asked are the answers of a server about a client that may exist.
var asked = map[lifecycle.Call][]reply{
	lifecycle.None: {{"-", lifecycle.Answer{}}},
	lifecycle.Register: {
		{"done", lifecycle.Answer{Client: named}},
		{"done, and another registration has that client id", lifecycle.Answer{Client: named, Shared: true}},
		{"done, without a way to manage the client", lifecycle.Answer{Client: authserver.Client{ID: "client"}}},
		{"it names a client and can be used no further", lifecycle.Answer{Client: named, Err: lost()}},
		{"it names a client that cannot be managed, and no more", lifecycle.Answer{Client: authserver.Client{ID: "client"}, Err: lost()}},
		{"no answer, or somebody else's", lifecycle.Answer{Err: lost()}},
		{"not carried out", lifecycle.Answer{Err: failed(authserver.Unavailable)}},
		{"refused", lifecycle.Answer{Err: failed(authserver.Rejected)}},
		{"there is one of that id", lifecycle.Answer{Err: failed(authserver.Conflict)}},
	},
	lifecycle.Replace: {
		{"done", lifecycle.Answer{}},
		{"no answer, or somebody else's", lifecycle.Answer{Err: lost()}},
		{"not carried out", lifecycle.Answer{Err: failed(authserver.Unavailable)}},
		{"the credential is refused", lifecycle.Answer{Err: failed(authserver.Unauthorized)}},
		{"refused", lifecycle.Answer{Err: failed(authserver.Rejected)}},
	},
	lifecycle.Disable: {
		{"done, and read so", lifecycle.Answer{Found: true, Client: authserver.Client{Disabled: true}}},
		{"accepted, and not done", lifecycle.Answer{Found: true}},
		{"no answer, or somebody else's", lifecycle.Answer{Err: lost()}},
	},
}

func lost() error {
	return &authserver.Error{Kind: authserver.Unavailable, Op: "asking", MaybeApplied: true}
}

func wanted(s wanting) lifecycle.Wanted {
	f := facts()
	w := lifecycle.Wanted{
		Action: s.action, Record: f.Record, Cluster: "cluster", UID: "uid", Final: true,
		Made: lifecycle.Made{Mark: "new", ClientID: "ours", Key: lifecycle.KeyPair{ID: "kid", Private: authserver.NewSecret("key")}},
	}
	w.Record.State, w.Record.Reached = policy.RecordRegistered, []string{policy.Anywhere}
	w.Credentials.Is = policy.Present
	s.change(&w)
	return w
}

// given is the part of the page about a client that may exist.
func given() string {
	var b, answers strings.Builder
	b.WriteString(giving + "| the client | the rules say | stored before | call |\n| --- | --- | --- | --- |\n")
	for _, s := range wantings {
		w := wanted(s)
		plan := lifecycle.Give(w, now)
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", s.name, s.action, aheadOf(w, plan), calls(plan))
		for _, r := range asked[plan.Call] {
			tellAnswer(&answers, s, plan, r)
		}
	}
	b.WriteString("\n`Register` creates a client (RFC 7591 §3), `Replace` makes it equal to what is wanted (RFC 7592 §2.2),\n" +
		"`Disable` makes it useless and reads it.\n\n| the client | answer | on record then | events | next step |\n| --- | --- | --- | --- | --- |\n")
	b.WriteString(answers.String())
	return b.String()
}

func tellAnswer(b *strings.Builder, s wanting, plan lifecycle.Plan, r reply) {
	result, out := resultOf(r, plan), plan.After(r.answer, now)
	next := result.wait
	switch {
	case out.Hand, plan.GiveCredentials:
		next = "the team is given its credentials"
	case out.Wait == lifecycle.AtOnce:
		next = "the rules are asked again"
	case next == "at once":
		next = "-"
	}
	on := result.to.String()
	if out.Record.RefusedReason != "" {
		on += ", refused: " + out.Record.RefusedReason
	}
	if out.Record.Cause != "" {
		on += ", must not exist: " + string(out.Record.Cause)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", s.name, answerName(plan.Call, result), on, orNone(result.events), next)
}

func calls(plan lifecycle.Plan) string {
	switch {
	case plan.Call == lifecycle.None:
		return "none"
	case plan.MetadataFirst:
		return "`" + plan.Call.String() + "`, once the server answers for its metadata"
	}
	return "`" + plan.Call.String() + "`"
}

// aheadOf names what is stored before the call that was not stored yet.
func aheadOf(w lifecycle.Wanted, plan lifecycle.Plan) string {
	var stored []string
	before, ahead := w.Record, plan.Intent
	for _, change := range []struct {
		is   bool
		what string
	}{
		{before.Mark != ahead.Mark, "a mark"},
		{before.Client.ID != ahead.Client.ID && ahead.Client.ID != "", "the client id"},
		{len(ahead.Orphans) > len(before.Orphans), "the mark of the request before, as that of a possible orphan"},
		{ahead.Replacing && !before.Replacing, "that an answer is outstanding"},
		{ahead.Rotation.KeyWaits() && !before.Rotation.KeyWaits(), "the new key or secret"},
	} {
		if change.is {
			stored = append(stored, change.what)
		}
	}
	if len(stored) == 0 {
		return "nothing new"
	}
	return strings.Join(stored, ", ")
}
