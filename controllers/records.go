// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
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
}

// storedRecord is the JSON form of a policy.Record.
type storedRecord struct {
	State         policy.RecordState       `json:"state"`
	Mark          string                   `json:"mark,omitempty"`
	Orphans       []string                 `json:"orphans,omitempty"`
	Connection    storedConnection         `json:"connection"`
	Client        storedClient             `json:"client"`
	TokenEndpoint string                   `json:"tokenEndpoint,omitempty"`
	WishDigest    string                   `json:"wishDigest,omitempty"`
	WitnessKey    string                   `json:"witnessKey,omitempty"`
	WitnessKeyID  string                   `json:"witnessKeyID,omitempty"`
	Replacing     bool                     `json:"replacing,omitempty"`
	Excess        []string                 `json:"excess,omitempty"`
	Missing       []string                 `json:"missing,omitempty"`
	TokenLifetime time.Duration            `json:"tokenLifetimeNanoseconds,omitempty"`
	RegisteredAt  time.Time                `json:"registeredAt,omitzero"`
	Cause         v1alpha1.RevocationCause `json:"cause,omitempty"`
	DueAt         time.Time                `json:"dueAt,omitzero"`
	DeletedAt     time.Time                `json:"deletedAt,omitzero"`
	VerifiedAt    time.Time                `json:"verifiedAt,omitzero"`
	Released      string                   `json:"released,omitempty"`
	RefusedReason string                   `json:"refusedReason,omitempty"`
	RefusedCode   string                   `json:"refusedCode,omitempty"`
	RefusedDigest string                   `json:"refusedDigest,omitempty"`
	RefusedAt     time.Time                `json:"refusedAt,omitzero"`
}

type storedConnection struct {
	Name              string `json:"name,omitempty"`
	Issuer            string `json:"issuer,omitempty"`
	CABundle          []byte `json:"caBundle,omitempty"`
	RequestsPerSecond int    `json:"requestsPerSecond,omitempty"`
	MaxInFlight       int    `json:"maxInFlight,omitempty"`
}

type storedClient struct {
	ID              string         `json:"id,omitempty"`
	Secret          string         `json:"secret,omitempty"`
	SecretExpiresAt time.Time      `json:"secretExpiresAt,omitzero"`
	ManagementURI   string         `json:"managementURI,omitempty"`
	ManagementToken string         `json:"managementToken,omitempty"`
	Registered      storedMetadata `json:"registered,omitzero"`
}

// storedMetadata has the fields of authserver.ClientMetadata, under the names
// of RFC 7591 §2.
type storedMetadata struct {
	Name            string   `json:"client_name,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`
	ApplicationType string   `json:"application_type,omitempty"`
	GrantTypes      []string `json:"grant_types,omitempty"`
	ResponseTypes   []string `json:"response_types,omitempty"`
	RedirectURIs    []string `json:"redirect_uris,omitempty"`
	Scopes          []string `json:"scopes,omitempty"`
	AuthMethod      string   `json:"token_endpoint_auth_method,omitempty"`
	JWKS            string   `json:"jwks,omitempty"`
	JWKSURI         string   `json:"jwks_uri,omitempty"`
	Contacts        []string `json:"contacts,omitempty"`
}

func recordName(uid types.UID) string { return "registration-" + string(uid) }

// Get reads the record of a registration from the cache.
func (s *Records) Get(ctx context.Context, uid types.UID) (policy.Record, policy.Knowledge, error) {
	return s.read(ctx, s.Client, uid)
}

// GetLive reads the record of a registration from the API server.
func (s *Records) GetLive(ctx context.Context, uid types.UID) (policy.Record, policy.Knowledge, error) {
	return s.read(ctx, s.Live, uid)
}

func (s *Records) read(ctx context.Context, reader client.Reader, uid types.UID) (policy.Record, policy.Knowledge, error) {
	var secret corev1.Secret
	err := reader.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: recordName(uid)}, &secret)
	if apierrors.IsNotFound(err) {
		return policy.Record{}, policy.Absent, nil
	}
	if err != nil {
		return policy.Record{}, policy.Unknown, fmt.Errorf("reading registration record: %w", err)
	}
	if secret.Type != v1alpha1.SecretTypeRecord || secret.Labels[v1alpha1.LabelRegistrationUID] != string(uid) {
		// Such a Secret escapes the admission policy that guards records.
		return policy.Record{}, policy.Unknown, fmt.Errorf("registration record %s has another type or no label %s", secret.Name, v1alpha1.LabelRegistrationUID)
	}
	record, err := decodeRecord(&secret)
	if err != nil {
		return policy.Record{}, policy.Unknown, fmt.Errorf("decoding registration record %s: %w", secret.Name, err)
	}
	return record, policy.Present, nil
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
	if record.Version == "" {
		err = s.Client.Create(ctx, secret)
	} else {
		err = s.Client.Update(ctx, secret)
	}
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err) && record.Version != "":
		return record, errStale
	case err != nil:
		return record, fmt.Errorf("storing registration record: %w", err)
	}
	record.Version = secret.ResourceVersion
	return record, nil
}

