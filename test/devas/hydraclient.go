// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	hydraDefaultScope     = "offline_access offline openid"
	hydraShortestSecret   = 6
	hydraDefaultAlgorithm = string(jose.RS256)
)

// hydraLifespans are the names under which the lifespans of a client are
// registered. The last ones are kept and mean nothing here.
var hydraLifespans = []string{
	"authorization_code_grant_access_token_lifespan",
	"client_credentials_grant_access_token_lifespan",
	"refresh_token_grant_access_token_lifespan",
	"authorization_code_grant_id_token_lifespan",
	"authorization_code_grant_refresh_token_lifespan",
	"implicit_grant_access_token_lifespan",
	"implicit_grant_id_token_lifespan",
	"jwt_bearer_grant_access_token_lifespan",
	"refresh_token_grant_id_token_lifespan",
	"refresh_token_grant_refresh_token_lifespan",
	"device_authorization_grant_access_token_lifespan",
	"device_authorization_grant_id_token_lifespan",
	"device_authorization_grant_refresh_token_lifespan",
}

// hydraClient is a client as it is sent to Hydra's admin API. What it has no
// field for is dropped, software_id and software_version among it.
type hydraClient struct {
	ID            string              `json:"client_id"`
	Name          string              `json:"client_name"`
	Secret        string              `json:"client_secret"`
	RedirectURIs  []string            `json:"redirect_uris"`
	GrantTypes    []string            `json:"grant_types"`
	ResponseTypes []string            `json:"response_types"`
	Scope         string              `json:"scope"`
	Audience      []string            `json:"audience"`
	Owner         string              `json:"owner"`
	Contacts      []string            `json:"contacts"`
	AuthMethod    string              `json:"token_endpoint_auth_method"`
	Algorithm     string              `json:"token_endpoint_auth_signing_alg"`
	JWKS          *jose.JSONWebKeySet `json:"jwks"`
	JWKSURI       string              `json:"jwks_uri"`
	Metadata      json.RawMessage     `json:"metadata"`

	lifespans map[string]time.Duration
}

// parseHydra reads a client and completes it as Hydra does.
func parseHydra(body []byte) (*hydraClient, error) {
	var c hydraClient
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &c) != nil || json.Unmarshal(body, &members) != nil || members == nil {
		return nil, hydraMalformed("Unable to decode the request body")
	}
	if err := c.readLifespans(members); err != nil {
		return nil, err
	}
	if c.JWKS != nil && len(c.JWKS.Keys) == 0 {
		c.JWKS = nil
	}
	c.AuthMethod = cmp.Or(c.AuthMethod, methodBasic)
	c.Scope = cmp.Or(c.Scope, hydraDefaultScope)
	switch {
	case c.AuthMethod == methodPrivateKey && c.JWKS == nil && c.JWKSURI == "":
		return nil, hydraInvalid("When token_endpoint_auth_method is 'private_key_jwt', either jwks or jwks_uri must be set.")
	case c.JWKS != nil && c.JWKSURI != "":
		return nil, hydraInvalid("Fields jwks and jwks_uri can not both be set, you must choose one.")
	case c.Secret != "" && len(c.Secret) < hydraShortestSecret:
		return nil, hydraInvalid("Field client_secret must contain a secret that is at least 6 characters long.")
	}
	return &c, nil
}

func (c *hydraClient) readLifespans(members map[string]json.RawMessage) error {
	c.lifespans = map[string]time.Duration{}
	for _, name := range hydraLifespans {
		var text *string
		if raw, sent := members[name]; sent && json.Unmarshal(raw, &text) != nil {
			return hydraMalformed("Unable to decode the request body")
		}
		if text == nil {
			continue
		}
		lifespan, err := time.ParseDuration(*text)
		if err != nil {
			return hydraMalformed("Unable to decode the request body: " + err.Error())
		}
		c.lifespans[name] = lifespan
	}
	return nil
}

// record is the client as it is registered: bent as the switches order.
func (c *hydraClient) record(s Switches, created time.Time) *record {
	m := metadata{
		RedirectURIs: c.RedirectURIs, AuthMethod: c.AuthMethod, GrantTypes: c.GrantTypes,
		ResponseTypes: c.ResponseTypes, ClientName: c.Name, Scope: new(c.Scope), JWKS: c.JWKS,
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{grantCode}
	}
	m.SoftwareID, m.SoftwareVersion = c.mark()
	m.bend(s)
	return &record{
		metadata: m, id: cmp.Or(c.ID, strings.ToLower(rand.Text())), token: rand.Text(),
		secret: cmp.Or(c.Secret, rand.Text()), created: created, hydra: c,
	}
}

// mark is whose client it is, for those who look at the server.
func (c *hydraClient) mark() (id, version string) {
	var mark struct {
		Version string `json:"software_version"`
	}
	if err := json.Unmarshal(c.Metadata, &mark); err != nil {
		return c.Owner, ""
	}
	return c.Owner, mark.Version
}

// hydraAnswer is a client as Hydra shows it, without its secret.
func (rec *record) hydraAnswer() map[string]any {
	c := rec.hydra
	answer := map[string]any{
		"client_id": rec.id, "client_name": rec.ClientName,
		"redirect_uris": rec.RedirectURIs, "grant_types": rec.GrantTypes, "response_types": rec.ResponseTypes,
		"scope": strings.Join(rec.scopes(), " "), "audience": append([]string{}, c.Audience...),
		"owner": c.Owner, "contacts": c.Contacts, "token_endpoint_auth_method": rec.AuthMethod,
		"jwks": struct{}{}, "metadata": struct{}{},
		"policy_uri": "", "tos_uri": "", "client_uri": "", "logo_uri": "", "allowed_cors_origins": []string{},
		"client_secret_expires_at": 0, "subject_type": "public", "userinfo_signed_response_alg": "none",
		"created_at": rec.created.UTC().Format(time.RFC3339), "skip_consent": false,
	}
	if len(c.GrantTypes) == 0 {
		answer["grant_types"] = nil
	}
	for name, value := range map[string]string{"jwks_uri": c.JWKSURI, "token_endpoint_auth_signing_alg": c.Algorithm} {
		if value != "" {
			answer[name] = value
		}
	}
	if c.JWKS != nil {
		answer["jwks"] = c.JWKS
	}
	if len(c.Metadata) > 0 {
		answer["metadata"] = c.Metadata
	}
	for _, name := range hydraLifespans {
		answer[name] = nil
		if lifespan, set := c.lifespans[name]; set {
			answer[name] = lifespan.String()
		}
	}
	return answer
}

// amended is the record with another body, its secret and id kept.
func (rec *record) amended(body []byte) (*record, error) {
	sent, err := parseHydra(body)
	if err != nil {
		return nil, err
	}
	next := sent.record(Switches{}, rec.created)
	next.id, next.token, next.secret = rec.id, rec.token, rec.secret
	return next, nil
}

// lifespan is the life of an access token that is issued for a grant; 0 is the
// server's own.
func (rec *record) lifespan(grant string) time.Duration {
	if rec.hydra == nil {
		return 0
	}
	return rec.hydra.lifespans[grant+"_grant_access_token_lifespan"]
}

// signs reports whether the client may sign an assertion with an algorithm:
// Hydra holds every client to one.
func (rec *record) signs(assertion string) bool {
	if rec.hydra == nil {
		return true
	}
	want := cmp.Or(rec.hydra.Algorithm, hydraDefaultAlgorithm)
	parsed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(want)})
	return err == nil && slices.ContainsFunc(parsed.Signatures, func(s jose.Signature) bool { return s.Header.Algorithm == want })
}
