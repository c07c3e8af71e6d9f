// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"cmp"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Standing is where a client stands, as its record has it.
type Standing int

// The values of Standing.
const (
	// Gone: nothing of it is left, or there never was one.
	Gone Standing = iota
	// Unconfirmed: a request for it was about to be sent, by which it cannot be
	// found again.
	Unconfirmed
	// Alive: it may be at the server, and can be asked about.
	Alive
	// Deleted: the server accepted its deletion.
	Deleted
)

// String returns the name of the standing.
func (s Standing) String() string {
	return [...]string{"Gone", "Unconfirmed", "Alive", "Deleted"}[s]
}

// StandingOf reads a record. A state that nobody knows is that of a client
// that may live, if the record says how to find it.
func StandingOf(r policy.Record) Standing {
	switch r.State {
	case "", policy.RecordRevoked, policy.RecordRefused:
		return Gone
	case policy.RecordDeleted:
		return Deleted
	case policy.RecordRegistered:
		return Alive
	case policy.RecordPending:
	}
	if r.Client.ID != "" || r.Client.ManagementURI != "" {
		return Alive
	}
	return Unconfirmed
}

// Next says what is done next about a client that must not exist.
//
// Nothing but the client's id or management URI, its token and its mark decides
// whether the server is told, and nothing is read before: no Secret of the team,
// no status, no client.
func Next(f Facts, now time.Time) Plan {
	standing := StandingOf(f.Record)
	switch {
	case standing == Gone && !f.Last:
		return Plan{Intent: f.Record}
	case standing == Gone, standing == Unconfirmed, f.ForceReleased, f.SeenAbsent && !f.Record.MayComeLate(now):
		return Plan{Intent: f.Record, After: func(_ Answer, now time.Time) Outcome { return concluded(f, f.Record, now) }}
	case standing == Deleted:
		return Plan{Intent: f.Record, Call: Prove, After: func(a Answer, now time.Time) Outcome { return proved(f, a, now) }}
	case f.wantsLook():
		return Plan{Intent: f.Record, Call: Look, After: func(a Answer, _ time.Time) Outcome { return looked(f, a) }}
	case f.wantsProbeKey():
		given := f.giving()
		return Plan{Intent: given, Call: GiveProbeKey, Request: f.withProbeKey(), After: func(a Answer, now time.Time) Outcome { return keyGiven(f, given, a, now) }}
	}
	intent := f.intent()
	return Plan{Events: f.unnoticed(), Intent: intent, Call: Revoke, After: func(a Answer, now time.Time) Outcome { return revoked(f, intent, a, now) }}
}

// intent is what is stored before the server is told: why and since when, where
// that could not be read again from the objects. A revocation that began is
// finished, whatever is wanted by then.
func (f Facts) intent() policy.Record {
	if f.Repeatable {
		return f.Record
	}
	return f.begun(f.Record)
}

// unnoticed tells, when its revocation begins, of a client that may have come into
// being unnoticed.
func (f Facts) unnoticed() []Event {
	if f.Record.State != policy.RecordPending || f.Record.Cause != "" {
		return nil
	}
	return []Event{{Kind: UnconfirmedRegistration, Record: f.Record}}
}

// begun is a record with the cause and the instant of its revocation.
func (f Facts) begun(r policy.Record) policy.Record {
	if r.Cause == "" {
		r.DueAt = f.DueAt
	}
	r.Cause = cmp.Or(r.Cause, f.Cause)
	return r
}

// wantsLook says that the client's last update has no answer: what is registered, and
// which token is good, is known by reading it. It is tried once in a turn.
func (f Facts) wantsLook() bool {
	return (f.Record.TokenDoubtful || f.Record.Replacing) && !f.Looked && !f.Capabilities.OwnClientID &&
		!f.Record.Client.ManagementToken.IsZero()
}

// wantsProbeKey says that the client authenticates by a key that is not at hand:
// were the answer to its deletion lost, its absence could not be shown. A key is
// given once, when the revocation begins: what comes of it holds nothing back.
func (f Facts) wantsProbeKey() bool {
	return f.Record.Cause == "" && !f.Capabilities.OwnClientID && !f.Record.Replacing && f.ProbeKey.ID != "" &&
		!f.Record.Client.ManagementToken.IsZero() && f.Record.NeedsWitnessKey(policy.CredentialsFact{})
}

// giving is the record before the client is given a key.
func (f Facts) giving() policy.Record {
	r := f.begun(f.Record)
	r.KeptKeys = f.Record.Keeping(f.withProbeKey())
	r.Replacing, r.TokenDoubtful, r.WitnessKey, r.WitnessKeyID = true, true, f.ProbeKey.Private, f.ProbeKey.ID
	return r
}

// withProbeKey is the client as it is registered, with that key in place of its own.
func (f Facts) withProbeKey() authserver.ClientMetadata {
	wish := f.Record.Client.Registered
	wish.JWKS, wish.JWKSURI = f.ProbeKey.JWKS, ""
	return wish
}
