// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// errForeignSecret says that the credentials Secret belongs to somebody else.
var errForeignSecret = errors.New("the Secret was not created by the operator for this registration")

// newKeyPair makes a P-256 key pair; its id is the key's thumbprint (RFC 7638).
func newKeyPair() (lifecycle.KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return lifecycle.KeyPair{}, fmt.Errorf("making key pair: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return lifecycle.KeyPair{}, fmt.Errorf("encoding private key: %w", err)
	}
	return readKeyPair(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
}

// readKeyPair reads a key pair from its PEM private key.
func readKeyPair(private string) (lifecycle.KeyPair, error) {
	block, _ := pem.Decode([]byte(private))
	if block == nil {
		return lifecycle.KeyPair{}, errors.New("reading private key: not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return lifecycle.KeyPair{}, errors.New("reading private key: not PKCS #8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return lifecycle.KeyPair{}, errors.New("reading private key: not an elliptic-curve key")
	}
	public := jose.JSONWebKey{Key: &key.PublicKey, Algorithm: string(jose.ES256), Use: "sig"}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return lifecycle.KeyPair{}, fmt.Errorf("computing key id: %w", err)
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		return lifecycle.KeyPair{}, fmt.Errorf("encoding JWK set: %w", err)
	}
	return lifecycle.KeyPair{Private: authserver.NewSecret(private), ID: public.KeyID, JWKS: string(set)}, nil
}

// Credentials reads and writes the teams' credentials Secrets, each by its
// name: they are never listed or watched.
type Credentials struct {
	Client client.Client
	Live   client.Reader
}

// Get reads the credentials Secret of a registration. The Secret is nil unless
// it is there and the operator's.
func (c *Credentials) Get(ctx context.Context, reg *v1alpha1.MCPClientRegistration) (policy.CredentialsFact, *corev1.Secret, error) {
	var secret corev1.Secret
	err := c.Live.Get(ctx, types.NamespacedName{Namespace: reg.Namespace, Name: policy.SecretName(reg)}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return policy.CredentialsFact{Is: policy.Absent}, nil, nil
	case err != nil:
		return policy.CredentialsFact{}, nil, fmt.Errorf("reading credentials Secret: %w", err)
	case !ownedBy(&secret, reg):
		return policy.CredentialsFact{Is: policy.Present, Foreign: true}, nil, nil
	}
	fact := policy.CredentialsFact{Is: policy.Present}
	if private := secret.Data[v1alpha1.SecretKeyPrivateKey]; len(private) > 0 {
		// A key that cannot be read is as good as none: a new one is made.
		if pair, err := readKeyPair(string(private)); err == nil {
			fact.PrivateKey, fact.KeyID, fact.PublicJWKS = pair.Private, pair.ID, pair.JWKS
		}
	}
	return fact, &secret, nil
}

// ownedBy says that a Secret was created by the operator for a registration:
// by label, type and controlling owner.
func ownedBy(secret *corev1.Secret, reg *v1alpha1.MCPClientRegistration) bool {
	return secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedByValue &&
		secret.Labels[v1alpha1.LabelRegistrationUID] == string(reg.UID) &&
		secret.Type == v1alpha1.SecretTypeCredentials &&
		metav1.IsControlledBy(secret, reg)
}

// Put makes the credentials Secret equal to what is wanted: no write if it is.
// present is the Secret as it was read, or nil.
func (c *Credentials) Put(ctx context.Context, reg *v1alpha1.MCPClientRegistration, present *corev1.Secret, data map[string][]byte) error {
	wanted := newCredentials(reg, data)
	if present == nil {
		err := c.Client.Create(ctx, wanted)
		if apierrors.IsAlreadyExists(err) {
			return errStale
		}
		return wrapWrite("create the credentials Secret", err, wanted)
	}
	updated := present.DeepCopy()
	updated.Data = data
	updated.Labels = merge(updated.Labels, wanted.Labels)
	updated.Annotations = merge(updated.Annotations, wanted.Annotations)
	if equalSecrets(present, updated) {
		return nil
	}
	err := c.Client.Update(ctx, updated)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return errStale
	}
	return wrapWrite("update the credentials Secret", err, updated, present)
}

