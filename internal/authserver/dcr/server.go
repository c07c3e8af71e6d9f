// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// The words of its own that this adapter puts into authserver.Error.Code.
const (
	// CodeIssuerMismatch: the metadata names another issuer.
	CodeIssuerMismatch = "issuer_mismatch"
	// CodeMetadataDiffers: the metadata documents of RFC 8414 and of OpenID Connect
	// Discovery contradict each other; the error's cause names the members.
	CodeMetadataDiffers = "metadata_differs"
	// CodeForeignEndpoint: an endpoint is not on the issuer's origin.
	CodeForeignEndpoint = "foreign_endpoint"
	// CodeForeignManagementURI: a management URI is not on the issuer's
	// origin; it was not contacted.
	CodeForeignManagementURI = "foreign_management_uri"
	// CodeMetadataNotFound: there is no metadata at the well-known places.
	CodeMetadataNotFound = "metadata_not_found"
	// CodeRegistrationUnsupported: there is no registration endpoint.
	CodeRegistrationUnsupported = "registration_unsupported"
	// CodeTokenExpired: the server says that the management token ran out,
	// which says nothing of the client.
	CodeTokenExpired = "management_token_expired"
	// CodeManagementUnsupported: the server has no management protocol (RFC
	// 7592): it gave no management URI or token with the registration, or its
	// endpoint does not know the method, or is not there while the client is.
	// It will be so for the next client too.
	CodeManagementUnsupported = "management_unsupported"
	// CodeScopeNotAllowed: a policy of the server lets no client register with
	// one of the scopes.
	CodeScopeNotAllowed = "scope_not_allowed"
	// CodeTooManyClients: a policy of the server bounds the number of clients.
	CodeTooManyClients = "too_many_clients"
	// CodeHostNotTrusted: a policy of the server lets nobody register clients
	// from where the register runs.
	CodeHostNotTrusted = "host_not_trusted"
	// CodeURINotTrusted: a policy of the server does not allow the host of one
	// of the client's URIs.
	CodeURINotTrusted = "uri_not_trusted"
	// CodeRefusedByPolicy: another policy of the server refuses the client.
	CodeRefusedByPolicy = "refused_by_policy"
)

// Options is what a Server needs beside its configuration.
type Options struct {
	// Now is the clock; required.
	Now func() time.Time
	// AllowPrivate allows the server to be at a private address.
	AllowPrivate bool
	// Sent is called once for every HTTP request that was sent; may be nil.
	Sent func(method string)
	// Timeout bounds one HTTP request with its answer; 0 means 10 s.
	Timeout time.Duration
	// Limiter bounds the rate of requests; nil means one of its own after the
	// configuration.
	Limiter *rate.Limiter
	// Resolver looks up names; nil means the system's.
	Resolver dialguard.Resolver
	// MetadataOnly says that nothing is registered: no registration endpoint is
	// looked for.
	MetadataOnly bool
}

// Server is an authserver.Server over RFC 7591 and RFC 7592.
type Server struct {
	config   authserver.Config
	options  Options
	exchange *exchange.Exchange

	metadata    atomic.Pointer[authserver.Metadata]
	discovering chan struct{}
}

var _ authserver.Server = (*Server)(nil)

// New returns a server. Nothing is contacted yet.
func New(config authserver.Config, options Options) (*Server, error) {
	if options.Limiter == nil {
		options.Limiter = exchange.NewLimiter(config.RequestsPerSecond)
	}
	shared, err := exchange.New(config.Issuer, exchange.Options{
		Now: options.Now, CABundle: config.CABundle, AllowPrivate: options.AllowPrivate,
		MaxInFlight: config.MaxInFlight, Limiter: options.Limiter, Sent: options.Sent,
		Timeout: options.Timeout, Resolver: options.Resolver,
	})
	if err != nil {
		return nil, err
	}
	return &Server{
		config: config, options: options, exchange: shared, discovering: make(chan struct{}, 1),
	}, nil
}

// Traits are those of RFC 7591 and RFC 7592.
func (s *Server) Traits() authserver.Traits { return Traits }

// Traits are those of every Server.
var Traits = authserver.Traits{TwoKeys: true, KeysLinger: authserver.KeyCacheRace}

// Close closes the connections that are not in use. The server stays usable.
func (s *Server) Close() { s.exchange.Close() }
