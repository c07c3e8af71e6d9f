// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// recordSecret is the record as it is stored.
func (s *stage) recordSecret() *corev1.Secret {
	s.t.Helper()
	var secret corev1.Secret
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: stageOperator, Name: recordName(s.reg.UID)}, &secret); err != nil {
		s.t.Fatal(err)
	}
	return &secret
}

// spoil gives the record another state.
func (s *stage) spoil(state string) {
	s.t.Helper()
	secret := s.recordSecret()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(secret.Data[recordKey], &members); err != nil {
		s.t.Fatal(err)
	}
	members["state"] = json.RawMessage(state)
	data, err := json.Marshal(members)
	if err != nil {
		s.t.Fatal(err)
	}
	secret.Data[recordKey] = data
	if err := s.Update(s.t.Context(), secret); err != nil {
		s.t.Fatal(err)
	}
}

// A record whose state cannot be read, or is not known, is that of a client which may
// live, also when its registration went without its finalizer.
func TestUnknownStateIsReaped(t *testing.T) {
	for _, state := range []string{`5`, `"Rotating"`} {
		s := newStage(t, "stray")
		s.begin()
		s.spoil(state)
		reg := s.registration()
		reg.Finalizers = nil
		if err := s.Update(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
		s.later(time.Minute)
		s.later(time.Hour)
		var secret corev1.Secret
		err := s.Get(t.Context(), client.ObjectKey{Namespace: stageOperator, Name: recordName(reg.UID)}, &secret)
		if len(s.as.Clients()) != 0 {
			t.Errorf("state %s: the client lives; its record: %v", state, err)
		}
	}
}

// Status goes on naming the client of such a record, and no list takes it for an
// orphan.
func TestUnknownStateKeepsItsClient(t *testing.T) {
	for _, state := range []string{`5`, `"Rotating"`} {
		s := newStage(t, "live")
		s.begin()
		id := s.registration().Status.ClientID
		s.spoil(state)
		s.later(time.Minute)
		st := s.registration().Status
		for _, c := range st.Conditions {
			t.Logf("%s: %s=%s %s %q", state, c.Type, c.Status, c.Reason, c.Message)
		}
		if st.ClientID != id {
			t.Errorf("state %s: client %s lives, status.clientID %q", state, id, st.ClientID)
		}
		if !occupies(s.recordSecret()) {
			t.Errorf("state %s: the inventory takes the client for an orphan", state)
		}
	}
}

// When such a record is lost as well, the object is held.
func TestRecordLostAfterUnknownState(t *testing.T) {
	s := newStage(t, "lost")
	s.begin()
	s.spoil(`5`)
	s.later(time.Minute)
	if err := s.Delete(t.Context(), s.recordSecret()); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), s.registration()); err != nil {
		t.Fatal(err)
	}
	s.later(time.Minute)
	var reg v1alpha1.MCPClientRegistration
	err := s.Get(t.Context(), client.ObjectKeyFromObject(s.reg), &reg)
	if len(s.as.Clients()) != 0 && err != nil {
		t.Errorf("client alive and the object went: %v", err)
	}
}

// failing is a leaver whose writes fail from some number on.
type failing struct {
	after int
	n     int
	kept  policy.Record
}

func (f *failing) store(_ context.Context, r policy.Record) (policy.Record, error) {
	if f.n++; f.n > f.after {
		return r, errors.New("etcdserver: no space")
	}
	f.kept = r
	return r, nil
}

func (f *failing) end(_ context.Context, out lifecycle.Outcome) (policy.Record, error) {
	return out.Record, nil
}

func (f *failing) tell(context.Context, lifecycle.Event) {}

// What cannot be stored for the sake of the proof holds no deletion back, and loses no
// token that an answer renewed.
func TestUnstoredProbeKeyHoldsNothingBack(t *testing.T) {
	for after := range 2 {
		s := newStage(t, "keyed")
		pair, err := newKeyPair()
		if err != nil {
			t.Fatal(err)
		}
		s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodPrivateKeyJWT
		s.reg.Spec.JWKS = pair.JWKS
		s.begin()
		s.live()
		record, _, err := s.registrations.Records.Get(t.Context(), s.reg.UID)
		if err != nil {
			t.Fatal(err)
		}
		key, err := probeKey(record)
		if err != nil || key.ID == "" {
			t.Fatal(err, "no probe key")
		}
		_, _, err = executor{s.registrations.Servers, s.clock}.run(t.Context(), leaving{
			Facts:  lifecycle.Facts{Record: record, Cause: v1alpha1.CauseExpired, DueAt: begun, Repeatable: true, Capabilities: authserver.Traits{}, ProbeKey: key},
			leaver: &failing{after: after}, connection: record.Connection,
		})
		if len(s.as.Clients()) != 0 {
			t.Errorf("after %d writes: the client lives: %v", after, err)
		}
	}
}

