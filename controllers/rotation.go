// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// A rotation has four steps, and a crash between two of them repeats the
// later one: the new key or secret is stored in the record; the authorization
// server accepts it, a key beside the old one; the team gets it; after the
// overlap the old key is taken away, as any other reduction. Where keys linger
// (authserver.Traits), what changes them is sent twice before it counts.

// rotate begins to replace the client's key or secret.
func (s *step) rotate(ctx context.Context, done *outcome) error {
	record := done.record
	record.Rotation.Request = policy.RotationRequest(s.reg)
	if s.reg.Spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodClientSecretBasic {
		secret, err := newClientSecret()
		if err != nil {
			return err
		}
		record.Rotation.NextSecret = secret
	} else {
		pair, err := newKeyPair()
		if err != nil {
			return err
		}
		record.Rotation.NextKey, record.Rotation.NextKeyID, record.Rotation.NextJWKS = pair.private, pair.id, pair.jwks
		record.Rotation.OldJWKS, record.Rotation.OldUntil = s.seen.facts.Credentials.PublicJWKS, time.Time{}
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil {
		return err
	}
	done.record, done.again = stored, atOnce
	return nil
}

// nextSecret is the secret that a replacement sets: that of a rotation, or the
// chosen one of a client whose registration is not known to be done.
func (s *step) nextSecret(record policy.Record) authserver.Secret {
	switch {
	case record.Rotation.SecretWaits():
		return record.Rotation.NextSecret
	case record.State == policy.RecordPending && s.choosesSecret():
		return record.Client.Secret
	}
	return authserver.Secret{}
}

// settleKeys notes the keys of an update that was just accepted. If it changed
// them it is to be sent again after a while, so that none of before come back.
func (s *step) settleKeys(record policy.Record, sent replacement) policy.Record {
	linger, now := s.traits().KeysLinger, s.Clock.Now()
	switch {
	case linger > 0 && s.keysChanged(sent):
		record.KeysChangedAt, record.KeysSettleAt = now, now.Add(linger)
	case sent.settles:
		record.KeysChangedAt, record.KeysSettleAt = time.Time{}, time.Time{}
	}
	record.KeysSent = policy.KeysDigest(sent.wish)
	return record
}

// keysChanged says that an update may have changed keys that somebody could
// use.
func (s *step) keysChanged(sent replacement) bool {
	record, keys := s.seen.facts.Record, policy.KeysDigest(sent.wish)
	before := cmp.Or(record.KeysSent, policy.KeysDigest(record.Client.Registered))
	switch {
	case keys+before == "":
		return false
	case record.Adopting:
		return true
	case record.State == policy.RecordPending:
		return false
	}
	return keys != before || record.Replacing || s.keysDrifted()
}

// keysDrifted says that the client was seen with other keys than it was known
// to have.
func (s *step) keysDrifted() bool {
	known, seen := s.seen.facts.Record.Client.Registered, s.seen.facts.Observed
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

// repeats says that an update only repeated the last one, so that the keys
// settle.
func (s *step) repeats(sent replacement) bool {
	before := s.seen.facts.Record
	same := s.decision.Resend || before.WishDigest == policy.Digest(sent.wish)
	return sent.settles && same && !before.Replacing && !before.Disabled &&
		!before.Rotation.SecretWaits() && s.seen.facts.Observed.Is != policy.Present
}

// accepted is a rotation after the authorization server took a replacement: a
// new secret is in force, and an old key that was not sent any more is gone once
// the keys have settled.
func (s *step) accepted(r policy.Rotation, sent string, settled bool) policy.Rotation {
	if r.SecretWaits() {
		r.NextSecret, r.MadeAt = authserver.Secret{}, s.Clock.Now()
	}
	if r.KeyWaits() && r.OldJWKS != "" && r.NextFrom.IsZero() && policy.Holds(sent, r.NextJWKS) {
		r.NextFrom = s.Clock.Now().Add(s.traits().CopyLifetime)
	}
	if !r.OldUntil.IsZero() && settled && !policy.Holds(sent, r.OldJWKS) {
		r.OldJWKS, r.OldUntil = "", time.Time{}
	}
	return r
}

// handOver gives the team the new key, which the authorization server has
// accepted, and lets the old one live on for the overlap.
func (s *step) handOver(ctx context.Context, done *outcome) error {
	r := done.record.Rotation
	pair := keyPair{private: r.NextKey, id: r.NextKeyID, jwks: r.NextJWKS}
	if err := s.putCredentials(ctx, done.record, pair); err != nil {
		return err
	}
	record := done.record
	now := s.Clock.Now()
	record.Rotation.NextKey, record.Rotation.NextKeyID, record.Rotation.NextJWKS = authserver.Secret{}, "", ""
	record.Rotation.MadeAt, record.Rotation.NextFrom = now, time.Time{}
	if r.OldJWKS != "" {
		record.Rotation.OldUntil = now.Add(policy.Overlap(s.reg.Spec, s.traits()))
		s.Audit.Record(s.given(audit.ClientRotated, record))
	}
	stored, err := s.Records.Put(ctx, s.reg, record)
	if err != nil {
		return err
	}
	done.record, done.again = stored, atOnce
	logf.FromContext(ctx).Info("Key replaced", "clientID", record.Client.ID, "authorizationServer", record.Connection.Name, "oldKeyUntil", record.Rotation.OldUntil)
	return nil
}

// tellOfRotation warns of a rotation that is asked for and cannot be done.
func (r *RegistrationReconciler) tellOfRotation(before, after *v1alpha1.MCPClientRegistration, traits authserver.Traits) {
	asked := after.Annotations[v1alpha1.AnnotationRotate] != "" || (after.Spec.Credentials != nil && after.Spec.Credentials.RotateAfterSeconds != nil)
	news := before.Status.ObservedGeneration != after.Status.ObservedGeneration
	if asked && news && !policy.Rotatable(after.Spec, traits) {
		r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, "RotationUnsupported", "Rotate",
			"the credentials of this client cannot be replaced here: the authorization server chooses client secrets itself, or the key is not the operator's; with tokenEndpointAuthMethod: PrivateKeyJWT and no jwks they can")
	}
}
