// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
)

// The words that every adapter puts into authserver.Error.Code.
const (
	// CodeInvalidConfig: the configuration itself cannot be used.
	CodeInvalidConfig = "invalid_config"
	// CodeUnsupported: the server has no such operation.
	CodeUnsupported = "unsupported"
	// CodeRedirectRefused: the answer was a redirect; it was not followed.
	CodeRedirectRefused = "redirect_refused"
	// CodeAddressRefused: the host resolves to addresses that must not be
	// dialled.
	CodeAddressRefused = "address_refused"
	// CodeNotTheServer: the answer is not in the server's own form; somebody
	// between may have given it.
	CodeNotTheServer = "not_the_server"
	// CodeTooLarge: the answer is beyond the limit.
	CodeTooLarge = "too_large"
	// CodeUndecodable: the answer is not what is documented.
	CodeUndecodable = "undecodable"
	// CodeRateLimited: the configured rate leaves no room now.
	CodeRateLimited = "rate_limited"
	// CodeClientMismatch: the answer is about another client.
	CodeClientMismatch = "client_mismatch"
	// CodeForeignClient: the client does not carry the ownership mark.
	CodeForeignClient = "foreign_client"
)

// Options is what an Exchange needs beside its base URL.
type Options struct {
	// Now is the clock; required.
	Now func() time.Time
	// CABundle holds PEM certificates to trust in place of the system's.
	CABundle []byte
	// AllowPrivate allows the server to be at a private address.
	AllowPrivate bool
	// MaxInFlight is how many requests are under way at one time at most: as
	// many connections are kept.
	MaxInFlight int
	// Limiter bounds the rate of requests; Exchanges with one server share
	// it. Nil means no bound.
	Limiter *rate.Limiter
	// Sent is called once for every HTTP request that was sent; may be nil.
	Sent func(method string)
	// Timeout bounds one HTTP request with its answer; 0 means 10 s.
	Timeout time.Duration
	// Resolver looks up names; nil means the system's.
	Resolver dialguard.Resolver
}

// Exchange sends requests to one origin.
type Exchange struct {
	options Options
	origin  dialguard.Origin
	client  *http.Client
}

// New returns an Exchange with the origin of a base URL. Nothing is contacted
// yet. Rejected: the URL or the CA bundle cannot be used.
func New(base string, options Options) (*Exchange, error) {
	parsed, err := url.Parse(base)
	if err != nil || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.ForceQuery {
		return nil, InvalidConfig(errBase)
	}
	origin, err := dialguard.ParseOrigin(base)
	if err != nil {
		return nil, InvalidConfig(err)
	}
	client, err := dialguard.NewClient(dialguard.Options{
		Origin:   base,
		Rules:    dialguard.Rules{Loopback: origin.IsLoopback(), Private: options.AllowPrivate},
		CABundle: options.CABundle,
		Timeout:  options.Timeout,
		MaxIdle:  max(options.MaxInFlight, 1),
		Resolver: options.Resolver,
	})
	if err != nil {
		return nil, InvalidConfig(err)
	}
	if options.Sent == nil {
		options.Sent = func(string) {}
	}
	if options.Limiter == nil {
		options.Limiter = NewLimiter(0)
	}
	return &Exchange{options: options, origin: origin, client: client}, nil
}

// Close closes the connections that are not in use. The Exchange stays usable.
func (e *Exchange) Close() { e.client.CloseIdleConnections() }

// Origin is the origin as a URL without path.
func (e *Exchange) Origin() string { return e.origin.String() }

// Ours says whether a URL is on the origin. A request to any other is refused.
func (e *Exchange) Ours(uri string) bool {
	parsed, err := url.Parse(uri)
	return err == nil && parsed.Fragment == "" && e.origin.Includes(parsed)
}

// NewLimiter spreads requests: a burst of a tenth of a second's worth, at
// least one. 0 means no bound.
func NewLimiter(perSecond int) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(perSecond/10, 1))
}

// InvalidConfig is the error of a configuration that cannot be used. The text
// of err is shown to users.
func InvalidConfig(err error) error {
	return &authserver.Error{
		Kind: authserver.Rejected, Op: "connecting", Code: CodeInvalidConfig, Err: err,
	}
}
