// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The engine's storage interface covers ways this server does not go: login
// pages, sessions, the user info endpoint and assertion grants. engine takes
// the requests to its own methods before any of these would be called.

// CreateAuthRequest implements op.AuthStorage.
func (s *opStorage) CreateAuthRequest(context.Context, *oidc.AuthRequest, string) (op.AuthRequest, error) {
	return nil, errNotUsed
}

// AuthRequestByID implements op.AuthStorage.
func (s *opStorage) AuthRequestByID(context.Context, string) (op.AuthRequest, error) {
	return nil, errNotUsed
}

// AuthRequestByCode implements op.AuthStorage.
func (s *opStorage) AuthRequestByCode(context.Context, string) (op.AuthRequest, error) {
	return nil, errNotUsed
}

// DeleteAuthRequest implements op.AuthStorage.
func (s *opStorage) DeleteAuthRequest(context.Context, string) error { return errNotUsed }

// TokenRequestByRefreshToken implements op.AuthStorage.
func (s *opStorage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, errNotUsed
}

// TerminateSession implements op.AuthStorage.
func (s *opStorage) TerminateSession(context.Context, string, string) error { return errNotUsed }

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *opStorage) ClientCredentials(context.Context, string, string) (op.Client, error) {
	return nil, errNotUsed
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *opStorage) ClientCredentialsTokenRequest(context.Context, string, []string) (op.TokenRequest, error) {
	return nil, errNotUsed
}

// SetUserinfoFromScopes implements op.OPStorage: identity tokens carry the
// subject and nothing else about the user.
func (s *opStorage) SetUserinfoFromScopes(_ context.Context, info *oidc.UserInfo, userID, _ string, _ []string) error {
	info.Subject = userID
	return nil
}

// SetUserinfoFromToken implements op.OPStorage.
func (s *opStorage) SetUserinfoFromToken(context.Context, *oidc.UserInfo, string, string, string) error {
	return errNotUsed
}

// SetIntrospectionFromToken implements op.OPStorage.
func (s *opStorage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotUsed
}

// GetPrivateClaimsFromScopes implements op.OPStorage.
func (s *opStorage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errNotUsed
}

// ValidateJWTProfileScopes implements op.OPStorage.
func (s *opStorage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotUsed
}

// Health implements op.Storage: what is in memory is always ready.
func (s *opStorage) Health(context.Context) error { return nil }