// A record without the label may be anybody's invention: another registration's client
// is not deleted for its sake.
func TestForgedRecordTakesNothingAway(t *testing.T) {
	s := newStage(t, "victim")
	s.manageOtherwise()
	s.begin()
	victim := s.live()
	record, _, err := s.registrations.Records.Get(t.Context(), s.reg.UID)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := json.Marshal(map[string]any{
		"state": "Registered", "registration": map[string]string{"namespace": clientsPlace, "name": "ghost"},
		"owner": record.Owner, "connection": storeConnection(record.Connection), "client": map[string]string{"id": victim.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{Type: v1alpha1.SecretTypeRecord, Data: map[string][]byte{recordKey: forged}}
	secret.Namespace, secret.Name = stageOperator, "registration-ghost"
	if err := s.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	s.later(time.Minute)
	s.later(time.Minute)
	if len(s.as.Clients()) == 0 || s.as.Clients()[0].ID != victim.ID {
		t.Errorf("the client of another registration was deleted by a record without labels: %v", s.as.Clients())
	}
}

// What was refused by the server as it was is not learnt of the server as it is.
func TestOldRefusalIsNotLearntAnew(t *testing.T) {
	s := newStage(t, "bare")
	s.registrations.Manageability = &Manageability{}
	s.as.Switch(func(w *fake.Switches) { w.NoManagement = true })
	s.begin()
	s.as.Switch(func(w *fake.Switches) { w.NoManagement = false })
	s.strips = unlabelled
	edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.MaxRegistrationsPerNamespace = new(int32(7)) })
	s.strips = nil
	s.later(2 * time.Minute)
	s.later(25 * time.Hour)
	if got := s.reason(s.reg); got != v1alpha1.ReasonReady {
		t.Errorf("the server was mended and was never asked again: %s, refused in memory: %v", got, s.registrations.Manageability.Refused(s.issuer))
	}
}

// told keeps the kinds of what was told.
type told struct{ kinds []audit.Type }

func (r *told) Record(e audit.Event) { r.kinds = append(r.kinds, e.Type) }

// A proof is told once, however often what follows it fails.
func TestProofIsToldOnce(t *testing.T) {
	s := newStage(t, "held")
	heard := &told{}
	s.registrations.Audit = heard
	s.begin()
	held := s.Client
	s.registrations.Credentials = &Credentials{Client: undeletable{held}, Live: held}
	s.as.revocation = nil
	s.broken["nothing"] = true // errors are expected
	if err := s.Delete(t.Context(), s.registration()); err != nil {
		t.Fatal(err)
	}
	s.later(time.Minute)
	s.later(time.Minute)
	n := 0
	for _, k := range heard.kinds {
		if k == audit.RevocationVerified {
			n++
		}
	}
	if n > 1 {
		t.Errorf("one client, proven %d times: %v", n, heard.kinds)
	}
}

// undeletable is a client that refuses to delete.
type undeletable struct{ client.Client }

func (undeletable) Delete(context.Context, client.Object, ...client.DeleteOption) error {
	return errors.New("a policy of the tenant's namespace refuses it")
}

// A client that may have come of a request without an answer counts as overdue while
// its deletion fails.
func TestUnconfirmedClientIsOverdue(t *testing.T) {
	s := newStage(t, "unheard")
	s.manageOtherwise()
	down := &authserver.Error{Kind: authserver.Unavailable, Op: "asking", MaybeApplied: true}
	s.as.registration, s.as.finding, s.as.revocation = down, down, down
	s.begin()
	s.later(31 * 24 * time.Hour)
	reg := s.registration()
	since, overdue := policy.Overdue(reg, s.clock.Now())
	if !overdue {
		t.Errorf("a client that may live beyond its end is not counted: %v", since)
	}
}

// stumbling is a leaver whose first write fails.
type stumbling struct{ failing }

func (s *stumbling) store(_ context.Context, r policy.Record) (policy.Record, error) {
	if s.n++; s.n == 1 {
		return r, errors.New("etcdserver: request timed out")
	}
	s.kept = r
	return r, nil
}

// A token that was renewed and could not be stored is stored with the next answer, also
// where that brings nothing new.
func TestRenewedTokenIsStoredWithTheNextAnswer(t *testing.T) {
	s := newStage(t, "renewed")
	s.begin()
	record, _, err := s.registrations.Records.Get(t.Context(), s.reg.UID)
	if err != nil {
		t.Fatal(err)
	}
	record.TokenDoubtful, record.Cause, record.DueAt = true, v1alpha1.CauseExpired, begun
	s.as.Switch(func(w *fake.Switches) { w.RotateTokens = true })
	s.as.revocation = unavailable
	leaver := &stumbling{}
	_, _, err = executor{s.registrations.Servers, s.clock}.run(t.Context(), leaving{
		Facts:  lifecycle.Facts{Record: record, Cause: v1alpha1.CauseExpired, DueAt: begun, Repeatable: true},
		leaver: leaver, connection: record.Connection,
	})
	if token := leaver.kept.Client.ManagementToken; err == nil || token.IsZero() || token.Equal(record.Client.ManagementToken) {
		t.Errorf("the renewed token is lost after %d writes: %v", leaver.n, err)
	}
}
