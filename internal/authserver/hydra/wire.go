// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	methodNone = "none"
	methodKey  = "private_key_jwt"

	grantCode    = "authorization_code"
	responseCode = "code"
)

var (
	errBothKeySets = errors.New("jwks and jwks_uri exclude each other")
	errKeySet      = errors.New("jwks is not a JSON object with keys")
	errAlgorithms  = errors.New("keys for different algorithms: Hydra takes one algorithm for each client")
	errLifetime    = errors.New("the lifetime of tokens must be a whole number of seconds")
)

// request is a client as Hydra takes it. Nothing that decides what the client
// may do is left out, because Hydra puts its own defaults in its place.
type request struct {
	ClientID         string          `json:"client_id"`
	ClientName       string          `json:"client_name"`
	ClientSecret     string          `json:"client_secret,omitempty"`
	RedirectURIs     []string        `json:"redirect_uris"`
	GrantTypes       []string        `json:"grant_types"`
	ResponseTypes    []string        `json:"response_types"`
	Scope            string          `json:"scope"`
	Audience         []string        `json:"audience"`
	Owner            string          `json:"owner"`
	Metadata         mark            `json:"metadata"`
	AuthMethod       string          `json:"token_endpoint_auth_method"`
	SigningAlgorithm string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	JWKS             json.RawMessage `json:"jwks,omitempty"`
	JWKSURI          string          `json:"jwks_uri,omitempty"`
	Contacts         []string        `json:"contacts,omitempty"`
	lifespans
}

// mark is the ownership mark, in the metadata of the client: Hydra drops
// software_id and software_version where RFC 7591 has them.
type mark struct {
	SoftwareID      string `json:"software_id"`
	SoftwareVersion string `json:"software_version"`
}

// lifespans are those of access tokens, by grant; null is the server's own.
type lifespans struct {
	AuthorizationCode   *string `json:"authorization_code_grant_access_token_lifespan"`
	ClientCredentials   *string `json:"client_credentials_grant_access_token_lifespan"`
	RefreshToken        *string `json:"refresh_token_grant_access_token_lifespan"`
	Implicit            *string `json:"implicit_grant_access_token_lifespan"`
	JWTBearer           *string `json:"jwt_bearer_grant_access_token_lifespan"`
	DeviceAuthorization *string `json:"device_authorization_grant_access_token_lifespan"`
}

// lifespanNames are those of the grants that clients of the register have.
var lifespanNames = []string{
	"authorization_code_grant_access_token_lifespan",
	"client_credentials_grant_access_token_lifespan",
	"refresh_token_grant_access_token_lifespan",
}

func encode(id string, wish authserver.ClientMetadata) ([]byte, error) {
	body := request{
		ClientID: id, ClientName: wish.Name, ClientSecret: wish.Secret.Reveal(),
		RedirectURIs:  said(wish.RedirectURIs),
		GrantTypes:    said(wish.GrantTypes),
		ResponseTypes: said(wish.ResponseTypes),
		Scope:         strings.Join(wish.Scopes, " "),
		Audience:      said(wish.Audiences),
		Owner:         wish.SoftwareID,
		Metadata:      mark{SoftwareID: wish.SoftwareID, SoftwareVersion: wish.SoftwareVersion},
		AuthMethod:    wish.AuthMethod,
		JWKSURI:       wish.JWKSURI, Contacts: wish.Contacts,
	}
	if err := body.setKeys(wish); err != nil {
		return nil, err
	}
	if err := body.setLifetime(wish.TokenLifetime); err != nil {
		return nil, err
	}
	return json.Marshal(body) //nolint:gosec // the secret is part of what is registered
}

