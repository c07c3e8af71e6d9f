// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Presence is what a record says about whether there is a client, as the condition
// Registered tells it.
type Presence struct {
	Status          metav1.ConditionStatus
	Reason, Message string
	// Waiting says that nobody needs to act.
	Waiting bool
}

// PresenceOf says how a client stands; ok is false where a record speaks of none.
func PresenceOf(r policy.Record) (p Presence, ok bool) {
	switch {
	case !r.Exists():
		p.Status = metav1.ConditionFalse
		p.Reason, p.Message = absence(r)
		return p, false
	case !r.Legible():
		return Presence{
			metav1.ConditionUnknown, v1alpha1.ReasonRecordDamaged,
			"a part of the registration record cannot be read: what there is at the authorization server is not known", false,
		}, true
	case r.State == policy.RecordDeleted:
		return Presence{
			metav1.ConditionUnknown, v1alpha1.ReasonRevoking,
			"the authorization server accepted the deletion of the client; its absence is not yet proven", true,
		}, true
	case r.Cause != "":
		return Presence{
			metav1.ConditionUnknown, v1alpha1.ReasonRevoking,
			"the client must not exist and may still be at the authorization server: its deletion is tried again", true,
		}, true
	case r.Disabled:
		return Presence{
			metav1.ConditionFalse, v1alpha1.ReasonDisabled,
			"the client is disabled at the authorization server: it gets no token, and keeps its client id", false,
		}, true
	case len(r.Missing) > 0:
		return Presence{
			metav1.ConditionTrue, v1alpha1.ReasonNarrowed,
			"the client is registered with less than was asked for; left out: " + few(r.Missing), false,
		}, true
	}
	return Presence{metav1.ConditionTrue, v1alpha1.ReasonRegistered, "the client is registered as wished", false}, true
}

// absence says why there is no client.
func absence(r policy.Record) (reason, message string) {
	switch {
	case LetGo(r):
		return v1alpha1.ReasonReleased, "a person let go of the client, which was not proven to be gone"
	case r.State == policy.RecordRevoked:
		return v1alpha1.ReasonRevoked, "the client is proven to be gone at the authorization server"
	}
	return v1alpha1.ReasonNotRegistered, "there is no client at the authorization server"
}

// few are the first of some values.
func few(values []string) string {
	if len(values) > 8 {
		return strings.Join(values[:8], ", ") + ", …"
	}
	return strings.Join(values, ", ")
}

// LetGo reports whether a person let go of a client without proof, and it was done.
func LetGo(r policy.Record) bool { return r.Released != "" && r.State == policy.RecordRevoked }

// Told reports whether the server accepted the deletion of a client that is not proven
// to be gone: all else can wait for those it was not told of.
func Told(r policy.Record) bool { return StandingOf(r) == Deleted }

// Begins reports whether a revocation would begin now, of a client that may live: one
// that began, or has nothing to take away, is not asked about again.
func Begins(r policy.Record) bool { return StandingOf(r) == Alive && r.Cause == "" }

// RevocationOf is what status says of a revocation under way or done; before it, that
// of the one before.
func RevocationOf(old *v1alpha1.Revocation, d policy.RegistrationDecision, r policy.Record) *v1alpha1.Revocation {
	switch {
	case r.Cause != "" && r.Ended():
		told := &v1alpha1.Revocation{
			Cause: r.Cause, ClientID: r.Client.ID, DueAt: metav1.NewTime(r.DueAt.Truncate(time.Second)),
			RevokedAtASAt: instant(r.DeletedAt), VerifiedAt: instant(r.VerifiedAt),
		}
		if !r.DeletedAt.IsZero() {
			copies := time.Duration(r.Connection.CopySeconds) * time.Second
			told.ResidualUntil = instant(r.DeletedAt.Add(r.TokenLifetime + copies + time.Second - 1))
		}
		return told
	case d.Action == policy.Revoke && StandingOf(r) != Gone:
		return revocationBegun(d, r)
	case old != nil && old.VerifiedAt == nil && cameToNothing(old, r):
		return nil
	}
	return old
}

// cameToNothing says that a revocation was announced and is not under way: it never
// began, and the client may go on; or what was to be taken away never had a name, and
// status.possibleOrphans has its mark now.
func cameToNothing(old *v1alpha1.Revocation, r policy.Record) bool {
	if r.Live() {
		return r.Cause == "" && old.ClientID == r.Client.ID
	}
	return old.ClientID == "" && r.State == "" && len(r.Orphans) > 0
}

// revocationBegun is what is said of a revocation that the server has not accepted. One
// that began keeps its cause.
func revocationBegun(d policy.RegistrationDecision, r policy.Record) *v1alpha1.Revocation {
	cause, due := r.Cause, r.DueAt
	if cause == "" {
		cause, due = d.Verdict.Cause, d.Verdict.DueAt
	}
	return &v1alpha1.Revocation{
		Cause: cause, ClientID: r.Client.ID, DueAt: metav1.NewTime(due.Truncate(time.Second)), RevokedAtASAt: instant(r.DeletedAt),
	}
}

// instant is an instant in the API's form; the zero instant is none.
func instant(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	whole := metav1.NewTime(t.Truncate(time.Second))
	return &whole
}

// Leftover is what the record of a registration that is gone speaks of.
type Leftover int

// The values of Leftover.
const (
	// LeftNothing: the record can go.
	LeftNothing Leftover = iota
	// LeftOrphans: clients that nobody knows may exist; a person has to look.
	LeftOrphans
	// LeftClient: a client that must not exist, or a request for one whose mark is not
	// noted yet.
	LeftClient
)

// LeftoverOf says what is left where a registration is gone and its record is not.
func LeftoverOf(r policy.Record) (left Leftover, orphans int) {
	orphans = len(r.Orphans)
	switch StandingOf(r) {
	case Alive, Deleted:
		return LeftClient, orphans
	case Unconfirmed:
		return LeftClient, orphans + 1
	case Gone:
	}
	if orphans > 0 {
		return LeftOrphans, orphans
	}
	return LeftNothing, 0
}

// ListedRecord is the record of a client with the operator's mark that a list of the
// server's clients named and that nothing is stored about.
func ListedRecord(connection authserver.Config, listed authserver.Listed, now time.Time) policy.Record {
	return policy.Record{
		State: policy.RecordRegistered, Connection: connection, Owner: listed.SoftwareID,
		Client: authserver.Client{ID: listed.ID}, RegisteredAt: now,
	}
}
