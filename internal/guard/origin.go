// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// ParseOrigin reads an origin that is to be allowed, in the form in which
// browsers send it (RFC 6454 §6.2): scheme, host and, unless it is the usual one,
// port. The error says how to write it.
func ParseOrigin(text string) (string, error) {
	const form = "write the origin as browsers send it, for example https://app.example.com or http://localhost:5173"
	switch {
	case strings.Contains(text, "*"):
		return "", errors.New("there are no wildcards: name each origin; " + form)
	case text == "null":
		return "", errors.New("null is the origin of every sandboxed page and every local file, and cannot be allowed; " + form)
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme == "" || parsed.Hostname() == "" {
		return "", errors.New(form)
	}
	if origin := originOf(parsed); text != origin {
		return "", fmt.Errorf("%s; this one is %s", form, origin)
	}
	return text, nil
}

// originOf is the origin of a URL as browsers write it.
func originOf(u *url.URL) string {
	host, port := strings.ToLower(u.Host), u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.ToLower(u.Hostname())
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	return u.Scheme + "://" + host
}

// Welcome reports whether the pages of an origin may call a server: the origin is
// allowed, or that of the server's resource, or that of the address which was
// called, if this is the machine's own. A name that leads to the machine only by
// DNS is not: that is how a page of somebody else would come here. origin holds
// every value of the header Origin, and host is what was called.
func (e *Engine) Welcome(name ServerName, origin []string, host string) bool {
	if len(origin) != 1 {
		return false
	}
	if slices.Contains(e.origins, origin[0]) {
		return true
	}
	if _, at, found := strings.Cut(origin[0], "://"); found && at == host && loopback(host) {
		return true
	}
	server, known := e.register.Server(name)
	if !known {
		return false
	}
	resource, err := url.Parse(server.Resource)
	return err == nil && resource.Host != "" && originOf(resource) == origin[0]
}

// loopback reports whether a host, with or without port, is the machine itself
// whatever DNS says.
func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}

// foreign is the verdict about a page of another origin.
func foreign() Verdict {
	return Verdict{
		Reason: OriginNotAllowed, Status: http.StatusForbidden, Code: OriginNotAllowed.Code(),
		Text: texts[OriginNotAllowed],
	}
}
