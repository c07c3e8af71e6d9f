// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// redirectRefusal says why a redirect URI is refused; empty when it is not.
// The schema says the same; this holds where the schema was bypassed.
func redirectRefusal(text string) string {
	const example = "for example https://app.example.com/callback or http://127.0.0.1/callback"
	uri, err := url.Parse(text)
	switch {
	case err != nil || uri.Host == "" || uri.User != nil:
		return fmt.Sprintf("%q is not an absolute URI: give each in full, %s", text, example)
	case strings.Contains(text, "*"):
		return fmt.Sprintf("%q contains a wildcard: list each one, %s", text, example)
	case strings.Contains(text, "#"):
		return fmt.Sprintf("%q has a fragment: remove it, %s", text, example)
	case uri.Scheme == "https", uri.Scheme == "http" && loopback(uri.Hostname()):
		return ""
	}
	return fmt.Sprintf("%q is neither https nor loopback: use https, %s", text, example)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// jwksRefusal says why a JWK set is refused; empty when it is not.
func jwksRefusal(text string) string {
	const remedy = `give a JSON object with public keys only, for example {"keys":[{"kty":"EC","crv":"P-256","x":"…","y":"…"}]}`
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(text), &set); err != nil || len(set.Keys) == 0 {
		return "this is not a JWK set (RFC 7517): " + remedy
	}
	for _, key := range set.Keys {
		if !key.Valid() || !key.IsPublic() {
			return "a key of the set is not a valid public key: " + remedy
		}
	}
	return ""
}
