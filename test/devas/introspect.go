// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Introspect tells any client that authenticates about any token. Tokens of a
// deleted client are inactive.
func (e *engine) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	_, err := e.VerifyClient(ctx, &op.Request[op.ClientCredentials]{
		Method: r.Method, URL: r.URL, Header: r.Header, Form: r.Form, PostForm: r.PostForm, Data: r.Data.ClientCredentials,
	})
	if err != nil {
		return nil, err
	}
	token := r.Data.Token
	if request, ok := e.storage.grants.activeRefresh(token); ok {
		return op.NewResponse(&oidc.IntrospectionResponse{
			Active: true, Scope: request.scopes, ClientID: request.clientID, Subject: request.subject,
			Audience: request.audience, Issuer: op.IssuerFromContext(ctx),
		}), nil
	}
	claims, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](ctx, token, e.Provider().AccessTokenVerifier(ctx))
	if err != nil {
		return op.NewResponse(&oidc.IntrospectionResponse{}), nil //nolint:nilerr // a bad token is an inactive one (RFC 7662 section 2.2)
	}
	if _, ok := e.storage.grants.accessOwner(claims.JWTID); !ok {
		return op.NewResponse(&oidc.IntrospectionResponse{}), nil
	}
	return op.NewResponse(&oidc.IntrospectionResponse{
		Active: true, Scope: claims.Scopes, ClientID: claims.ClientID, TokenType: oidc.BearerToken,
		Expiration: claims.Expiration, IssuedAt: claims.IssuedAt, NotBefore: claims.NotBefore,
		Subject: claims.Subject, Audience: claims.Audience, Issuer: claims.Issuer, JWTID: claims.JWTID,
	}), nil
}
