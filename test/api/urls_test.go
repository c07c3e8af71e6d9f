// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// urlRule is a property of a spelling that a field may refuse.
type urlRule int

const (
	notSecure  urlRule = iota // neither https nor http to loopback, or no URL
	isLoopback                // http to loopback, where only https will do
	hasQuery
	hasFragment
	hasUser
	hasDots
	hasUpperHost
	hasWildcard
	hasForeign // a character that no URI has
)

// spellings are the same questions to every field that holds a URL.
var spellings = []struct {
	name   string
	url    string
	breaks []urlRule
}{
	{name: "https", url: "https://auth.example.com"},
	{name: "https with port and path", url: "https://auth.example.com:8443/realms/mcp"},
	{name: "a percent-encoded path", url: "https://auth.example.com/a%20b"},
	{name: "an IPv6 address", url: "https://[2001:db8::1]/a"},
	{name: "dots that are no segment", url: "https://auth.example.com/..a/b../.well-known/v1.2"},
	{name: "http to localhost", url: "http://localhost:8080/a", breaks: broken(isLoopback)},
	{name: "http to 127.0.0.1", url: "http://127.0.0.1/a", breaks: broken(isLoopback)},
	{name: "http to [::1]", url: "http://[::1]:8080/a", breaks: broken(isLoopback)},

	{name: "http", url: "http://auth.example.com", breaks: broken(notSecure)},
	{name: "http to a private address", url: "http://10.0.0.1/a", breaks: broken(notSecure)},
	{name: "http to a name that begins like loopback", url: "http://localhost.evil.example/a", breaks: broken(notSecure)},
	{name: "http to a name that ends in a dot", url: "http://localhost./a", breaks: broken(notSecure)},
	{name: "http to an address that begins like loopback", url: "http://127.0.0.1.evil.example/a", breaks: broken(notSecure)},
	{name: "http to loopback in upper case", url: "http://LOCALHOST/a", breaks: broken(notSecure, hasUpperHost)},
	{name: "http to loopback, mapped into IPv6", url: "http://[::ffff:127.0.0.1]/a", breaks: broken(notSecure)},
	{name: "http to loopback, written short", url: "http://127.1/a", breaks: broken(notSecure)},
	{name: "http to loopback, written as a number", url: "http://2130706433/a", breaks: broken(notSecure)},
	{name: "http to loopback with a zone", url: "http://[::1%25eth0]/a", breaks: broken(notSecure)},
	{name: "http to any address", url: "http://0.0.0.0/a", breaks: broken(notSecure)},
	{name: "loopback as user", url: "http://127.0.0.1@evil.example/", breaks: broken(notSecure, hasUser)},
	{name: "loopback and port as user", url: "http://localhost:80@evil.example/", breaks: broken(notSecure, hasUser)},
	{name: "a user at loopback", url: "http://evil.example@127.0.0.1/", breaks: broken(isLoopback, hasUser)},
	{name: "a user", url: "https://user@auth.example.com/", breaks: broken(hasUser)},
	{name: "a password", url: "https://user:pass@auth.example.com/", breaks: broken(hasUser)},
	{name: "a trusted host as user", url: "https://auth.example.com%2f@evil.example/", breaks: broken(hasUser)},
	{name: "a backslash before the at sign", url: `http://localhost\@evil.example/`, breaks: broken(notSecure, hasUser, hasForeign)},
	{name: "a backslash in the host", url: `https://auth.example.com\.evil.example/`, breaks: broken(notSecure, hasForeign)},
	{name: "a backslash in the path", url: `https://auth.example.com/\evil.example`, breaks: broken(hasForeign)},
	{name: "backslashes for slashes", url: `https:\\auth.example.com`, breaks: broken(notSecure, hasForeign)},
	{name: "an encoded dot in the host", url: "http://127.0.0.1%2eevil.example/", breaks: broken(notSecure)},
	{name: "an upper-case scheme", url: "HTTPS://auth.example.com", breaks: broken(notSecure)},
	{name: "an upper-case scheme to loopback", url: "HTTP://localhost/", breaks: broken(notSecure)},
	{name: "an upper-case host", url: "https://AUTH.example.com", breaks: broken(hasUpperHost)},
	{name: "another scheme", url: "ftp://auth.example.com", breaks: broken(notSecure)},
	{name: "a scheme with script", url: "javascript:alert(1)//https://", breaks: broken(notSecure)},
	{name: "no scheme", url: "auth.example.com", breaks: broken(notSecure)},
	{name: "only a path", url: "/auth", breaks: broken(notSecure)},
	{name: "no slashes", url: "https:auth.example.com", breaks: broken(notSecure)},
	{name: "no host", url: "https:///auth", breaks: broken(notSecure)},
	{name: "only a port", url: "https://:8443/auth", breaks: broken(notSecure)},
	{name: "only a scheme", url: "https://", breaks: broken(notSecure)},
	{name: "a port that is no number", url: "https://auth.example.com:port", breaks: broken(notSecure)},
	{name: "a bad percent code", url: "https://auth.example.com/%zz", breaks: broken(notSecure)},
	{name: "a space in front", url: " https://auth.example.com", breaks: broken(notSecure, hasForeign)},
	{name: "a space in the path", url: "https://auth.example.com/a b", breaks: broken(hasForeign)},
	{name: "a line break", url: "https://auth.example.com/\n", breaks: broken(notSecure, hasForeign)},
	{name: "a letter outside ASCII", url: "https://аuth.example.com", breaks: broken(hasForeign)},
	{name: "a query", url: "https://auth.example.com/a?b=c", breaks: broken(hasQuery)},
	{name: "an at sign in the query", url: "https://auth.example.com/a?b=c@d", breaks: broken(hasQuery)},
	{name: "a fragment", url: "https://auth.example.com/a#b", breaks: broken(hasFragment)},
	{name: "an empty fragment", url: "https://auth.example.com/a#", breaks: broken(hasFragment)},
	{name: "loopback before a fragment", url: "http://localhost#@evil.example/", breaks: broken(notSecure, hasFragment)},
	{name: "loopback before a query", url: "http://localhost?@evil.example/", breaks: broken(isLoopback, hasQuery)},
	{name: "a wildcard host", url: "https://*.example.com/a", breaks: broken(hasWildcard)},
	{name: "a wildcard path", url: "https://auth.example.com/*", breaks: broken(hasWildcard)},
	{name: "a segment ..", url: "https://auth.example.com/a/../b", breaks: broken(hasDots)},
	{name: "a last segment ..", url: "https://auth.example.com/a/..", breaks: broken(hasDots)},
	{name: "a segment .", url: "https://auth.example.com/a/./b", breaks: broken(hasDots)},
	{name: "an encoded segment ..", url: "https://auth.example.com/a/%2e%2E/b", breaks: broken(hasDots)},
	{name: "a half encoded segment ..", url: "https://auth.example.com/a/.%2e?b", breaks: broken(hasDots, hasQuery)},
}

