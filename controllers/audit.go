// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// The audit record tells of what happened at the authorization server before
// the registration record does: a crash in between repeats an event, it does
// not lose one.

// auditEvent begins an event about an object.
func auditEvent(kind audit.Type, objectKind string, object metav1.Object) audit.Event {
	annotations := object.GetAnnotations()
	return audit.Event{
		Type:    kind,
		Subject: objectKind + "/" + object.GetNamespace() + "/" + object.GetName(),
		Data: audit.Data{
			Kind: objectKind, Namespace: object.GetNamespace(), Name: object.GetName(),
			UID: string(object.GetUID()), Generation: object.GetGeneration(),
			Owner:       annotations[v1alpha1.AnnotationOwner],
			RequestedBy: annotations[v1alpha1.AnnotationRequestedBy],
			ChangedBy:   annotations[v1alpha1.AnnotationChangedBy],
		},
	}
}

// event begins an event about the client of a registration.
func (s *step) event(kind audit.Type, record policy.Record) audit.Event {
	e := auditEvent(kind, kindRegistration, s.reg)
	e.Time = s.Clock.Now()
	e.Data.AuthorizationServer, e.Data.Issuer = record.Connection.Name, record.Connection.Issuer
	e.Data.ClientID = record.Client.ID
	return e
}

// announce puts on record that a registration was asked for, once.
func (s *step) announce() {
	if s.reg.Status.ObservedGeneration >= 0 {
		s.announced.Delete(s.reg.UID)
		return
	}
	if _, done := s.announced.LoadOrStore(s.reg.UID, true); done {
		return
	}
	e := s.event(audit.RegistrationRequested, policy.Record{Connection: s.decision.Connection})
	e.Data.ExpiresAt = s.decision.ExpiresAt
	e.Data.Reason = s.decision.Verdict.Reason
	s.Audit.Record(e)
}

// given tells of a client as the authorization server answered it.
func (s *step) given(kind audit.Type, record policy.Record) audit.Event {
	e := s.event(kind, record)
	got := record.Client.Registered
	e.Data.Scopes, e.Data.RedirectURIs, e.Data.GrantTypes = got.Scopes, got.RedirectURIs, got.GrantTypes
	e.Data.AuthMethod, e.Data.ExpiresAt, e.Data.Mark = got.AuthMethod, s.decision.ExpiresAt, record.Mark
	for _, grant := range s.decision.Grants {
		e.Data.Grants = append(e.Data.Grants, auditGrant(grant))
	}
	return e
}

func auditGrant(g policy.GrantInForce) audit.Grant {
	told := audit.Grant{Name: g.Grant.Name, Approval: string(g.Basis), Generation: g.Grant.Generation}
	for _, scope := range g.Grant.Spec.Scopes {
		told.Scopes = append(told.Scopes, string(scope))
	}
	if a := g.Approval; a != nil && g.Basis != v1alpha1.BasisAutomatic {
		told.ApprovedBy, told.ApprovedAt = a.Annotations[v1alpha1.AnnotationApprovedBy], a.CreationTimestamp.Time
	}
	return told
}

// changes tells of an update, and of new credentials.
func (s *step) changes(old, next policy.Record, rotated, repeated bool) {
	e := s.given(audit.ClientChanged, next)
	e.Data.Added, e.Data.Removed = changedMetadata(old.Client.Registered, next.Client.Registered)
	if len(e.Data.Added) > 0 || len(e.Data.Removed) > 0 || !(rotated || repeated) {
		s.Audit.Record(e)
	}
	if rotated {
		s.Audit.Record(s.given(audit.ClientRotated, next))
	}
}

