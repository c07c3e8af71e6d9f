// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Largest is how many bytes a document may have: authorization servers are
// advised to read no more (section 8.7 of the draft).
const Largest = 5000

const (
	methodNone       = "none"
	methodPrivateKey = "private_key_jwt"
)

// document is the form on the wire. Every list is written even when it is
// empty, and scope too: an authorization server that is told no scope may allow
// every one. Neither the owner nor the ownership mark is in it: the world reads
// it, and what belongs to whom is on record here.
type document struct {
	ClientID        string          `json:"client_id"`
	ClientName      string          `json:"client_name"`
	ApplicationType string          `json:"application_type,omitempty"`
	RedirectURIs    []string        `json:"redirect_uris"`
	GrantTypes      []string        `json:"grant_types"`
	ResponseTypes   []string        `json:"response_types"`
	AuthMethod      string          `json:"token_endpoint_auth_method"`
	Scope           string          `json:"scope"`
	JWKS            json.RawMessage `json:"jwks,omitempty"`
	JWKSURI         string          `json:"jwks_uri,omitempty"`
}

// write writes the document of a client. The code says why there is none: it
// must not be, or it would be too large.
func write(id string, m authserver.ClientMetadata) (body []byte, code string) {
	keys, code := publicKeys(m)
	if code != "" {
		return nil, code
	}
	body, err := json.Marshal(document{
		ClientID: id, ClientName: strings.TrimSuffix(m.Name, " ["+m.SoftwareVersion+"]"),
		ApplicationType: m.ApplicationType, RedirectURIs: listed(m.RedirectURIs),
		GrantTypes: listed(m.GrantTypes), ResponseTypes: listed(m.ResponseTypes),
		AuthMethod: m.AuthMethod, Scope: strings.Join(m.Scopes, " "), JWKS: keys, JWKSURI: m.JWKSURI,
	})
	switch {
	case err != nil:
		return nil, CodeInvalidMetadata
	case len(body) > Largest:
		return nil, CodeTooLarge
	}
	return body, ""
}

func listed(values []string) []string { return append([]string{}, values...) }

// etag is strong: the same bytes have the same tag, at every replica.
func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
}

// publicKeys is the key set as it is published: for a method that has keys,
// and holding public keys only (section 4.1).
func publicKeys(m authserver.ClientMetadata) (set json.RawMessage, code string) {
	switch {
	case m.AuthMethod != methodNone && m.AuthMethod != methodPrivateKey:
		return nil, CodeAuthMethodUnsupported
	case m.AuthMethod == methodPrivateKey && (m.JWKS == "") == (m.JWKSURI == ""):
		return nil, CodeInvalidMetadata
	case m.JWKS == "":
		return nil, ""
	}
	var read struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	if json.Unmarshal([]byte(m.JWKS), &read) != nil || len(read.Keys) == 0 || slices.ContainsFunc(read.Keys, notPublic) {
		return nil, CodeInvalidMetadata
	}
	set, err := json.Marshal(read)
	if err != nil {
		return nil, CodeInvalidMetadata
	}
	return set, ""
}

// notPublic says that a JWK is symmetric, of an unknown kind, or holds a member
// that no public key has (RFC 7518 section 6). Members are matched whatever
// their case: readers differ in that.
func notPublic(key map[string]json.RawMessage) bool {
	var kind string
	if json.Unmarshal(key["kty"], &kind) != nil || !slices.Contains([]string{"EC", "RSA", "OKP"}, kind) {
		return true
	}
	for member := range key {
		if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, strings.ToLower(member)) {
			return true
		}
	}
	return false
}
