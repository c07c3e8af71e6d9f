// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

var (
	errBothKeySets = errors.New("jwks and jwks_uri exclude each other")
	errKeySet      = errors.New("jwks is not a JSON object")
)

// request is client metadata as RFC 7591 §2 and RFC 7592 §2.2 send it. Lists
// that decide what a client may do are never left out, because a server puts
// its own defaults in their place.
type request struct {
	ClientID        string          `json:"client_id,omitempty"`
	ClientName      string          `json:"client_name,omitempty"`
	SoftwareID      string          `json:"software_id,omitempty"`
	SoftwareVersion string          `json:"software_version,omitempty"`
	ApplicationType string          `json:"application_type,omitempty"`
	RedirectURIs    []string        `json:"redirect_uris,omitempty"`
	GrantTypes      []string        `json:"grant_types"`
	ResponseTypes   []string        `json:"response_types"`
	Scope           string          `json:"scope"`
	AuthMethod      string          `json:"token_endpoint_auth_method"`
	JWKS            json.RawMessage `json:"jwks,omitempty"`
	JWKSURI         string          `json:"jwks_uri,omitempty"`
	Contacts        []string        `json:"contacts,omitempty"`
}

func encode(id string, wish authserver.ClientMetadata) ([]byte, error) {
	body := request{
		ClientID: id, ClientName: wish.Name,
		SoftwareID: wish.SoftwareID, SoftwareVersion: wish.SoftwareVersion,
		ApplicationType: strings.ToLower(wish.ApplicationType),
		RedirectURIs:    wish.RedirectURIs,
		GrantTypes:      append([]string{}, wish.GrantTypes...),
		ResponseTypes:   append([]string{}, wish.ResponseTypes...),
		Scope:           strings.Join(wish.Scopes, " "),
		AuthMethod:      wish.AuthMethod,
		JWKSURI:         wish.JWKSURI, Contacts: wish.Contacts,
	}
	if wish.JWKS != "" {
		if wish.JWKSURI != "" {
			return nil, errBothKeySets
		}
		if _, err := exchange.DecodeObject([]byte(wish.JWKS)); err != nil {
			return nil, errKeySet
		}
		body.JWKS = json.RawMessage(wish.JWKS)
	}
	return json.Marshal(body)
}

// parseClient reads a client information response (RFC 7591 §3.2.1). Texts that
// nobody decides by are never wrong. Beside an error the client holds what it
// takes to manage it, as far as that can be read.
func parseClient(fields *exchange.Object, secret authserver.Secret) (authserver.Client, error) {
	client := authserver.Client{
		ID:              fields.Identifier("client_id"),
		Secret:          secret,
		ManagementURI:   fields.Visible("registration_client_uri", exchange.LongText),
		ManagementToken: authserver.NewSecret(fields.Visible("registration_access_token", exchange.LongToken)),
	}
	if fields.Err() == nil && client.ID == "" {
		fields.Fail("client_id")
	}
	whole := client
	whole.SecretExpiresAt = fields.Instant("client_secret_expires_at")
	whole.Registered = authserver.ClientMetadata{
		Name:            fields.Echo("client_name"),
		SoftwareID:      fields.Echo("software_id"),
		SoftwareVersion: fields.Echo("software_version"),
		ApplicationType: fields.Echo("application_type"),
		GrantTypes:      fields.Texts("grant_types"),
		ResponseTypes:   fields.Texts("response_types"),
		RedirectURIs:    fields.Texts("redirect_uris"),
		Scopes:          fields.Words("scope"),
		AuthMethod:      fields.Text("token_endpoint_auth_method", exchange.LongText),
		JWKS:            fields.Set("jwks"),
		JWKSURI:         fields.Text("jwks_uri", exchange.LongText),
		Contacts:        fields.Echoes("contacts"),
	}
	if err := fields.Err(); err != nil {
		return client, err
	}
	return whole, nil
}

// complete fills what an answer does not say about the reach of a client. RFC
// 7591 §3.2.1 obliges a server to return all that it registered; of one that
// does not, nothing is known, and the value that was sent explicitly is what
// it most likely took. Marks, names, contacts and keys stay as answered, so
// that a server that drops them is seen to.
func complete(client *authserver.Client, wish authserver.ClientMetadata) {
	registered := &client.Registered
	registered.Scopes = answered(registered.Scopes, wish.Scopes)
	registered.GrantTypes = answered(registered.GrantTypes, wish.GrantTypes)
	registered.ResponseTypes = answered(registered.ResponseTypes, wish.ResponseTypes)
	registered.RedirectURIs = answered(registered.RedirectURIs, wish.RedirectURIs)
	if registered.ApplicationType == "" {
		registered.ApplicationType = strings.ToLower(wish.ApplicationType)
	}
	if registered.AuthMethod == "" {
		registered.AuthMethod = wish.AuthMethod
		if wish.AuthMethod == methodNone && !client.Secret.IsZero() {
			registered.AuthMethod = methodBasic
		}
	}
}

func answered(values, otherwise []string) []string {
	if values == nil {
		return append([]string{}, otherwise...)
	}
	return values
}
