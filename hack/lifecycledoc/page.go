// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
)

const intro = `<!-- Written by hack/lifecycledoc (make generate) from what internal/lifecycle does. -->

# The life of a client

## How a client leaves

One function, ` + "`Next` in `internal/lifecycle`" + `, decides what is done about a client that must not
exist, from what is stored and what was just learnt. It is the same for a registration
that is deleted, has ended or is no longer allowed, for a record whose registration is
gone, and for a client with the operator's mark that a list of the server's clients
names. ` + "`controllers/executor.go`" + ` carries it out: it stores what has to be stored first,
makes one call, stores what the answer means, and asks again.

![The standings of a client and what moves it from one to the next](lifecycle.svg)

What always holds:

* **The server is told first.** Before the deletion nothing is read but one live object,
  where a cache that is behind could have the decision wrong; of ends that come together,
  one list of metadata that was begun after them. What the registration itself lost is
  told in its status first, over the version that was decided on, in place of that read:
  by it a process that comes after a crash knows whom to look for. The team's Secret, all
  else of the status and the proof come after.
* **Nobody waits for another's papers.** While other clients begin to be deleted, the
  record, the proof and the status of those that the server took wait, for up to five
  seconds: of a deletion and of an end only, which guards know by themselves. A process
  that dies in between has the server told again.
* **Nothing holds the deletion back**: it needs the client id or the management URI, its
  token, and the mark. What is done before it for the sake of the proof (to read a
  client whose last update has no answer, to give it a key for the absence probe) is
  tried once, and whatever comes of it, the deletion follows.
* **Only proof proves.** A client is gone when the server says so in its own form after
  it accepted the deletion, or when its token endpoint refuses the client, by the
  credential that it had, as one that it does not know. An answer in somebody else's form
  is no answer.
* **The cause stays.** A revocation that began is finished with the cause that it began
  with. It is stored before the server is told, but for causes whose instant stands in
  the objects (deletion, the end of a term or of a secret): these are read again after a
  crash.
* **Where somebody has to help, it says so.** A client that cannot be proven to be gone
  stays on record until a person lets go of it ([runbook](runbook.md#let-go)).

`

// page is the text.
func page(told []step) string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("### What is done\n\n| the client | standing | stored before | call |\n| --- | --- | --- | --- |\n")
	for _, s := range told {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.situation, s.from, s.ahead, callName(s))
	}
	b.WriteString("\n`Look` reads the client, `GiveProbeKey` replaces the client's key set by one of the operator's, `Revoke` disables\n" +
		"(where the server can) and deletes, `Prove` reads the client.\n\n" +
		"### What comes of each answer\n\nThe events are on the audit record before the record is stored as the standing says:\na crash in between repeats them, and loses none.\n\n" +
		"| the client | answer | standing then | events | next step |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range told {
		for _, r := range s.results {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.situation, answerName(s.call, r), standingName(r), orNone(r.events), r.wait)
		}
	}
	b.WriteString(given())
	return b.String()
}

func callName(s step) string {
	switch {
	case s.idle:
		return "none: nothing is to be done"
	case s.call == lifecycle.None:
		return "none: the end is recorded"
	}
	return "`" + s.call.String() + "`"
}

func answerName(call lifecycle.Call, r result) string {
	if call == lifecycle.None {
		return "-"
	}
	return "`" + call.String() + "`: " + r.answer
}

func standingName(r result) string {
	if r.ended {
		return "**end**"
	}
	return r.to.String()
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
