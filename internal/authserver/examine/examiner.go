// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// The words of its own that an Examiner puts into authserver.Error.Code.
const (
	// CodeForeignEndpoint: an endpoint is not on the issuer's origin; it was
	// not contacted.
	CodeForeignEndpoint = "foreign_endpoint"
	// CodeNotAtHand: the secret or key that the client's method needs is not
	// at hand.
	CodeNotAtHand = "not_at_hand"
	// CodePassing: the authorization endpoint answered with an error that
	// passes (RFC 6749 §4.1.2.1: server_error, temporarily_unavailable).
	CodePassing = "temporarily_unavailable"
)

// Options is what an Examiner needs beside the configuration.
type Options struct {
	// Now is the clock; required.
	Now func() time.Time
	// AllowPrivate allows the server to be at a private address.
	AllowPrivate bool
	// LoginFirst says that the server looks at the challenge only after the
	// login: a request that is led to one says nothing then.
	LoginFirst bool
	// Limiter bounds the rate of requests; nil means no bound.
	Limiter *rate.Limiter
	// Sent is called once for every HTTP request that was sent; may be nil.
	Sent func(method string)
	// Timeout bounds one HTTP request with its answer; 0 means 10 s.
	Timeout time.Duration
	// Resolver looks up names; nil means the system's.
	Resolver dialguard.Resolver
}

// Examiner is an authserver.Examiner for the endpoints of one issuer.
type Examiner struct {
	config   authserver.Config
	options  Options
	exchange *exchange.Exchange
}

var _ authserver.Examiner = (*Examiner)(nil)

// New returns an examiner. Nothing is contacted yet. Rejected: the issuer or
// the CA bundle cannot be used.
func New(config authserver.Config, options Options) (*Examiner, error) {
	issuer, err := exchange.New(config.Issuer, exchange.Options{
		Now: options.Now, CABundle: config.CABundle, AllowPrivate: options.AllowPrivate,
		MaxInFlight: config.MaxInFlight, Limiter: options.Limiter, Sent: options.Sent,
		Timeout: options.Timeout, Resolver: options.Resolver,
	})
	if err != nil {
		return nil, err
	}
	return &Examiner{config: config, options: options, exchange: issuer}, nil
}

// Close closes the connections that are not in use. The Examiner stays usable.
func (e *Examiner) Close() { e.exchange.Close() }
