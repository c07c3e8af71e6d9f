// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"k8s.io/utils/clock"
)

// assertionMaxAge bounds the age of a client assertion.
const assertionMaxAge = time.Hour

var _ op.Server = (*engine)(nil)

// engine is the protocol engine of zitadel/oidc with the rules of this server
// put before it: PKCE with S256 for every client, scopes that are refused and
// not dropped, resource indicators, and OAuth errors with their proper status.
type engine struct {
	*op.LegacyServer
	storage   *opStorage
	supported []string
	hydra     bool
	documents bool
	clock     clock.PassiveClock
	switches  func() Switches
}

func newEngine(o Options, storage *opStorage, issuer func() string, switches func() Switches) (*engine, error) {
	config := &op.Config{CodeMethodS256: true, AuthMethodPost: true, AuthMethodPrivateKeyJWT: true, GrantTypeRefreshToken: true}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return nil, fmt.Errorf("making code key: %w", err)
	}
	provider, err := op.NewProvider(config, storage, func(bool) (op.IssuerFromRequest, error) {
		return func(*http.Request) string { return issuer() }, nil
	})
	if err != nil {
		return nil, fmt.Errorf("building engine: %w", err)
	}
	return &engine{
		LegacyServer: op.NewLegacyServer(provider, op.Endpoints{
			Authorization: op.NewEndpoint(pathAuthorize),
			Token:         op.NewEndpoint(pathToken),
			Introspection: op.NewEndpoint(pathIntrospect),
			Revocation:    op.NewEndpoint(pathRevoke),
			JwksURI:       op.NewEndpoint(pathKeys),
		}),
		storage: storage, supported: o.ScopesSupported, hydra: o.Hydra,
		documents: o.MetadataDocuments != nil, clock: storage.clock, switches: switches,
	}, nil
}

func (e *engine) handler() http.Handler {
	return op.RegisterServer(e, e.Endpoints(),
		op.WithHTTPMiddleware(op.NewIssuerInterceptor(e.Provider().IssuerFromRequest).Handler),
		op.WithServerCORSOptions(nil))
}

// VerifyClient authenticates a client by the one method it is registered with.
func (e *engine) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if r.Data.ClientAssertion != "" {
		return e.verifyAssertion(ctx, r.Data.ClientAssertion)
	}
	rec, ok := e.storage.registry.get(r.Data.ClientID)
	if !ok {
		return nil, invalidClient(errUnknownClient)
	}
	_, _, basic := (&http.Request{Header: r.Header}).BasicAuth()
	switch {
	case rec.AuthMethod == methodNone && r.Data.ClientSecret == "":
	case rec.AuthMethod == methodPost && !basic && rec.secretValid(r.Data.ClientSecret, e.clock.Now()):
	case rec.AuthMethod == methodBasic && basic && rec.secretValid(r.Data.ClientSecret, e.clock.Now()):
	default:
		return nil, invalidClient(errUnauthorized)
	}
	return opClient{rec}, nil
}

// verifyAssertion accepts the issuer and the token endpoint as audience:
// clients are told one by RFC 7523bis and the other by RFC 7523.
func (e *engine) verifyAssertion(ctx context.Context, assertion string) (op.Client, error) {
	issuer := op.IssuerFromContext(ctx)
	var err error
	for _, audience := range []string{issuer, issuer + pathToken} {
		verifier := op.NewJWTProfileVerifier(e.storage, audience, assertionMaxAge, time.Second)
		var claims *oidc.JWTTokenRequest
		if claims, err = op.VerifyJWTAssertion(ctx, assertion, verifier); err == nil {
			return e.assertedClient(ctx, claims.Issuer, assertion)
		}
		if !errors.Is(err, oidc.ErrAudience) {
			break
		}
	}
	return nil, invalidClient(err)
}

func (e *engine) assertedClient(ctx context.Context, id, assertion string) (op.Client, error) {
	noteClient(ctx, id)
	rec, ok := e.storage.registry.get(id)
	if !ok || rec.AuthMethod != methodPrivateKey || !rec.signs(assertion) {
		return nil, invalidClient(errUnknownClient)
	}
	return opClient{rec}, nil
}

// invalidClient is the error of RFC 6749 section 5.2, which comes with 401.
func invalidClient(cause error) error {
	return op.NewStatusError(
		oidc.ErrInvalidClient().WithDescription("client authentication failed").WithParent(cause),
		http.StatusUnauthorized)
}

// Discovery is the metadata document, with the deviations ordered.
func (e *engine) Discovery(ctx context.Context, r *op.Request[struct{}]) (*op.Response, error) {
	resp, err := e.LegacyServer.Discovery(ctx, r)
	if err != nil {
		return nil, err
	}
	config, ok := resp.Data.(*oidc.DiscoveryConfiguration)
	if !ok {
		return nil, fmt.Errorf("discovery of type %T: %w", resp.Data, errNotUsed)
	}
	s := e.switches()
	e.describe(config, s)
	if s.Issuer != "" {
		config.Issuer = s.Issuer
	}
	if s.AcceptPlain {
		config.CodeChallengeMethodsSupported = append(config.CodeChallengeMethodsSupported, oidc.CodeChallengeMethodPlain)
	}
	if s.HideS256 {
		config.CodeChallengeMethodsSupported = nil
	}
	if s.AuthMethods != nil {
		config.TokenEndpointAuthMethodsSupported = convert[oidc.AuthMethod](s.AuthMethods)
	}
	return op.NewResponse(struct {
		*oidc.DiscoveryConfiguration
		IssParameter bool `json:"authorization_response_iss_parameter_supported"`
		Documents    bool `json:"client_id_metadata_document_supported,omitempty"`
	}{config, true, e.documents}), nil
}

// describe corrects the engine's document where this server does less than
// the engine, or more.
func (e *engine) describe(config *oidc.DiscoveryConfiguration, s Switches) {
	origin := config.Issuer
	if s.RegistrationOrigin != "" {
		origin = s.RegistrationOrigin
	}
	algorithms := []string{string(jose.RS256), string(jose.ES256), string(jose.PS256)}
	if !e.hydra {
		config.RegistrationEndpoint = origin + pathRegister
	}
	config.ScopesSupported = e.supported
	config.GrantTypesSupported = convert[oidc.GrantType](grantTypes)
	config.ResponseTypesSupported = []string{responseCode}
	config.TokenEndpointAuthSigningAlgValuesSupported = algorithms
	config.RevocationEndpointAuthSigningAlgValuesSupported = algorithms
	config.IntrospectionEndpointAuthSigningAlgValuesSupported = algorithms
	config.ClaimsSupported = nil
}
