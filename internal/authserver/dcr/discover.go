// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	wellKnownOAuth  = "/.well-known/oauth-authorization-server"
	wellKnownOpenID = "/.well-known/openid-configuration"
)

const discoverOp = "discovering metadata"

// Discover reads RFC 8414 metadata, or OpenID Connect Discovery where that is not
// found, and both where the first lacks an endpoint that is needed. What it returned last is what Register uses.
func (s *Server) Discover(ctx context.Context) (authserver.Metadata, error) {
	metadata, err := s.discover(ctx)
	if err == nil {
		// Whichever document names the endpoint.
		metadata.OpenIDImplied = registersLikeKeycloak(metadata.RegistrationEndpoint)
		s.metadata.Store(&metadata)
		return metadata, nil
	}
	var failure *authserver.Error
	if errors.As(err, &failure) && failure.Kind == authserver.Rejected {
		s.metadata.Store(nil)
	}
	return authserver.Metadata{}, err
}

// known returns the metadata that Discover returned last, or discovers it;
// only one caller at a time does.
func (s *Server) known(ctx context.Context) (authserver.Metadata, error) {
	if metadata := s.metadata.Load(); metadata != nil {
		return *metadata, nil
	}
	select {
	case s.discovering <- struct{}{}:
		defer func() { <-s.discovering }()
	case <-ctx.Done():
		return authserver.Metadata{}, &authserver.Error{
			Kind: authserver.Unavailable, Op: discoverOp, Err: exchange.Cause(ctx.Err()),
		}
	}
	if metadata := s.metadata.Load(); metadata != nil {
		return *metadata, nil
	}
	return s.Discover(ctx)
}

// discover reads the first document that is there. Where that lacks an endpoint that
// is needed, the next one may have it: some servers name the registration endpoint in
// the document of OpenID Connect only.
func (s *Server) discover(ctx context.Context) (authserver.Metadata, error) {
	var first *authserver.Metadata
	missing := &authserver.Error{
		Kind: authserver.Rejected, Op: discoverOp, Status: http.StatusNotFound, Code: CodeMetadataNotFound,
	}
	for _, place := range s.wellKnown() {
		metadata, err := s.readPlace(ctx, place)
		failure, failed := errors.AsType[*authserver.Error](err)
		switch {
		case first != nil:
			return merge(*first, metadata, failure)
		case failed && failure.Status == http.StatusNotFound:
			// Only the server's own word says that there is no document.
			missing.Kind = min(missing.Kind, failure.Kind)
		case err != nil, s.whole(metadata):
			return metadata, err
		default:
			first = &metadata
		}
	}
	if first != nil {
		return *first, nil
	}
	return authserver.Metadata{}, missing
}

// whole reports whether metadata names every endpoint that is needed.
func (s *Server) whole(metadata authserver.Metadata) bool {
	return metadata.TokenEndpoint != "" && (metadata.RegistrationEndpoint != "" || s.options.MetadataOnly)
}

// merge completes a document with a second one of the same issuer. That there is
// none is for the server to say; two that contradict each other are both refused.
func merge(first, second authserver.Metadata, failure *authserver.Error) (authserver.Metadata, error) {
	switch {
	case failure == nil:
	case failure.Code == CodeIssuerMismatch:
		return authserver.Metadata{}, differ("issuer")
	case failure.Status == http.StatusNotFound, failure.Status != http.StatusOK && failure.Kind != authserver.Unavailable:
		return first, nil
	default:
		return authserver.Metadata{}, failure
	}
	if names := differing(first, second); len(names) > 0 {
		return authserver.Metadata{}, differ(names...)
	}
	first.TokenEndpoint = cmp.Or(first.TokenEndpoint, second.TokenEndpoint)
	first.RegistrationEndpoint = cmp.Or(first.RegistrationEndpoint, second.RegistrationEndpoint)
	first.JWKSURI = cmp.Or(first.JWKSURI, second.JWKSURI)
	if first.TokenEndpointAuthMethods == nil {
		first.TokenEndpointAuthMethods = second.TokenEndpointAuthMethods
	}
	return first, nil
}

// differing names the members that two documents both have, and that say where
// credentials go and whose tokens count, where they are not the same.
func differing(first, second authserver.Metadata) []string {
	var names []string
	for _, member := range []struct{ name, first, second string }{
		{"token_endpoint", first.TokenEndpoint, second.TokenEndpoint},
		{"registration_endpoint", first.RegistrationEndpoint, second.RegistrationEndpoint},
		{"jwks_uri", first.JWKSURI, second.JWKSURI},
	} {
		if member.first != "" && member.second != "" && member.first != member.second {
			names = append(names, member.name)
		}
	}
	return names
}

