// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// recordKey is the key of a registration record in its Secret.
const recordKey = "record.json"

// Annotations of a record that say whose it is.
const (
	annotationRegistrationNamespace = "mcp-registrar.dev/registration-namespace"
	annotationRegistrationName      = "mcp-registrar.dev/registration-name"
)

// errStale says that the record changed since it was read: the decision rests
// on an old fact and is made again.
var errStale = errors.New("the registration record changed since it was read")

// Records stores registration records: one Secret for each registration, in
// the operator's own namespace. Writes are compare-and-swap on the version
// that was read, which is what keeps a stale cache or a second manager from
// creating a second client.
type Records struct {
	// Client reads through the cache and writes.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Namespace is the operator's own.
	Namespace string

	// written are the records that were stored last, until the cache shows them:
	// what is decided never rests on an older one.
	written sync.Map
	// owed are the records that are to be stored in the next turn of their
	// registrations.
	owed sync.Map
}

// Get reads the record of a registration from the cache, or what was stored last
// where the cache is behind that.
func (s *Records) Get(ctx context.Context, uid types.UID) (policy.Record, policy.Knowledge, error) {
	record, is, err := s.read(ctx, s.Client, uid)
	last, known := s.written.Load(uid)
	switch {
	case err != nil || !known:
		return record, is, err
	case is == policy.Absent:
		// Not there yet, or not there any more.
		s.written.Delete(uid)
		return s.GetLive(ctx, uid)
	case olderVersion(record.Version, last.(policy.Record).Version):
		return last.(policy.Record), policy.Present, nil
	}
	s.written.Delete(uid)
	return record, is, nil
}

// olderVersion reports whether a version is before another. Of versions that are no
// numbers the one at hand counts.
func olderVersion(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}

// GetLive reads the record of a registration from the API server.
func (s *Records) GetLive(ctx context.Context, uid types.UID) (policy.Record, policy.Knowledge, error) {
	return s.read(ctx, s.Live, uid)
}

// read reads a record by its name: a Secret of the operator's own namespace and of
// the type of records. One that lost its labels, or a part of its content, is
// there all the same, and says so.
func (s *Records) read(ctx context.Context, reader client.Reader, uid types.UID) (policy.Record, policy.Knowledge, error) {
	var secret corev1.Secret
	err := reader.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: recordName(uid)}, &secret, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return policy.Record{}, policy.Absent, nil
	}
	if err != nil {
		return policy.Record{}, policy.Unknown, fmt.Errorf("reading registration record: %w", err)
	}
	if secret.Type != v1alpha1.SecretTypeRecord {
		return policy.Record{}, policy.Unknown, fmt.Errorf("registration record %s has another type", secret.Name)
	}
	record, err := decodeRecord(&secret)
	if err != nil {
		return policy.Record{}, policy.Unknown, fmt.Errorf("decoding registration record %s: %w", secret.Name, err)
	}
	return record, policy.Present, nil
}

// marked reports whether a record has the label that the admission policies guard it
// by.
func marked(secret *corev1.Secret) bool {
	return secret.Labels[v1alpha1.LabelRegistrationUID] == string(recordUID(secret))
}

// Fresh fails with errStale unless the stored record is the version at hand.
func (s *Records) Fresh(ctx context.Context, uid types.UID, version string) error {
	stored, _, err := s.GetLive(ctx, uid)
	if err == nil && stored.Version != version {
		return errStale
	}
	return err
}

// Put stores a record in place of the version it was read as, and returns it
// with its new version. errStale: another version is stored.
func (s *Records) Put(ctx context.Context, reg *v1alpha1.MCPClientRegistration, record policy.Record) (policy.Record, error) {
	secret, err := s.encode(reg, record)
	if err != nil {
		return record, err
	}
	data := secret.Data[recordKey]
	if record.Version == "" {
		err = s.Client.Create(ctx, secret)
	} else {
		err = s.Client.Update(ctx, secret)
	}
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err) && record.Version != "":
		s.written.Delete(reg.UID)
		return record, errStale
	case err != nil:
		return record, fmt.Errorf("storing registration record: %w", err)
	}
	// The answer says what is stored: somebody may have changed it on its way.
	record.Version, record.Damage = secret.ResourceVersion, policy.Undamaged
	switch {
	case !bytes.Equal(secret.Data[recordKey], data):
		record.Damage = policy.Altered
	case !marked(secret):
		record.Damage = policy.Unmarked
	}
	s.written.Store(reg.UID, record)
	return record, nil
}