// changedMetadata lists what an update added to a client and took from it.
func changedMetadata(old, next authserver.ClientMetadata) (added, removed []string) {
	for _, field := range []struct {
		name      string
		old, next []string
	}{
		{"scope ", old.Scopes, next.Scopes},
		{"redirect URI ", old.RedirectURIs, next.RedirectURIs},
		{"grant type ", old.GrantTypes, next.GrantTypes},
		{"assertions of ", subjectOf(old), subjectOf(next)},
	} {
		added = append(added, beyond(field.name, field.next, field.old)...)
		removed = append(removed, beyond(field.name, field.old, field.next)...)
	}
	return added, removed
}

// subjectOf is whose tokens a client authenticates by.
func subjectOf(m authserver.ClientMetadata) []string {
	if m.Assertion.Subject == "" {
		return nil
	}
	return []string{m.Assertion.Subject}
}

func beyond(what string, values, known []string) []string {
	var more []string
	for _, value := range values {
		if !slices.Contains(known, value) {
			more = append(more, what+value)
		}
	}
	return more
}

// tell tells of what happened at the authorization server.
func (s *step) tell(ctx context.Context, event lifecycle.Event) {
	record := event.Record
	log := logf.FromContext(ctx).WithValues("clientID", record.Client.ID, "authorizationServer", s.decision.Connection.Name)
	switch event.Kind {
	case lifecycle.ClientRegistered:
		s.Audit.Record(s.given(audit.ClientRegistered, record))
		log.Info("Client registered")
	case lifecycle.ClientChanged:
		s.changes(event.Before, record, event.Rekeyed, event.Repeated)
		log.Info("Client updated")
	case lifecycle.ClientRotated:
		s.Audit.Record(s.given(audit.ClientRotated, record))
		log.Info("Key replaced", "oldKeyUntil", record.Rotation.OldUntil)
	case lifecycle.ClientDisabled:
		s.disabled(event)
		log.Info("Client disabled")
	case lifecycle.UnconfirmedRegistration:
		s.orphaned(record, record.Mark)
	case lifecycle.AnswerUnusable:
		log.Error(event.Err, "The answer to a registration cannot be used: the client that it names is deleted again")
	case lifecycle.KeysUnsettled:
		log.Error(event.Err, "Keys cannot be settled: the authorization server may accept those of before", "tryingAgainAt", record.KeysSettleAt)
	case lifecycle.ClientRevoked:
		s.revoked(record.Cause, record.DeletedAt.Sub(record.DueAt), record.Connection.Name)
		s.taken(audit.ClientRevoked, record)
	case lifecycle.RevocationVerified, lifecycle.ClientVanished, lifecycle.ClientReleased:
		s.taken(auditTypes[event.Kind], record)
	}
}

// auditTypes are the events of the audit record that tell of a client's end.
var auditTypes = map[lifecycle.EventKind]audit.Type{
	lifecycle.ClientRevoked:           audit.ClientRevoked,
	lifecycle.RevocationVerified:      audit.RevocationVerified,
	lifecycle.ClientVanished:          audit.ClientVanished,
	lifecycle.ClientReleased:          audit.ClientReleased,
	lifecycle.UnconfirmedRegistration: audit.PossibleOrphan,
}

// disabled tells that a client is of no use until it is enabled.
func (s *step) disabled(event lifecycle.Event) {
	e, verdict := s.event(audit.ClientChanged, event.Record), s.decision.Verdict
	e.Data.Removed, e.Data.Cause = []string{"enabled"}, string(verdict.Cause)
	s.Audit.Record(e)
	if !event.Before.Disabled {
		s.revoked(verdict.Cause, s.Clock.Now().Sub(verdict.DueAt), event.Record.Connection.Name)
	}
}

// taken tells of the end of a client.
func (s *step) taken(kind audit.Type, record policy.Record) {
	e := s.event(kind, record)
	e.Data.Cause, e.Data.DueAt = string(record.Cause), record.DueAt
	if kind == audit.ClientReleased {
		e.Data.Message = record.Released
	}
	s.Audit.Record(e)
}