func broken(rules ...urlRule) []urlRule { return rules }

// urlField is a field that holds a URL and what it refuses with which words.
// What is not named is admitted.
type urlField struct {
	base    func() *unstructured.Unstructured
	set     func(url string) []edit
	field   string
	refuses map[urlRule]string
	// noSlash are the words for a URL that ends with a slash; empty where it may.
	noSlash string
}

func TestURLs(t *testing.T) {
	for name, f := range urlFields() {
		t.Run(name, func(t *testing.T) {
			var rules []rule
			for _, s := range spellings {
				rules = append(rules, rule{name: s.name, create: f.set(s.url), want: f.refusals(s.url, s.breaks)})
			}
			check(t, f.base, rules)
		})
	}
}

func (f urlField) refusals(url string, breaks []urlRule) []string {
	var want []string
	for _, which := range breaks {
		if message := f.refuses[which]; message != "" {
			want = append(want, fmt.Sprintf("%s: Invalid value: %q: %s", f.field, url, message))
		}
	}
	if f.noSlash != "" && strings.HasSuffix(url, "/") {
		want = append(want, fmt.Sprintf("%s: Invalid value: %q: %s", f.field, url, f.noSlash))
	}
	slices.Sort(want)
	return slices.Compact(want)
}

func urlFields() map[string]urlField {
	const (
		noForeign = "%s must hold only the characters of a URI (RFC 3986), others percent-encoded, for example %s"
		noParts   = "%s must have no query, fragment or user information, for example %s"
		noUser    = "%s must have no user information, for example %s"
		noDots    = "%s must have no path segment . or .., for example %s"
		noFrag    = "%s must have no fragment, for example %s"
		secure    = "%s must be an https URL (http only for a loopback host), for example %s"
		onlyHTTPS = "%s must be an https URL, for example %s"
		plainHost = "%s must have its host in lower case, for example %s"
	)
	const (
		auth     = "https://auth.example.com"
		realm    = "https://auth.example.com/realms/mcp"
		hydra    = "https://hydra-admin.example.com"
		keycloak = "https://keycloak.example.com"
		clients  = "https://clients.example.com/mcp"
		invoices = "https://mcp.example.com/invoices"
		callback = "https://app.example.com/callback"
		keys     = "https://app.example.com/jwks.json"
	)
	return map[string]urlField{
		"issuer": {
			base:  authorizationServer,
			set:   func(url string) []edit { return edits(set("issuer", url)) },
			field: "spec.issuer",
			refuses: map[urlRule]string{
				notSecure:   fmt.Sprintf(secure, "issuer", auth),
				hasQuery:    fmt.Sprintf(noParts, "issuer", realm),
				hasFragment: fmt.Sprintf(noParts, "issuer", realm),
				hasUser:     fmt.Sprintf(noParts, "issuer", realm),
				hasForeign:  fmt.Sprintf(noForeign, "issuer", realm),
			},
		},
		"hydra.adminURL": {
			base: authorizationServer,
			set: func(url string) []edit {
				return edits(unset("dynamicRegistration"), set("hydra.adminURL", url))
			},
			field: "spec.hydra.adminURL",
			refuses: map[urlRule]string{
				notSecure:   fmt.Sprintf(secure, "adminURL", hydra),
				hasQuery:    fmt.Sprintf(noParts, "adminURL", hydra),
				hasFragment: fmt.Sprintf(noParts, "adminURL", hydra),
				hasUser:     fmt.Sprintf(noParts, "adminURL", hydra),
				hasForeign:  fmt.Sprintf(noForeign, "adminURL", hydra),
			},
		},
		"metadataDocument.baseURL": {
			base: authorizationServer,
			set: func(url string) []edit {
				return edits(unset("dynamicRegistration"), set("metadataDocument.baseURL", url))
			},
			field: "spec.metadataDocument.baseURL",
			refuses: map[urlRule]string{
				notSecure:   fmt.Sprintf(onlyHTTPS, "baseURL", clients),
				isLoopback:  fmt.Sprintf(onlyHTTPS, "baseURL", clients),
				hasQuery:    fmt.Sprintf(noParts, "baseURL", clients),
				hasFragment: fmt.Sprintf(noParts, "baseURL", clients),
				hasUser:     fmt.Sprintf(noParts, "baseURL", clients),
				hasDots:     fmt.Sprintf(noDots, "baseURL", clients),
				hasForeign:  fmt.Sprintf(noForeign, "baseURL", clients),
			},
			noSlash: "baseURL must not end with a slash, for example " + clients,
		},
		"keycloak.baseURL": {
			base: authorizationServer,
			set: func(url string) []edit {
				return edits(unset("dynamicRegistration"), set("keycloak.realm", "mcp"),
					set("keycloak.credentialsSecretRef", map[string]any{"name": "admin"}), set("keycloak.baseURL", url))
			},
			field: "spec.keycloak.baseURL",
			refuses: map[urlRule]string{
				notSecure:   fmt.Sprintf(secure, "baseURL", keycloak),
				hasQuery:    fmt.Sprintf(noParts, "baseURL", keycloak),
				hasFragment: fmt.Sprintf(noParts, "baseURL", keycloak),
				hasUser:     fmt.Sprintf(noParts, "baseURL", keycloak),
				hasForeign:  fmt.Sprintf(noForeign, "baseURL", keycloak),
			},
		},
		"resource": {
			base:  mcpServer,
			set:   func(url string) []edit { return edits(set("resource", url)) },
			field: "spec.resource",
			refuses: map[urlRule]string{
				notSecure:    fmt.Sprintf(secure, "resource", invoices),
				hasFragment:  fmt.Sprintf(noFrag, "resource", invoices),
				hasUser:      fmt.Sprintf(noUser, "resource", invoices),
				hasUpperHost: fmt.Sprintf(plainHost, "resource", invoices),
				hasForeign:   fmt.Sprintf(noForeign, "resource", invoices),
			},
		},
		"redirectURIs": {
			base:  desktop,
			set:   func(url string) []edit { return edits(set("redirectURIs", list(url))) },
			field: "spec.redirectURIs[0]",
			refuses: map[urlRule]string{
				notSecure:   "a redirect URI must be an https URL (http only for a loopback host) or of a private-use scheme (RFC 8252 section 7.1), for example http://127.0.0.1/callback or com.example.app:/callback",
				hasWildcard: "a redirect URI must not contain a wildcard: list each one, for example " + callback,
				hasFragment: fmt.Sprintf(noFrag, "a redirect URI", callback),
				hasUser:     fmt.Sprintf(noUser, "a redirect URI", callback),
				hasDots:     fmt.Sprintf(noDots, "a redirect URI", callback),
				hasForeign:  fmt.Sprintf(noForeign, "a redirect URI", callback),
			},
		},
		"jwksURI": {
			base:  registration,
			set:   func(url string) []edit { return edits(set("jwksURI", url)) },
			field: "spec.jwksURI",
			refuses: map[urlRule]string{
				notSecure:   fmt.Sprintf(onlyHTTPS, "jwksURI", keys),
				isLoopback:  fmt.Sprintf(onlyHTTPS, "jwksURI", keys),
				hasFragment: fmt.Sprintf(noFrag, "jwksURI", keys),
				hasUser:     fmt.Sprintf(noUser, "jwksURI", keys),
				hasDots:     fmt.Sprintf(noDots, "jwksURI", keys),
				hasForeign:  fmt.Sprintf(noForeign, "jwksURI", keys),
			},
		},
	}
}