// Delete removes the record of the version at hand. A record that is gone is
// no error.
func (s *Records) Delete(ctx context.Context, uid types.UID, version string) error {
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
	data, err := json.Marshal(store(r))
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
		if records.Items[i].Labels[v1alpha1.LabelRegistrationUID] != string(uid) {
			return true, nil
		}
	}
	return false, nil
}

// shortLabel bounds a name to what a label value may hold.
func shortLabel(name string) string {
	if len(name) > 63 {
		return name[:60] + "xxx"
	}
	return name
}

// store turns a record into its JSON form. That a person lets go is read from
// the annotation until it is carried out: a word of the past must not release
// the next client.
func store(r policy.Record) storedRecord {
	if r.State != policy.RecordRevoked {
		r.Released = ""
	}
	return storedRecord{
		State: r.State, Mark: r.Mark, Orphans: r.Orphans,
		Connection: storedConnection{
			Name: r.Connection.Name, Issuer: r.Connection.Issuer, CABundle: r.Connection.CABundle,
			RequestsPerSecond: r.Connection.RequestsPerSecond, MaxInFlight: r.Connection.MaxInFlight,
		},
		Client: storedClient{
			ID: r.Client.ID, Secret: r.Client.Secret.Reveal(), SecretExpiresAt: r.Client.SecretExpiresAt,
			ManagementURI: r.Client.ManagementURI, ManagementToken: r.Client.ManagementToken.Reveal(),
			Registered: storedMetadata(r.Client.Registered),
		},
		TokenEndpoint: r.TokenEndpoint, WishDigest: r.WishDigest, Replacing: r.Replacing,
		WitnessKey: r.WitnessKey.Reveal(), WitnessKeyID: r.WitnessKeyID,
		Excess: r.Excess, Missing: r.Missing, TokenLifetime: r.TokenLifetime, RegisteredAt: r.RegisteredAt,
		Cause: r.Cause, DueAt: r.DueAt, DeletedAt: r.DeletedAt, VerifiedAt: r.VerifiedAt, Released: r.Released,
		RefusedReason: r.RefusedReason, RefusedCode: r.RefusedCode, RefusedDigest: r.RefusedDigest, RefusedAt: r.RefusedAt,
	}
}

// decodeRecord reads a record. A Secret without one is a record of nothing: a
// person may have made it to release a client.
func decodeRecord(secret *corev1.Secret) (policy.Record, error) {
	var s storedRecord
	if data := secret.Data[recordKey]; len(data) > 0 {
		if err := json.Unmarshal(data, &s); err != nil {
			return policy.Record{}, errors.New("not the JSON of a record")
		}
	}
	record := policy.Record{
		State: s.State, Mark: s.Mark, Orphans: s.Orphans,
		Connection: authserver.Config{
			Name: s.Connection.Name, Issuer: s.Connection.Issuer, CABundle: s.Connection.CABundle,
			RequestsPerSecond: s.Connection.RequestsPerSecond, MaxInFlight: s.Connection.MaxInFlight,
		},
		Client: authserver.Client{
			ID: s.Client.ID, Secret: authserver.NewSecret(s.Client.Secret), SecretExpiresAt: s.Client.SecretExpiresAt,
			ManagementURI: s.Client.ManagementURI, ManagementToken: authserver.NewSecret(s.Client.ManagementToken),
			Registered: authserver.ClientMetadata(s.Client.Registered),
		},
		TokenEndpoint: s.TokenEndpoint, WishDigest: s.WishDigest, Replacing: s.Replacing,
		WitnessKey: authserver.NewSecret(s.WitnessKey), WitnessKeyID: s.WitnessKeyID,
		Excess: s.Excess, Missing: s.Missing, TokenLifetime: s.TokenLifetime, RegisteredAt: s.RegisteredAt,
		Cause: s.Cause, DueAt: s.DueAt, DeletedAt: s.DeletedAt, VerifiedAt: s.VerifiedAt, Released: s.Released,
		RefusedReason: s.RefusedReason, RefusedCode: s.RefusedCode, RefusedDigest: s.RefusedDigest, RefusedAt: s.RefusedAt,
		Version: secret.ResourceVersion,
	}
	if released := secret.Annotations[v1alpha1.AnnotationRelease]; released != "" {
		record.Released = released
	}
	return record, nil
}
