// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"k8s.io/utils/clock"
)

const signingAlgorithm = jose.ES256

var (
	_ op.Storage                        = (*opStorage)(nil)
	_ op.CanGetPrivateClaimsFromRequest = (*opStorage)(nil)
	_ op.ClientCredentialsStorage       = (*opStorage)(nil)

	// errNotUsed is the answer of what the engine asks for only on ways this
	// server does not go.
	errNotUsed = errors.New("not used by this server")
	errNoKey   = errors.New("no such key")
)

// opStorage is the engine's view of the registry and the grants.
type opStorage struct {
	registry *registry
	grants   *grants
	clock    clock.PassiveClock
	lifetime time.Duration
	key      *signingKey
}

func newOPStorage(r *registry, g *grants, c clock.PassiveClock, lifetime time.Duration) (*opStorage, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making signing key: %w", err)
	}
	return &opStorage{
		registry: r, grants: g, clock: c, lifetime: lifetime,
		key: &signingKey{id: rand.Text(), private: private},
	}, nil
}

// SaveAuthCode implements op.AuthStorage.
func (s *opStorage) SaveAuthCode(_ context.Context, id, code string) error {
	return s.grants.saveCode(id, code)
}

// CreateAccessToken implements op.AuthStorage.
func (s *opStorage) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	t, err := ownRequest(request)
	if err != nil {
		return "", time.Time{}, err
	}
	expires := s.clock.Now().Add(cmp.Or(t.lifetime, s.lifetime))
	return s.grants.issueAccess(t, expires), expires, nil
}

// CreateAccessAndRefreshTokens implements op.AuthStorage.
func (s *opStorage) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, current string) (jti, next string, expires time.Time, err error) {
	t, err := ownRequest(request)
	if err != nil {
		return "", "", time.Time{}, err
	}
	if current == "" {
		next = s.grants.issueRefresh(t)
	} else if next, err = s.grants.rotate(current); err != nil {
		return "", "", time.Time{}, oidc.ErrInvalidGrant().WithParent(err)
	}
	jti, expires, err = s.CreateAccessToken(ctx, t)
	return jti, next, expires, err
}

func ownRequest(request op.TokenRequest) (*tokenRequest, error) {
	switch t := request.(type) {
	case *tokenRequest:
		return t, nil
	case *refreshableRequest:
		return t.tokenRequest, nil
	default:
		return nil, errNotUsed
	}
}

// GetPrivateClaimsFromRequest implements op.CanGetPrivateClaimsFromRequest:
// it adds the scope claim of RFC 9068.
func (s *opStorage) GetPrivateClaimsFromRequest(_ context.Context, request op.TokenRequest, _ []string) (map[string]any, error) {
	if len(request.GetScopes()) == 0 {
		return map[string]any{}, nil
	}
	return map[string]any{"scope": strings.Join(request.GetScopes(), " ")}, nil
}

// GetRefreshTokenInfo implements op.AuthStorage.
func (s *opStorage) GetRefreshTokenInfo(_ context.Context, clientID, token string) (userID, tokenID string, err error) {
	if owner, _, ok := s.grants.refreshOwner(token); !ok || owner != clientID {
		return "", "", op.ErrInvalidRefreshToken
	}
	return user, token, nil
}

// RevokeToken implements op.AuthStorage. Revoking a refresh token ends its
// consent; a token nobody knows is revoked already (RFC 7009 section 2.2).
func (s *opStorage) RevokeToken(_ context.Context, token, _, clientID string) *oidc.Error {
	if owner, consent, ok := s.grants.refreshOwner(token); ok {
		if owner != clientID {
			return oidc.ErrUnauthorizedClient()
		}
		s.grants.revokeConsent(consent)
		return nil
	}
	if owner, ok := s.grants.accessOwner(token); ok {
		if owner != clientID {
			return oidc.ErrUnauthorizedClient()
		}
		s.grants.revokeAccess(token)
	}
	return nil
}

// GetClientByClientID implements op.OPStorage.
func (s *opStorage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	rec, ok := s.registry.get(id)
	if !ok {
		return nil, oidc.ErrInvalidClient().WithParent(errUnknownClient)
	}
	return opClient{rec}, nil
}

// AuthorizeClientIDSecret implements op.OPStorage.
func (s *opStorage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	rec, ok := s.registry.get(id)
	if !ok || !rec.secretValid(secret, s.clock.Now()) {
		return oidc.ErrInvalidClient()
	}
	return nil
}

// GetKeyByIDAndClientID implements op.OPStorage. A client with one key need
// not name it.
func (s *opStorage) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	rec, ok := s.registry.get(clientID)
	if !ok || rec.JWKS == nil {
		return nil, errNoKey
	}
	if keys := rec.JWKS.Key(keyID); len(keys) > 0 {
		return &keys[0], nil
	}
	if keyID == "" && len(rec.JWKS.Keys) == 1 {
		return &rec.JWKS.Keys[0], nil
	}
	return nil, errNoKey
}

// SigningKey implements op.AuthStorage.
func (s *opStorage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

// SignatureAlgorithms implements op.AuthStorage.
func (s *opStorage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{signingAlgorithm}, nil
}

// KeySet implements op.AuthStorage.
func (s *opStorage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey{s.key}}, nil
}

type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return signingAlgorithm }
func (k *signingKey) Key() any                                    { return k.private }
func (k *signingKey) ID() string                                  { return k.id }

type publicKey struct {
	*signingKey
}

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return signingAlgorithm }
func (k publicKey) Use() string                        { return oidc.KeyUseSignature }
func (k publicKey) Key() any                           { return &k.private.PublicKey }
