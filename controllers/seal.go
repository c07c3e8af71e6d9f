// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// The Secret of the key that approvals are sealed with.
const (
	sealSecretName = "mcp-registrar-seal" //nolint:gosec // The name of a Secret, not a secret.
	sealSecretKey  = "key"
	sealEpochKey   = "policies"
	sealKeyBytes   = 32
)

// Sealer marks the approvals that were taken up while the admission policies
// were in force, so that none that was written without them ever passes for
// one. The key is in the operator's own namespace, beside the epoch of the
// policies that it is used in. Without it every approval must be given again.
type Sealer struct {
	// Client writes, Live reads from the API server.
	Client client.Client
	Live   client.Reader
	// Namespace is the operator's own.
	Namespace string

	mu    sync.Mutex
	key   []byte
	epoch string
}

// Is says whether the seal of a grant's approval is the operator's, of the
// given epoch.
func (s *Sealer) Is(ctx context.Context, grant *v1alpha1.ScopeGrant, epoch string) (policy.Knowledge, error) {
	approval := grant.Status.Approval
	if approval == nil || approval.Seal == "" || approval.Seal == policy.UnverifiedSeal || epoch == "" {
		return policy.Absent, nil
	}
	seal, err := s.Seal(ctx, grant, approval, epoch)
	if err != nil {
		return policy.Unknown, err
	}
	if !hmac.Equal([]byte(seal), []byte(approval.Seal)) {
		return policy.Absent, nil
	}
	return policy.Present, nil
}

// Seal computes the seal of an approval of a grant in an epoch.
func (s *Sealer) Seal(ctx context.Context, grant *v1alpha1.ScopeGrant, approval *v1alpha1.Approval, epoch string) (string, error) {
	if epoch == "" {
		return "", errNoEpoch
	}
	key, _, err := s.load(ctx)
	if err != nil {
		return "", err
	}
	sealed := struct {
		Epoch      string                    `json:"epoch"`
		UID        types.UID                 `json:"uid"`
		Decision   v1alpha1.ApprovalDecision `json:"decision"`
		Generation int64                     `json:"generation"`
		Reason     string                    `json:"reason"`
		ApprovedBy string                    `json:"approvedBy"`
		ExpiresAt  int64                     `json:"expiresAt"`
		ApprovedAt int64                     `json:"approvedAt"`
	}{
		epoch, grant.UID, approval.Decision, approval.Generation, approval.Reason, approval.ApprovedBy,
		unix(approval.ExpiresAt), unix(approval.ApprovedAt),
	}
	text, err := json.Marshal(sealed)
	if err != nil {
		return "", fmt.Errorf("encoding approval: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func unix(t *metav1.Time) int64 {
	if t == nil {
		return time.Time{}.Unix()
	}
	return t.Unix()
}

// Epoch returns the epoch that has begun; empty when none has.
func (s *Sealer) Epoch(ctx context.Context) (string, error) {
	_, epoch, err := s.load(ctx)
	return epoch, err
}

// BeginEpoch stores that an epoch has begun.
func (s *Sealer) BeginEpoch(ctx context.Context, epoch string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, err := s.read(ctx)
	if apierrors.IsNotFound(err) && s.key != nil {
		// Somebody deleted it: what was sealed with the key goes on to count.
		if err = s.create(ctx, s.key); err == nil {
			secret, err = s.read(ctx)
		}
	}
	if err != nil {
		return s.failed("reading", err)
	}
	secret.Data[sealEpochKey] = []byte(epoch)
	if err := s.Client.Update(ctx, secret); err != nil {
		return s.failed("writing", err)
	}
	s.key, s.epoch = secret.Data[sealSecretKey], epoch
	return nil
}

// load reads the key once, and makes it where there is none.
func (s *Sealer) load(ctx context.Context) (key []byte, epoch string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, s.epoch, nil
	}
	secret, err := s.read(ctx)
	if apierrors.IsNotFound(err) {
		if key, err = newSealKey(); err != nil {
			return nil, "", err
		}
		if err = s.create(ctx, key); err == nil || apierrors.IsAlreadyExists(err) {
			secret, err = s.read(ctx)
		}
	}
	if err != nil {
		return nil, "", s.failed("reading", err)
	}
	s.key, s.epoch = secret.Data[sealSecretKey], string(secret.Data[sealEpochKey])
	return s.key, s.epoch, nil
}

func (s *Sealer) failed(doing string, err error) error {
	return fmt.Errorf("%s the key of the seals, Secret %s/%s: %w", doing, s.Namespace, sealSecretName, err)
}

func (s *Sealer) read(ctx context.Context) (*corev1.Secret, error) {
	var secret corev1.Secret
	if err := s.Live.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: sealSecretName}, &secret); err != nil {
		return nil, err
	}
	if secret.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedByValue || secret.Type != corev1.SecretTypeOpaque {
		// Such a Secret escapes the admission policy that guards the key.
		return nil, errors.New("the Secret is not the operator's: delete it; every approval must then be given again")
	}
	if len(secret.Data[sealSecretKey]) < sealKeyBytes {
		return nil, errors.New("the key is too short: delete the Secret; every approval must then be given again")
	}
	return &secret, nil
}

func newSealKey() ([]byte, error) {
	key := make([]byte, sealKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making the key of the seals: %w", err)
	}
	return key, nil
}

func (s *Sealer) create(ctx context.Context, key []byte) error {
	return s.Client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: sealSecretName,
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{sealSecretKey: key},
	})
}
