// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// decide turns the verdict and what exists into an action.
func (q *inquiry) decide(verdict Verdict) RegistrationDecision {
	d := RegistrationDecision{
		Verdict:     verdict,
		Wish:        q.wish(),
		AuthMethods: q.authMethods(),
		Scopes:      q.scopes,
		Term:        q.term.accepted,
		ExpiresAt:   q.term.end,
	}
	d.Next, d.TakesAwayAt = q.next()
	q.equip(&d)
	q.connect(&d)
	q.collect(&d)
	if q.RecordIs == Unknown || q.recordLost() {
		// What is not known of the client must not be said of it either: status
		// keeps the client id, by which a lost record is noticed.
		d.Verdict = *unknownVerdict("the registration record")
		if q.recordLost() {
			d.Verdict = *recordLostVerdict()
		}
		return d
	}
	switch verdict.Standing {
	case Allowed:
		d.Action = q.give(d)
	case Frozen, Undecided:
		q.hold(&d)
	case Refused:
		d.Action = q.withdraw(verdict.Cause)
	}
	d.Repeatable = q.repeatable(d.Verdict)
	if d.Verdict.Cause != "" && d.Verdict.DueAt.IsZero() {
		d.Verdict.DueAt = q.since(d.Verdict.Cause)
	}
	d.ForceReleased = q.forceReleased()
	return d
}

// equip says what has to be made or taken over for the wish.
func (q *inquiry) equip(d *RegistrationDecision) {
	if q.Traits.OwnClientID && (q.Record.State == "" || q.Record.Adopting) {
		d.Adopt = q.adopts()
	}
	if NeedsOwnKey(q.Registration.Spec) && q.Credentials.Is != Unknown {
		d.MakeKey = q.Credentials.PublicJWKS == ""
	}
}

// wish is what should be registered, with the key set that there is.
func (q *inquiry) wish() authserver.ClientMetadata {
	w := wish(q.Registration, q.scopes)
	w.AuthMethod = q.authMethod()
	if NeedsOwnKey(q.Registration.Spec) {
		w.JWKS = q.Record.Rotation.Keys(q.Credentials.PublicJWKS, q.Traits.TwoKeys, q.now)
	}
	if account := q.Registration.Spec.ServiceAccountName; account != "" {
		w.Assertion = authserver.Assertion{
			Issuer: q.Traits.AssertionIssuer, Subject: ServiceAccountSubject(q.Registration.Namespace, account),
		}
	}
	w.Scopes = q.withOIDCScopes(w.Scopes)
	if q.Traits.Audiences {
		w.Audiences, w.TokenLifetime = q.audiences()
	}
	return w
}

// audiences are those of the servers that the grants in force are for, and the
// shortest token lifetime that all of them accept.
func (q *inquiry) audiences() (audiences []string, lifetime time.Duration) {
	for _, grant := range q.grants {
		if !grant.InForce {
			continue
		}
		audiences = append(audiences, grant.Audience)
		if lifetime == 0 || grant.TokenLifetime < lifetime {
			lifetime = grant.TokenLifetime
		}
	}
	slices.Sort(audiences)
	return slices.Compact(audiences), lifetime
}

// connect names the authorization server of the action.
func (q *inquiry) connect(d *RegistrationDecision) {
	d.Connection = ConnectionOf(q.Record, q.AuthorizationServer)
	if as := q.AuthorizationServer; as.Is == Present && as.Object != nil && as.Object.Status.Metadata != nil {
		d.TokenEndpoint = as.Object.Status.Metadata.TokenEndpoint
	}
}

// ConnectionOf is how to reach the server at which a registration has its
// client, or will have it: that of the object, or that of the record when the
// object is gone or became another.
func ConnectionOf(record Record, as AuthorizationServerFact) authserver.Config {
	if as.Is != Present || as.Object == nil {
		return record.Connection
	}
	now := Connection(as.Object)
	if record.Connection.Issuer == "" || SameServer(record.Connection, now) || !record.occupied() {
		return now
	}
	return record.Connection
}

// collect gathers what the grants in force bring along.
func (q *inquiry) collect(d *RegistrationDecision) {
	for i, grant := range q.grants {
		if !grant.InForce {
			continue
		}
		d.Grants = append(d.Grants, GrantInForce{Grant: q.Grants[i].Grant, Basis: grant.Basis, Approval: grant.Approval})
		d.Resources = append(d.Resources, grant.Resource)
		d.TokenLifetime = max(d.TokenLifetime, grant.TokenLifetime)
	}
	d.Audiences, d.TokenBound = q.audiences()
	slices.SortFunc(d.Grants, func(a, b GrantInForce) int { return cmp.Compare(a.Grant.Name, b.Grant.Name) })
	slices.Sort(d.Resources)
	d.Resources = slices.Compact(d.Resources)
}

