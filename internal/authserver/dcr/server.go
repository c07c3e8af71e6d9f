// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
)

// The words of its own that this adapter puts into authserver.Error.Code.
const (
	// CodeInvalidConfig: the configuration itself cannot be used.
	CodeInvalidConfig = "invalid_config"
	// CodeIssuerMismatch: the metadata names another issuer.
	CodeIssuerMismatch = "issuer_mismatch"
	// CodeForeignEndpoint: an endpoint is not on the issuer's origin.
	CodeForeignEndpoint = "foreign_endpoint"
	// CodeForeignManagementURI: a management URI is not on the issuer's
	// origin; it was not contacted.
	CodeForeignManagementURI = "foreign_management_uri"
	// CodeMetadataNotFound: there is no metadata at the well-known places.
	CodeMetadataNotFound = "metadata_not_found"
	// CodeRegistrationUnsupported: there is no registration endpoint.
	CodeRegistrationUnsupported = "registration_unsupported"
	// CodeManagementUnsupported: the server does not manage this client.
	CodeManagementUnsupported = "management_unsupported"
	// CodeRedirectRefused: the answer was a redirect; it was not followed.
	CodeRedirectRefused = "redirect_refused"
	// CodeAddressRefused: the host resolves to addresses that must not be
	// dialled.
	CodeAddressRefused = "address_refused"
	// CodeTooLarge: the answer is beyond the limit.
	CodeTooLarge = "too_large"
	// CodeUndecodable: the answer is not what the RFC describes.
	CodeUndecodable = "undecodable"
	// CodeRateLimited: the configured rate leaves no room now.
	CodeRateLimited = "rate_limited"
	// CodeClientMismatch: the answer is about another client.
	CodeClientMismatch = "client_mismatch"
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
	// Resolver looks up names; nil means the system's.
	Resolver dialguard.Resolver
}

// Server is an authserver.Server over RFC 7591 and RFC 7592.
type Server struct {
	config  authserver.Config
	options Options
	origin  dialguard.Origin
	client  *http.Client
	limiter *rate.Limiter

	metadata    atomic.Pointer[authserver.Metadata]
	discovering chan struct{}
}

var _ authserver.Server = (*Server)(nil)

// New returns a server. Nothing is contacted yet.
func New(config authserver.Config, options Options) (*Server, error) {
	origin, err := issuerOrigin(config.Issuer)
	if err != nil {
		return nil, err
	}
	client, err := dialguard.NewClient(dialguard.Options{
		Origin:   config.Issuer,
		Rules:    dialguard.Rules{Loopback: origin.IsLoopback(), Private: options.AllowPrivate},
		CABundle: config.CABundle,
		Timeout:  options.Timeout,
		MaxIdle:  max(config.MaxInFlight, 1),
		Resolver: options.Resolver,
	})
	if err != nil {
		return nil, invalidConfig(err)
	}
	if options.Sent == nil {
		options.Sent = func(string) {}
	}
	return &Server{
		config: config, options: options, origin: origin, client: client,
		limiter: limiter(config.RequestsPerSecond), discovering: make(chan struct{}, 1),
	}, nil
}

// Close closes the connections that are not in use. The server stays usable.
func (s *Server) Close() { s.client.CloseIdleConnections() }

func issuerOrigin(issuer string) (dialguard.Origin, error) {
	parsed, err := url.Parse(issuer)
	if err != nil || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.ForceQuery {
		return dialguard.Origin{}, invalidConfig(errIssuer)
	}
	origin, err := dialguard.ParseOrigin(issuer)
	if err != nil {
		return dialguard.Origin{}, invalidConfig(err)
	}
	return origin, nil
}

// limiter spreads requests: a burst of a tenth of a second's worth, at least
// one.
func limiter(perSecond int) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(perSecond/10, 1))
}

func invalidConfig(err error) error {
	return &authserver.Error{
		Kind: authserver.Rejected, Op: "connecting", Code: CodeInvalidConfig, Err: err,
	}
}