// Delete removes the credentials Secret if it is the operator's. present is
// the Secret as it was read, or nil.
func (c *Credentials) Delete(ctx context.Context, present *corev1.Secret) error {
	if present == nil {
		return nil
	}
	err := c.Client.Delete(ctx, present, client.Preconditions{UID: &present.UID})
	return wrapWrite("delete the credentials Secret", client.IgnoreNotFound(err), present)
}

func newCredentials(reg *v1alpha1.MCPClientRegistration, data map[string][]byte) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: reg.Namespace, Name: policy.SecretName(reg),
			Labels: map[string]string{}, Annotations: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(reg, v1alpha1.GroupVersion.WithKind("MCPClientRegistration")),
			},
		},
		Type: v1alpha1.SecretTypeCredentials,
		Data: data,
	}
	if c := reg.Spec.Credentials; c != nil {
		maps.Copy(secret.Labels, c.Labels)
		maps.Copy(secret.Annotations, c.Annotations)
	}
	secret.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedByValue
	secret.Labels[v1alpha1.LabelRegistrationUID] = string(reg.UID)
	return secret
}

// credentialsData is what a client needs, and nothing that could change the
// client: the management token never leaves the operator's namespace.
func credentialsData(reg *v1alpha1.MCPClientRegistration, record policy.Record, d policy.RegistrationDecision, pair lifecycle.KeyPair) map[string][]byte {
	values := map[string]string{
		v1alpha1.SecretKeyClientID:      record.Client.ID,
		v1alpha1.SecretKeyIssuer:        record.Connection.Issuer,
		v1alpha1.SecretKeyTokenEndpoint: record.TokenEndpoint,
		v1alpha1.SecretKeyAuthMethod:    record.Client.Registered.AuthMethod,
		v1alpha1.SecretKeyScope:         strings.Join(policy.WithoutOIDCScopes(record.Client.Registered.Scopes), " "),
		v1alpha1.SecretKeyResources:     strings.Join(d.Resources, " "),
	}
	switch reg.Spec.TokenEndpointAuthMethod {
	case v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodClientSecretPost, v1alpha1.AuthMethodClientSecret:
		values[v1alpha1.SecretKeyClientSecret] = record.Client.Secret.Reveal()
	case v1alpha1.AuthMethodPrivateKeyJWT:
		// A key that is not used any more goes once the server does not take it.
		if policy.NeedsOwnKey(reg.Spec) || pair.JWKS != "" && policy.Holds(record.Client.Registered.JWKS, pair.JWKS) {
			values[v1alpha1.SecretKeyPrivateKey] = pair.Private.Reveal()
			values[v1alpha1.SecretKeyKeyID] = pair.ID
		}
	case v1alpha1.AuthMethodNone:
	}
	data := map[string][]byte{}
	for key, value := range values {
		if value != "" {
			data[key] = []byte(value)
		}
	}
	return data
}

func merge(base, over map[string]string) map[string]string {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, over)
	return merged
}

func equalSecrets(a, b *corev1.Secret) bool {
	return maps.EqualFunc(a.Data, b.Data, func(x, y []byte) bool { return string(x) == string(y) }) &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(nonNil(a.Annotations), nonNil(b.Annotations))
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// newMark makes the mark of one registration request: 80 random bits.
func newMark() (string, error) {
	raw := make([]byte, 10)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("making mark: %w", err)
	}
	return "mcpr-" + hex.EncodeToString(raw), nil
}

// newClientID makes a client id: 130 random bits. It is not a secret, but
// nobody can have taken it before.
func newClientID(prefix string) (string, error) {
	raw := make([]byte, 17)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("making client id: %w", err)
	}
	return prefix + "mcpr-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)[:26]), nil
}

// newClientSecret makes a client secret: 256 random bits.
func newClientSecret() (authserver.Secret, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return authserver.Secret{}, fmt.Errorf("making client secret: %w", err)
	}
	return authserver.NewSecret(base64.RawURLEncoding.EncodeToString(raw)), nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