// give carries out a wish that is allowed.
func (q *inquiry) give(d RegistrationDecision) Action {
	switch q.Record.State {
	case RecordDeleted:
		return Revoke
	case RecordRegistered:
	case RecordPending:
		return q.repeat()
	case "", RecordRevoked, RecordRefused:
		return Register
	default:
		return Nothing
	}
	switch {
	case q.Observed.Looked && q.Observed.Is == Absent:
		return Register
	case d.MakeKey, q.Record.Replacing, q.Record.Disabled, q.Record.WishDigest != Digest(d.Wish), q.drifted(), q.Record.Rotation.SecretWaits(),
		q.Record.KeysSettle(q.now):
		return Replace
	case q.rotationDue():
		return Rotate
	}
	return Keep
}

// repeat goes on with a registration request whose outcome is not known: one
// for a client id that the register chose is looked for first.
func (q *inquiry) repeat() Action {
	switch {
	case !q.Record.Findable():
		return Register
	case !q.Observed.Looked, q.Observed.Is == Unknown:
		return Nothing
	case q.Observed.Is == Present:
		return Replace
	}
	return Register
}

// drifted says that the authorization server holds something else than what it
// answered when the client was registered.
func (q *inquiry) drifted() bool {
	if !q.Observed.Looked || q.Observed.Is != Present {
		return false
	}
	said := q.Observed.Client
	if said.Disabled {
		return true
	}
	said.Registered = Said(said.Registered, q.Record.Client.Registered)
	excess, missing := Compare(q.Record.Client.Registered, said)
	return len(excess) > 0 || len(missing) > 0
}

// Said completes an answer: what it did not say is taken from what is on
// record.
func Said(said, recorded authserver.ClientMetadata) authserver.ClientMetadata {
	for _, field := range []struct{ said, recorded *[]string }{
		{&said.Scopes, &recorded.Scopes}, {&said.GrantTypes, &recorded.GrantTypes},
		{&said.RedirectURIs, &recorded.RedirectURIs}, {&said.ResponseTypes, &recorded.ResponseTypes},
		{&said.Audiences, &recorded.Audiences},
	} {
		if *field.said == nil {
			*field.said = *field.recorded
		}
	}
	said.AuthMethod = cmp.Or(said.AuthMethod, recorded.AuthMethod)
	said.ApplicationType = cmp.Or(said.ApplicationType, recorded.ApplicationType)
	said.JWKS = cmp.Or(said.JWKS, recorded.JWKS)
	return said
}

// hold keeps what exists, but takes away what may not stay: the rules that
// froze the rest do not stop a reduction.
func (q *inquiry) hold(d *RegistrationDecision) {
	vanished := q.Record.Live() && q.Observed.Looked && q.Observed.Is == Absent
	switch {
	case vanished:
		d.Action, d.Verdict.Cause = Revoke, v1alpha1.CauseVanished
		return
	case q.Record.State == RecordDeleted:
		d.Action = Revoke
		return
	case !q.Record.Live():
		return
	}
	d.Action = Keep
	if q.GrantsAre != Unknown {
		q.reduce(d)
	}
}

// reduce takes away what may not stay of a client that is kept.
func (q *inquiry) reduce(d *RegistrationDecision) {
	tolerated := q.tolerated()
	reduced, retires := q.reduced(d.Wish, tolerated), q.retires()
	kept := keeps(reduced, q.Record.Client.Registered)
	switch {
	case len(tolerated) == 0, len(WithoutOIDCScopes(reduced.Scopes)) == 0 && !kept:
		d.Action, d.Verdict.Cause, d.Verdict.DueAt = Revoke, v1alpha1.CauseNoGrantInForce, q.lastGrantEnd()
	case q.Record.Disabled:
		// What enables it takes away the rest as well.
		if q.Traits.Disables && q.enabled() {
			d.Action = Disable
		}
	case !kept, retires, q.Record.Replacing, q.holdsMore():
		if d.Action = Replace; d.MakeKey || !alike(d.Wish, reduced) {
			d.Wish, d.MakeKey = reduced, false
		}
	case q.Record.KeysSettle(q.now):
		d.Action, d.Wish, d.MakeKey, d.Resend = Replace, q.registered(reduced), false, true
	}
}

