// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// AtOnce is the wait of an outcome after which the rules are asked again at once.
const AtOnce = time.Millisecond

// codeShared is the word of a refusal that the register makes itself: the client id
// that was answered is another registration's.
const codeShared = "shared_client_id"

// errStillEnabled says that a server accepted to disable a client and did not.
var errStillEnabled = errors.New("the server accepted that the client is disabled but says that it is not")

// registered is what comes of a registration request.
func (w Wanted) registered(intent policy.Record, wish authserver.ClientMetadata, a Answer, now time.Time) Outcome {
	switch failure, ok := errors.AsType[*authserver.Error](a.Err); {
	case ok && failure.Kind == authserver.Unavailable && a.Client.Named() && !w.Capabilities.OwnClientID:
		return w.unusable(intent, a, now)
	case ok:
		return w.notRegistered(intent, failure, a.Err, now)
	case a.Err != nil:
		return Outcome{Record: intent, Err: a.Err}
	}
	r := intent
	r.State, r.Client, r.RegisteredAt, r.Unanswered = policy.RecordRegistered, a.Client, now, 0
	if r.Client.Secret.IsZero() {
		r.Client.Secret = intent.Client.Secret
	}
	taken := w.taken(wish, a.Client)
	r.WishDigest = policy.Digest(taken)
	r.Excess, r.Missing = policy.Compare(taken, a.Client)
	r.Client.Registered = withKeys(a.Client.Registered, wish)
	out := w.usable(r, a, now)
	if out.Record.Live() && fit(out.Record, now) {
		out.Hand = true
	} else {
		out.Wait = AtOnce
	}
	return out
}

// usable refuses a client that cannot be this registration's: another has it, or
// may have, or there is no way to manage it. It is not touched.
func (w Wanted) usable(r policy.Record, a Answer, now time.Time) Outcome {
	managed := r.Client.ManagementURI != "" && !r.Client.ManagementToken.IsZero()
	out := Outcome{Record: r, Events: []Event{{Kind: ClientRegistered, Record: r}}}
	switch {
	case w.Capabilities.OwnClientID:
		return out
	case !a.Shared && managed:
		out.Undo, out.Management = true, policy.Present
		return out
	}
	out.Events = []Event{{Kind: UnconfirmedRegistration, Record: r}}
	out.Record = policy.Record{Version: r.Version, Connection: r.Connection, Orphans: append(slices.Clone(r.Orphans), r.Mark)}
	if a.Shared {
		out.Record = w.refused(out.Record, v1alpha1.ReasonRejected, codeShared, now)
		return out
	}
	out.Record, out.Management = w.refused(out.Record, v1alpha1.ReasonManagementUnsupported, "", now), policy.Absent
	return out
}

// unusable undoes a registration whose answer names a client and cannot be used
// otherwise: it is on record as one that must not exist, and deleted at once.
func (w Wanted) unusable(intent policy.Record, a Answer, now time.Time) Outcome {
	var out Outcome
	if a.Client.ManagementURI == "" || a.Client.ManagementToken.IsZero() {
		// Of an answer that cannot be read as a whole it is not known whether there
		// is no way to manage the client.
		out.Events, out.Record = orphaned(intent, true)
		out.Record = policy.Record{Version: intent.Version, Connection: intent.Connection, Orphans: out.Record.Orphans}
		out.Record = w.refused(out.Record, v1alpha1.ReasonRejected, CodeUnusable, now)
	} else {
		r := intent
		r.State, r.Client, r.RegisteredAt = policy.RecordRegistered, a.Client, now
		r.Cause, r.DueAt = v1alpha1.CauseUnusable, now
		out = w.usable(r, a, now)
		out.Management = policy.Unknown
	}
	out.Events = append(out.Events, Event{Kind: AnswerUnusable, Record: policy.Record{Client: a.Client}, Err: a.Err})
	out.Wait = AtOnce
	return out
}

