// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"cmp"
	"context"
	"errors"
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
	// CodeAdminRefused: the realm does not know the register's own client, or
	// its secret is another, or the client has no service account.
	CodeAdminRefused = "admin_credentials_refused"
	// CodeMissingRole: the register's service account lacks the role
	// manage-clients of the client realm-management.
	CodeMissingRole = "missing_role_manage_clients"
	// CodeRealmNotFound: there is no such realm at the base URL, or no
	// Keycloak.
	CodeRealmNotFound = "realm_not_found"
	// CodeClientNotFound: there is no such client to replace.
	CodeClientNotFound = "client_not_found"
	// CodeLookupInexact: a lookup of one client was answered with others, so
	// that nothing can be learnt from it.
	CodeLookupInexact = "lookup_inexact"
	// CodeInvalidMetadata: the client cannot be registered as it is wished.
	CodeInvalidMetadata = "invalid_client_metadata"
	// CodeInvalidRedirectURI: a redirect URI is not one that Keycloak takes
	// literally.
	CodeInvalidRedirectURI = "invalid_redirect_uri"
)

const defaultPageSize = 100

var errRealm = errors.New("the realm must be named")

// Traits are those of a Server of a config.
func Traits(config authserver.Config) authserver.Traits {
	return authserver.Traits{
		OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true, Tidies: true, ChecksAccess: true,
		AssertionIssuer: config.AssertionIssuer, KeysLinger: authserver.KeyCacheRace, OpenIDImplied: true,
	}
}

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
	// PageSize is how many clients List asks for at one time; 0 means 100.
	PageSize int
	// Memory is shared by all connections of a process; nil means one of its own.
	Memory *Memory
}

// Server is an authserver.Server over Keycloak's Admin REST API.
type Server struct {
	config   authserver.Config
	now      func() time.Time
	public   *dcr.Server
	exchange *exchange.Exchange
	// admin and tokens are the URLs of the realm's admin API and token
	// endpoint.
	admin, tokens string
	pageSize      int
	token         tokenCache
	// scopes is what is remembered of the realm's client scopes.
	scopes *book
}

var _ authserver.Server = (*Server)(nil)

// New returns a server: config.Issuer is the realm's issuer, config.BaseURL the
// root under which its admin API is found. Nothing is contacted yet.
func New(config authserver.Config, options Options) (*Server, error) {
	if config.Realm == "" || config.Realm == "." || config.Realm == ".." {
		return nil, exchange.InvalidConfig(errRealm)
	}
	if options.Limiter == nil {
		options.Limiter = exchange.NewLimiter(config.RequestsPerSecond)
	}
	shared, err := exchange.New(config.BaseURL, exchange.Options{
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
	base, realm := strings.TrimRight(config.BaseURL, "/"), url.PathEscape(config.Realm)
	return &Server{
		config: config, now: options.Now, public: public, exchange: shared,
		admin:    base + "/admin/realms/" + realm,
		tokens:   base + "/realms/" + realm + "/protocol/openid-connect/token",
		pageSize: cmp.Or(options.PageSize, defaultPageSize),
		token:    newTokenCache(),
		scopes:   options.Memory.of(config.Issuer, options.Now),
	}, nil
}

// Traits are those of Keycloak.
func (s *Server) Traits() authserver.Traits { return Traits(s.config) }

// Close closes the connections that are not in use. The server stays usable.
func (s *Server) Close() {
	s.exchange.Close()
	s.public.Close()
}

// Discover reads the metadata at the issuer. Keycloak's answers do not name
// the time: how far its clock is off is read from its last token.
func (s *Server) Discover(ctx context.Context) (authserver.Metadata, error) {
	metadata, err := s.public.Discover(ctx)
	if held := s.token.held.Load(); err == nil && metadata.ClockSkew == nil && held != nil {
		metadata.ClockSkew = held.skew
	}
	return metadata, err
}
