// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"context"
	"net/http"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// Register creates a client (RFC 7591 §3). Where the answer does not say what
// was registered of scopes, grant types, response types, redirect URIs or the
// authentication method, Registered holds the wish: that part is unknown.
func (s *Server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	c := exchange.Call{
		Op: "registering client", Method: http.MethodPost, ContentType: exchange.JSONType,
		Effect: true, Missing: CodeRegistrationUnsupported, Quoted: true,
	}
	var err error
	if c.Body, err = encode("", wish); err != nil {
		return authserver.Client{}, badWish(c, err)
	}
	metadata, err := s.known(ctx)
	if err != nil {
		return authserver.Client{}, err
	}
	if metadata.RegistrationEndpoint == "" {
		return authserver.Client{}, &authserver.Error{
			Kind: authserver.Rejected, Op: c.Op, Code: CodeRegistrationUnsupported,
		}
	}
	c.URL, c.Authorization = metadata.RegistrationEndpoint, exchange.Bearer(s.config.InitialAccessToken)
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return authserver.Client{}, err
	}
	if !got.Success() {
		return authserver.Client{}, byPolicy(s.exchange.Classify(c, got), c, got)
	}
	client, err := s.readClient(c, got, issued)
	if err != nil {
		return client, err
	}
	complete(&client, wish)
	return client, nil
}

// Find reads a client (RFC 7592 §2.1). What the answer does not say is empty in
// Registered; a nil list is not said, an empty one is said to be empty.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	c := s.manage("finding client", http.MethodGet, handle)
	got, err := s.ask(ctx, c, handle)
	if err != nil {
		return authserver.Client{}, false, err
	}
	switch got.verdict {
	case alive:
		client, err := s.readOwn(c, got.answer, handle)
		if err == nil {
			s.Settle(ctx, c.Op, handle, &client)
		}
		return client, err == nil, err
	case gone:
		return authserver.Client{}, false, nil
	case doubtful:
	}
	return authserver.Client{}, false, got.doubt
}

// Replace sends a whole new set of metadata (RFC 7592 §2.2). The client's
// secret is not sent: the RFC makes it optional, and some servers refuse even
// the right one.
func (s *Server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	c := s.manage("replacing client", http.MethodPut, handle)
	c.ContentType, c.Quoted = exchange.JSONType, true
	c.Secrets = []authserver.Secret{handle.ClientSecret, s.config.InitialAccessToken}
	if err := s.manageable(c, handle); err != nil {
		return authserver.Client{}, err
	}
	var err error
	if c.Body, err = encode(handle.ClientID, wish); err != nil {
		return authserver.Client{}, badWish(c, err)
	}
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return authserver.Client{}, err
	}
	if !got.Success() {
		return authserver.Client{}, byPolicy(s.refusal(c, got), c, got)
	}
	client, err := s.readOwn(c, got, handle)
	if err != nil {
		return client, err
	}
	complete(&client, wish)
	handle.AuthMethod = client.Registered.AuthMethod
	s.SettleWritten(ctx, c.Op, handle, &client)
	return client, nil
}

// Revoke deletes a client (RFC 7592 §2.3).
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	c := s.manage("revoking client", http.MethodDelete, handle)
	got, err := s.ask(ctx, c, handle)
	if err != nil {
		return err
	}
	if got.verdict == doubtful {
		return got.doubt
	}
	return nil
}

// Disable is Rejected: RFC 7592 knows no disabled clients.
func (s *Server) Disable(context.Context, authserver.Handle) error {
	return unsupported("disabling client")
}

// CheckAccess is Rejected: whether an initial access token is taken (RFC 7591 §3) shows
// when a client is registered with it, and in no other way.
func (s *Server) CheckAccess(context.Context) error { return unsupported("checking access") }

// List is Rejected: RFC 7592 reads one client at a time.
func (s *Server) List(context.Context, string) (authserver.Page, error) {
	return authserver.Page{}, unsupported("listing clients")
}

// Tidy is Rejected: scopes are words at such a server.
func (s *Server) Tidy(context.Context, authserver.Tidying) (more bool, err error) {
	return false, unsupported("deleting scopes")
}

func unsupported(op string) error {
	return &authserver.Error{Kind: authserver.Rejected, Op: op, Code: exchange.CodeUnsupported}
}

// readClient reads a client, with its secret. Beside an error it holds what it takes
// to manage the client, if that can be read.
func (s *Server) readClient(c exchange.Call, a exchange.Answer, secret func(*exchange.Object) authserver.Secret) (authserver.Client, error) {
	fields, err := exchange.Read(c, a)
	if err != nil {
		return authserver.Client{}, err
	}
	client, err := parseClient(fields, secret(fields))
	if err != nil {
		return client, exchange.Useless(c, a, err)
	}
	if client.ManagementURI != "" && !s.exchange.Ours(client.ManagementURI) {
		return client, &authserver.Error{
			Kind: authserver.Rejected, Op: c.Op, Status: a.Status,
			Code: CodeForeignManagementURI, MaybeApplied: c.Effect,
		}
	}
	return client, nil
}

// readOwn also holds the answer to the client that was asked for: a client id
// never changes (RFC 7592 §2.1). Beside an error the client holds what is in
// force in place of what the handle has; a management URI elsewhere is not.
func (s *Server) readOwn(c exchange.Call, a exchange.Answer, handle authserver.Handle) (authserver.Client, error) {
	client, err := s.readClient(c, a, shown)
	if handle.ClientID != "" && client.ID != "" && client.ID != handle.ClientID {
		return authserver.Client{}, &authserver.Error{
			Kind: authserver.Conflict, Op: c.Op, Status: a.Status,
			Code: exchange.CodeClientMismatch, MaybeApplied: c.Effect,
		}
	}
	if err != nil {
		kept := authserver.Client{ManagementToken: client.ManagementToken}
		if s.exchange.Ours(client.ManagementURI) {
			kept.ManagementURI = client.ManagementURI
		}
		return kept, err
	}
	return client, nil
}

func badWish(c exchange.Call, err error) error {
	return &authserver.Error{
		Kind: authserver.Rejected, Op: c.Op, Code: "invalid_client_metadata", Err: err,
	}
}
