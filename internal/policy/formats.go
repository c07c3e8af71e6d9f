// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// redirectRefusal says why a redirect URI is refused; empty when it is not.
// The schema says the same; this holds where the schema was bypassed.
func redirectRefusal(text string) string {
	const example = "for example https://app.example.com/callback or http://127.0.0.1/callback"
	uri, err := url.Parse(text)
	switch {
	case err != nil || !placed(uri, text) || uri.User != nil:
		return fmt.Sprintf("%q is not an absolute URI: give each in full, %s", text, example)
	case len(text) > maxURI:
		return fmt.Sprintf("%q has more than %d characters: give a shorter one, %s", shorten(text), maxURI, example)
	case strings.Contains(text, "*"):
		return fmt.Sprintf("%q contains a wildcard: list each one, %s", text, example)
	case strings.Contains(text, "#"):
		return fmt.Sprintf("%q has a fragment: remove it, %s", text, example)
	case !plainASCII.MatchString(text) || dotSegment.MatchString(text):
		return fmt.Sprintf("%q has a dot segment or a character that URIs do not have: write it plainly, %s", text, example)
	case strings.HasPrefix(text, "https://"), strings.HasPrefix(text, "http://") && loopback(uri.Hostname()), privateUse(text):
		return ""
	}
	return fmt.Sprintf("%q is neither https nor loopback, and of no private-use scheme: use https, %s", text, example)
}

// placed says that a redirect URI leads to a host, or to a program by its scheme.
func placed(uri *url.URL, text string) bool { return uri.Hostname() != "" || privateUse(text) }

// privateUse says that a redirect URI is of a scheme that a program has for itself
// (RFC 8252 §7.1), and not of one that browsers act on.
func privateUse(uri string) bool {
	return anyScheme.MatchString(uri) && !commonScheme.MatchString(uri)
}

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

var (
	// plainASCII is printable ASCII without space and backslash.
	plainASCII = regexp.MustCompile(`\A[\x21-\x5B\x5D-\x7E]+\z`)
	// anyScheme is a scheme in lower case before a path or a host, and commonScheme
	// one that is nobody's own.
	anyScheme    = regexp.MustCompile(`\A[a-z][a-z0-9+.-]*:/`)
	commonScheme = regexp.MustCompile(`\A(https?|about|blob|data|file|filesystem|ftps?|intent|jar|javascript|vbscript|view-source|wss?):`)
	// dotSegment finds "." and ".." as path segments, encoded or not: servers
	// may resolve them after a pattern was matched.
	dotSegment = regexp.MustCompile(`(?i)/(\.|%2e){1,2}([/?]|\z)`)
)

// publicJWKS reads a JWK set and returns it as it is sent: public members of
// known names only, written anew, so that the form that was checked is the form
// that is used. The second value says why a set is refused.
func publicJWKS(text string) (set, refusal string) {
	const remedy = `give a JSON object with public keys only, for example {"keys":[{"kty":"EC","crv":"P-256","x":"…","y":"…"}]}`
	var read jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(text), &read); err != nil || len(read.Keys) == 0 {
		return "", "this is not a JWK set (RFC 7517): " + remedy
	}
	if privateMember.MatchString(text) {
		return "", "the set holds a private or symmetric member (d, p, q, dp, dq, qi, oth, k) or a URL (x5u): " + remedy
	}
	for _, key := range read.Keys {
		if refusal := keyRefusal(key); refusal != "" {
			return "", refusal + ": " + remedy
		}
	}
	written, err := json.Marshal(read)
	if err != nil {
		return "", "this is not a JWK set (RFC 7517): " + remedy
	}
	return string(written), ""
}

// keyRefusal says why a key is not one that is sent on; empty when it is.
func keyRefusal(key jose.JSONWebKey) string {
	switch {
	case wordy(key.KeyID), wordy(key.Algorithm), wordy(key.Use):
		return "kid, alg and use of a key must each be one line of at most 256 characters"
	case !key.Valid(), !key.IsPublic(), key.CertificatesURL != nil:
		return "a key of the set is not a valid public key"
	}
	return ""
}

// wordy says that a word about a key is not one that is sent on.
func wordy(word string) bool {
	return longer(word, maxKeyWord) || strings.ContainsFunc(word, breaksLine)
}

// privateMember finds members that no public key has, wherever they stand.
var privateMember = regexp.MustCompile(`"(d|p|q|dp|dq|qi|oth|k|x5u)"\s*:`)

// thumbprints returns the thumbprints (RFC 7638) of a JWK set; false when it
// cannot be read.
func thumbprints(text string) ([]string, bool) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return nil, false
	}
	var prints []string
	for _, key := range set.Keys {
		print, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, false
		}
		prints = append(prints, base64.RawURLEncoding.EncodeToString(print))
	}
	return prints, true
}
