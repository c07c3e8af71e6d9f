// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	// ProofDelay is how long after an accepted deletion its proof is looked for.
	ProofDelay = 50 * time.Millisecond
	// DisbeliefDelay is how long after a deletion without effect it is tried
	// again.
	DisbeliefDelay = 10 * time.Second
)

var (
	// errStillThere says that a server accepted a deletion and still knows the
	// client.
	errStillThere = errors.New("the server accepted the deletion but still knows the client")
	// errMayComeLate says that a request without an answer may still be carried
	// out.
	errMayComeLate = errors.New("the client is not there, but the request for it may still be carried out")
)

// CodeUnusable is the word of a refusal that the register makes itself: an answer
// to a registration named a client and could not be used.
const CodeUnusable = "unusable_answer"

// looked is what comes of reading a client whose last update has no answer: its token
// is known to be good where it can be read.
func looked(f Facts, a Answer) Outcome {
	r := CarryOver(f.Record, a.Client)
	if a.Err == nil && a.Found {
		r.Client.Registered, r.Replacing = policy.Said(a.Client.Registered, f.Record.Client.Registered), false
		r.TokenDoubtful = false
	}
	return Outcome{Record: r}
}

// keyGiven is what comes of giving a client a key. A server that refuses, or is
// not heard, leaves the deletion without a probe, not undone. A key that the server
// shows that it did not take, or may not know yet, is none.
func keyGiven(f Facts, given policy.Record, a Answer, now time.Time) Outcome {
	r := CarryOver(given, a.Client)
	failure, _ := errors.AsType[*authserver.Error](a.Err)
	r.Replacing = a.Err != nil && (failure == nil || failure.MaybeApplied || failure.Kind == authserver.Unavailable)
	r.TokenDoubtful = r.TokenDoubtful && r.Replacing
	if a.Err != nil {
		return Outcome{Record: r}
	}
	r.Client.Registered = policy.Said(a.Client.Registered, given.Client.Registered)
	if shown := a.Client.Registered.JWKS; shown != "" && !policy.Holds(shown, f.ProbeKey.JWKS) {
		return Outcome{Record: r}
	}
	r.Client.Registered.JWKS, r.Client.Registered.JWKSURI = f.ProbeKey.JWKS, ""
	if f.Capabilities.KeysLinger > 0 {
		r.KeysChangedAt = now
	}
	return Outcome{Record: r}
}

// revoked is what comes of telling the server.
func revoked(f Facts, intent policy.Record, a Answer, now time.Time) Outcome {
	if f.Record.Adopting && kindOf(a.Err) == authserver.Conflict && a.Err != nil {
		// It was to be taken over and is still somebody else's: it is left alone.
		return Outcome{Record: policy.Record{
			Version: intent.Version, Orphans: intent.Orphans, Connection: intent.Connection,
		}}
	}
	r := f.begun(intent)
	out := Outcome{Err: a.Err}
	taken := a.DisabledAt
	if a.Err == nil {
		r.State, out.Wait = policy.RecordDeleted, f.proofDelay()
		out.MayWait = out.Wait > 0 && f.Repeatable
		if taken.IsZero() {
			taken = now
		}
	}
	r.Disabled = r.Disabled || !a.DisabledAt.IsZero()
	if r.DeletedAt.IsZero() && !taken.IsZero() {
		r.DeletedAt = taken
		out.Events = append(out.Events, Event{Kind: ClientRevoked, Record: r})
	}
	out.Record = r
	return out
}

func (f Facts) proofDelay() time.Duration {
	if f.Alone {
		return 0
	}
	return ProofDelay
}

// proved is what comes of looking for a client whose deletion was accepted. Only
// what the port calls absent ends it.
func proved(f Facts, a Answer, now time.Time) Outcome {
	r := CarryOver(f.Record, a.Client)
	switch {
	case a.Err != nil:
		return Outcome{Record: r, Err: a.Err}
	case a.Found:
		// The deletion was not done: from now on a refused token proves nothing
		// again.
		r.State = policy.RecordRegistered
		if !a.Client.Disabled {
			r.DeletedAt, r.Disabled = time.Time{}, false
		}
		return f.later(f.begun(r), errStillThere)
	case r.MayComeLate(now):
		return f.later(r, errMayComeLate)
	}
	return concluded(f, r, now)
}

