// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

func (m *metadata) checkRedirectURIs() error {
	if slices.Contains(m.GrantTypes, grantCode) && len(m.RedirectURIs) == 0 {
		return &protocolError{Code: codeInvalidRedirectURI, Description: "authorization_code needs redirect_uris"}
	}
	for _, raw := range m.RedirectURIs {
		if reason := redirectFault(raw, m.native()); reason != "" {
			return &protocolError{Code: codeInvalidRedirectURI, Description: reason}
		}
	}
	return nil
}

// redirectFault says why a redirect URI may not be registered, or nothing.
func redirectFault(raw string, native bool) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || !u.IsAbs():
		return "a redirect URI is not absolute"
	case strings.Contains(raw, "#"):
		return "a redirect URI has a fragment"
	case strings.Contains(raw, "*"):
		return "a redirect URI has a wildcard"
	case u.Scheme == "https" && u.Host != "", u.Scheme == "http" && isLoopback(u):
		return ""
	case native && strings.Contains(u.Scheme, "."):
		return ""
	default:
		return "a redirect URI is neither https, nor http on loopback, nor the private-use scheme of a native app"
	}
}

func isLoopback(u *url.URL) bool {
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}

// redirectAllowed reports whether the URI is registered, character by
// character; for native apps the port of a loopback URI may differ.
func (m *metadata) redirectAllowed(raw string) bool {
	if slices.Contains(m.RedirectURIs, raw) {
		return true
	}
	if !m.native() {
		return false
	}
	want, ok := withoutPort(raw)
	if !ok {
		return false
	}
	return slices.ContainsFunc(m.RedirectURIs, func(registered string) bool {
		have, ok := withoutPort(registered)
		return ok && have == want
	})
}

// withoutPort takes the port off an http URI on loopback.
func withoutPort(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || !isLoopback(u) {
		return "", false
	}
	u.Host = u.Hostname()
	return u.String(), true
}