// notRegistered is what a request that ended with an error leaves behind: a refusal
// is kept, so that it is not repeated; a request that was not carried out leaves
// nothing; one that may have been stays pending, to be tried again.
func (w Wanted) notRegistered(intent policy.Record, failure *authserver.Error, err error, now time.Time) Outcome {
	// A request for this client id was sent before, and may yet be carried out.
	late := w.Record.Findable() && !w.Record.Adopting
	out := Outcome{Record: intent, Err: err}
	switch {
	case intent.Findable() && failure.Kind == authserver.Conflict:
		// Whether there is a client of that id now is looked up.
		out.Wait, out.Err = AtOnce, nil
	case intent.Findable() && failure.MaybeApplied:
	case refusal(failure) && late:
		// What the one before may have made is known by its id, and deleted again.
		out.Events = []Event{{Kind: UnconfirmedRegistration, Record: intent}}
		out.Record.Cause, out.Record.DueAt = v1alpha1.CauseUnusable, now
		out.Record.RefusedReason, out.Record.RefusedCode = v1alpha1.ReasonRejected, failure.Code
		out.Record.RefusedQuote = w.quote(failure)
		out.Wait, out.Err = AtOnce, nil
	case refusal(failure):
		out.Events, out.Record = orphaned(intent, failure.MaybeApplied)
		out.Record = w.refusedBy(out.Record, failure, now)
		out.Record.Client = authserver.Client{}
		out.Wait, out.Err = AtOnce, nil
	case late:
	case failure.MaybeApplied:
		out.Events, out.Record = unheard(intent)
	default:
		out.Record.State, out.Record.Client = "", authserver.Client{}
	}
	return out
}

// unheard notes that an answer was lost. What it may have made is asked for once
// more; then a person has to say what became of it.
func unheard(r policy.Record) ([]Event, policy.Record) {
	if r.Unanswered++; !r.Unconfirmed() {
		return nil, r
	}
	events, r := orphaned(r, true)
	r.State, r.Client = "", authserver.Client{}
	return events, r
}

// orphaned notes the mark of a request that may have been carried out.
func orphaned(r policy.Record, applied bool) ([]Event, policy.Record) {
	if !applied {
		return nil, r
	}
	told := []Event{{Kind: UnconfirmedRegistration, Record: r}}
	r.Orphans = append(slices.Clone(r.Orphans), r.Mark)
	return told, r
}

// refusal says that the same request need not be sent again.
func refusal(failure *authserver.Error) bool {
	return failure.Kind == authserver.Rejected || failure.Kind == authserver.Conflict
}

// refusedBy notes that the server refused the wish, and what it said.
func (w Wanted) refusedBy(r policy.Record, failure *authserver.Error, now time.Time) policy.Record {
	r = w.refused(r, v1alpha1.ReasonRejected, failure.Code, now)
	r.RefusedQuote = w.quote(failure)
	return r
}

// quote is what the server says of a refusal. Of the same refusal once more the first
// words stay: many servers put something new into each answer, and nobody is to be
// told anew for that.
func (w Wanted) quote(failure *authserver.Error) string {
	before := w.Record
	if before.RefusedQuote != "" && before.RefusedCode == failure.Code && before.RefusedDigest == policy.Digest(w.Wish) {
		return before.RefusedQuote
	}
	return failure.Quote.Text()
}

// refused notes that the wish was refused. Its digest is the one that the next
// decision computes.
func (w Wanted) refused(r policy.Record, reason, code string, now time.Time) policy.Record {
	if r.State != policy.RecordRegistered {
		r.State = policy.RecordRefused
	}
	r.RefusedReason, r.RefusedCode, r.RefusedQuote = reason, code, ""
	r.RefusedDigest, r.RefusedAt = policy.Digest(w.Wish), now
	if reason == v1alpha1.ReasonManagementUnsupported {
		r.RefusedServer = w.Server
	}
	return r
}

// fit says that the next decision will not be to revoke: no credentials are handed
// out for a client that was made otherwise.
func fit(r policy.Record, now time.Time) bool {
	expires := r.Client.SecretExpiresAt
	return len(r.Excess) == 0 && (expires.IsZero() || now.Before(expires))
}

// replaced is what comes of an update. A client that was pending is registered by
// it.
func (w Wanted) replaced(sent replacement, a Answer, now time.Time) Outcome {
	if a.Err != nil {
		return w.notReplaced(sent, a, now)
	}
	r, before := w.updated(sent, a.Client, now), sent.intent
	var out Outcome
	if before.State == policy.RecordPending {
		r.State, r.RegisteredAt = policy.RecordRegistered, now
		out.Events = []Event{{Kind: ClientRegistered, Record: r}}
	} else {
		out.Events = []Event{{
			Kind: ClientChanged, Record: r, Before: before,
			Rekeyed: w.MakeKey || !r.Client.Secret.Equal(before.Client.Secret), Repeated: w.repeats(sent),
		}}
	}
	out.Record = r
	out.Hand = fit(r, now)
	settling := !r.KeysSettleAt.Equal(before.KeysSettleAt)
	retired := before.Rotation.OldJWKS != r.Rotation.OldJWKS
	waits := r.Rotation.KeyWaits() && !r.KnowsNextKey(now)
	if !out.Hand || !w.Final || settling || retired || waits {
		// With a reduction nothing may be left to hold back; the next decision knows
		// when the keys settle, when the next one may be used, and whether another
		// rotation may begin.
		out.Wait = AtOnce
	}
	return out
}