// keeps says that a reduction takes away nothing that a tenant or a grant asked for.
func keeps(reduced, registered authserver.ClientMetadata) bool {
	return len(reduced.Scopes) == len(registered.Scopes) && len(reduced.RedirectURIs) == len(registered.RedirectURIs) &&
		len(reduced.GrantTypes) == len(registered.GrantTypes)
}

// enabled says that the client was seen able to do something.
func (q *inquiry) enabled() bool {
	return q.Observed.Looked && q.Observed.Is == Present && !q.Observed.Client.Disabled
}

// registered is a reduction without anything of the wish that was not accepted
// yet.
func (q *inquiry) registered(reduced authserver.ClientMetadata) authserver.ClientMetadata {
	known := q.Record.Client.Registered
	reduced.Name = cmp.Or(strings.TrimSuffix(known.Name, markOf(q.Record.Mark)), reduced.Name)
	if known.Contacts != nil {
		reduced.Contacts = known.Contacts
	}
	return reduced
}

// retires says that the key before the present one is registered beyond its
// time.
func (q *inquiry) retires() bool {
	r := q.Record.Rotation
	return r.OldJWKS != "" && r.OldEnded(q.now) && lessKeys(q.Record.Client.Registered.JWKS, r.OldJWKS) != q.Record.Client.Registered.JWKS
}

// alike says that two wishes ask for the same, in whatever order and form: then
// the reduction is the wish itself, and is recorded as such.
func alike(wish, reduced authserver.ClientMetadata) bool {
	more, less := Compare(wish, authserver.Client{Registered: reduced})
	return len(more) == 0 && len(less) == 0
}

// reduced is what is registered, less what may not stay. The mark is added
// again when it is sent.
func (q *inquiry) reduced(wish authserver.ClientMetadata, tolerated []string) authserver.ClientMetadata {
	reduced := q.Record.Client.Registered
	if q.retires() {
		reduced.JWKS = lessKeys(reduced.JWKS, q.Record.Rotation.OldJWKS)
	}
	reduced.Name, reduced.Contacts = wish.Name, wish.Contacts
	reduced.SoftwareID, reduced.SoftwareVersion = "", ""
	reduced.Scopes = intersect(reduced.Scopes, append(q.toleratedOIDCScopes(wish), tolerated...))
	if uris := intersect(reduced.RedirectURIs, wish.RedirectURIs); len(uris) > 0 {
		reduced.RedirectURIs = uris
	}
	if types := intersect(reduced.GrantTypes, wish.GrantTypes); len(types) > 0 {
		reduced.GrantTypes = types
	}
	switch {
	case reduced.JWKS == "" && reduced.JWKSURI == "" && reduced.Assertion == (authserver.Assertion{}):
		reduced.JWKS, reduced.JWKSURI, reduced.Assertion = wish.JWKS, wish.JWKSURI, wish.Assertion
	case reduced.Assertion.Issuer != "" && wish.Assertion.Issuer != "":
		// The server knows the issuer by no other name any more.
		reduced.Assertion = wish.Assertion
	}
	return reduced
}

// holdsMore says that the client was seen with more than is on record.
func (q *inquiry) holdsMore() bool {
	if !q.Observed.Looked || q.Observed.Is != Present {
		return false
	}
	excess, _ := Compare(q.Record.Client.Registered, q.Observed.Client)
	return len(excess) > 0
}

// tolerated lists the scopes of grants that are in force, or of which that is
// not known, with the entry scopes of their servers. Where a server is not known,
// what the client has by the grant may be its entry scope.
func (q *inquiry) tolerated() []string {
	var scopes []string
	for i, grant := range q.grants {
		if !grant.InForce && !grant.Undecided {
			continue
		}
		facts := q.Grants[i]
		for _, name := range facts.Grant.Spec.Scopes {
			scopes = append(scopes, string(name))
		}
		if facts.Server.Object != nil {
			scopes = append(scopes, string(facts.Server.entryScope()))
			continue
		}
		for _, carried := range q.Registration.Status.Scopes {
			if slices.Contains(carried.Grants, facts.Grant.Name) {
				scopes = append(scopes, carried.Name)
			}
		}
	}
	return slices.DeleteFunc(scopes, func(name string) bool { return name == "" })
}

// toleratedOIDCScopes are the authorization server's own scopes that a client may
// keep: those that are wished for, and all while the server is not known.
func (q *inquiry) toleratedOIDCScopes(wish authserver.ClientMetadata) []string {
	scopes := wish.Scopes
	if as := q.AuthorizationServer.Object; as == nil || as.Status.Metadata == nil {
		scopes = q.Record.Client.Registered.Scopes
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(name string) bool { return !isOIDCScope(name) })
}