// differ is the error of two documents that contradict each other. Its cause names
// the members, which are not the server's words.
func differ(names ...string) *authserver.Error {
	return &authserver.Error{
		Kind: authserver.Rejected, Op: discoverOp, Status: http.StatusOK, Code: CodeMetadataDiffers,
		Err: errors.New(strings.Join(names, ", ")),
	}
}

func (s *Server) readPlace(ctx context.Context, place string) (authserver.Metadata, error) {
	c := exchange.Call{
		Op: discoverOp, Method: http.MethodGet, URL: place, Missing: CodeMetadataNotFound,
	}
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return authserver.Metadata{}, err
	}
	if got.Status != http.StatusOK {
		return authserver.Metadata{}, s.exchange.Classify(c, got)
	}
	return s.readMetadata(c, got)
}

// wellKnown returns the places of the metadata: RFC 8414 §3.1 puts its
// segment between host and path, OpenID Connect Discovery §4 after the path.
func (s *Server) wellKnown() []string {
	path := ""
	if parsed, err := url.Parse(s.config.Issuer); err == nil {
		path = strings.TrimSuffix(parsed.EscapedPath(), "/")
	}
	return []string{
		s.exchange.Origin() + wellKnownOAuth + path,
		s.exchange.Origin() + path + wellKnownOpenID,
	}
}

func (s *Server) readMetadata(c exchange.Call, a exchange.Answer) (authserver.Metadata, error) {
	fields, err := exchange.Read(c, a)
	if err != nil {
		return authserver.Metadata{}, err
	}
	metadata, err := parseMetadata(fields)
	if err != nil {
		return authserver.Metadata{}, exchange.Useless(c, a, err)
	}
	if code := s.unfit(metadata); code != "" {
		return authserver.Metadata{}, &authserver.Error{
			Kind: authserver.Rejected, Op: discoverOp, Status: a.Status, Code: code,
		}
	}
	metadata.ClockSkew = clockSkew(a.Header, s.options.Now())
	return metadata, nil
}

// clockSkew is by how much the server's clock is ahead, from the Date header of
// an answer (RFC 9110 §6.6.1). That is cut off to the second: on average half a
// second is missing.
func clockSkew(header http.Header, now time.Time) *time.Duration {
	said, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return nil
	}
	return new(said.Add(500 * time.Millisecond).Sub(now))
}

// unfit returns why metadata must not be used, or nothing. The issuer is
// compared byte by byte (RFC 8414 §3.3).
func (s *Server) unfit(metadata authserver.Metadata) string {
	if metadata.Issuer != s.config.Issuer {
		return CodeIssuerMismatch
	}
	for _, endpoint := range []string{metadata.RegistrationEndpoint, metadata.TokenEndpoint} {
		if endpoint != "" && !s.exchange.Ours(endpoint) {
			return CodeForeignEndpoint
		}
	}
	return ""
}

func parseMetadata(fields *exchange.Object) (authserver.Metadata, error) {
	metadata := authserver.Metadata{
		Issuer:                   fields.Text("issuer", exchange.LongText),
		AuthorizationEndpoint:    fields.Text("authorization_endpoint", exchange.LongText),
		TokenEndpoint:            fields.Text("token_endpoint", exchange.LongText),
		RegistrationEndpoint:     fields.Text("registration_endpoint", exchange.LongText),
		JWKSURI:                  fields.Text("jwks_uri", exchange.LongText),
		RevocationEndpoint:       fields.Text("revocation_endpoint", exchange.LongText),
		IntrospectionEndpoint:    fields.Text("introspection_endpoint", exchange.LongText),
		CodeChallengeMethods:     fields.Texts("code_challenge_methods_supported"),
		GrantTypes:               fields.Texts("grant_types_supported"),
		TokenEndpointAuthMethods: fields.Texts("token_endpoint_auth_methods_supported"),
		Scopes:                   fields.Texts("scopes_supported"),
		ClientIDMetadataDocument: fields.Flag("client_id_metadata_document_supported"),
		IssuerInResponse:         fields.Flag("authorization_response_iss_parameter_supported"),
	}
	if fields.Err() == nil && metadata.Issuer == "" {
		fields.Fail("issuer")
	}
	return metadata, fields.Err()
}

// registersLikeKeycloak reports whether a registration endpoint is one of Keycloak, by
// the path that all of its realms have. It publishes openid in scopes_supported, has no
// client scope of that name, and refuses to register a client with it.
func registersLikeKeycloak(endpoint string) bool {
	parsed, err := url.Parse(endpoint)
	return err == nil && strings.HasSuffix(parsed.Path, "/clients-registrations/openid-connect")
}