// notReplaced is what an update that ended with an error leaves behind. A refused
// reduction leaves a client that can do more than it may: it is revoked next.
func (w Wanted) notReplaced(sent replacement, a Answer, now time.Time) Outcome {
	if w.Capabilities.OwnSecret {
		// The register chooses secrets there: what somebody else set is not taken
		// over.
		a.Client.Secret = authserver.Secret{}
	}
	out := Outcome{Record: CarryOver(sent.intent, a.Client), Err: a.Err}
	failure, ok := errors.AsType[*authserver.Error](a.Err)
	if !ok || w.Record.Adopting || (!refusal(failure) && (failure.MaybeApplied || w.Record.Findable())) {
		return out
	}
	out.Record = undone(out.Record, w.Record, failure.MaybeApplied)
	switch {
	case refusal(failure):
		out.Wait, out.Err = AtOnce, nil
		out = w.keptAsItIs(out, sent, failure, now)
	case w.suspects(failure, a):
		out.Suspect = true
		if !w.Paused {
			out.Wait, out.Err = AtOnce, nil
		}
	}
	return out
}

// suspects says that a refused credential may mean that the client is gone: the next
// pass looks, with the second witness. While the server is paused a later one does, and
// where it was tried in vain.
func (w Wanted) suspects(failure *authserver.Error, a Answer) bool {
	return failure.Kind == authserver.Unauthorized && !a.OfOperator && !w.Observed.Looked && !w.Observed.Tried
}

// undone is a record after an update that was refused: as it was before, unless that
// may have been carried out all the same.
func undone(record, before policy.Record, applied bool) policy.Record {
	record.Replacing = before.Replacing || applied
	record.TokenDoubtful = record.TokenDoubtful && (before.TokenDoubtful || applied)
	record.Disabled = before.Disabled && !applied
	return record
}

// keptAsItIs is what is left of a client whose update was refused.
func (w Wanted) keptAsItIs(out Outcome, sent replacement, failure *authserver.Error, now time.Time) Outcome {
	r, before := out.Record, w.Record
	if before.Findable() {
		// There is a client, with what an earlier request asked for.
		r.State, r.RegisteredAt = policy.RecordRegistered, now
		out.Events = append(out.Events, Event{Kind: ClientRegistered, Record: r})
	}
	if w.Resend {
		// What is registered is refused: it is asked for again as late as any other
		// wish that was.
		r.KeysSettleAt = now.Add(w.RetryAfter)
		out.Record, out.Events = r, append(out.Events, Event{Kind: KeysUnsettled, Record: r, Err: failure})
		return out
	}
	r = w.refusedBy(r, failure, now)
	r.Excess = sent.excess
	if len(sent.excess) == 0 && (before.Replacing || before.Findable()) {
		r.Excess = []string{"what an update with a lost answer may have added"}
	}
	out.Record = r
	return out
}

// updated is the record of a client after an update.
func (w Wanted) updated(sent replacement, answer authserver.Client, now time.Time) policy.Record {
	if answer.Secret.IsZero() && !sent.secret.IsZero() {
		answer.Secret = sent.secret
	}
	r := CarryOver(sent.intent, answer)
	r.Client.Registered = withKeys(answer.Registered, sent.wish)
	r.Replacing, r.Disabled, r.Adopting, r.TokenDoubtful = false, false, false, false
	taken := w.taken(sent.wish, answer)
	excess, missing := policy.Compare(taken, answer)
	r.Excess = excess
	if !w.Resend {
		r.WishDigest, r.Missing = policy.Digest(taken), missing
		r.RefusedReason, r.RefusedCode, r.RefusedQuote, r.RefusedDigest = "", "", "", ""
	}
	r = w.settleKeys(r, sent, now)
	r.Rotation = w.accepted(r.Rotation, sent.wish.JWKS, r.KeysSettleAt.IsZero(), now)
	return r
}

// withKeys completes what was registered with the keys that were sent: many
// servers do not repeat them.
func withKeys(registered, sent authserver.ClientMetadata) authserver.ClientMetadata {
	registered.JWKS = cmp.Or(registered.JWKS, sent.JWKS)
	registered.JWKSURI = cmp.Or(registered.JWKSURI, sent.JWKSURI)
	return registered
}

