// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	methodNone       = "none"
	methodBasic      = "client_secret_basic"
	methodPost       = "client_secret_post"
	methodPrivateKey = "private_key_jwt"

	grantCode              = "authorization_code"
	grantRefresh           = "refresh_token"
	grantClientCredentials = "client_credentials"

	responseCode = "code"

	applicationWeb    = "web"
	applicationNative = "native"

	codeInvalidMetadata    = "invalid_client_metadata"
	codeInvalidRedirectURI = "invalid_redirect_uri"
	codeStatement          = "unapproved_software_statement"
)

var (
	authMethods = []string{methodNone, methodBasic, methodPost, methodPrivateKey}
	grantTypes  = []string{grantCode, grantRefresh, grantClientCredentials}

	// serverFields are never metadata: the server alone sets them.
	serverFields = []string{
		"client_id", "client_secret", "client_id_issued_at", "client_secret_expires_at",
		"registration_access_token", "registration_client_uri",
	}
	// knownFields survive Switches.DropUnknownFields.
	knownFields = []string{
		"redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "client_name",
		"client_uri", "logo_uri", "scope", "contacts", "tos_uri", "policy_uri", "jwks", "software_id",
		"software_version", "application_type",
	}
)

// metadata is what a client registered, after defaults and switches.
type metadata struct {
	RedirectURIs    []string `json:"redirect_uris"`
	AuthMethod      string   `json:"token_endpoint_auth_method"`
	GrantTypes      []string `json:"grant_types"`
	ResponseTypes   []string `json:"response_types"`
	ClientName      string   `json:"client_name"`
	SoftwareID      string   `json:"software_id"`
	SoftwareVersion string   `json:"software_version"`
	ApplicationType string   `json:"application_type"`
	// Scope is nil if no scope was registered, which allows any scope.
	Scope *string             `json:"scope"`
	JWKS  *jose.JSONWebKeySet `json:"jwks"`
	// JWKSURI and SoftwareStatement are read to be refused.
	JWKSURI           string `json:"jwks_uri"`
	SoftwareStatement string `json:"software_statement"`

	// fields is everything sent, to be echoed.
	fields map[string]json.RawMessage
}

// protocolError is an error answer of RFC 7591 section 3.2.2.
type protocolError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *protocolError) Error() string { return e.Code + ": " + e.Description }

func invalidMetadata(format string, args ...any) error {
	return &protocolError{Code: codeInvalidMetadata, Description: fmt.Sprintf(format, args...)}
}

// parseMetadata reads, completes and checks client metadata.
func parseMetadata(body []byte, supported []string) (metadata, error) {
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return m, invalidMetadata("the body is not a JSON object of client metadata")
	}
	if err := json.Unmarshal(body, &m.fields); err != nil || m.fields == nil {
		return m, invalidMetadata("the body is not a JSON object of client metadata")
	}
	for _, name := range serverFields {
		delete(m.fields, name)
	}
	m.complete()
	for _, check := range []func() error{
		m.checkMethod, m.checkGrants, m.checkKeys, m.checkStatement, m.checkRedirectURIs,
		func() error { return m.checkScope(supported) },
	} {
		if err := check(); err != nil {
			return m, err
		}
	}
	return m, nil
}

// complete fills in the defaults of RFC 7591 section 2.
func (m *metadata) complete() {
	if m.AuthMethod == "" {
		m.AuthMethod = methodBasic
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{grantCode}
	}
	if len(m.ResponseTypes) == 0 && slices.Contains(m.GrantTypes, grantCode) {
		m.ResponseTypes = []string{responseCode}
	}
}

func (m *metadata) checkMethod() error {
	if !slices.Contains(authMethods, m.AuthMethod) {
		return invalidMetadata("token_endpoint_auth_method %q is not supported", m.AuthMethod)
	}
	switch m.ApplicationType {
	case "", applicationWeb, applicationNative:
		return nil
	default:
		return invalidMetadata("application_type %q is not supported", m.ApplicationType)
	}
}

