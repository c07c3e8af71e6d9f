// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// The words of its own that this adapter puts into authserver.Error.Code.
const (
	// CodeUnsupported: the authorization server does not say that it fetches
	// documents.
	CodeUnsupported = "cimd_unsupported"
	// CodeNotServed: no listener for documents runs in this process.
	CodeNotServed = "documents_not_served"
	// CodeInvalidConfig: the base URL cannot be used.
	CodeInvalidConfig = "invalid_config"
	// CodeInvalidClientID: the client id is no URL of a document under the base
	// URL.
	CodeInvalidClientID = "invalid_client_id"
	// CodeInvalidMetadata: the metadata cannot be in a document.
	CodeInvalidMetadata = "invalid_client_metadata"
	// CodeAuthMethodUnsupported: a document cannot hold a secret, or the
	// authorization server does not have the method.
	CodeAuthMethodUnsupported = "auth_method_unsupported"
	// CodeTooLarge: the document would have more than Largest bytes.
	CodeTooLarge = "document_too_large"
	// CodeUnsettled: what is on record is not known at present.
	CodeUnsettled = "record_unknown"
)

const discoverOp = "discovering metadata"

// Discovery reads the metadata of the authorization server.
type Discovery interface {
	Discover(ctx context.Context) (authserver.Metadata, error)
	Close()
}

// Server is an authserver.Server whose clients are the documents of a Host.
type Server struct {
	traits    authserver.Traits
	config    authserver.Config
	host      *Host
	discovery Discovery
	metadata  atomic.Pointer[authserver.Metadata]
	asking    chan struct{}
}

var _ authserver.Server = (*Server)(nil)

// Traits are those of a server of this config. There is nothing to list: a
// document is served for a registration or not at all.
func Traits(config authserver.Config) authserver.Traits {
	return authserver.Traits{
		OwnClientID: true, IDPrefix: config.BaseURL + "/", TwoKeys: true, SharedSecretUnsupported: true,
		CopyLifetime: time.Duration(config.CopySeconds) * time.Second,
	}
}

// New returns a server of documents under config.BaseURL. A nil host means that
// this process serves none: clients can be revoked there, and nothing else.
// Rejected: the base URL cannot be used.
func New(config authserver.Config, host *Host, discovery Discovery) (*Server, error) {
	if !usableBase(config.BaseURL) {
		return nil, &authserver.Error{Kind: authserver.Rejected, Op: "connecting", Code: CodeInvalidConfig}
	}
	if host == nil {
		host = &Host{closed: true, now: func() time.Time { return time.Time{} }}
	}
	return &Server{
		traits: Traits(config), config: config, host: host, discovery: discovery, asking: make(chan struct{}, 1),
	}, nil
}

// dots finds the path segments that a Client Identifier URL must not have
// (section 3 of the draft).
var dots = regexp.MustCompile(`(?i)/(\.|%2e){1,2}(/|\z)`)

// usableBase says that a client id may begin with a base URL and a slash.
func usableBase(base string) bool {
	parsed, err := url.Parse(base)
	return err == nil && parsed.Scheme == "https" && parsed.Hostname() != "" && parsed.User == nil &&
		strings.HasPrefix(base, "https://") && !strings.ContainsAny(base, "?#@\\ ") &&
		!strings.HasSuffix(base, "/") && !strings.Contains(base[len("https://"):], "//") && !dots.MatchString(base)
}

// Traits are those of the config.
func (s *Server) Traits() authserver.Traits { return s.traits }

// Close closes the connections that are not in use. The server stays usable.
func (s *Server) Close() { s.discovery.Close() }

// Discover reads the metadata. Rejected with CodeUnsupported: the server does
// not fetch documents; with CodeNotServed: there would be none to fetch.
func (s *Server) Discover(ctx context.Context) (authserver.Metadata, error) {
	if s.host.closed {
		return authserver.Metadata{}, &authserver.Error{Kind: authserver.Rejected, Op: discoverOp, Code: CodeNotServed}
	}
	metadata, err := s.discovery.Discover(ctx)
	if err == nil && !metadata.ClientIDMetadataDocument {
		err = &authserver.Error{Kind: authserver.Rejected, Op: discoverOp, Code: CodeUnsupported}
	}
	if err == nil {
		s.metadata.Store(&metadata)
		return metadata, nil
	}
	var failure *authserver.Error
	if errors.As(err, &failure) && failure.Kind == authserver.Rejected {
		s.metadata.Store(nil)
	}
	return authserver.Metadata{}, err
}

// known returns the metadata that was last read, or reads it; only one caller
// at a time does.
func (s *Server) known(ctx context.Context) (authserver.Metadata, error) {
	if metadata := s.metadata.Load(); metadata != nil {
		return *metadata, nil
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return authserver.Metadata{}, gaveUp(ctx, discoverOp)
	}
	if metadata := s.metadata.Load(); metadata != nil {
		return *metadata, nil
	}
	return s.Discover(ctx)
}

func gaveUp(ctx context.Context, op string) *authserver.Error {
	return &authserver.Error{Kind: authserver.Unavailable, Op: op, Err: context.Cause(ctx)}
}
