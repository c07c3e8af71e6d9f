// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// expiredSecret is the client_secret_expires_at of Switches.SecretExpired.
const expiredSecret = 1_000_000_000

// Client is what the admin surface tells about a live client.
type Client struct {
	// ID is the client_id.
	ID string `json:"clientID"`
	// Name is the client_name.
	Name string `json:"clientName,omitempty"`
	// SoftwareID is the software_id.
	SoftwareID string `json:"softwareID,omitempty"`
	// SoftwareVersion is the software_version.
	SoftwareVersion string `json:"softwareVersion,omitempty"`
	// Scope is the registered scope. Empty if none was registered.
	Scope string `json:"scope,omitempty"`
	// RedirectURIs are the registered redirect URIs.
	RedirectURIs []string `json:"redirectURIs,omitempty"`
	// GrantTypes are the registered grant types.
	GrantTypes []string `json:"grantTypes,omitempty"`
	// AuthMethod is the token_endpoint_auth_method.
	AuthMethod string `json:"authMethod"`
	// Created is when the client was registered.
	Created time.Time `json:"created"`
}

// record is a registered client. It is never changed, only replaced.
type record struct {
	metadata
	id            string
	secret        string
	secretExpires int64
	token         string
	created       time.Time
	// hydra is the client as it was sent to Hydra's admin API; nil for every
	// other.
	hydra *hydraClient
}

func newRecord(m metadata, s Switches, now time.Time) *record {
	rec := &record{metadata: m, id: rand.Text(), token: rand.Text(), created: now}
	rec.issueSecret("", s)
	return rec
}

// replaced is the record after a PUT.
func (rec *record) replaced(m metadata, s Switches) *record {
	next := &record{metadata: m, id: rec.id, token: rec.token, created: rec.created}
	kept := rec.secret
	if s.RotateSecretOnPut {
		kept = ""
	}
	next.issueSecret(kept, s)
	return next
}

func (rec *record) rotated() *record {
	next := *rec
	next.token = rand.Text()
	return &next
}

// issueSecret gives a secret to a client that is to have one.
func (rec *record) issueSecret(kept string, s Switches) {
	if rec.AuthMethod != methodBasic && rec.AuthMethod != methodPost && (rec.AuthMethod != methodNone || !s.SecretForPublic) {
		return
	}
	rec.secret = kept
	if rec.secret == "" {
		rec.secret = rand.Text()
	}
	if s.SecretExpired {
		rec.secretExpires = expiredSecret
	}
}

func (rec *record) secretValid(secret string, now time.Time) bool {
	if rec.secretExpires != 0 && now.Unix() >= rec.secretExpires {
		return false
	}
	return rec.secret != "" && sameSecret(rec.secret, secret)
}

func sameSecret(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// allows reports whether the client may be given the scope now.
func (rec *record) allows(scope string, supported []string) bool {
	if rec.Scope != nil {
		return slices.Contains(rec.scopes(), scope)
	}
	return len(supported) == 0 || slices.Contains(supported, scope)
}

func (rec *record) summary() Client {
	return Client{
		ID: rec.id, Name: rec.ClientName, SoftwareID: rec.SoftwareID, SoftwareVersion: rec.SoftwareVersion,
		Scope: strings.Join(rec.scopes(), " "), RedirectURIs: rec.RedirectURIs, GrantTypes: rec.GrantTypes,
		AuthMethod: rec.AuthMethod, Created: rec.created,
	}
}

// answer is the client information response of RFC 7591 section 3.2.1 with
// the additions of RFC 7592 section 3.
func (rec *record) answer(issuer string, s Switches) map[string]any {
	out := make(map[string]any, len(rec.fields)+len(serverFields)+len(knownFields))
	for name, value := range rec.fields {
		if !s.DropUnknownFields || slices.Contains(knownFields, name) {
			out[name] = value
		}
	}
	maps.Copy(out, rec.registered())
	if s.DropSoftware {
		delete(out, "software_id")
		delete(out, "software_version")
	}
	origin := issuer
	if s.ClientURIOrigin != "" {
		origin = s.ClientURIOrigin
	}
	out["client_id"] = rec.id
	out["client_id_issued_at"] = rec.created.Unix()
	out["registration_client_uri"] = origin + clientPathPrefix + rec.id
	out["registration_access_token"] = rec.token
	if rec.secret != "" {
		out["client_secret"] = rec.secret
		out["client_secret_expires_at"] = rec.secretExpires
	}
	return out
}

// registered are the fields that may differ from what was sent.
func (rec *record) registered() map[string]any {
	out := map[string]any{
		"token_endpoint_auth_method": rec.AuthMethod,
		"grant_types":                rec.GrantTypes,
		"response_types":             rec.ResponseTypes,
	}
	if len(rec.ResponseTypes) == 0 {
		out["response_types"] = []string{}
	}
	if len(rec.RedirectURIs) > 0 {
		out["redirect_uris"] = rec.RedirectURIs
	}
	if rec.Scope != nil {
		out["scope"] = *rec.Scope
	}
	return out
}

// patched is the registration request that would lead to this record with
// some of its metadata replaced.
func (rec *record) patched(patch map[string]any) ([]byte, error) {
	if rec.hydra != nil {
		merged := rec.hydraAnswer()
		maps.Copy(merged, patch)
		return json.Marshal(merged)
	}
	merged := make(map[string]any, len(rec.fields)+len(patch))
	for name, value := range rec.fields {
		merged[name] = value
	}
	maps.Copy(merged, rec.registered())
	maps.Copy(merged, patch)
	return json.Marshal(merged)
}