func (m *metadata) checkGrants() error {
	for _, grant := range m.GrantTypes {
		if !slices.Contains(grantTypes, grant) {
			return invalidMetadata("grant type %q is not supported", grant)
		}
	}
	code := slices.Contains(m.GrantTypes, grantCode)
	switch {
	case slices.Contains(m.GrantTypes, grantRefresh) && !code:
		return invalidMetadata("refresh_token needs authorization_code")
	case slices.Contains(m.GrantTypes, grantClientCredentials) && m.AuthMethod == methodNone:
		return invalidMetadata("client_credentials needs client authentication")
	case code != slices.Equal(m.ResponseTypes, []string{responseCode}):
		return invalidMetadata("response_types do not fit grant_types")
	case !code && len(m.ResponseTypes) > 0:
		return invalidMetadata("response_types need authorization_code")
	}
	return nil
}

func (m *metadata) checkKeys() error {
	if m.JWKSURI != "" {
		return invalidMetadata("jwks_uri is not supported, register jwks")
	}
	if m.AuthMethod == methodPrivateKey && (m.JWKS == nil || len(m.JWKS.Keys) == 0) {
		return invalidMetadata("private_key_jwt needs jwks")
	}
	if m.JWKS == nil {
		return nil
	}
	for _, key := range m.JWKS.Keys {
		if !key.Valid() || !key.IsPublic() {
			return invalidMetadata("jwks must hold valid public keys only")
		}
	}
	return nil
}

func (m *metadata) checkStatement() error {
	if m.SoftwareStatement != "" {
		return &protocolError{Code: codeStatement, Description: "no software statement is trusted here"}
	}
	return nil
}

func (m *metadata) checkScope(supported []string) error {
	for _, scope := range m.scopes() {
		if strings.ContainsFunc(scope, notScopeRune) {
			return invalidMetadata("scope has an invalid character")
		}
		if len(supported) > 0 && !slices.Contains(supported, scope) {
			return invalidMetadata("scope %q is not supported", scope)
		}
	}
	return nil
}

// notScopeRune reports characters outside scope-token of RFC 6749 section 3.3.
func notScopeRune(r rune) bool {
	return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
}

func (m *metadata) scopes() []string {
	if m.Scope == nil {
		return nil
	}
	return strings.Fields(*m.Scope)
}

// native tells whether the loopback rule of RFC 8252 section 7.3 holds.
func (m *metadata) native() bool {
	return m.ApplicationType == applicationNative ||
		m.ApplicationType == "" && m.AuthMethod == methodNone
}

// bend narrows and widens what was asked for as the switches order.
func (m *metadata) bend(s Switches) {
	m.narrow(s)
	m.widen(s)
	m.ResponseTypes = nil
	if slices.Contains(m.GrantTypes, grantCode) {
		m.ResponseTypes = []string{responseCode}
	}
}

func (m *metadata) narrow(s Switches) {
	if s.OnlyScopes != nil && m.Scope != nil {
		m.setScopes(keep(m.scopes(), s.OnlyScopes))
	}
	if s.OnlyGrantTypes != nil {
		m.GrantTypes = keep(m.GrantTypes, s.OnlyGrantTypes)
	}
}

func (m *metadata) widen(s Switches) {
	if s.ExtraScope != "" && !slices.Contains(m.scopes(), s.ExtraScope) {
		m.setScopes(append(m.scopes(), s.ExtraScope))
	}
	if s.ExtraGrantType != "" && !slices.Contains(m.GrantTypes, s.ExtraGrantType) {
		m.GrantTypes = append(m.GrantTypes, s.ExtraGrantType)
	}
	if s.ExtraRedirectURI != "" && !slices.Contains(m.RedirectURIs, s.ExtraRedirectURI) {
		m.RedirectURIs = append(m.RedirectURIs, s.ExtraRedirectURI)
	}
	if s.AuthMethod != "" {
		m.AuthMethod = s.AuthMethod
	}
}

func (m *metadata) setScopes(scopes []string) {
	m.Scope = new(strings.Join(scopes, " "))
}

func keep(values, allowed []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !slices.Contains(allowed, v) })
}