// settleKeys notes the keys of an update that was just accepted. If it changed
// them it is to be sent again after a while, so that none of before come back.
func (w Wanted) settleKeys(r policy.Record, sent replacement, now time.Time) policy.Record {
	linger := w.Capabilities.KeysLinger
	switch {
	case linger > 0 && w.keysChanged(sent):
		r.KeysChangedAt, r.KeysSettleAt = now, now.Add(linger)
	case sent.settles:
		r.KeysChangedAt, r.KeysSettleAt = time.Time{}, time.Time{}
	}
	r.KeysSent = policy.KeysDigest(sent.wish)
	return r
}

// keysChanged says that an update may have changed keys that somebody could use.
func (w Wanted) keysChanged(sent replacement) bool {
	before, keys := w.Record, policy.KeysDigest(sent.wish)
	known := cmp.Or(before.KeysSent, policy.KeysDigest(before.Client.Registered))
	switch {
	case keys+known == "":
		return false
	case before.Adopting:
		return true
	case before.State == policy.RecordPending:
		return false
	}
	return keys != known || before.Replacing || w.keysDrifted()
}

// keysDrifted says that the client was seen with other keys than it was known to
// have.
func (w Wanted) keysDrifted() bool {
	known, seen := w.Record.Client.Registered, w.Observed
	if seen.Is != policy.Present {
		return false
	}
	said := seen.Client.Registered
	if said.JWKS == "" && said.JWKSURI == "" {
		// A server that does not repeat them says nothing about them.
		return false
	}
	said.JWKSURI = cmp.Or(said.JWKSURI, known.JWKSURI)
	return policy.KeysDigest(policy.Said(said, known)) != policy.KeysDigest(known)
}

// repeats says that an update only repeated the last one, so that the keys settle.
func (w Wanted) repeats(sent replacement) bool {
	before := w.Record
	same := w.Resend || before.WishDigest == policy.Digest(sent.wish)
	return sent.settles && same && !before.Replacing && !before.Disabled &&
		!before.Rotation.SecretWaits() && w.Observed.Is != policy.Present
}

// accepted is a rotation after the authorization server took a replacement: a new
// secret is in force, and an old key that was not sent any more is gone once the
// keys have settled.
func (w Wanted) accepted(r policy.Rotation, sent string, settled bool, now time.Time) policy.Rotation {
	if r.SecretWaits() {
		r.NextSecret, r.MadeAt = authserver.Secret{}, now
	}
	if r.KeyWaits() && r.OldJWKS != "" && r.NextFrom.IsZero() && policy.Holds(sent, r.NextJWKS) {
		r.NextFrom = now.Add(w.Capabilities.CopyLifetime)
	}
	if !r.OldUntil.IsZero() && settled && !policy.Holds(sent, r.OldJWKS) {
		r.OldJWKS, r.OldUntil = "", time.Time{}
	}
	return r
}

// handedOver is the record once the team has the new key: the old one lives on for
// the overlap.
func (w Wanted) handedOver(r policy.Record, now time.Time) Outcome {
	out := Outcome{Wait: AtOnce}
	if !w.Capabilities.OwnClientID {
		// By that key the absence of the client can be shown from now on.
		r.WitnessKey, r.WitnessKeyID = r.Rotation.NextKey, r.Rotation.NextKeyID
	}
	r.Rotation.NextKey, r.Rotation.NextKeyID, r.Rotation.NextJWKS = authserver.Secret{}, "", ""
	r.Rotation.MadeAt, r.Rotation.NextFrom = now, time.Time{}
	if r.Rotation.OldJWKS != "" {
		r.Rotation.OldUntil = now.Add(w.Overlap)
		out.Events = []Event{{Kind: ClientRotated, Record: r}}
	}
	out.Record = r
	return out
}

// disabled is what comes of disabling a client that is suspended, and of looking
// that it is: it comes back under its id when it is no longer suspended.
func (w Wanted) disabled(a Answer, _ time.Time) Outcome {
	switch {
	case a.Err != nil:
		return Outcome{Record: w.Record, Err: a.Err}
	case a.Found && !a.Client.Disabled:
		return Outcome{Record: w.Record, Err: &authserver.Error{
			Kind: authserver.Unavailable, Op: "disabling client", RetryAfter: DisbeliefDelay, Err: errStillEnabled,
		}}
	}
	r := w.Record
	r.Disabled = true
	return Outcome{Record: r, Events: []Event{{Kind: ClientDisabled, Record: r, Before: w.Record}}}
}