// setKeys also names the algorithm of the keys: Hydra holds an assertion to
// RS256 otherwise.
func (r *request) setKeys(wish authserver.ClientMetadata) error {
	if wish.JWKS == "" {
		return nil
	}
	if wish.JWKSURI != "" {
		return errBothKeySets
	}
	r.JWKS = json.RawMessage(wish.JWKS)
	var set struct {
		Keys []struct {
			Algorithm string `json:"alg"`
			Type      string `json:"kty"`
			Curve     string `json:"crv"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(r.JWKS, &set); err != nil || set.Keys == nil {
		return errKeySet
	}
	for _, key := range set.Keys {
		algorithm := key.Algorithm
		if algorithm == "" {
			algorithm = algorithms[key.Type+key.Curve]
		}
		if r.SigningAlgorithm != "" && r.SigningAlgorithm != algorithm {
			return errAlgorithms
		}
		r.SigningAlgorithm = algorithm
	}
	if wish.AuthMethod != methodKey {
		r.SigningAlgorithm = ""
	}
	return nil
}

// algorithms are those of keys that do not name one (RFC 7518 §3.1).
var algorithms = map[string]string{"ECP-256": "ES256", "ECP-384": "ES384", "ECP-521": "ES512", "RSA": "RS256"}

func (r *request) setLifetime(lifetime time.Duration) error {
	if lifetime == 0 {
		return nil
	}
	if lifetime < 0 || lifetime%time.Second != 0 {
		return errLifetime
	}
	text := strconv.FormatInt(int64(lifetime/time.Second), 10) + "s"
	r.lifespans = lifespans{&text, &text, &text, &text, &text, &text}
	return nil
}

// parseClient reads a client. Texts that nobody decides by are never wrong. What Hydra takes for a value that is not there
// is that value: a client without grant types has authorization_code.
func parseClient(fields *exchange.Object) (authserver.Client, error) {
	client := authserver.Client{
		ID:              fields.Identifier("client_id"),
		Secret:          authserver.NewSecret(fields.Visible("client_secret", exchange.LongText)),
		SecretExpiresAt: fields.Instant("client_secret_expires_at"),
		Registered: authserver.ClientMetadata{
			Name:          fields.Echo("client_name"),
			GrantTypes:    said(fields.Texts("grant_types")),
			ResponseTypes: said(fields.Texts("response_types")),
			RedirectURIs:  said(fields.Texts("redirect_uris")),
			Scopes:        said(fields.Words("scope")),
			AuthMethod:    fields.Text("token_endpoint_auth_method", exchange.LongText),
			JWKS:          keySet(fields),
			JWKSURI:       fields.Text("jwks_uri", exchange.LongText),
			Contacts:      fields.Echoes("contacts"),
			Audiences:     said(fields.Texts("audience")),
			TokenLifetime: longestLifespan(fields),
		},
	}
	registered := &client.Registered
	registered.SoftwareID, registered.SoftwareVersion = markOf(fields)
	registered.ID = client.ID
	if len(registered.GrantTypes) == 0 {
		registered.GrantTypes = []string{grantCode}
		if len(registered.ResponseTypes) == 0 {
			registered.ResponseTypes = []string{responseCode}
		}
	}
	if client.ID == "" {
		fields.Fail("client_id")
	}
	return client, fields.Err()
}

// markOf reads the ownership mark, and nothing else can be wrong with it. Both
// places must say the same: owner alone is a field that others use as they like.
// A stranger's metadata may be of any form, and is no mark.
func markOf(fields *exchange.Object) (id, version string) {
	metadata := fields.Object("metadata")
	id = metadata.Echo("software_id")
	if id == "" || id != fields.Echo("owner") {
		return "", ""
	}
	return id, metadata.Echo("software_version")
}

// keySet reads jwks, which Hydra shows as an empty object where there is none.
func keySet(fields *exchange.Object) string {
	if !fields.Object("jwks").Has("keys") {
		return ""
	}
	return fields.Set("jwks")
}

// longestLifespan is the longest life of an access token of the client, or 0
// where one grant's is the server's own.
func longestLifespan(fields *exchange.Object) time.Duration {
	var longest time.Duration
	for _, name := range lifespanNames {
		text := fields.Text(name, 64)
		if text == "" {
			return 0
		}
		lifespan, err := time.ParseDuration(text)
		if err != nil {
			fields.Fail(name)
			return 0
		}
		longest = max(longest, lifespan)
	}
	return longest
}

// said is a list that says that it is empty where it is.
func said(values []string) []string { return append([]string{}, values...) }
