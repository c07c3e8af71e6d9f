// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"math"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// CodeExchange redeems an authorization code. The code verifier is required
// of every client, confidential or not.
func (e *engine) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	rec, err := ownClient(r.Client)
	if err != nil {
		return nil, err
	}
	consented, err := e.storage.grants.redeem(r.Data.Code, rec.id)
	if err != nil {
		return nil, oidc.ErrInvalidGrant().WithParent(err)
	}
	if consented.GetRedirectURI() != r.Data.RedirectURI {
		return nil, oidc.ErrInvalidGrant().WithDescription("redirect_uri is not that of the authorization request")
	}
	if !e.switches().PKCEOptional {
		if err := op.AuthorizeCodeChallenge(r.Data.CodeVerifier, consented.GetCodeChallenge()); err != nil {
			return nil, err
		}
	}
	audience, err := rec.audience(consented.resources, r.Form)
	if err != nil {
		return nil, err
	}
	request := &tokenRequest{
		clientID: rec.id, subject: user, consent: consented.consent, authTime: consented.authTime,
		scopes: e.stillGrantable(rec, consented.scopes), audience: audience,
	}
	var issue op.TokenRequest = request
	if slices.Contains(rec.GrantTypes, grantRefresh) {
		issue = &refreshableRequest{request}
	}
	response, err := e.issue(ctx, issue, r.Client, "")
	if err != nil {
		return nil, err
	}
	return e.withIDToken(ctx, response, consented, r)
}

// withIDToken adds an identity token if openid was asked for.
func (e *engine) withIDToken(ctx context.Context, response *oidc.AccessTokenResponse, consented *authRequest, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	if !slices.Contains(consented.scopes, oidc.ScopeOpenID) {
		return op.NewResponse(response), nil
	}
	var err error
	response.IDToken, err = op.CreateIDToken(ctx, op.IssuerFromContext(ctx), consented, r.Client.IDTokenLifetime(),
		response.AccessToken, r.Data.Code, e.storage, r.Client)
	if err != nil {
		return nil, err
	}
	return op.NewResponse(response), nil
}

// RefreshToken exchanges a refresh token for its successor. Scopes the client
// has lost since are left out.
func (e *engine) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	rec, err := ownClient(r.Client)
	if err != nil {
		return nil, err
	}
	consented, err := e.storage.grants.refreshRequest(r.Data.RefreshToken)
	if err != nil || consented.clientID != rec.id {
		return nil, oidc.ErrInvalidGrant().WithParent(err)
	}
	audience, err := rec.audience(consented.audience, r.Form)
	if err != nil {
		return nil, err
	}
	request := &refreshableRequest{consented.narrowed(e.stillGrantable(rec, consented.scopes), audience)}
	if err := op.ValidateRefreshTokenScopes(r.Data.Scopes, request); err != nil {
		return nil, err
	}
	response, err := e.issue(ctx, request, r.Client, r.Data.RefreshToken)
	if err != nil {
		return nil, err
	}
	return op.NewResponse(response), nil
}

// ClientCredentialsExchange issues a token to the client itself.
func (e *engine) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	rec, err := ownClient(r.Client)
	if err != nil {
		return nil, err
	}
	scopes, err := e.grantable(rec, r.Data.Scope)
	if err != nil {
		return nil, err
	}
	audience, err := rec.resources(r.Form)
	if err != nil {
		return nil, err
	}
	request := &tokenRequest{clientID: rec.id, subject: rec.id, scopes: scopes, audience: audience, authTime: e.clock.Now()}
	response, err := e.issue(ctx, request, r.Client, "")
	if err != nil {
		return nil, err
	}
	return op.NewResponse(response), nil
}

// JWTProfile is a grant this server does not know.
func (e *engine) JWTProfile(ctx context.Context, r *op.Request[oidc.JWTProfileGrantRequest]) (*op.Response, error) {
	return op.UnimplementedServer{}.JWTProfile(ctx, r)
}

func (e *engine) issue(ctx context.Context, request op.TokenRequest, client op.Client, current string) (*oidc.AccessTokenResponse, error) {
	own, err := ownRequest(request)
	if err != nil {
		return nil, err
	}
	rec, err := ownClient(client)
	if err != nil {
		return nil, err
	}
	own.lifetime = rec.lifespan(own.grant(current))
	e.switches().deviates(own)
	token, next, validity, err := op.CreateAccessToken(ctx, request, client.AccessTokenType(), e.Provider(), client, current)
	if err != nil {
		return nil, err
	}
	return &oidc.AccessTokenResponse{
		AccessToken:  token,
		RefreshToken: next,
		TokenType:    oidc.BearerToken,
		ExpiresIn:    uint64(math.Round(validity.Seconds())),
		Scope:        request.GetScopes(),
	}, nil
}
