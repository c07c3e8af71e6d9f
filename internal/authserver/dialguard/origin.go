// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

var defaultPorts = map[string]string{"https": "443", "http": "80"}

// Origin is scheme, host and port of a URL.
type Origin struct{ scheme, host, port string }

// ParseOrigin takes the origin of an absolute URL. It accepts https, and http
// to loopback only, and refuses hosts that different readers resolve
// differently.
func ParseOrigin(raw string) (Origin, error) {
	parsed, err := url.Parse(raw)
	if err != nil {
		return Origin{}, errors.New("the URL cannot be parsed")
	}
	origin, ok := originOf(parsed)
	switch {
	case !ok:
		return Origin{}, errors.New("the URL needs https, a plain host name and no user information")
	case ambiguous(origin.host):
		return Origin{}, errors.New("the host of the URL is ambiguous")
	case origin.scheme == "http" && !origin.IsLoopback():
		return Origin{}, errors.New("the URL must be https; http is for loopback only")
	}
	return origin, nil
}

// String returns the origin as a URL without path, and without a port that
// goes without saying: servers compare the Host header with their own name.
func (o Origin) String() string {
	if o.port == defaultPorts[o.scheme] {
		return o.scheme + "://" + strings.TrimSuffix(o.address(), ":"+o.port)
	}
	return o.scheme + "://" + o.address()
}

// Includes says whether a URL is on this origin.
func (o Origin) Includes(u *url.URL) bool {
	other, ok := originOf(u)
	return ok && other == o
}

// IsLoopback says that the host itself names this machine.
func (o Origin) IsLoopback() bool {
	if o.host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(o.host)
	return err == nil && addr.Unmap().IsLoopback()
}

// address is what the transport dials for this origin.
func (o Origin) address() string { return net.JoinHostPort(o.host, o.port) }

func originOf(u *url.URL) (Origin, bool) {
	origin := Origin{
		scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname()), port: u.Port(),
	}
	if origin.port == "" {
		origin.port = defaultPorts[origin.scheme]
	}
	number, err := strconv.ParseUint(origin.port, 10, 16)
	ok := err == nil && number > 0 && strconv.FormatUint(number, 10) == origin.port &&
		(origin.scheme == "https" || origin.scheme == "http") &&
		u.User == nil && u.Opaque == "" && plain(origin.host)
	return origin, ok
}

// plain says that a host is a name or an address literal without zone.
func plain(host string) bool {
	if strings.Contains(host, ":") {
		addr, err := netip.ParseAddr(host)
		return err == nil && addr.Zone() == ""
	}
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-._"
	return strings.Trim(host, allowed) == "" && host != "" && host[0] != '.'
}

// ambiguous says that some resolvers would read a host as an IPv4 address in
// an unusual spelling (decimal, octal, hexadecimal, shortened) where others
// ask the DNS for it.
func ambiguous(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := labels[len(labels)-1]
	if strings.HasPrefix(last, "0x") {
		return true
	}
	return strings.Trim(last, "0123456789") == ""
}