func intersect(a, b []string) []string {
	var both []string
	for _, value := range a {
		if slices.Contains(b, value) {
			both = append(both, value)
		}
	}
	return both
}

// withdraw takes away what exists: one path, whatever the cause. A client that is
// suspended is disabled where the server can: it comes back under its id.
func (q *inquiry) withdraw(cause v1alpha1.RevocationCause) Action {
	switch q.Record.State {
	case RecordRegistered:
		if cause == v1alpha1.CauseSuspended && q.Traits.Disables && q.Record.Cause == "" {
			return q.suspend()
		}
		return Revoke
	case RecordDeleted, RecordPending:
	case "", RecordRevoked, RecordRefused:
		if q.Registration.DeletionTimestamp == nil {
			return Nothing
		}
	}
	return Revoke
}

// suspend disables a client. One that somebody enabled is disabled again; one that
// is gone needs no more.
func (q *inquiry) suspend() Action {
	switch {
	case q.Observed.Looked && q.Observed.Is == Absent:
		return Revoke
	case q.Record.Disabled && !q.enabled():
		return Nothing
	}
	return Disable
}

// forceReleased says that a person answers for the client, and may: a revocation
// of it was tried and did not reach its proof, or it cannot be managed any more.
func (q *inquiry) forceReleased() bool {
	return q.Record.Released != "" && (q.attempted() || q.unmanageable())
}

// attempted says that a revocation of this client was tried and did not reach
// its proof: only then a person may let go of it. The record tells so too: a
// status may have been impossible to write.
func (q *inquiry) attempted() bool {
	r := q.Registration.Status.Revocation
	return (r != nil && r.VerifiedAt == nil && r.ClientID == q.Record.Client.ID) ||
		(q.Record.Cause != "" && q.Record.State != RecordRevoked)
}

// since says from when on the client should be gone when the verdict does not
// know: from when it was first decided.
func (q *inquiry) since(cause v1alpha1.RevocationCause) time.Time {
	if q.Record.Cause != "" && !q.Record.DueAt.IsZero() {
		return q.Record.DueAt
	}
	r := q.Registration.Status.Revocation
	if r != nil && r.VerifiedAt == nil && r.Cause == cause && r.ClientID == q.Record.Client.ID {
		return r.DueAt.Time
	}
	return q.now
}

// next is the first instant after now at which a rule could answer otherwise,
// and whether it is one that may take something away.
func (q *inquiry) next() (next, takesAway time.Time) {
	deadlines := []time.Time{q.term.end, readEnd(q.Registration).at, q.secretEnd()}
	checks := []time.Time{q.DriftCheckAt, q.rotationAt(), q.Record.Rotation.OldUntil, q.Record.Rotation.NextFrom, q.Record.KeysSettleAt}
	for _, grant := range q.grants {
		deadlines = append(deadlines, grant.ExpiresAt)
		checks = append(checks, grant.AcceptableAt)
	}
	deadline := q.soonest(deadlines...)
	checks = append(checks, q.term.acceptableAt)
	if q.Record.RefusedReason != "" {
		checks = append(checks, q.Record.RefusedAt.Add(DriftCheckInterval(q.AuthorizationServer.Object)))
	}
	return earliest(deadline, q.soonest(checks...)), deadline
}

// soonest is the first of some instants after now; zero when there is none.
func (q *inquiry) soonest(instants ...time.Time) time.Time {
	var next time.Time
	for _, instant := range instants {
		if instant.After(q.now) {
			next = earliest(next, instant)
		}
	}
	return next
}

// repeatable reports whether the cause of a revocation, and since when it is due,
// will be found again after a crash, whatever is changed by then: a deletion cannot be
// taken back, and that an end had come is told by status, where that knew of it before.
func (q *inquiry) repeatable(v Verdict) bool {
	switch {
	case v.DueAt.IsZero():
		return false
	case v.Cause == v1alpha1.CauseExpired:
		return EndedBefore(q.Registration, q.now)
	}
	return v.Cause == v1alpha1.CauseDeleted || v.Cause == v1alpha1.CauseSecretExpired
}

// EndedBefore says that the end which status tells of has come: where the client is
// allowed again, a revocation may have begun.
func EndedBefore(reg *v1alpha1.MCPClientRegistration, now time.Time) bool {
	return reg.Status.ExpiresAt != nil && expired(now, reg.Status.ExpiresAt.Time)
}
