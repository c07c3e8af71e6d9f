// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// user is the one person who uses this server, and always consents.
const user = "dev"

var (
	_ op.AuthRequest         = (*authRequest)(nil)
	_ op.IDTokenRequest      = (*tokenRequest)(nil)
	_ op.RefreshTokenRequest = (*refreshableRequest)(nil)
)

// authRequest is an authorization request the user has consented to.
type authRequest struct {
	id        string
	clientID  string
	consent   string
	scopes    []string
	resources []string
	authTime  time.Time
	sent      *oidc.AuthRequest
}

func (a *authRequest) GetID() string                      { return a.id }
func (a *authRequest) GetACR() string                     { return "" }
func (a *authRequest) GetAMR() []string                   { return nil }
func (a *authRequest) GetAudience() []string              { return []string{a.clientID} }
func (a *authRequest) GetAuthTime() time.Time             { return a.authTime }
func (a *authRequest) GetClientID() string                { return a.clientID }
func (a *authRequest) GetNonce() string                   { return a.sent.Nonce }
func (a *authRequest) GetRedirectURI() string             { return a.sent.RedirectURI }
func (a *authRequest) GetScopes() []string                { return a.scopes }
func (a *authRequest) GetState() string                   { return a.sent.State }
func (a *authRequest) GetSubject() string                 { return user }
func (a *authRequest) Done() bool                         { return true }
func (a *authRequest) GetResponseType() oidc.ResponseType { return a.sent.ResponseType }
func (a *authRequest) GetResponseMode() oidc.ResponseMode { return a.sent.ResponseMode }

func (a *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: a.sent.CodeChallenge, Method: a.sent.CodeChallengeMethod}
}

// tokenRequest is what an access token is issued for. All tokens of one
// consent end together.
type tokenRequest struct {
	clientID string
	subject  string
	consent  string
	scopes   []string
	audience []string
	authTime time.Time
	// lifetime is that of the access token; 0 means the server's own.
	lifetime time.Duration
}

func (t *tokenRequest) GetAMR() []string       { return nil }
func (t *tokenRequest) GetAudience() []string  { return t.audience }
func (t *tokenRequest) GetAuthTime() time.Time { return t.authTime }
func (t *tokenRequest) GetClientID() string    { return t.clientID }
func (t *tokenRequest) GetScopes() []string    { return t.scopes }
func (t *tokenRequest) GetSubject() string     { return t.subject }

// grant is the grant type by which a token is issued; current is the refresh
// token that is presented, if any.
func (t *tokenRequest) grant(current string) string {
	switch {
	case current != "":
		return grantRefresh
	case t.consent != "":
		return grantCode
	}
	return grantClientCredentials
}

// narrowed is the same request for fewer scopes and resources.
func (t *tokenRequest) narrowed(scopes, audience []string) *tokenRequest {
	n := *t
	n.scopes, n.audience = scopes, audience
	return &n
}

// refreshableRequest tells the engine to issue a refresh token, too.
type refreshableRequest struct {
	*tokenRequest
}

// SetCurrentScopes narrows the scopes of the access token to be issued.
func (r *refreshableRequest) SetCurrentScopes(scopes []string) {
	r.tokenRequest = r.narrowed(scopes, r.audience)
}