// Delete removes the record of the version at hand. A record that is gone is
// no error.
func (s *Records) Delete(ctx context.Context, uid types.UID, version string) error {
	s.written.Delete(uid)
	if version == "" {
		return nil
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: recordName(uid)}}
	err := s.Client.Delete(ctx, secret, client.Preconditions{ResourceVersion: &version})
	switch {
	case apierrors.IsConflict(err):
		return errStale
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("deleting registration record: %w", err)
	}
	return nil
}

func (s *Records) encode(reg *v1alpha1.MCPClientRegistration, r policy.Record) (*corev1.Secret, error) {
	stored := store(r)
	stored.Registration = storedReference{Namespace: reg.Namespace, Name: reg.Name}
	data, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("encoding registration record: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       s.Namespace,
			Name:            recordName(reg.UID),
			ResourceVersion: r.Version,
			Labels: map[string]string{
				v1alpha1.LabelManagedBy:           v1alpha1.ManagedByValue,
				v1alpha1.LabelRegistrationUID:     string(reg.UID),
				v1alpha1.LabelAuthorizationServer: shortLabel(r.Connection.Name),
			},
			Annotations: map[string]string{
				annotationRegistrationNamespace: reg.Namespace,
				annotationRegistrationName:      reg.Name,
			},
		},
		Type: v1alpha1.SecretTypeRecord,
		Data: map[string][]byte{recordKey: data},
	}
	if r.Client.ID != "" {
		secret.Labels[v1alpha1.LabelClient] = clientDigest(r.Connection.Issuer, r.Client.ID)
	}
	if account := accountPlace(reg.Namespace, r.ServiceAccount, r.Connection.Issuer); account != "" && r.HoldsPlace() {
		secret.Labels[v1alpha1.LabelServiceAccount] = account
	}
	if len(r.Orphans) > 0 {
		secret.Labels[v1alpha1.LabelPossibleOrphan] = "true"
	}
	return secret, nil
}

// clientDigest identifies a client at an issuer in the space of a label value.
func clientDigest(issuer, id string) string {
	sum := sha256.Sum256([]byte(issuer + "\x00" + id))
	return hex.EncodeToString(sum[:16])
}

// Shared says that another registration's record speaks of the same client:
// some servers answer equal requests with one client id.
func (s *Records) Shared(ctx context.Context, uid types.UID, issuer, id string) (bool, error) {
	var records corev1.SecretList
	err := s.Client.List(ctx, &records, client.InNamespace(s.Namespace),
		client.MatchingFields{indexRecordClient: clientDigest(issuer, id)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return false, fmt.Errorf("looking for other records of the client: %w", err)
	}
	for i := range records.Items {
		if recordUID(&records.Items[i]) != uid {
			return true, nil
		}
	}
	return false, nil
}

// AccountShared says that the record of another registration with a client, or
// with one that is about to come, has the place of a ServiceAccount. It is the API
// server that is asked: a cache may be behind, and another manager may have been
// at work.
func (s *Records) AccountShared(ctx context.Context, uid types.UID, account string) (bool, error) {
	var records corev1.SecretList
	err := s.Live.List(ctx, &records, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelServiceAccount: account})
	if err != nil {
		return false, fmt.Errorf("looking for other clients of the ServiceAccount: %w", err)
	}
	return slices.ContainsFunc(records.Items, func(other corev1.Secret) bool {
		return recordUID(&other) != uid
	}), nil
}

// shortLabel bounds a name to what a label value may hold.
func shortLabel(name string) string {
	if len(name) > 63 {
		return name[:60] + "xxx"
	}
	return name
}