// orphaned tells of a request that ended without an answer.
func (s *step) orphaned(record policy.Record, mark string) {
	e := s.event(audit.PossibleOrphan, policy.Record{Connection: record.Connection})
	e.Data.Mark = mark
	s.Audit.Record(e)
}

// grantEvent begins an event about a grant.
func grantEvent(kind audit.Type, grant *v1alpha1.ScopeGrant, now time.Time) audit.Event {
	e := auditEvent(kind, kindGrant, grant)
	e.Time = now
	e.Data.Server = grant.ServerNamespace() + "/" + grant.Spec.ServerRef.Name
	e.Data.Client = grant.Namespace + "/" + grant.Spec.ClientRef.Name
	e.Data.Reason = grant.Spec.Reason
	for _, scope := range grant.Spec.Scopes {
		e.Data.Scopes = append(e.Data.Scopes, string(scope))
	}
	if a := grant.Status.Approval; a != nil {
		e.Data.Decision = &audit.Approval{
			By: a.ApprovedBy, At: a.DecisionTime.Time, Name: grant.ServerNamespace() + "/" + a.Name, Reason: a.Reason, ExpiresAt: timeAt(a.ExpirationTime),
		}
	}
	return e
}

// grantEvents tells what became of a grant since its status was last written.
func grantEvents(before, after *v1alpha1.ScopeGrant, d policy.GrantDecision, now time.Time) []audit.Event {
	var told []audit.Event
	if before.Status.ObservedGeneration < before.Generation {
		told = append(told, grantEvent(audit.GrantRequested, after, now))
	}
	if was, is := before.Status.Approval, after.Status.Approval; is != nil && (was == nil || was.UID != is.UID) {
		told = append(told, decidedEvent(before, after, now))
	}
	if before.Status.Basis == v1alpha1.BasisApproved && d.Asked && !d.Undecided && !d.InForce {
		told = append(told, lostApproval(before, after, d, now)...)
	}
	return told
}

// decidedEvent tells of the decision that counts for a grant from now on: that somebody
// decided, or that what they decided before counts again.
func decidedEvent(before, after *v1alpha1.ScopeGrant, now time.Time) audit.Event {
	is := after.Status.Approval
	switch {
	case slices.Contains(before.Status.RecordedApprovals, is.UID):
		e := grantEvent(audit.DecisionRestored, after, now)
		e.Data.Message = string(is.Decision)
		return e
	case is.Decision == v1alpha1.DecisionDenied:
		return grantEvent(audit.GrantDenied, after, now)
	default:
		return grantEvent(audit.GrantApproved, after, now)
	}
}

// recordedApprovals are the decisions that the audit record tells of, the last of them.
func recordedApprovals(before, after v1alpha1.ScopeGrantStatus) []string {
	recorded := slices.Clone(before.RecordedApprovals)
	for _, a := range []*v1alpha1.Approval{before.Approval, after.Approval} {
		if a != nil && !slices.Contains(recorded, a.UID) {
			recorded = append(recorded, a.UID)
		}
	}
	return recorded[max(0, len(recorded)-maxRecorded):]
}

// lostApproval tells how a grant lost the approval that it rested on, unless that
// ended by time or was overruled.
func lostApproval(before, after *v1alpha1.ScopeGrant, d policy.GrantDecision, now time.Time) []audit.Event {
	kind := audit.ApprovalWithdrawn
	switch {
	case d.Void != "":
		kind = audit.ApprovalVoided
	case d.Approval != nil || !d.EndedAt.IsZero():
		return nil
	}
	// What was lost is what the status said before.
	lost := after.DeepCopy()
	lost.Status.Approval = before.Status.Approval
	e := grantEvent(kind, lost, now)
	e.Data.Message = d.Void
	return []audit.Event{e}
}

func timeAt(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// Kinds of objects, as events name them.
const (
	kindRegistration        = "MCPClientRegistration"
	kindAuthorizationServer = "AuthorizationServer"
	kindMCPServer           = "MCPServer"
	kindGrant               = "ScopeGrant"
)
