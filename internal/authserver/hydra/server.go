// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"context"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// The words of its own that this adapter puts into authserver.Error.Code.
const (
	// CodeAdminAPINotFound: at the admin URL is nothing that answers as
	// Hydra's admin API does.
	CodeAdminAPINotFound = "admin_api_not_found"
	// CodeClientNotFound: there is no such client to replace.
	CodeClientNotFound = "client_not_found"
)

const (
	pathClients = "/admin/clients"
	pathIssued  = "/admin/oauth2/tokens"
)

// Traits are those of every Server. Hydra cannot disable a client.
var Traits = authserver.Traits{OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Lists: true, ChecksAccess: true}

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
}

// Server is an authserver.Server over Hydra's admin API.
type Server struct {
	public   *dcr.Server
	exchange *exchange.Exchange
	base     string
	// pageSizes are how many clients to ask for, the first that works.
	pageSizes []int
}

var _ authserver.Server = (*Server)(nil)

// New returns a server: config.Issuer is Hydra's public URL, config.BaseURL
// the one of its admin API. Nothing is contacted yet.
func New(config authserver.Config, options Options) (*Server, error) {
	if options.Limiter == nil {
		options.Limiter = exchange.NewLimiter(config.RequestsPerSecond)
	}
	admin, err := exchange.New(config.BaseURL, exchange.Options{
		Now: options.Now, CABundle: config.CABundle, AllowPrivate: options.AllowPrivate,
		MaxInFlight: config.MaxInFlight, Limiter: options.Limiter, Sent: options.Sent,
		Timeout: options.Timeout, Resolver: options.Resolver,
	})
	if err != nil {
		return nil, err
	}
	public, err := dcr.New(config, dcr.Options{
		Now: options.Now, AllowPrivate: options.AllowPrivate, Sent: options.Sent,
		Timeout: options.Timeout, Limiter: options.Limiter, Resolver: options.Resolver, MetadataOnly: true,
	})
	if err != nil {
		return nil, err
	}
	return &Server{public: public, exchange: admin, base: base(config.BaseURL), pageSizes: pageSizes}, nil
}

// base is the admin URL without the segment that every path begins with:
// people write it with and without.
func base(adminURL string) string {
	return strings.TrimSuffix(strings.TrimRight(adminURL, "/"), "/admin")
}

// Traits are those of Hydra.
func (s *Server) Traits() authserver.Traits { return Traits }

// Close closes the connections that are not in use. The server stays usable.
func (s *Server) Close() {
	s.exchange.Close()
	s.public.Close()
}

// Discover reads the metadata at the issuer: the admin API has none.
func (s *Server) Discover(ctx context.Context) (authserver.Metadata, error) {
	return s.public.Discover(ctx)
}

// Disable is Rejected: Hydra knows no disabled clients.
func (s *Server) Disable(context.Context, authserver.Handle) error {
	return &authserver.Error{
		Kind: authserver.Rejected, Op: "disabling client", Code: exchange.CodeUnsupported,
	}
}

func (s *Server) call(op, method, path string) exchange.Call {
	return exchange.Call{Op: op, Method: method, URL: s.base + path, Missing: CodeAdminAPINotFound, Nowhere: CodeAdminAPINotFound}
}

// clientPath is where a client is managed. An id that a path cannot hold is
// Rejected.
func clientPath(op, id string) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", &authserver.Error{Kind: authserver.Rejected, Op: op, Code: CodeClientNotFound}
	}
	return pathClients + "/" + url.PathEscape(id), nil
}
