// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	defaultAddr                = "127.0.0.1:0"
	defaultAccessTokenLifetime = 300 * time.Second
)

var errNotLoopback = errors.New("only loopback addresses are served")

// Options are fixed for the life of a Server. The zero value is a server on
// a free port that follows the standards and misbehaves in nothing.
type Options struct {
	// Addr is the loopback host:port of the issuer. Empty means a free port
	// on 127.0.0.1; the port chosen first is kept across Stop and Start.
	Addr string
	// AdminAddr is the loopback host:port of the admin surface. Empty means
	// a free port on 127.0.0.1.
	AdminAddr string
	// Hydra makes the server one like Ory Hydra: its admin API is served,
	// where clients are made with an id and a secret of one's own, and dynamic
	// registration is off, as it is there.
	Hydra bool
	// HydraAddr is the loopback host:port of Hydra's admin API. Empty means a
	// free port on 127.0.0.1; the port chosen first is kept across Stop and
	// Start.
	HydraAddr string
	// InitialAccessToken, if set, is the bearer token that registration
	// requires. Empty means open registration.
	InitialAccessToken string
	// AccessTokenLifetime is the life of an access token. Zero means 300 s.
	AccessTokenLifetime time.Duration
	// ScopesSupported, if set, are published in discovery, and registering
	// any other scope is refused. Empty means every scope is known.
	ScopesSupported []string
	// MetadataDocuments, if set, fetches Client ID Metadata Documents: a client
	// whose id is an https URL is what the document there says. Redirects are
	// not followed. Nil means that there are no such clients.
	MetadataDocuments *http.Client
	// Switches are the switches the server begins with.
	Switches Switches
}

func (o Options) withDefaults() (Options, error) {
	if o.Addr == "" {
		o.Addr = defaultAddr
	}
	if o.AdminAddr == "" {
		o.AdminAddr = defaultAddr
	}
	if o.HydraAddr == "" {
		o.HydraAddr = defaultAddr
	}
	if o.AccessTokenLifetime == 0 {
		o.AccessTokenLifetime = defaultAccessTokenLifetime
	}
	if o.AccessTokenLifetime < 0 {
		return o, fmt.Errorf("access token lifetime %s: must be positive", o.AccessTokenLifetime)
	}
	for _, addr := range []string{o.Addr, o.AdminAddr, o.HydraAddr} {
		if err := checkLoopback(addr); err != nil {
			return o, fmt.Errorf("address %q: %w", addr, err)
		}
	}
	return o, o.Switches.validate()
}

func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return errNotLoopback
	}
	return nil
}
