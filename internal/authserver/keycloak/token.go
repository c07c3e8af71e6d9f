// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	// earliest and share say when a token is renewed: a share of its life, but
	// no more than earliest, before it ends.
	earliest = 30 * time.Second
	share    = 4
)

// adminToken is an access token of the register's service account.
type adminToken struct {
	value authserver.Secret
	renew time.Time
	// skew is by how much the server's clock was ahead when it issued the
	// token; nil where the token does not say.
	skew *time.Duration
}

// tokenCache holds the last token. Only one caller at a time gets a new one.
type tokenCache struct {
	held     atomic.Pointer[adminToken]
	fetching chan struct{}
}

func newTokenCache() tokenCache { return tokenCache{fetching: make(chan struct{}, 1)} }

// adminToken returns a token that is good for some time and is not the stale
// one, which the admin API refused.
func (s *Server) adminToken(ctx context.Context, op string, stale *adminToken) (*adminToken, error) {
	if held := s.token.held.Load(); s.usable(held, stale) {
		return held, nil
	}
	select {
	case s.token.fetching <- struct{}{}:
		defer func() { <-s.token.fetching }()
	case <-ctx.Done():
		return nil, &authserver.Error{Kind: authserver.Unavailable, Op: op, Err: exchange.Cause(ctx.Err())}
	}
	if held := s.token.held.Load(); s.usable(held, stale) {
		return held, nil
	}
	fetched, err := s.fetchToken(ctx, op)
	if err != nil {
		return nil, err
	}
	s.token.held.Store(fetched)
	return fetched, nil
}

func (s *Server) usable(held, stale *adminToken) bool {
	return held != nil && held != stale && s.now().Before(held.renew)
}

// fetchToken asks for a token with client_credentials (RFC 6749 §4.4).
func (s *Server) fetchToken(ctx context.Context, op string) (*adminToken, error) {
	if s.config.AdminID == "" || s.config.AdminPassword.IsZero() {
		return nil, &authserver.Error{Kind: authserver.Unauthorized, Op: op, Code: CodeAdminRefused}
	}
	c := exchange.Call{
		Op: op, Method: http.MethodPost, URL: s.tokens, ContentType: exchange.FormType,
		Authorization: exchange.Basic(s.config.AdminID, s.config.AdminPassword),
		Body:          []byte("grant_type=client_credentials"), Missing: CodeRealmNotFound, Nowhere: CodeRealmNotFound,
	}
	asked := s.now()
	got, err := s.exchange.Send(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case got.Status != http.StatusOK:
		return nil, s.refusedToken(c, got)
	}
	fields, err := exchange.Read(c, got)
	if err != nil {
		return nil, err
	}
	value := fields.Visible("access_token", exchange.LongToken)
	if value == "" {
		fields.Fail("access_token")
	}
	life := time.Duration(min(max(fields.Number("expires_in"), 0), int64(time.Hour/time.Second))) * time.Second
	if err := fields.Err(); err != nil {
		return nil, exchange.Useless(c, got, err)
	}
	return &adminToken{
		value: authserver.NewSecret(value),
		renew: asked.Add(life - min(earliest, life/share)),
		skew:  skew(value, s.now()),
	}, nil
}

// refusedToken is the error for an answer without a token. That the register's
// own credentials are wrong comes as 400 or 401.
func (s *Server) refusedToken(c exchange.Call, got exchange.Answer) error {
	failure := s.exchange.Classify(c, got)
	switch exchange.ErrorCode(got) {
	case "invalid_client", "unauthorized_client", "unsupported_grant_type":
		failure.Kind = authserver.Unauthorized
	}
	if failure.Kind == authserver.Unauthorized {
		failure.Code = CodeAdminRefused
	}
	return failure
}

// skew compares iat of a token that is a JWT with the time at which it came.
// The token is the register's own and only read for the time.
func skew(token string, now time.Time) *time.Duration {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	claims, err := exchange.DecodeObject(raw)
	if err != nil {
		return nil
	}
	issued := claims.Instant("iat")
	if claims.Err() != nil || issued.IsZero() {
		return nil
	}
	// iat is in whole seconds: on the average half a second was cut off.
	return new(issued.Add(time.Second / 2).Sub(now))
}
