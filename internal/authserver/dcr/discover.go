// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	wellKnownOAuth  = "/.well-known/oauth-authorization-server"
	wellKnownOpenID = "/.well-known/openid-configuration"
)

const discoverOp = "discovering metadata"

// Discover reads RFC 8414 metadata, or OpenID Connect Discovery where that is
// not found. What it returned last is what Register uses.
func (s *Server) Discover(ctx context.Context) (authserver.Metadata, error) {
	metadata, err := s.discover(ctx)
	if err == nil {
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
			Kind: authserver.Unavailable, Op: discoverOp, Err: cause(ctx.Err()),
		}
	}
	if metadata := s.metadata.Load(); metadata != nil {
		return *metadata, nil
	}
	return s.Discover(ctx)
}

func (s *Server) discover(ctx context.Context) (authserver.Metadata, error) {
	var last authserver.Metadata
	for _, place := range s.wellKnown() {
		c := call{
			op: discoverOp, method: http.MethodGet, url: place, missing: CodeMetadataNotFound,
		}
		got, err := s.send(ctx, c)
		if err != nil {
			return last, err
		}
		switch got.status {
		case http.StatusOK:
			return s.readMetadata(c, got)
		case http.StatusNotFound:
			continue
		}
		return last, s.classify(c, got)
	}
	return last, &authserver.Error{
		Kind: authserver.Rejected, Op: discoverOp, Status: http.StatusNotFound, Code: CodeMetadataNotFound,
	}
}

// wellKnown returns the places of the metadata: RFC 8414 §3.1 puts its
// segment between host and path, OpenID Connect Discovery §4 after the path.
func (s *Server) wellKnown() []string {
	path := ""
	if parsed, err := url.Parse(s.config.Issuer); err == nil {
		path = strings.TrimSuffix(parsed.EscapedPath(), "/")
	}
	return []string{
		s.origin.String() + wellKnownOAuth + path,
		s.origin.String() + path + wellKnownOpenID,
	}
}

func (s *Server) readMetadata(c call, a answer) (authserver.Metadata, error) {
	if a.bodyErr != nil {
		return authserver.Metadata{}, useless(c, a)
	}
	metadata, err := parseMetadata(a.body)
	if err != nil {
		failure := useless(c, a)
		failure.Err = err
		return authserver.Metadata{}, failure
	}
	if code := s.unfit(metadata); code != "" {
		return authserver.Metadata{}, &authserver.Error{
			Kind: authserver.Rejected, Op: discoverOp, Status: a.status, Code: code,
		}
	}
	return metadata, nil
}

// unfit returns why metadata must not be used, or nothing. The issuer is
// compared byte by byte (RFC 8414 §3.3).
func (s *Server) unfit(metadata authserver.Metadata) string {
	if metadata.Issuer != s.config.Issuer {
		return CodeIssuerMismatch
	}
	for _, endpoint := range []string{metadata.RegistrationEndpoint, metadata.TokenEndpoint} {
		if endpoint != "" && !s.ours(endpoint) {
			return CodeForeignEndpoint
		}
	}
	return ""
}

// ours says that a URL is on the issuer's origin.
func (s *Server) ours(raw string) bool {
	parsed, err := url.Parse(raw)
	return err == nil && parsed.Fragment == "" && s.origin.Includes(parsed)
}

func parseMetadata(raw []byte) (authserver.Metadata, error) {
	fields, err := decodeObject(raw)
	if err != nil {
		return authserver.Metadata{}, err
	}
	metadata := authserver.Metadata{
		Issuer:                   fields.text("issuer", longText),
		AuthorizationEndpoint:    fields.text("authorization_endpoint", longText),
		TokenEndpoint:            fields.text("token_endpoint", longText),
		RegistrationEndpoint:     fields.text("registration_endpoint", longText),
		RevocationEndpoint:       fields.text("revocation_endpoint", longText),
		IntrospectionEndpoint:    fields.text("introspection_endpoint", longText),
		CodeChallengeMethods:     fields.texts("code_challenge_methods_supported"),
		GrantTypes:               fields.texts("grant_types_supported"),
		TokenEndpointAuthMethods: fields.texts("token_endpoint_auth_methods_supported"),
		Scopes:                   fields.texts("scopes_supported"),
		ClientIDMetadataDocument: fields.flag("client_id_metadata_document_supported"),
		IssuerInResponse:         fields.flag("authorization_response_iss_parameter_supported"),
	}
	return metadata, fields.err
}
