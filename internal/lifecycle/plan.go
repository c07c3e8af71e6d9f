// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Facts are what is known of a client that must not exist.
type Facts struct {
	// Record is what is stored about it, or what a list of the server's clients
	// says of one that nothing is stored about.
	Record policy.Record
	// Cause and DueAt say why and since when it must not exist. What the record
	// says goes before: a revocation that began keeps its cause.
	Cause v1alpha1.RevocationCause
	DueAt time.Time
	// Last says that nothing is kept for the client when it is gone: its
	// registration is being deleted, or is not there.
	Last bool
	// Alone says that nobody waits for the outcome, so that the proof is looked
	// for at once.
	Alone bool
	// Repeatable says that Cause and DueAt can be read again from the objects
	// after a crash: they are not stored before the server is told.
	Repeatable bool
	// Capabilities are those of the authorization server.
	Capabilities authserver.Traits
	// SeenAbsent says that the server was just shown to have no such client.
	SeenAbsent bool
	// ForceReleased says that a person answers for the client, and may by now.
	ForceReleased bool
	// Looked says that it was tried to read the client, in this turn.
	Looked bool
	// ProbeKey is a key pair that was made for the absence probe of this client,
	// in case it needs one.
	ProbeKey KeyPair
	// DesiredDigest is the digest of what is wanted at the server: the same is
	// not asked for again after a client that could not be used.
	DesiredDigest string
}

// KeyPair is a key pair that the operator made for a client: a private key in PEM, its
// id, and the public JWK set (RFC 7517 §5).
type KeyPair struct {
	Private authserver.Secret
	ID      string
	JWKS    string
}

// Call is what is asked of the authorization server.
type Call int

// The values of Call. The zero value asks nothing.
const (
	// None: nothing is to be asked.
	None Call = iota
	// Look: read the client, whose last update has no answer: its token may be an
	// old one. Whatever comes of it, Revoke is next.
	Look
	// GiveProbeKey: replace the client's key set by one of ours. Whatever comes
	// of it, Revoke is next.
	GiveProbeKey
	// Revoke: disable the client where the server can, and delete it.
	Revoke
	// Prove: read the client, of which the server accepted the deletion.
	Prove
	// Register: create a client.
	Register
	// Replace: make the client equal to what is wanted.
	Replace
	// Disable: make the client useless until it is replaced, and read it.
	Disable
)

// String returns the name of the call.
func (c Call) String() string {
	return [...]string{"None", "Look", "GiveProbeKey", "Revoke", "Prove", "Register", "Replace", "Disable"}[c]
}

// Answer is what came of a call.
type Answer struct {
	// Err is nil where the server did what was asked, or answered what was asked
	// for; else it is an *authserver.Error somewhere down.
	Err error
	// DisabledAt is when the server accepted to disable the client; zero where it
	// did not. With Revoke only.
	DisabledAt time.Time
	// Found says that the server has the client. With Look, Prove and Disable.
	Found bool
	// Shared says that another registration has a client of that id, or may have. With
	// Register only.
	Shared bool
	// OfOperator says that the error is about the operator's own credential.
	OfOperator bool
	// Client is what the answer held, also beside an error: a renewed management
	// token is stored whatever else is wrong.
	Client authserver.Client
}

// EventKind is what a client's end is told by.
type EventKind int

// The values of EventKind.
const (
	// ClientRevoked: the server accepted that the client is of no use any more.
	ClientRevoked EventKind = iota + 1
	// RevocationVerified: it is proven to be gone.
	RevocationVerified
	// ClientVanished: somebody else deleted it.
	ClientVanished
	// ClientReleased: a person let go of it without proof.
	ClientReleased
	// UnconfirmedRegistration: a request for it may have been carried out.
	UnconfirmedRegistration
	// ClientRegistered: the server made it.
	ClientRegistered
	// ClientChanged: the server took an update.
	ClientChanged
	// ClientRotated: the team was given a new key.
	ClientRotated
	// ClientDisabled: it is of no use until it is enabled.
	ClientDisabled
	// AnswerUnusable: an answer named a client and was of no other use.
	AnswerUnusable
	// KeysUnsettled: the server refused to be sent the keys again that it has.
	KeysUnsettled
)

// Event is something to tell of a client, as it was when Record said so.
type Event struct {
	Kind   EventKind
	Record policy.Record
	// Before is the record before it. With ClientChanged and ClientDisabled.
	Before policy.Record
	// Rekeyed says that the credentials are others, and Repeated that nothing else
	// was asked for than before. With ClientChanged.
	Rekeyed, Repeated bool
	// Err is what the server said. With AnswerUnusable and KeysUnsettled.
	Err error
}

// Outcome is what an answer makes of a client, or what is so without asking.
type Outcome struct {
	// Record is to be stored, before anything else is done.
	Record policy.Record
	// MayWait says that nothing is told by Record that guards do not know from the
	// objects: it may be stored a moment later, before the next step. A crash in between
	// repeats this one, as a crash before the answer does.
	MayWait bool
	// Ended says that the client is gone, or that a person let go of it, and that
	// Record is the record of the end.
	Ended bool
	// Events are to be told, before Record is stored: a crash in between repeats
	// them and loses none. Those of an end are told when all else is done that may
	// fail.
	Events []Event
	// Err is what stands in the way; it is tried again.
	Err error
	// Wait is how long to wait before Next is asked again; zero: at once. Of a client
	// that may exist: before the rules are asked again; zero: when they say.
	Wait time.Duration
	// Hand says that the credentials are to be handed over next.
	Hand bool
	// Undo says that the client is deleted again where Record cannot be stored:
	// nobody would know it.
	Undo bool
	// Suspect says that the client may be gone, and is to be looked for.
	Suspect bool
	// Management is what the answer showed of the management of clients.
	Management policy.Knowledge
}

// Plan is the next step of a client.
type Plan struct {
	// Events are to be told before Intent is stored.
	Events []Event
	// Intent is the record to be stored before the call. Where it is what is
	// stored already nothing is written.
	Intent policy.Record
	// Call is what to ask. With None nothing is asked, and After is given the
	// zero Answer.
	Call Call
	// Request is what is asked for. With Register, Replace and GiveProbeKey.
	Request authserver.ClientMetadata
	// Urgent says that the call takes something away.
	Urgent bool
	// MetadataFirst says that the server must first answer for its metadata.
	MetadataFirst bool
	// Unsent is the record where the call is not made after all.
	Unsent policy.Record
	// GiveCredentials says that the team is given its credentials, with Key, before
	// After's record is stored.
	GiveCredentials bool
	Key             KeyPair
	// After says what the answer makes of the record. It has one for every
	// answer.
	After func(Answer, time.Time) Outcome
}

// BestEffort reports whether the call is made for the sake of the proof alone: where
// it cannot be made, or stored, the deletion follows all the same.
func (p Plan) BestEffort() bool { return p.Call == Look || p.Call == GiveProbeKey }

// Gives reports whether the call makes or changes a client.
func (p Plan) Gives() bool { return p.Call == Register || p.Call == Replace }

// Without is what is known where a call of best effort is left out.
func (f Facts) Without(call Call) Facts {
	switch call {
	case Look:
		f.Looked = true
	case GiveProbeKey:
		f.ProbeKey = KeyPair{}
	case None, Revoke, Prove, Register, Replace, Disable:
	}
	return f
}

// Idle says that there is nothing to do.
func (p Plan) Idle() bool { return p.After == nil }