// later is a proof that did not come. Where nobody waits for it that is an error to
// be told.
func (f Facts) later(r policy.Record, cause error) Outcome {
	if !f.Alone {
		return Outcome{Record: r, Wait: DisbeliefDelay}
	}
	return Outcome{Record: r, Err: &authserver.Error{
		Kind: authserver.Unavailable, Op: "proving that the client is gone", RetryAfter: DisbeliefDelay, Err: cause,
	}}
}

// concluded is the end of a client that is proven to be gone, or that a person
// let go of, or that was never known.
func concluded(f Facts, old policy.Record, now time.Time) Outcome {
	out := Outcome{Ended: true, Events: ending(f, old)}
	if StandingOf(old) == Gone {
		out.Record = old
		return out
	}
	r := policy.Record{
		State: policy.RecordRevoked, Version: old.Version, Orphans: old.Orphans, Connection: old.Connection,
		Client: authserver.Client{ID: old.Client.ID}, Released: old.Released, TokenLifetime: old.TokenLifetime,
		Reached: old.Reached, Cause: old.Cause, DueAt: old.DueAt, DeletedAt: old.DeletedAt,
	}
	if StandingOf(old) == Unconfirmed {
		r.Orphans, r.State = append(slices.Clone(r.Orphans), old.Mark), ""
		out.Record = r
		return out
	}
	if old.Released == "" {
		r.VerifiedAt = now
	}
	out.Record = refusedAfter(f, f.begun(r), old, now)
	return out
}

// refusedAfter notes that a client which the server did not make as it was asked
// to is not asked for again for a while.
func refusedAfter(f Facts, r, old policy.Record, now time.Time) policy.Record {
	expires := old.Client.SecretExpiresAt
	switch {
	case len(old.Excess) > 0:
		r.RefusedReason, r.Excess = v1alpha1.ReasonWidened, old.Excess
	case !expires.IsZero() && !now.Before(expires):
		r.RefusedReason = v1alpha1.ReasonSecretExpired
	case old.Cause == v1alpha1.CauseUnusable && old.RefusedReason != "":
		r.RefusedReason, r.RefusedCode, r.RefusedQuote = old.RefusedReason, old.RefusedCode, old.RefusedQuote
	case old.Cause == v1alpha1.CauseUnusable:
		r.RefusedReason, r.RefusedCode = v1alpha1.ReasonRejected, CodeUnusable
	default:
		return r
	}
	r.RefusedDigest, r.RefusedAt = f.DesiredDigest, now
	return r
}

// ending tells how a client ended.
func ending(f Facts, old policy.Record) []Event {
	kind := RevocationVerified
	switch {
	case StandingOf(old) == Gone:
		return nil
	case old.State == policy.RecordPending:
		kind = UnconfirmedRegistration
	case old.Released != "":
		kind = ClientReleased
	case f.Cause == v1alpha1.CauseVanished:
		kind = ClientVanished
	}
	return []Event{{Kind: kind, Record: old}}
}

// CarryOver takes over what an answer renewed of a client's credentials for its
// management, and keeps what it did not hold.
func CarryOver(r policy.Record, answer authserver.Client) policy.Record {
	if !answer.ManagementToken.IsZero() {
		r.Client.ManagementToken, r.TokenDoubtful = answer.ManagementToken, false
	}
	if answer.ManagementURI != "" {
		r.Client.ManagementURI = answer.ManagementURI
	}
	r.SecretDoubtful = r.SecretDoubtful || answer.SecretDoubtful
	if !answer.Secret.IsZero() {
		r.Client.Secret, r.Client.SecretExpiresAt, r.SecretDoubtful = answer.Secret, answer.SecretExpiresAt, false
	}
	return r
}

// kindOf is the kind of an error; Unavailable where it is none of the port's.
func kindOf(err error) authserver.Kind {
	if answer, ok := errors.AsType[*authserver.Error](err); ok {
		return answer.Kind
	}
	return authserver.Unavailable
}
